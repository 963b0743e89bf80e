"""A review from the cohort to its figures, on a real small site: who sees what, blind, settled, used."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.browser.small_site import PASSWORD, Site, build

from estran.cohort.language.text import parse
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.charts.export import Exported, Exporter, Gold, brat_lines, conll_lines
from estran.projects.charts.labels import Span
from estran.projects.charts.manager import Wanted
from estran.projects.charts.results import Stage
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.sign_in import create_account
from estran.state import CohortVersion, ListRecord

FORM = """
name = "Heart"
documents = ["discharge"]
[[item]]
id = "failure"
label = "Insuffisance cardiaque"
type = "yes_no"
required = true
fill = { concept = "CIM10:I50" }
[[item]]
id = "bnp"
label = "NT-proBNP"
type = "number"
unit = "ng/L"
visible_if = { item = "failure", is = ["yes"] }
fill = { concept = "LOINC:33762-6", take = "max", days = [-30, 30] }
[[item]]
id = "mmol"
label = "NT-proBNP, autre unité"
type = "number"
unit = "mmol/L"
fill = { concept = "LOINC:33762-6" }
[[item]]
id = "first"
label = "Premier dosage"
type = "date"
fill = { concept = "LOINC:33762-6", take = "first" }
[[label]]
id = "diagnosis"
label = "Diagnostic"
key = "d"
[[label]]
id = "sign"
label = "Signe"
[[attribute]]
id = "negated"
label = "Nié"
key = "n"
"""
NUMBER = itertools.count()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), patients=60)
    for login in ("anne", "bruno", "chloe"):
        create_account(built.state, KEY_HOLDER, login, PASSWORD, Role.CLINICIAN)
    yield built
    built.state.close()


@pytest.fixture(scope="module")
def room(site: Site) -> ReadingRoom:
    return ReadingRoom(site)


@pytest.fixture(scope="module")
def heart(room: ReadingRoom) -> CohortVersion:
    return desk_of(room, "data_engineer").save("Heart failure", parse("CIM10:I50"), "")


def desk_of(room: ReadingRoom, login: str) -> Desk:
    account = room.site.state.accounts.find(login)
    assert account
    return Desk(room, Actor.of(account))


@pytest.fixture
def double(room: ReadingRoom, heart: CohortVersion) -> ListRecord:
    """Anne and Bruno read the same four patients and four others, Chloé settles."""
    desk = desk_of(room, "data_engineer").reviews
    form = desk.add_form(FORM)
    return desk.make(
        Wanted(
            f"Double {next(NUMBER)}",
            heart.id,
            {"anne": 1, "bruno": 1},
            ("chloe",),
            2,
            True,
            form.id,
            sample=6,
            negatives=4,
        )
    )


def numbers(room: ReadingRoom, record: ListRecord, login: str = "anne") -> list[int]:
    return [one.patient_id for one in desk_of(room, login).reviewer.lines(record.id)[1]]


YES = {"failure": ["yes"], "mmol": ["2"]}


def read_all(room: ReadingRoom, record: ListRecord, login: str, verdicts: str) -> None:
    words = {"i": "include", "e": "exclude", "d": "doubt"}
    for patient, letter in zip(numbers(room, record, login), verdicts, strict=True):
        assert desk_of(room, login).reviewer.decide(record.id, patient, words[letter], "", YES) == {}


def test_a_list_is_a_sample_of_the_cohort_and_of_the_others(room: ReadingRoom, double: ListRecord) -> None:
    book = room.site.state.charts
    listed = book.patients(double.id)
    cohort = desk_of(room, "data_engineer").patients(parse("CIM10:I50"), 60, 0)
    inside = {one.patient_id for one in cohort.patients}
    assert len(listed) == 10
    assert {one.patient_id for one in listed if one.selected} <= inside
    assert not {one.patient_id for one in listed if not one.selected} & inside
    assert all((one.index_date is not None) == one.selected for one in listed)
    assert {len(readers) for readers in book.shares(double.id).values()} == {2}


def test_the_same_seed_draws_the_same_patients(room: ReadingRoom, heart: CohortVersion) -> None:
    desk = desk_of(room, "data_engineer").reviews
    made = [desk.make(Wanted(f"Seed {next(NUMBER)}", heart.id, {"anne": 1}, sample=8, seed=seed)) for seed in (7, 7, 8)]
    first, second, third = (numbers(room, one) for one in made)
    assert first == second != third


def test_a_reviewer_sees_the_patients_given_to_them_and_no_other(room: ReadingRoom, double: ListRecord) -> None:
    anne = desk_of(room, "anne")
    mine = numbers(room, double)
    outside = next(one for one in range(60) if one not in mine)
    assert anne.reviewer.open(double.id, mine[0]).timeline is not None
    trail = room.site.state.audit.latest(1)[0]
    assert (trail.action, trail.patients, trail.allowed) == ("review", (mine[0],), True)
    for refused in (
        lambda: anne.reviewer.open(double.id, outside), lambda: anne.reviewer.timeline(double.id, outside),
        lambda: anne.timeline(mine[0]), lambda: desk_of(room, "chloe").reviewer.open(double.id, mine[0]),
        lambda: desk_of(room, "data_engineer").reviewer.open(double.id, mine[0]),
        lambda: anne.reviews.progress(double.id), desk_of(room, "viewer").reviewer.lists,
        lambda: anne.adjudicator.disputes(double.id),
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            refused()
        assert not room.site.state.audit.latest(1)[0].allowed


def test_a_document_of_another_patient_is_not_opened_through_a_list(room: ReadingRoom, double: ListRecord) -> None:
    anne, patient = desk_of(room, "anne").reviewer, numbers(room, double)[0]
    theirs = anne.open(double.id, patient).texts[0].document_id
    found = anne.document(double.id, patient, theirs)
    assert found is not None
    assert found.patient_id == patient
    assert anne.document(double.id, patient, 0 if patient else 9) is None


def test_a_form_is_filled_from_facts_with_their_evidence(room: ReadingRoom, heart: CohortVersion) -> None:
    desk = desk_of(room, "data_engineer").reviews
    made = desk.make(Wanted(f"All {next(NUMBER)}", heart.id, {"anne": 1}, form_id=desk.add_form(FORM).id))
    filled = desk_of(room, "anne").reviewer.open(made.id, 0).filled
    assert filled["failure"].value == "yes"
    assert (filled["bnp"].value, filled["bnp"].code, filled["bnp"].date) == (6840.0, "LOINC:33762-6", "2024-02-04")
    assert filled["first"].value == "2024-02-04"
    assert "mmol" not in filled, "a fact in another unit fills nothing"
    document = desk_of(room, "anne").reviewer.document(made.id, 0, filled["bnp"].document_id)
    assert document is not None
    assert next(f.value for f in document.facts if f.fact_no == filled["bnp"].fact_no) == 6840.0


def test_what_is_kept_says_which_answers_are_still_those_of_facts(room: ReadingRoom, heart: CohortVersion) -> None:
    desk = desk_of(room, "data_engineer").reviews
    made = desk.make(Wanted(f"Kept {next(NUMBER)}", heart.id, {"anne": 1}, form_id=desk.add_form(FORM).id))
    anne = desk_of(room, "anne").reviewer
    assert anne.decide(made.id, 0, "include", "", {"bnp": ["6840"]}) == {"failure": "required"}
    assert anne.decide(made.id, 0, "include", " sure ", {"failure": ["yes"], "bnp": ["7000"]}) == {}
    (said,) = room.site.state.charts.said(made.id)
    assert (said.verdict, said.comment, said.answers) == ("include", "sure", {"failure": "yes", "bnp": 7000.0})
    assert set(said.evidence) == {"failure"}
    assert anne.decide(made.id, 0, "exclude", "", {}) == {}, "nothing is asked of a patient who is excluded"


def test_a_decision_is_undone_and_the_one_before_comes_back(room: ReadingRoom, heart: CohortVersion) -> None:
    made = desk_of(room, "data_engineer").reviews.make(Wanted(f"Undo {next(NUMBER)}", heart.id, {"anne": 1}))
    anne, (first, second, *_) = desk_of(room, "anne").reviewer, numbers(room, made)
    for patient, verdict in ((first, "doubt"), (first, "include"), (second, "exclude")):
        anne.decide(made.id, patient, verdict)

    def now() -> dict[int, str]:
        return {line.patient_id: line.said.verdict for line in anne.lines(made.id)[1] if line.said}

    assert (anne.undo(made.id), now()) == (second, {first: "include"})
    assert (anne.undo(made.id), now()) == (first, {first: "doubt"})
    assert (anne.undo(made.id), anne.undo(made.id), now()) == (first, None, {})


def test_two_blind_readings_a_dispute_and_its_end(room: ReadingRoom, double: ListRecord) -> None:
    read_all(room, double, "anne", "iiieeeiied")
    chloe = desk_of(room, "chloe")
    assert chloe.adjudicator.disputes(double.id)[1:] == ([], []), "nothing before both have read"
    mine = numbers(room, double)
    with pytest.raises(UsageError, match="everybody"):
        chloe.adjudicator.open(double.id, mine[0])
    read_all(room, double, "bruno", "iiieeiiiee")
    waiting = [one.patient.patient_id for one in chloe.adjudicator.disputes(double.id)[1]]
    assert waiting == [mine[5], mine[9]]
    _, differences = chloe.adjudicator.open(double.id, waiting[0])
    assert [(one.name, one.said, one.same) for one in differences] == [
        ("verdict", ("exclude", "include"), False), ("failure", (None, "yes"), False), ("mmol", (None, 2.0), False),
    ]  # fmt: skip
    chloe.adjudicator.settle(double.id, waiting[0], "include", "seen on the echo", YES)
    with pytest.raises(UsageError, match="settled"):
        desk_of(room, "anne").reviewer.decide(double.id, waiting[0], "include", "", YES)
    progress = desk_of(room, "data_engineer").reviews.progress(double.id)
    assert progress.patients == {Stage.AGREED: 8, Stage.DISPUTED: 1, Stage.SETTLED: 1}
    assert progress.verdicts == {"include": 6, "exclude": 3}
    assert [(one.login, one.given, one.read) for one in progress.readers] == [("anne", 10, 10), ("bruno", 10, 10)]


def test_agreement_is_of_what_was_said_before_it_was_settled(room: ReadingRoom, double: ListRecord) -> None:
    read_all(room, double, "anne", "iiieeeiiee")
    read_all(room, double, "bruno", "iiieeiiiee")
    found = desk_of(room, "data_engineer").reviews.agreement(double.id)
    kappa = next(one.estimate for one in found.figures if one.kind == "kappa" and one.about == "verdict")
    assert kappa.value == pytest.approx((0.9 - (0.5 * 0.6 + 0.5 * 0.4)) / 0.5)
    assert found.table == ((4, 0, 1), (0, 0, 0), (0, 0, 5))
    assert found.readers == ("anne", "bruno")
    assert found.same.value == 0.9


def test_ppv_and_sensitivity_by_hand(room: ReadingRoom, double: ListRecord) -> None:
    book = room.site.state.charts
    inside = {one.patient_id for one in book.patients(double.id) if one.selected}
    mine = numbers(room, double)
    outside = [one for one in mine if one not in inside]
    truth = {*list(inside)[:5], outside[0]}
    for login in ("anne", "bruno"):
        read_all(room, double, login, "".join("i" if one in truth else "e" for one in mine))
    found = desk_of(room, "data_engineer").reviews.accuracy(double.id)
    assert found.predictive.value == pytest.approx(5 / 6)
    assert found.negative.value == pytest.approx(3 / 4)
    caught, missed = double.selected * 5 / 6, double.others / 4
    assert found.sensitivity.value == pytest.approx(caught / (caught + missed))
    assert found.sensitivity.low is not None
    assert found.sensitivity.low < (found.sensitivity.value or 0) < (found.sensitivity.high or 0)
    assert (found.doubtful, found.waiting, found.sampled) == (0, 0, True)


def test_the_result_is_a_cohort_that_a_question_names(room: ReadingRoom, double: ListRecord) -> None:
    read_all(room, double, "anne", "iiieeeiiee")
    read_all(room, double, "bruno", "iiieeiiiee")
    desk = desk_of(room, "data_engineer")
    kept = desk.reviews.keep(double.id, "True heart failure")
    assert kept.total == 5
    named = desk.patients(parse("cohorte:'True heart failure'"), 10, 0)
    mine = numbers(room, double)
    assert {one.patient_id for one in named.patients} == {mine[n] for n in (0, 1, 2, 6, 7)}
    with pytest.raises(NotAllowed, match="listed patients"):
        desk_of(room, "researcher").count(parse(f"patients({mine[0]})"))


def first_text(room: ReadingRoom, record: ListRecord, login: str = "anne") -> int:
    reviewer = desk_of(room, login).reviewer
    patient = next(line.patient_id for line in reviewer.lines(record.id)[1] if line.texts)
    return next(one.document_id for one in reviewer.open(record.id, patient).texts if one.mark)


SPANS = [
    {"start": 0, "end": 22, "label": "diagnosis", "attributes": []},
    {"start": 36, "end": 43, "label": "sign", "attributes": []},
]


def test_texts_are_marked_twice_and_settled(room: ReadingRoom, double: ListRecord) -> None:
    document = first_text(room, double)
    anne, bruno, chloe = (desk_of(room, login) for login in ("anne", "bruno", "chloe"))
    anne.reviewer.mark(double.id, document, json.dumps(SPANS), done=False)
    draft = anne.reviewer.draft(double.id, document)
    assert draft is not None
    assert (draft.done, draft.spans) == (False, SPANS)
    assert bruno.reviewer.draft(double.id, document) is None, "blind"
    anne.reviewer.mark(double.id, document, json.dumps(SPANS), done=True)
    bruno.reviewer.mark(double.id, document, json.dumps(SPANS[:1]), done=True)
    opened, spans = chloe.adjudicator.open_text(double.id, document)
    assert opened.document is not None
    assert [(span.start, who) for span, who in spans] == [(36, (True, False)), (0, (True, True))]
    agreement = desk_of(room, "data_engineer").reviews.agreement(double.id)
    exact = {one.about: one.estimate.value for one in agreement.figures if one.kind == "f1_exact"}
    assert exact == {"": pytest.approx(2 / 3), "diagnosis": 1.0, "sign": 0.0}
    chloe.adjudicator.settle_text(double.id, document, json.dumps(SPANS))
    with pytest.raises(UsageError, match="settled"):
        anne.reviewer.mark(double.id, document, "[]", done=True)


def test_marks_out_of_the_text_or_by_somebody_else_are_refused(room: ReadingRoom, double: ListRecord) -> None:
    document, anne = first_text(room, double), desk_of(room, "anne").reviewer
    with pytest.raises(UsageError, match="outside"):
        anne.mark(double.id, document, '[{"start":0,"end":99999,"label":"sign"}]', done=True)
    with pytest.raises(NotAllowed):
        desk_of(room, "chloe").reviewer.mark(double.id, document, "[]", done=True)
    with pytest.raises(NotAllowed):
        anne.open_text(double.id, 99_999)


def test_a_text_that_changed_takes_no_mark(room: ReadingRoom, double: ListRecord) -> None:
    book, document = room.site.state.charts, first_text(room, double)
    with room.site.state.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chart_document SET text_hash = 'x' WHERE list_id = ?", (double.id,))
    assert desk_of(room, "anne").reviewer.open_text(double.id, document).document is None
    with pytest.raises(UsageError, match="changed"):
        desk_of(room, "anne").reviewer.mark(double.id, document, "[]", done=True)
    assert book.marked(double.id) == []


def test_a_closed_list_takes_nothing_more(room: ReadingRoom, double: ListRecord) -> None:
    desk_of(room, "data_engineer").reviews.close(double.id)
    with pytest.raises(UsageError, match="closed"):
        desk_of(room, "anne").reviewer.decide(double.id, numbers(room, double)[0], "include", "", YES)
    with pytest.raises(UsageError, match="closed"):
        desk_of(room, "anne").reviewer.undo(double.id)


def test_an_erased_patient_is_on_no_list(room: ReadingRoom, double: ListRecord) -> None:
    read_all(room, double, "anne", "iiieeeiiee")
    gone, *_ = numbers(room, double)
    room.site.state.charts.forget(gone)
    assert gone not in numbers(room, double)
    assert gone not in {one.patient_id for one in room.site.state.charts.said(double.id)}


@pytest.mark.parametrize(
    "changed",
    [
        {"name": " "}, {"shares": {}}, {"shares": {"viewer": 1}}, {"shares": {"nobody": 1}}, {"shares": {"anne": -1}},
        {"readings": 2}, {"readings": 9}, {"negatives": 3}, {"sample": -1}, {"version_id": 999}, {"form_id": 999},
    ],
)  # fmt: skip
def test_a_list_that_makes_no_sense_is_refused(
    room: ReadingRoom, heart: CohortVersion, changed: dict[str, object]
) -> None:
    wanted = {"name": "No", "version_id": heart.id, "shares": {"anne": 1}} | changed
    with pytest.raises(UsageError):
        desk_of(room, "data_engineer").reviews.make(Wanted(**wanted))  # type: ignore[arg-type]


def test_only_the_key_holder_takes_records_out_and_the_trail_says_of_whom(
    room: ReadingRoom, double: ListRecord, tmp_path: Path
) -> None:
    read_all(room, double, "anne", "iiieeeiiee")
    read_all(room, double, "bruno", "iiieeiiiee")
    for login in ("data_engineer", "methodologist", "anne", "administrator"):
        with pytest.raises(NotAllowed):
            Exporter(room, desk_of(room, login).actor).forms(double.id, tmp_path / "no.csv")
    assert not (tmp_path / "no.csv").exists()
    exporter = Exporter(room, KEY_HOLDER)
    assert exporter.forms(double.id, tmp_path / "held.parquet") == Exported(9, 1)
    line = room.site.state.audit.latest(1)[0]
    assert (line.action, len(line.patients)) == ("review-export", 9)
    table = pq.read_table(tmp_path / "held.parquet")
    assert table["verdict"].to_pylist().count("include") == 5
    assert table.schema.field("mmol").type == "double"
    assert exporter.forms(double.id, tmp_path / "all.csv", readings=True) == Exported(20, 0)
    assert (tmp_path / "all.csv").read_text().count("\n") == 21


def test_a_comment_never_becomes_a_formula(room: ReadingRoom, heart: CohortVersion, tmp_path: Path) -> None:
    made = desk_of(room, "data_engineer").reviews.make(Wanted(f"Formula {next(NUMBER)}", heart.id, {"anne": 1}))
    desk_of(room, "anne").reviewer.decide(made.id, numbers(room, made)[0], "include", "=cmd()")
    Exporter(room, KEY_HOLDER).forms(made.id, tmp_path / "f.csv")
    assert '"\'=cmd()"' in (tmp_path / "f.csv").read_text()


def test_marked_texts_are_written_in_three_ways(room: ReadingRoom, double: ListRecord, tmp_path: Path) -> None:
    document = first_text(room, double)
    for login in ("anne", "bruno"):
        desk_of(room, login).reviewer.mark(double.id, document, json.dumps(SPANS), done=True)
    exporter = Exporter(room, KEY_HOLDER)
    done = exporter.labels(double.id, "jsonl", tmp_path / "gold.jsonl")
    assert done.written == 1
    assert done.left_out > 0
    row = json.loads((tmp_path / "gold.jsonl").read_text())
    assert [row["text"][s["start"] : s["end"]] for s in row["spans"]] == ["Insuffisance cardiaque", "Dyspnée"]
    exporter.labels(double.id, "brat", tmp_path / "brat")
    assert (tmp_path / "brat" / f"{document}.txt").read_text() == row["text"]
    assert "T2\tsign 36 43\tDyspnée\n" in (tmp_path / "brat" / f"{document}.ann").read_text()
    exporter.labels(double.id, "conll", tmp_path / "gold.conll")
    assert "Insuffisance\tB-diagnosis\ncardiaque\tI-diagnosis\n" in (tmp_path / "gold.conll").read_text()
    with pytest.raises(UsageError):
        exporter.labels(double.id, "xml", tmp_path / "x")


def test_brat_fragments_and_conll_sentences() -> None:
    gold = Gold(
        1,
        2,
        "Pas de\nfièvre. Été 🦠 vu",
        (Span(0, 13, "sign", ("family", "negated")), Span(7, 13, "x"), Span(15, 20, "y")),
    )
    assert brat_lines(gold) == (
        "T1\tsign 0 6;7 13\tPas de fièvre\nA1\tfamily T1\nA2\tnegated T1\nT2\tx 7 13\tfièvre\nT3\ty 15 20\tÉté 🦠\n"
    )
    assert conll_lines(gold) == ("Pas\tB-sign\nde\tI-sign\n\nfièvre\tI-sign\n.\tO\nÉté\tB-y\n🦠\tI-y\nvu\tO\n")


def test_answers_that_differ_are_settled_too(room: ReadingRoom, double: ListRecord) -> None:
    patient = numbers(room, double)[0]
    for login, amount in (("anne", "2"), ("bruno", "3")):
        answers = {"failure": ["yes"], "mmol": [amount]}
        desk_of(room, login).reviewer.decide(double.id, patient, "include", "", answers)
    assert [one.patient.patient_id for one in desk_of(room, "chloe").adjudicator.disputes(double.id)[1]] == [patient]
    _, differences = desk_of(room, "chloe").adjudicator.open(double.id, patient)
    assert [one.name for one in differences if not one.same] == ["mmol"]


def test_an_adjudicator_reads_the_texts_of_a_patient_to_settle_and_of_no_other(
    room: ReadingRoom, double: ListRecord
) -> None:
    first, second, *_ = numbers(room, double)
    for login, verdict in (("anne", "include"), ("bruno", "exclude")):
        desk_of(room, login).reviewer.decide(double.id, first, verdict, "", YES)
    chloe = desk_of(room, "chloe").adjudicator
    text = chloe.open(double.id, first)[0].texts[0].document_id
    found = chloe.document(double.id, first, text)
    assert found is not None
    assert found.patient_id == first
    with pytest.raises(UsageError, match="everybody"):
        chloe.document(double.id, second, text)
