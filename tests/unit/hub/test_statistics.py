"""Statistics asked through a network equal the pooled rows, and nobody between the sites reads what one of them sent."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.network_kit import KEY, Hospital, Network, add_hospital, network
from tests.unit.analysis.six_sites import close, estimates, pooled_cox, pooled_newton
from tests.unit.opposing import oppose

from estran.analysis.federated import fixed_point
from estran.analysis.federated.contingency import chi_square
from estran.analysis.federated.meta import pool
from estran.analysis.federated.rounds import Result
from estran.cohort.language.text import parse
from estran.hub.agent import statistics
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.agent.study_book import StudyBook
from estran.hub.asking import Choices, read_study
from estran.hub.conducting import Conductor
from estran.hub.governance import CharterKind, Sight, beside
from estran.hub.oversight import Oversight
from estran.hub.server import Door
from estran.hub.studies import Studies
from estran.hub.study import Announcement, Asked, announce, place_of
from estran.hub.study_desk import Seen, StudyDesk
from estran.identity.keys import Cipher
from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.state import AuditFilter

SITES = {"angers": "CARD", "brest": "DIAB", "nantes": "URG", "tours": "HEP"}
WILLING = ("count", "statistics")
COLUMNS = "age\nsex\nheart = CIM10:I50\ndiabetes = CIM10:E11"
EVERYBODY, HYPERTENSION = "âge>=0", "CIM10:I10"


@dataclass
class Lab:
    """A network whose sites answer for different patients, and everything that the hub heard."""

    net: Network
    desk: StudyDesk
    studies: Studies
    heard: list[bytes] = field(default_factory=list)

    def run(self, *sites: str) -> None:
        way = self.net.local()
        for name in sites or SITES:
            agent = self.net.agent(name, _Ear(way, self.heard))
            agent.once()
            agent.close()

    def play(self, asked: Asked, *sites: str) -> Seen:
        study = self.desk.ask(asked, sites)
        for _ in range(40):
            self.run(*sites)
            seen = self.desk.stand(study)
            assert seen is not None
            if not seen.study.open:
                return seen
        raise AssertionError("the study does not end")

    def result(self, asked: Asked) -> Result:
        seen = self.play(asked)
        assert seen.study.outcome is not None, (seen.study.said, seen.sites)
        return seen.study.outcome

    def rows(self, asked: Asked) -> dict[str, pa.Table]:
        """The rows of each site, as the sites themselves make them."""
        made = {}
        for name in SITES:
            with statistics._member(self.net.places[name]) as member:
                query = member.query(asked)
                made[name] = member.clerk.table(member.own(asked), statistics.read_wanted(asked.table, query), "test")
        return made


@dataclass
class _Ear:
    way: Any
    heard: list[bytes]

    def carry(self, path: str, data: bytes) -> bytes:
        self.heard.append(data)
        return self.way.carry(path, data)  # type: ignore[no-any-return]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("statistics")
    net = network(folder)
    for name, unit in SITES.items():
        add_hospital(net, folder, name, rules=Rules(answer=WILLING, approve=(), units=(unit,)))
    site = net.places["angers"].site
    assert site is not None
    studies = Studies(net.house.folder)
    yield Lab(net, StudyDesk(site.state, net.house.book, studies, KEY_HOLDER), studies)
    studies.close()


def study(method: str, text: str = COLUMNS, cohort: str = EVERYBODY, **choices: Any) -> Asked:
    return read_study(method, parse(cohort), text, Choices(**choices))


def column(rows: dict[str, pa.Table], name: str) -> Any:
    found = pa.concat_tables(rows.values()).column(name)
    return np.array(found.to_pylist()) if pa.types.is_string(found.type) else found.cast(pa.float64()).to_numpy()


def design(rows: dict[str, pa.Table], *names: str) -> Any:
    return np.column_stack([column(rows, n) == "male" if n == "sex" else column(rows, n) for n in names]).astype(float)


def test_a_description_is_that_of_the_pooled_rows(lab: Lab) -> None:
    asked = study("describe")
    rows, shown = lab.rows(asked), lab.result(asked).shown
    ages = column(rows, "age")
    assert len({one.num_rows for one in rows.values()}) > 1 and shown["sites"] == 4
    (age,) = shown["numbers"]
    assert age["patients"] == round(len(ages) / 5) * 5 and age["missing"] == {"below": 10}
    assert close(np.array([age["mean"], age["deviation"]]), np.array([ages.mean(), ages.std(ddof=1)]), 1e-9)
    sex = next(one for one in shown["categories"] if one["variable"] == "sex")
    assert sex["levels"] == {level: int((column(rows, "sex") == level).sum()) for level in ("female", "male")}


def test_a_contingency_table_is_that_of_the_pooled_rows(lab: Lab) -> None:
    asked = study("contingency", "sex\nband = age 40/65\nheart = CIM10:I50")
    two = study("contingency", "sex\nheart = CIM10:I50")
    rows, shown = lab.rows(asked), lab.result(asked).shown
    sex, age, heart = (column(rows, name) for name in ("sex", "band", "heart"))
    for i, who in enumerate(("female", "male")):
        for j, band in enumerate(("under 40", "40 to 65", "65 and more")):
            for k in (0, 1):
                cell = shown["cells"][i][j][k]
                assert cell is None or cell == ((sex == who) & (age == band) & (heart == k)).sum()
    test = lab.result(two).shown["test"]
    truth = chi_square(
        np.array([[((sex == s) & (heart == h)).sum() for h in (0, 1)] for s in ("female", "male")], float)
    )
    assert close(np.array([test["chi_square"], test["p"]]), np.array([truth["chi_square"], truth["p"]]), 1e-9)


def test_a_logistic_model_is_that_of_the_pooled_rows_and_the_hub_reads_no_sum_of_one_site(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    rows = lab.rows(asked)
    lab.heard.clear()
    found = lab.result(asked)
    truth = pooled_newton("logistic", design(rows, "age", "sex", "diabetes"), column(rows, "heart"))
    assert close(estimates(found)[0], truth[0], 1e-6) and close(estimates(found)[1], truth[1], 1e-6)
    told = b"".join([*lab.heard, *(path.read_bytes() for path in lab.net.house.folder.glob("*.sqlite*"))])
    for table in rows.values():
        ages = table.column("age").to_numpy().astype(float)
        for value in (ages.sum(), np.array([ages.sum(), float(table.num_rows)])):
            assert fixed_point.encode(np.atleast_1d(value)).tobytes() not in told
            assert np.atleast_1d(value).tobytes() not in told
        assert f"{ages.sum():.1f}".encode() not in told
    pooled = fixed_point.encode(np.array([column(rows, "age").sum()])).tobytes()
    assert pooled not in told  # nor the sum, before all is added up


def test_cox_is_that_of_the_pooled_rows(lab: Lab) -> None:
    asked = study("cox", "age\nsex", HYPERTENSION, event="CIM10:E11", horizon=900)
    rows, found = lab.rows(asked), lab.result(asked)
    time, event = column(rows, "days"), column(rows, "event")
    known = ~np.isnan(time)
    event = (event == 1) & (time <= 900)
    x = design(rows, "age", "sex")[known]
    truth = pooled_cox(x, np.minimum(time, 900)[known], event[known].astype(float), efron=True)
    assert close(estimates(found)[0], truth[0], 1e-6) and close(estimates(found)[1], truth[1], 1e-6)


def test_survival_is_that_of_the_pooled_rows(lab: Lab) -> None:
    asked = study("survival", "sex", HYPERTENSION, event="CIM10:E11", horizon=900, group="sex")
    rows, shown = lab.rows(asked), lab.result(asked).shown
    time, event, sex = column(rows, "days"), column(rows, "event") == 1, column(rows, "sex")
    for group in shown["groups"]:
        own = (sex == group["group"]) & ~np.isnan(time)
        level, truth = 1.0, {}
        for day in np.unique(time[own & event & (time <= 900)]):
            risk, dead = (own & (time >= day)).sum(), (own & event & (time == day)).sum()
            level *= (risk - dead) / risk
            truth[int(day)] = level
        assert group["steps"] and all(
            step["survival"] == pytest.approx(truth[step["day"]], rel=1e-12) for step in group["steps"]
        )


def test_a_meta_analysis_pools_the_models_of_the_sites(lab: Lab) -> None:
    asked = study("meta", "age\nsex\nheart = CIM10:I50", outcome="heart", term="age")
    rows, shown = lab.rows(asked), lab.result(asked).shown
    each = [
        pooled_newton("logistic", design({"x": one}, "age", "sex"), column({"x": one}, "heart"))
        for one in rows.values()
    ]
    pooled = pool(np.array([one[0][1] for one in each]), np.array([one[1][1] ** 2 for one in each]))
    assert [one["site"] for one in shown["sites"]] == sorted(SITES)
    assert shown["random"]["estimate"] == pytest.approx(pooled["random"]["estimate"], rel=1e-6)
    assert shown["tau2"] == pytest.approx(pooled["tau2"], rel=1e-4, abs=1e-12)


# Who takes part


def test_under_three_sites_nothing_is_asked(lab: Lab) -> None:
    with pytest.raises(UsageError, match="three sites or more"):
        lab.desk.ask(study("glm", outcome="heart"), ("angers", "brest"))


def test_a_refusal_is_told_and_two_left_are_too_few(lab: Lab) -> None:
    asked = study("contingency", "sex\nheart = CIM10:I50")
    folder = lab.net.places["tours"].folder
    before = lab.net.places["tours"].rules.site
    write_rules(folder, Rules(approve=()))
    try:
        seen = lab.play(asked)
        told = {one.member: (one.state, one.said) for one in seen.sites}
        assert told["tours"] == ("refused", "The rules of this site do not allow this kind of question.")
        assert seen.study.outcome is not None and seen.study.outcome.shown["sites"] == 3
        three = lab.play(asked, "angers", "brest", "tours")
        assert three.study.state == "failed" and "Fewer than three" in three.study.said
    finally:
        write_rules(folder, before)


def test_statistics_wait_for_a_yes_unless_the_rules_say_otherwise(lab: Lab) -> None:
    place = lab.net.places["tours"]
    before = place.rules.site
    write_rules(place.folder, Rules(units=("HEP",)))
    try:
        number = lab.desk.ask(study("contingency", "sex\nheart = CIM10:I50"))
        lab.run()
        lab.run()
        seen = lab.desk.stand(number)
        assert seen is not None and {one.member: one.state for one in seen.sites}["tours"] == "approval"
        agent = lab.net.agent("tours")
        (waiting,) = [one for one in agent.ledger.held() if one.state == "approval"]
        assert agent.ledger.decide(waiting.job.id, yes=True)
        agent.close()
        for _ in range(4):
            lab.run()
            seen = lab.desk.stand(number)
        assert seen is not None and seen.study.outcome is not None and seen.study.outcome.shown["sites"] == 4
    finally:
        write_rules(place.folder, before)


def _struck(lab: Lab, conductor: Conductor) -> None:
    """The clock of the hub's door strikes once."""

    async def opened() -> None:
        struck = asyncio.Event()

        def clock() -> None:
            conductor.advance_all()
            struck.set()
            raise StoreError("The disk is full.")  # ends nothing

        door = asyncio.create_task(Door(lab.net.office, lambda _: None, clock).serve("127.0.0.1", 0))
        await struck.wait()
        await asyncio.sleep(0)
        assert not door.done()
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)

    with ThreadPoolExecutor(1) as apart:  # a browser that another test left open keeps a loop in this thread
        apart.submit(lambda: asyncio.run(opened())).result()


def test_a_killed_site_is_left_out_with_new_keys_and_comes_too_late(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    number = lab.desk.ask(asked, patience=60)
    lab.run()  # keys
    lab.desk.stand(number)
    lab.run("angers", "brest", "nantes")  # the first round, without tours
    late = Conductor(lab.net.house.book, lab.studies, lambda: lab.net.clock().timestamp() + 61)
    before = lab.studies.study(number)
    _struck(lab, late)  # nobody answers, nobody looks
    moved = lab.studies.study(number)
    assert before is not None and moved is not None and (moved.attempt, moved.gone["tours"].state) == (2, "lost")
    old = [job for job, member in lab.studies.every_job(before).items() if member == "tours"]
    lab.run()  # tours is back, and answers what it was asked
    assert not [one for job in old for one in lab.net.house.book.files(job, "answer")]
    for _ in range(20):
        lab.run()
        seen = lab.desk.stand(number)
    assert seen is not None and seen.study.outcome is not None and seen.study.outcome.shown["sites"] == 3
    assert {one["member"]: one["key"] for one in seen.study.roster}.items().isdisjoint(
        {one["member"]: one["key"] for one in before.roster}.items()
    )
    rows = {name: table for name, table in lab.rows(asked).items() if name != "tours"}
    truth = pooled_newton("logistic", design(rows, "age", "sex", "diabetes"), column(rows, "heart"))
    assert close(estimates(seen.study.outcome)[0], truth[0], 1e-6)


def test_a_hub_killed_between_two_rounds_goes_on(lab: Lab) -> None:
    number = lab.desk.ask(study("glm", outcome="heart"))
    for _ in range(3):
        lab.run()
        lab.desk.stand(number)
    before = lab.studies.study(number)
    assert before is not None and before.open and before.step > 1
    counted = lab.studies.every_job(before).keys() - set(lab.studies.jobs(before).values())
    assert counted and not any(lab.net.house.book.holds(job) for job in counted), "a sum that is made needs no parts"
    again = Studies(lab.net.house.folder)
    conductor = Conductor(lab.net.house.book, again)
    for _ in range(20):
        lab.run()
        conductor.advance_all()
    found = again.study(number)
    again.close()
    assert found is not None and found.state == "done" and found.attempt == 1


def test_each_round_is_in_the_audit_trail_of_the_site(lab: Lab) -> None:
    seen = lab.play(study("contingency", "sex\nheart = CIM10:I50"))
    site = lab.net.places["brest"].site
    assert site is not None
    lines = site.state.audit.find(AuditFilter(action="hub-statistics"), 5, 0)
    mine = [line for line in lines if seen.study.id in line.target]
    assert len(mine) == 2 and "heart (CIM10:I50)" in mine[-1].target and all(one.allowed for one in mine)


def test_who_may_not_ask_is_refused_and_sees_nothing(lab: Lab) -> None:
    seen = lab.play(study("contingency", "sex\nheart = CIM10:I50"))
    state = lab.desk._state
    for role in (Role.VIEWER, Role.ADMINISTRATOR):
        with pytest.raises(NotAllowed):
            StudyDesk(state, lab.net.house.book, lab.studies, Actor("x", role, 1)).ask(study("describe"))
    with pytest.raises(NotAllowed):
        StudyDesk(state, lab.net.house.book, lab.studies, Actor("x", Role.RESEARCHER, 1)).look(seen.study.id)


def test_statistics_obey_the_rules_of_the_network_and_are_in_its_audit(lab: Lab) -> None:
    state, book = lab.desk._state, lab.net.house.book
    shelf, anna = beside(book), Actor("anna", Role.RESEARCHER, state.accounts.add("anna", "hash", "researcher").id)
    desk = StudyDesk(state, book, lab.studies, anna)
    shelf.publish(CharterKind.USER, "Ask for care's sake.", "boss")
    with pytest.raises(NotAllowed, match="charter"):
        desk.ask(study("describe"))
    shelf.sign(CharterKind.USER, 1, "anna", "")
    seen = Lab(lab.net, desk, lab.studies).play(study("describe"))
    assert seen.study.outcome is not None
    for sight, shown in ((Sight.OWN, False), (Sight.TOTAL, True)):
        shelf.set_sight(Role.RESEARCHER, sight)
        found = desk.stand(seen.study.id)
        assert found is not None and (found.study.outcome is not None) is shown
    (line,) = [one for one in Oversight(state, book, lab.studies, KEY_HOLDER).questions() if one.method][:1]
    assert (line.question.id, line.method, line.count("ok")) == (seen.study.id, "describe", 4) and line.line
    for table in ("charter", "signature", "sight"):
        shelf.db.write(f"DELETE FROM {table}")


# What a hub that cheats gets


class Cheat:
    """A site's side, asked by a hub that makes its own jobs."""

    def __init__(self, lab: Lab, asked: Asked, number: str) -> None:
        self.lab, self.asked, self.number = lab, asked, number
        self.keys = {name: self.job(name, "statistics", asked.to_object()) for name in SITES}

    def job(self, name: str, kind: str, body: dict[str, Any]) -> statistics.Answer:
        handle = statistics.accept if kind == "statistics" else statistics.go_on
        said = {"study": self.number, "attempt": 1, **body}
        return handle(self.lab.net.places[name], statistics.Job("j", kind, said))

    def round(self, roster: list[Any], params: str, name: str = "angers") -> statistics.Answer:
        return self.job(name, "statistics-round", {"phase": "round", "roster": roster, "params": params})

    @property
    def roster(self) -> list[Any]:
        return [one.body for one in self.keys.values()]


def test_a_round_is_answered_once_and_for_one_list_of_sites(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    cheat = Cheat(lab, asked, "a1")
    first = asked.start(tuple(SITES))
    answer = cheat.round(cheat.roster, first.to_json())
    assert cheat.round(cheat.roster, first.to_json()).files == answer.files
    bent = statistics.Params(first.method, first.phase, first.spec, {"x": 1}, first.number)
    with pytest.raises(NotAllowed, match="with other parameters"):
        cheat.round(cheat.roster, bent.to_json())
    other = study("glm", outcome="diabetes").start(tuple(SITES))
    with pytest.raises(NotAllowed, match="another question"):
        cheat.round(cheat.roster, other.to_json())
    with pytest.raises(NotAllowed, match="does not change"):
        cheat.round(cheat.roster[:3], first.to_json())
    cheat.job("angers", "statistics-round", {"phase": "end"})
    with pytest.raises(NotAllowed, match="has ended here"):
        cheat.round(cheat.roster, first.to_json())
    with pytest.raises(NotAllowed, match="has ended here"):
        cheat.job("angers", "statistics", asked.to_object())


def test_sites_that_a_hub_makes_up_are_not_computed_with(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    cheat, hub = Cheat(lab, asked, "a2"), lab.net.house
    place = place_of(hub.book.meta("network"), "a2", 1, asked)
    first, honest = asked.start(tuple(SITES)).to_json(), cheat.roster
    made = announce("tours", hub.identity.public.certificate, b"k" * 32, place, hub.identity.key, b"not the key")
    bent = Announcement.read({**honest[3], "key": "11" * 32})
    for roster, why in (
        ([*honest[:3], made.to_object()], "does not prove"),
        ([*honest[:3], bent.to_object()], "does not prove"),
        (honest[:2], "at least 3 sites"),
        (honest[1:], "not in the list"),
        ([*honest[:3], {**honest[3], "member": "angers"}], "twice|at least"),
    ):
        with pytest.raises(NotAllowed, match=why):
            cheat.round(roster, first)
    stolen = announce("tours", hub.identity.public.certificate, b"k" * 32, place, hub.identity.key, KEY)
    with pytest.raises(NotAllowed, match="another certificate than before"):
        cheat.round([*honest[:3], stolen.to_object()], first)


def test_a_site_computes_with_those_alone_that_it_lists(lab: Lab) -> None:
    place = lab.net.places["angers"]
    before = place.rules.site
    known = lab.net.places["brest"].identity.public.fingerprint
    write_rules(place.folder, Rules(answer=WILLING, approve=(), units=("CARD",), peers=(known,)))
    try:
        asked = study("glm", outcome="heart")
        cheat = Cheat(lab, asked, "a3")
        with pytest.raises(NotAllowed, match="not among those"):
            cheat.round(cheat.roster, asked.start(tuple(SITES)).to_json())
    finally:
        write_rules(place.folder, before)


def test_rows_and_keys_lie_sealed_and_go_at_the_end(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    cheat = Cheat(lab, asked, "a4")
    folder = lab.net.places["angers"].folder
    book = StudyBook(folder)
    with pytest.raises(Exception, match="does not open"):
        book.rows("a4")
    cheat.job("angers", "statistics-round", {"phase": "end"})
    assert book.study("a4") is None
    book.db.write("UPDATE study SET expires = 0 WHERE NOT ended")
    book.end_those_past(1.0)
    assert book.db.rows("SELECT 1 FROM attempt") == [] == book.db.rows("SELECT 1 FROM study WHERE rows IS NOT NULL")
    assert {one[0] for one in book.peers()} == set(SITES)
    book.close()


def test_whoever_objects_meanwhile_ends_the_study_at_the_site(lab: Lab) -> None:
    asked = study("glm", outcome="heart")
    cheat = Cheat(lab, asked, "a5")
    site = lab.net.places["brest"].site
    assert isinstance(site, Hospital)
    with_cipher = StudyBook(lab.net.places["brest"].folder, Cipher(site.secret("network-studies")))
    patient = with_cipher.rows("a5").column("patient")[0].as_py()
    with_cipher.close()
    oppose(site.warehouse, patient, "hub", dt.date(2024, 1, 1))
    with pytest.raises(NotAllowed, match="not the same any more"):
        cheat.round(cheat.roster, asked.start(tuple(SITES)).to_json(), "brest")
    assert cheat.round(cheat.roster, asked.start(tuple(SITES)).to_json(), "tours").state == "ok"
