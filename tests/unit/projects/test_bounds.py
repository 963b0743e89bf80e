"""Within a perimeter a site answers, by every way, as a site that holds nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.browser.small_site import Site
from tests.unit.projects import bounded
from tests.unit.projects.bounded import PATIENTS, actor, only_inside, written

from estran.cohort.language.text import parse
from estran.cohort.query import (
    And,
    CohortRef,
    DocumentCriterion,
    Everyone,
    Family,
    IdList,
    Kin,
    MediaCriterion,
    MovementCriterion,
    Node,
    Not,
    Same,
    StayCriterion,
    TextCriterion,
    Unit,
)
from estran.model.codes import DocumentKind
from estran.model.errors import NotAllowed, UsageError
from estran.model.perimeter import WHOLE, Perimeter
from estran.projects import desk as desks
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.gate import ExactGate, ProtectedGate, gate_of
from estran.warehouse import check

PERIMETERS = {
    "ward": Perimeter(wards=("CARD",)),
    "facility": Perimeter(facilities=("NORD",)),
    "ward of a facility": Perimeter(facilities=("NORD",), wards=("DIAB", "URG")),
    "kind": Perimeter(kinds=("discharge", "laboratory")),
    "period": Perimeter(since=dt.date(2020, 1, 1), until=dt.date(2022, 6, 30)),
    "list": Perimeter(patients=(0, 1, 5, 8, 13, 21, 34, 59)),
    "nobody": Perimeter(patients=()),
    "all": Perimeter(facilities=("CHU",), wards=("CARD", "URG"), kinds=("pmsi", "laboratory", "consultation", "discharge"),
                     since=dt.date(2019, 1, 1), patients=tuple(range(40))),
}  # fmt: skip
HEART, KIDNEY = parse("CIM10:I50"), parse("LOINC:2160-0>100")
QUESTIONS: tuple[Node, ...] = (
    Everyone(),
    *map(
        parse,
        (
            "CIM10:I50",
            "CIM10:I50 SAUF CIM10:E11",
            "CIM10:I10 OU CIM10:E11.9",
            "sexe:F age>=60",
            '"insuffisance cardiaque"',
        ),
    ),
    KIDNEY,
    TextCriterion("amylose"),
    StayCriterion(),
    StayCriterion(units=("CARD",)),
    MovementCriterion(),
    MovementCriterion(units=("URG",)),
    DocumentCriterion(kinds=(DocumentKind.LABORATORY,)),
    DocumentCriterion(units=("DIAB",)),
    MediaCriterion(modalities=("US",)),
    Same(Unit.STAY, And((HEART, KIDNEY))),
    Same(Unit.MOVEMENT, And((KIDNEY, DocumentCriterion()))),
    Family(Kin.MOTHER, HEART),
    Not(KIDNEY),
    IdList(tuple(range(0, PATIENTS, 3))),
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = written(tmp_path_factory.mktemp("full"), bounded.rows())
    yield site
    site.state.close()


ASKED = ("ward of a facility", "kind", "period", "list", "nobody", "all")  # each way of being inside once


@pytest.fixture(scope="module", params=ASKED)
def both(
    request: pytest.FixtureRequest, full: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, Desk]]:
    """A bounded desk at the full site, and an unbounded one at the site of what is inside; both count exactly."""
    bounds, rows = PERIMETERS[request.param], bounded.rows()
    inside = written(tmp_path_factory.mktemp("inside"), only_inside(rows, bounds), rows)
    patch = pytest.MonkeyPatch()
    patch.setattr(desks, "gate_of", lambda *_: ExactGate())
    made = (
        Desk(ReadingRoom(full), actor(full, Role.DATA_ENGINEER, bounds)),
        Desk(ReadingRoom(inside), actor(inside, Role.DATA_ENGINEER)),
    )
    yield made
    patch.undo()
    inside.state.close()


def test_totals(both: tuple[Desk, Desk]) -> None:
    here, alone = (replace(desk.holdings(), created=dt.datetime.min, sources=()) for desk in both)
    assert here == alone
    assert both[0].holdings().sources == ()


def test_codes(both: tuple[Desk, Desk]) -> None:
    for words in ("", "insuf", "diab", "creat", "amylose", "cirrhose"):
        here, alone = ({(c.concept.code, c.patients) for c in desk.concepts(words)} for desk in both)
        assert here == alone, words
    codes = [("LOINC", "2160-0"), ("LOINC", "4548-4")]
    assert both[0].value_units(codes) == both[1].value_units(codes)


def test_questions_with_their_steps_breakdowns_patients_and_evidence(both: tuple[Desk, Desk]) -> None:
    for question in QUESTIONS:
        here, alone = (replace(desk.count(question), elapsed_ms=0.0) for desk in both)
        assert here == alone, question
        assert both[0].patients(question, 100, 0) == both[1].patients(question, 100, 0), question


def test_evidence(both: tuple[Desk, Desk]) -> None:
    question = parse("CIM10:I50 OU LOINC:2160-0>80")
    for patient in range(0, PATIENTS, 9):
        alone = both[1].evidence(question, patient)
        if both[1].timeline(patient) is None:
            with pytest.raises(NotAllowed, match="within your perimeter"):
                both[0].evidence(question, patient)
        else:
            assert both[0].evidence(question, patient) == alone, patient


def test_searches_with_their_facets_and_suggestions(both: tuple[Desk, Desk]) -> None:
    for words in ("insuffisance", "amylose", "metformine OU furosémide", "insufisance"):
        filters = {"unit": "0"} if words == "amylose" else {}
        here, alone = (_found(desk, words, filters) for desk in both)
        assert here == alone, (words, filters)


def _found(desk: Desk, words: str, filters: dict[str, str]) -> dict[str, Any]:
    """Scores are left out: how rare a word is, is counted over the whole index."""
    found = desk.search(words, filters, 200, 0)
    hits = {
        (h.document.document_id, h.document.patient_id, h.document.title, h.document.snippets, h.patient)
        for h in found.hits
    }
    facets = {
        name: {(f.value, f.documents, f.patients, f.label) for f in values} for name, values in found.facets.items()
    }
    unknown = {(w.word, frozenset(s.documents for s in w.suggestions)) for w in found.unknown}
    return {
        "hits": hits,
        "facets": facets,
        "unknown": unknown,
        "patients": found.patients,
        "documents": found.documents,
    }


def test_documents(both: tuple[Desk, Desk]) -> None:
    seen = 0
    for number in range(0, 400, 23):
        alone = both[1].document(number)
        if alone is None:
            with pytest.raises(NotAllowed, match="within your perimeter"):
                both[0].document(number)
        else:
            assert both[0].document(number) == alone, number
            seen += 1
    assert seen > 0 or not both[1].holdings().documents.value


def test_timelines(both: tuple[Desk, Desk]) -> None:
    for patient in (*range(0, PATIENTS, 7), PATIENTS + 7, -1, 2**40):
        alone = both[1].timeline(patient)
        if alone is None:
            with pytest.raises(NotAllowed, match="within your perimeter"):
                both[0].timeline(patient)
        else:
            assert both[0].timeline(patient) == alone, patient


def test_what_is_saved_counts_the_same(both: tuple[Desk, Desk]) -> None:
    here, alone = (desk.save("heart", parse("CIM10:I50"), "") for desk in both)
    assert here.total == alone.total
    assert both[0].saved_total(here) is None, "it may have been counted within other bounds"
    named = parse("CIM10:I10") if both[1].actor.account_id is None else CohortRef("heart")
    assert both[0].count(named).total == both[1].count(named).total


def test_the_bitmaps_equal_the_rows(both: tuple[Desk, Desk]) -> None:
    here, alone = (desk._view.snapshot for desk in both)
    assert here.population() == alone.population()
    assert here.known_stays() == alone.known_stays()
    for bucket in alone.buckets:
        assert here.presence(bucket).held().tolist() == alone.presence(bucket).held().tolist()
        for concept in alone.presence(bucket).held().tolist():
            mine, theirs = (s.presence(bucket).pair(concept) for s in (here, alone))
            assert (mine[0] & here.population(), mine[1]) == theirs, concept
    for patient in range(0, PATIENTS, 17):
        for table in ("stay", "movement", "document", "fact", "media"):
            assert here.patient_rows(table, patient) == alone.patient_rows(table, patient), (table, patient)
    for table in ("stay", "movement", "document", "text", "fact", "fact_by_concept", "media", "relation"):
        assert _rows(here, table) == _rows(alone, table), table


def _rows(snapshot: Any, table: str) -> list[Any]:
    with snapshot.connect() as connection:
        return sorted(map(repr, connection.execute(f"SELECT * FROM {table}").fetchall()))


def test_the_sites_are_sound(full: Site) -> None:
    """But for a quarantine that the invented loads do not account for."""
    assert {finding.code for finding in check.check(full.snapshot())} <= {"account"}


# How the bounds are kept and decided


def test_breakdowns_kept_for_others_are_not_shown_within_a_perimeter(full: Site) -> None:
    """The gate keeps the cells that it showed first of a set: those of the whole site name years outside."""
    question, bounds = parse("LOINC:2160-0"), Perimeter(since=dt.date(2023, 1, 1))
    everything = Desk(ReadingRoom(full), actor(full, Role.METHODOLOGIST)).count(question)
    within = Desk(ReadingRoom(full), actor(full, Role.DIM_PHYSICIAN, bounds)).count(question)
    assert min(year for year, _ in everything.years) < 2023 <= min(year for year, _ in within.years)
    gates = [
        gate_of(replace(actor(full, Role.RESEARCHER), perimeter=p), full.state, full.settings) for p in (WHOLE, bounds)
    ]
    assert all(isinstance(gate, ProtectedGate) for gate in gates)
    sets = [f"population {number}" for number in range(20)]  # the noise of one set may be alike by chance
    places = [[gate.show(1000, one).value for one in sets] for gate in gates]
    assert places[0] != places[1], "the same noise would be taken off by a difference"


@pytest.mark.parametrize("ask", ["feeds", "loads", "quarantine", "jobs"])
def test_what_is_of_the_whole_site_is_closed(full: Site, ask: str) -> None:
    desk = Desk(ReadingRoom(full), actor(full, Role.DIM_PHYSICIAN, Perimeter(wards=("CARD",))))
    with pytest.raises(NotAllowed, match="whole site"):
        getattr(desk, ask)()


def test_a_clinician_reads_within_a_perimeter_only(full: Site) -> None:
    room = ReadingRoom(full)
    desk = Desk(room, actor(full, Role.CLINICIAN, WHOLE))
    assert desk.count(Everyone()).total.value > 0
    with pytest.raises(NotAllowed, match="this account has none"):
        desk.timeline(0)
    desk = Desk(room, actor(full, Role.CLINICIAN, Perimeter(patients=(0,))))
    assert desk.timeline(0) is not None
    with pytest.raises(NotAllowed, match="within your perimeter"):
        desk.timeline(1)
    line = full.state.audit.latest(1)[0]
    assert (line.allowed, line.action, line.patients) == (False, "timeline", (1,)), "whom it was about is recorded"


def test_a_perimeter_that_cannot_be_read_shows_nothing(full: Site) -> None:
    account = full.state.accounts.find("researcher")
    assert account
    with full.state.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO perimeter VALUES (?, ?, 'x', '2024-01-01')", (account.id, '{"ward":["A"]}')
        )
    with pytest.raises(UsageError, match="cannot be read"):
        Desk(ReadingRoom(full), actor(full, Role.RESEARCHER))
    full.state.perimeters.put(account.id, WHOLE, "x")
    assert Desk(ReadingRoom(full), actor(full, Role.RESEARCHER)).perimeter is None


def test_the_key_holder_at_the_command_line_has_no_perimeter(full: Site) -> None:
    assert Desk(ReadingRoom(full), KEY_HOLDER).perimeter is None


@pytest.mark.parametrize("bounds", PERIMETERS.values(), ids=list(PERIMETERS))
def test_a_perimeter_comes_back_as_it_was_kept(bounds: Perimeter) -> None:
    assert Perimeter.from_json(bounds.to_json()) == bounds


@pytest.mark.parametrize("wrong", [
    {"kinds": ("selfie",)}, {"wards": ("",)}, {"wards": ("a\nb",)}, {"patients": (-1,)}, {"patients": (2**31,)},
    {"since": dt.date(2024, 1, 2), "until": dt.date(2024, 1, 1)}, {"facilities": tuple(map(str, range(501)))},
])  # fmt: skip
def test_nonsense_is_no_perimeter(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Perimeter(**wrong)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"wards":3}', '{"since":"soon"}', '{"other":[]}'])
def test_text_that_is_no_perimeter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Perimeter.from_json(text)
