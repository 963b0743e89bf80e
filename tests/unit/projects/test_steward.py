"""The steward's desk: who may ask, what is recorded first, and that no exact count comes out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from tests.browser.small_site import Site, build

from estran.catalog import measuring, official
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.described import card, count_of
from estran.projects.gate import ExactGate, Shown, gate_of
from estran.projects.steward import Steward
from estran.state import Entry


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), patients=120)
    measuring.measure(built.snapshot(), built.state)
    measuring.check(built.snapshot(), built.state)
    yield built
    built.state.close()


def steward(site: Site, role: Role) -> Steward:
    account = site.state.accounts.find(str(role))
    assert account
    return Steward(site, Actor.of(account), site.snapshot())


@pytest.fixture
def dim(site: Site) -> Steward:
    return steward(site, Role.DIM_PHYSICIAN)


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.AUDITOR, Role.VIEWER, Role.INDUSTRIAL_PARTNER])
def test_who_may_not_count_does_not_see_the_catalogue(site: Site, role: Role) -> None:
    with pytest.raises(NotAllowed):
        steward(site, role).overview()
    assert site.state.audit.latest(1)[0].allowed is False


@pytest.mark.parametrize(
    "role", [Role.ADMINISTRATOR, Role.RESEARCHER, Role.CLINICIAN, Role.DATA_ENGINEER, Role.METHODOLOGIST]
)
def test_steering_is_for_the_dim(site: Site, role: Role) -> None:
    with pytest.raises(NotAllowed):
        steward(site, role).steering("occupancy")


def test_a_researcher_reads_the_catalogue_and_no_row(site: Site) -> None:
    researcher = steward(site, Role.RESEARCHER)
    assert researcher.find("creatinine")[0].key == "LOINC:2160-0"
    assert not researcher.may_see_rows()
    for refused in (
        lambda: researcher.behind("sex-known"), researcher.reconcile,
        lambda: researcher.behind_figure("2023-01", "stays", ""), lambda: researcher.add_note("table", "stay", "x"),
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            refused()


def test_counts_of_a_card_pass_the_gate(site: Site, dim: Steward) -> None:
    exact = Steward(site, KEY_HOLDER, site.snapshot()).card("variable", "LOINC:2160-0")
    shown = dim.card("variable", "LOINC:2160-0")
    assert exact and shown
    assert exact.listed.patients == Shown(120)
    for one in (shown.listed.patients, shown.listed.rows, *shown.periods.counts, *(o.rows for o in shown.origins)):
        assert one.below or (one.margin and one.value % 5 == 0)
    assert dim.card("variable", "LOINC:2160-0") == shown, "asking again tells nothing more"
    assert dim.card("curve", "source:report") is None and dim.card("variable", "no:such") is None


def test_what_few_patients_have_tells_nothing_of_them(site: Site) -> None:
    gate = gate_of(Actor("x", Role.RESEARCHER, 1), site.state, site.settings)
    body = {
        "label_fr": "Rare", "kind": "laboratory", "first": "2020-03-05", "last": "2020-03-09", "dated": 40, "valued": 40, "united": 40,
        "years": [{"year": 2020, "facts": 40, "patients": 3}], "values": [], "top": [], "sources": [],
    }  # fmt: skip
    said = card(Entry("variable", "X:1", 1, 3, 40, body), gate)
    assert (said.listed.rows, said.listed.patients) == (Shown(0, 10), Shown(0, 10))
    assert (said.listed.first, said.listed.last, said.filled, said.periods.counts) == ("", "", (), ())
    assert count_of(gate, 500, 3, "place").below == 10
    assert count_of(ExactGate(), 500, 3, "place") == Shown(500)


def test_results_of_the_checks_are_shown_failures_first(site: Site, dim: Steward) -> None:
    (run,) = dim.runs()
    results = dim.results(run.id)
    assert len(results) > 300
    order = [one.failed for one in results]
    assert order == sorted(order, reverse=True) and order[0]
    assert all(one.violated.below or one.violated.value % 5 == 0 for one in results if one.result.patients)
    key = results[0].check.key
    assert [r.id for r, _ in dim.history(key)] == [run.id]
    assert dim.history("nothing") == []


def test_rows_behind_a_failure_are_audited_with_their_patients(site: Site, dim: Steward) -> None:
    behind = dim.behind("residence-known", 5)
    assert len(behind.rows) == 5 and behind.columns[0] == "patient_id"
    line = site.state.audit.latest(1)[0]
    assert (line.action, line.target) == ("failures", "rows of check:residence-known")
    assert set(line.patients) == {row["patient_id"] for row in behind.rows}
    with pytest.raises(UsageError):
        dim.behind("nothing")


def test_official_figures_are_kept_and_compared(site: Site, dim: Steward) -> None:
    month = next(
        k[0] for k, (n, _) in official.counted(site.snapshot(), [f"2022-{m:02d}" for m in range(1, 13)]).items() if n
    )
    ours = official.counted(site.snapshot(), [month])[month, "stays", ""][0]
    dim.keep_figures({(month, "stays", ""): ours + 2})
    (found,) = dim.reconcile()
    assert (found.ours, found.gap) == (ours, -2)
    assert len(dim.behind_figure(month, "stays", "").rows) == ours
    dim.keep_figures({(month, "stays", ""): ours})
    assert [one.gap for one in dim.reconcile()] == [0]


def test_notes_are_written_and_closed(dim: Steward) -> None:
    with pytest.raises(UsageError):
        dim.add_note("variable", "no:such", "text")
    with pytest.raises(UsageError):
        dim.add_note("table", "stay", "  ")
    number = dim.add_note("table", "stay", " Before 2019 the end was not sent. ")
    assert [n.text for n in dim.overview().notes] == ["Before 2019 the end was not sent."]
    dim.close_note(number)
    assert [n.closed_by for n in dim.notes("table", "stay")] == ["dim_physician"]
    assert dim.overview().notes == ()
    with pytest.raises(UsageError):
        dim.close_note(number)


def test_every_number_of_the_steering_pages_passes_the_gate(dim: Steward) -> None:
    length, again, ways = dim.steering("length"), dim.steering("readmissions"), dim.steering("pathways")
    occupancy = dim.steering("occupancy")
    assert length and again and ways and occupancy
    shown = [length["all"]["stays"], *length["all"]["bands"], *(link[3] for link in ways["links"])]
    shown += [one for ward in occupancy["wards"] for one in (*ward["weeks"], *ward["days"])]
    shown += [again["all"][name] for name in ("stays", "week", "month")]
    assert all(one.below == 10 or (one.margin > 0 and one.value % 5 == 0) for one in shown)
    assert length["all"]["people"] == []


def test_curves_show_weeks_of_enough_patients_only(dim: Steward) -> None:
    for one in (*dim.curves("source"), *dim.curves("ward")):
        assert dt.date.fromisoformat(one.first).weekday() == 0
        assert all(count.value == 0 or count.margin for count in one.counts)


def test_nobody_opposed_is_behind_a_failure(site: Site, dim: Steward) -> None:
    seen = {row["patient_id"] for row in dim.behind("residence-known").rows}
    assert 3 in seen
    from tests.unit.opposing import oppose

    oppose(site.warehouse, 3, "research", dt.date(2020, 1, 1))
    now = Steward(site, dim.actor, site.snapshot())
    assert 3 not in {row["patient_id"] for row in now.behind("residence-known").rows}
