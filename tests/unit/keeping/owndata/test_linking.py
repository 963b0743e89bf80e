"""Rows of a project's own data: linked in the vault, each ending linked, superseded or set aside."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.spec import site_kit as kit
from tests.unit.keeping.owndata.conftest import DECLARED, Bench
from tests.unit.opposing import oppose

from estran.keeping.owndata.reading import FileReading
from estran.model.errors import InputRefused, NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.life.machine import Step
from estran.projects.opposition import declare
from estran.projects.owndata import end
from estran.projects.owndata.outcome import Outcome, csv_of
from estran.projects.owndata.recipe import Form, read_recipe
from estran.projects.owndata.store import folder_of
from estran.projects.rights import due
from estran.state import Wish

CSV = """ipp;visit;day;fevg;nyha;note
IPP0;V1;2024-02-03;35,5;2;seen with Mme MARTIN at home
IPP0;V2;2024-08-04;41;1;
IPP1;V1;2024-02-30;50;1;
IPP2;V1;2024-02-05;fifty;1;
IPP99;V1;2024-02-06;50;1;
;V1;2024-02-06;50;1;
IPP3;V1;2024-02-07;60;3;twice
IPP3;V1;2024-02-07;61;3;twice
"""
USES = {"ipp": "patient", "visit": "key", "day": "date", "fevg": "number", "nyha": "code", "note": "words"}


def test_each_row_ends_linked_superseded_or_set_aside_with_line_and_field(bench: Bench) -> None:
    outcome = bench.bring(CSV, uses=USES)
    assert outcome.counts == {"read": 8, "linked": 3, "superseded": 1, "aside": 4}
    assert sorted(outcome.lines) == [
        (4, "data", "day", "not-a-date"), (5, "data", "fevg", "not-a-number"), (6, "data", "ipp", "no-patient"),
        (7, "data", "", "no-subject"),
    ]  # fmt: skip
    assert {who: sorted(values) for who, values in bench.held("fevg").items()} == {"IPP0": [35.5, 41.0], "IPP3": [61.0]}  # type: ignore[type-var]
    assert dt.date(2024, 2, 3) in bench.held("day")["IPP0"]


def test_what_identifies_is_dropped_and_texts_lose_names(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    assert set(bench.table().column_names) == {
        "_subject",
        "_key",
        "_line",
        "_load",
        "_patient",
        "day",
        "fevg",
        "nyha",
        "note",
    }
    said = " ".join(note or "" for note in bench.table()["note"].to_pylist())
    assert "MARTIN" not in said and "[NOM]" in said
    clear = b"".join(path.read_bytes() for path in folder_of(bench.site, bench.data).rglob("*") if path.is_file())
    assert b"PAR1" not in clear  # no Parquet in clear
    lines = csv_of(bench.bring(CSV, uses=USES))
    assert "IPP" not in lines and "6;data;ipp;no-patient;" in lines


def test_the_same_file_again_changes_nothing_and_a_corrected_one_replaces(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    before = bench.table()
    assert bench.bring(CSV, uses=USES).counts == {"read": 8, "linked": 0, "superseded": 4, "aside": 4}
    assert bench.table().equals(before)
    assert bench.bring(CSV.replace("35,5", "36"), uses=USES).linked == 1
    assert sorted(bench.held("fevg")["IPP0"]) == [36.0, 41.0]
    with pytest.raises(UsageError, match="another kind"):
        bench.bring(CSV, uses=USES | {"nyha": "number"})


def test_a_record_may_name_its_patient_on_one_row_only(bench: Bench) -> None:
    rows = "record_id,redcap_event_name,ipp,day,sex,risk___1,risk___2\n7,base,IPP5,,1,1,0\n7,m6,,2024-05-06,,0,0\n8,base,,2024-05-06,2,0,0\n9,base,IPP6,,4,0,0\n"
    dictionary = (
        '"Variable / Field Name","Form Name","Field Type","Field Label","Choices, Calculations, OR Slider Labels",'
        '"Text Validation Type OR Show Slider Number","Identifier?"\n'
        "record_id,base,text,Record,,,\nipp,base,text,IPP,,,y\nday,visit,text,Day,,date_dmy,\n"
        'sex,base,radio,Sex,"1, Male | 2, Female",,\nrisk,base,checkbox,Risks,"1, Smoker | 2, Diabetes",,\n'
    )
    outcome = bench.bring(rows, "ecrf", dictionary, uses={"ipp": "patient"})
    assert outcome.counts == {"read": 4, "linked": 2, "superseded": 0, "aside": 2}
    assert sorted(outcome.lines) == [(4, "data", "ipp", "no-identity"), (5, "data", "sex", "not-in-list")]
    assert set(bench.held("risk_1")) == {"IPP5"} and set(bench.held("risk_1")["IPP5"]) == {True, False}
    (sex,) = [one for one in bench.content().tables["data"].columns if one["name"] == "sex"]
    assert sex["codes"] == {"1": "Male", "2": "Female"}


def test_somebody_is_found_by_name_with_a_score_and_a_doubt_waits(bench: Bench) -> None:
    rows = "nom;prenom;naissance;sexe;fevg\nMartin;Anne;11/01/1950;F;30\nLefevre;Lucile;13/03/1950;F;40\nInconnu;Jean;01/01/1960;M;50\n"
    uses = {"nom": "family", "prenom": "given", "naissance": "birth", "sexe": "sex", "fevg": "number"}
    outcome = bench.bring(rows, link="person", dates="dmy", uses=uses)
    assert (outcome.linked, outcome.aside) == (1, {"no-patient": 1, "doubtful": 1})
    assert bench.held("fevg") == {"IPP0": [30.0], "?": [40.0]}
    (doubt,) = bench.keeper.doubts(bench.data)
    assert doubt.sought.family == "Lefevre" and doubt.identity == kit.patient_of(bench.site, "IPP2")
    assert bench.bring(rows, link="person", dates="dmy", uses=uses).linked == 0
    assert bench.keeper.settle(bench.data, doubt.number, accepted=True) == 1
    assert bench.held("fevg") == {"IPP0": [30.0], "IPP2": [40.0]}
    first = bench.site.state.own_data.files(bench.data)[-1]
    assert '"linked":2' in first.outcome and "doubtful" not in first.outcome
    with pytest.raises(UsageError, match="No pair"):
        bench.keeper.settle(bench.data, doubt.number, accepted=False)


def test_rows_of_a_doubtful_subject_go_with_the_patient_whom_they_resemble(bench: Bench) -> None:
    rows = "nom;prenom;naissance;fevg\nMartin;Anne;11/01/1950;30\nLefevre;Lucile;13/03/1950;40\n"
    uses = {"nom": "family", "prenom": "given", "naissance": "birth", "fevg": "number"}
    bench.bring(rows, link="person", dates="dmy", uses=uses)
    (doubt,) = bench.keeper.doubts(bench.data)
    oppose(bench.site.warehouse, doubt.identity, "research", bench.site.today())
    assert bench.keeper.refresh(bench.data) == 1
    assert bench.held("fevg") == {"IPP0": [30.0]} and bench.keeper.doubts(bench.data) == []


def test_an_opposition_removes_the_rows_and_is_acknowledged(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    state = bench.site.state
    wish = Wish(kit.patient_of(bench.site, "IPP0"), f"project:{bench.project}", "opposition", bench.site.today())
    declare(state, bench.site.warehouse, KEY_HOLDER, wish)
    assert [one.what for one in due(state, f"own-data {bench.data}")] == ["hide"]
    assert bench.keeper.look() == [f"own data: 2 rows of data set {bench.data} removed, as their patients asked"]
    assert set(bench.held("fevg")) == {"IPP3"} and not due(state, f"own-data {bench.data}")
    with bench.site.vault() as vault:
        assert wish.patient_id not in vault.own.of(bench.data).values()
    assert "own-removed" not in {one.kind for one in state.news.recent(bench.play.id["lea"])}  # two people: it would tell who
    assert bench.bring(CSV, uses=USES).aside["no-patient"] == 3


def test_the_team_cannot_tell_from_counts_who_is_known_or_objected(bench: Bench) -> None:
    def told() -> list[tuple[int, int] | None]:
        (listed,) = bench.desk("lea").of(bench.project)[1]
        assert listed.rows is None and listed.files[0].reasons == {}
        counts = listed.files[0].counts
        assert counts and counts["read"] and counts["superseded"] is None and counts["aside"] is None
        return [(one.value, one.below) if (one := line.counts and line.counts["linked"]) else None for line in listed.files]

    uses = {"ipp": "patient", "k": "key", "v": "number"}
    for who in ("IPP0", "NOBODY"):  # known or not, however many rows
        bench.bring("ipp;k;v\n" + "".join(f"{who};{row};1\n" for row in range(100)), uses=uses)
    assert told() == [(0, 10), (0, 10)]
    thirteen = [f"IPP{n};x;1\n" for n in range(1, 14)]
    bench.bring("ipp;k;v\n" + "".join(thirteen), uses=uses)
    bench.bring("ipp;k;v\nIPP0;x;1\n" + "".join(thirteen), uses=uses)
    before = told()
    assert before[0] == before[1] and before[0] and before[0][0] >= 10
    oppose(bench.site.warehouse, kit.patient_of(bench.site, "IPP0"), "research", bench.site.today())
    assert bench.keeper.refresh(bench.data) == 101 and told() == before
    news = {one.kind for one in bench.site.state.news.recent(bench.play.id["lea"])}
    assert "own-removed" in news  # one of fourteen


def test_a_later_file_takes_away_who_objected_in_between(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    oppose(bench.site.warehouse, kit.patient_of(bench.site, "IPP0"), "research", bench.site.today())
    outcome = bench.bring("ipp;fevg\nIPP0;30\n", uses={"ipp": "patient", "fevg": "number"})
    assert outcome.aside == {"no-patient": 1} and set(bench.held("fevg")) == {"IPP3"}


def test_a_damaged_data_set_does_not_keep_the_others_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.bring(CSV, uses=USES)
    first, bench.data = bench.data, bench.desk("lea").declare(bench.project, DECLARED)
    bench.desk("dan").answer(bench.data, "", accepted=True)
    bench.bring(CSV, uses=USES)  # the newest is looked at first
    for path in folder_of(bench.site, bench.data).rglob("*.land"):
        path.unlink()
    oppose(bench.site.warehouse, kit.patient_of(bench.site, "IPP0"), "research", bench.site.today())
    told = bench.keeper.look()
    assert any(f"data set {bench.data} not followed" in line for line in told)
    assert f"own data: 2 rows of data set {first} removed, as their patients asked" in told
    bench.data = first
    assert set(bench.held("fevg")) == {"IPP3"}
    ended = bench.desk("lea").declare(bench.project, DECLARED)

    def full(*_: object) -> None:
        raise OSError(28, "No space left beside IPP0")

    monkeypatch.setattr("estran.projects.owndata.ending.destroy", full)
    monkeypatch.setattr("estran.keeping.owndata.keeper.now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=500))
    told = bench.keeper.look()
    assert [line for line in told if "not destroyed" in line] == [
        f"own data: data set {one} not destroyed. Unexpected error: OSError." for one in (ended, ended - 1, first)
    ]


def test_a_data_set_lives_until_the_end_of_its_day_at_the_site(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    last = dt.datetime.combine(DECLARED.until, dt.time(23, 59), bench.site.settings.clocks)
    monkeypatch.setattr("estran.keeping.owndata.keeper.now", lambda: last.astimezone(dt.UTC))
    assert not any("over" in line for line in bench.keeper.look())
    monkeypatch.setattr("estran.keeping.owndata.keeper.now", lambda: (last + dt.timedelta(minutes=1)).astimezone(dt.UTC))
    assert f"own data: data set {bench.data} destroyed, its time is over" in bench.keeper.look()


def test_a_file_that_fails_in_an_unknown_way_is_finished_and_the_next_one_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.keeper.look()
    desk, seen = bench.desk("dan"), []
    for _ in range(2):
        number = desk.hand_in(bench.data, "csv", b"ipp;fevg\nIPP0;35\n")
        desk.map(number, read_recipe({"uses": {"ipp": "patient", "fevg": "number"}}))
        seen.append(number)
    read = FileReading.read

    def first_fails(self: FileReading, *given: Any) -> Outcome:
        if self._number == seen[0]:
            raise ValueError("IPP0")
        return read(self, *given)

    monkeypatch.setattr(FileReading, "read", first_fails)
    told = bench.keeper.look()
    assert told[0] == f"own data: file {seen[0]} not read. Unexpected error: ValueError."
    assert told[1].startswith(f"own data: file {seen[1]} read, 1 rows linked")
    failed = bench.site.state.own_data.file(seen[0])
    assert failed and (failed.sealed, failed.look) == (None, "")
    assert failed.problem == "Unexpected error: ValueError."
    with pytest.raises(UsageError, match="mapped already"):
        desk.map(seen[0], read_recipe({"uses": {"ipp": "patient", "fevg": "number"}}))
    waiting = desk.hand_in(bench.data, "csv", b"ipp;fevg\nIPP0;35\n")
    with pytest.raises(UsageError, match="must name the columns"):
        desk.hand_in(bench.data, "csv", b"MARTIN;1950-01-11\nDURAND;1950-01-12\n")
    desk.end(bench.data, "published")
    gone = bench.site.state.own_data.file(waiting)
    assert gone and gone.look == "" and gone.ended
    assert bench.site.state.own_data.hand_in(bench.data, "csv", "dan", None, b"x", "{}") == 0


def test_closing_destroys_the_store_and_leaves_a_certificate(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    folder = folder_of(bench.site, bench.data)
    assert list(folder.rglob("*.land"))
    (certificate,) = end(bench.site, bench.project)
    assert not folder.exists() and certificate["tables"][0]["rows"] == 3 and certificate["formality"] == "MR-003"
    assert end(bench.site, bench.project) == [certificate]
    bench.keeper.look()
    with bench.site.vault() as vault:
        assert vault.own.of(bench.data) == {}
    with pytest.raises(NotAllowed, match="not accepted"):
        bench.bring(CSV, uses=USES)


def test_a_project_that_closes_destroys_it_and_its_certificate_says_so(bench: Bench) -> None:
    bench.bring(CSV, uses=USES)
    bench.play.take(bench.project, "lea", Step.CLOSE, reason="The study is over.")
    bench.play.take(bench.project, "dan", Step.ARCHIVE, what="Code", how="Archive 7", day="2046-01-01")
    with pytest.raises(UsageError, match="still there: 1"):
        bench.play.take(bench.project, "dan", Step.DESTROY, what="All", how="Erased", day=str(dt.date.today()))
    assert any("destroyed with its project" in line for line in bench.keeper.look())
    assert not list(folder_of(bench.site, bench.data).rglob("*.land"))
    certificate = bench.play.take(bench.project, "dan", Step.DESTROY, what="All", how="Erased", day=str(dt.date.today())).certificate
    assert certificate and [one.own for one in certificate.destroyed] == [True]


def test_nothing_is_read_that_was_not_accepted_or_mapped(bench: Bench) -> None:
    other = bench.desk("lea").declare(bench.project, DECLARED)
    with pytest.raises(NotAllowed, match="not accepted"):
        bench.keeper.bring(other, Form.CSV, bench.site.directory, read_recipe({"uses": USES}))
    with pytest.raises(InputRefused, match="not in the file"):
        bench.bring("a;b\n1;2\n", uses={"ipp": "patient", "b": "number"})
    with pytest.raises(UsageError, match="keeps no column"):
        bench.bring("ipp;b\n1;2\n", uses={"ipp": "patient"})
    with pytest.raises(UsageError, match="finds the patient"):
        bench.bring("ipp;b\n1;2\n", uses={"b": "number"})
