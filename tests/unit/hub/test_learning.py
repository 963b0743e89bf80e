"""A network is asked to learn: what a hub sends, what a site checks, tells and keeps, and what the card says. Without Flower."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tests.network_kit import Network, add_hospital, network
from tests.unit.opposing import oppose

from estran.cohort.language.text import parse
from estran.hub.agent import learning
from estran.hub.agent.ledger import Job
from estran.hub.agent.rules import Rules
from estran.hub.governance import CharterKind, Sight, beside
from estran.hub.learning import card, flower, signing
from estran.hub.learning.apps.ledger import Ledger
from estran.hub.learning.leading import LearningDesk
from estran.hub.learning.node import Node
from estran.hub.learning.question import read_lesson
from estran.hub.learning.run import Run
from estran.hub.learning.shelf import ASKED, BROKEN, UNDER_WAY, why
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.state import AuditFilter

SITES = ("angers", "brest", "nantes")
WILLING = Rules(answer=("count", "learning"), approve=())


@dataclass
class Room:
    """A hub with three sites that learn, and one that does not."""

    net: Network
    desk: LearningDesk
    state: Any

    def run(self) -> None:
        for name in (*SITES, "tours"):
            agent = self.net.agent(name)
            agent.once()
            agent.close()


def _packed(script: str, *arguments: str, home: Path) -> str:
    assert script == "pack.py"
    Path(arguments[0]).write_bytes(b"bundle")
    return hashlib.sha256(b"bundle").hexdigest()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("learning")
    net = network(folder)
    sites = [add_hospital(net, folder, name, rules=WILLING) for name in SITES]
    add_hospital(net, folder, "tours", rules=Rules(answer=("count",), approve=()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flower, "call", _packed)
        patch.setattr(flower, "python", lambda: Path("python"))
        patch.setattr(Node, "start", lambda self: (self.folder / "node.log").touch())
        state = sites[0].state
        yield Room(net, LearningDesk(state, net.house, KEY_HOLDER), state)


def lesson(name: str, **more: Any) -> Any:
    return read_lesson(
        parse("âge>=0"), "age, sex, heart = CIM10:I50, diabetes = CIM10:E11", "heart", "", {"name": name, **more}, "lea"
    )


def ask(room: Room, name: str, **more: Any) -> dict[str, Any]:
    room.desk.ask(lesson(name, **more), "127.0.0.1:1", "127.0.0.1:1")
    room.run()
    return {one.member: one for one in room.desk.stand(name)}


def test_sites_answer_with_a_key_and_a_protected_count(room: Room) -> None:
    found = ask(room, "first", purpose="to try")
    assert {name: one.state for name, one in found.items()} == {**dict.fromkeys(SITES, "ok"), "tours": "refused"}
    for name in SITES:
        assert found[name].answer["public"].startswith("ecdsa-sha2-nistp384 ")
        assert found[name].answer["patients"]["margin"] > 0
        assert found[name].answer["patients"]["value"] % 5 == 0
        folder = room.net.places[name].folder / "learning/first"
        assert folder.stat().st_mode & 0o777 == 0o700
        with np.load(folder / "table.npz") as table:
            assert set(table) == {"age", "sex", "diabetes", "heart"}
            assert set(np.unique(table["heart"])) <= {0.0, 1.0}
    site = room.net.places["angers"].site
    assert site is not None
    trail = [one.target for one in site.state.audit.find(AuditFilter())]
    assert any("learning:first logistic secure heart from age, sex" in one for one in trail)


def test_a_table_goes_when_a_run_ends_that_never_began(room: Room) -> None:
    ask(room, "ended")
    place = room.net.places["brest"]
    table = place.folder / "learning/ended/table.npz"
    assert table.is_file()
    learning.go(place, Job("j", learning.GO, {"run": "ended", "phase": learning.END}))
    assert not table.exists()
    assert (table.parent / "end").is_file()


def test_a_bundle_that_the_hub_did_not_sign_is_refused(room: Room) -> None:
    asked = lesson("forged").to_object()
    body = {**asked, "bundle": "00" * 32, "signature": "AAAA", "address": "127.0.0.1:1", "certificate": ""}
    with pytest.raises(UsageError, match="not signed"):
        learning.accept(room.net.places["angers"], Job("j", learning.KIND, body))
    assert not (room.net.places["angers"].folder / "learning/forged").exists()


@pytest.mark.parametrize("run", ["../angers", "", "a" * 41])
def test_a_run_has_no_place_outside_its_folder(room: Room, run: str) -> None:
    with pytest.raises((UsageError, NotAllowed)):
        learning.go(room.net.places["angers"], Job("j", learning.GO, {"run": run, "phase": learning.START}))


def test_exposure_is_in_the_plan_or_there_is_no_robust_aggregation(room: Room) -> None:
    with pytest.raises(UsageError, match="shows the hub"):
        lesson("open", aggregation="trimmed", model="network")
    with pytest.raises(UsageError, match="privacy budget"):
        lesson("open", model="network", privacy={"epsilon": -1.0, "delta": 1e-6})


@pytest.mark.parametrize(
    ("variables", "outcome", "bounds", "said"),
    [
        ("age, died, weight = LOINC:29463-7 last", "died", "", "no bounds for 'weight'"),
        ("age, died, weight = LOINC:29463-7 last", "weight", "weight 2..300", "yes or no"),
        ("age, died", "died", "age", "no bounds"),
        ("age, died, old = age 65", "died", "", "Bands"),
        ("died", "died", "", "columns"),
    ],
)
def test_a_question_says_what_is_missing(variables: str, outcome: str, bounds: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_lesson(parse("âge>=0"), variables, outcome, bounds, {"name": "x"})


def test_the_card_tells_what_sites_told_and_no_more(room: Room) -> None:
    found = ask(room, "carded", purpose="To try", limits=("A few patients only.",))
    run = Run.open(room.net.house.folder / "learning/carded")
    figures = {"auc": 0.75, "low": 0.7, "high": 0.8, "brier": 0.1, "loss": 0.3, "observed": 0.2, "expected": 0.21}
    course = {
        "rounds": [{"round": 1, "sites": 3, "for": 3, "against": 0, "accepted": True, "seconds": 1.0, "loss": 0.6931, "stayed": ["8"]}], "over": True, "pictured": 3,
        "all": figures, "each": {"7": figures, "8": None}, "last_vote": [2, 1], "released": True,
    }  # fmt: skip
    (run.folder / "course.json").write_bytes(orjson.dumps(course))
    made = room.desk._keep(run, {"7": "angers", "8": "brest"})
    assert room.desk.card("carded") == made
    sites = {one["site"]: one for one in made["sites"]}
    assert sites["angers"]["performance"] == figures
    assert sites["brest"]["performance"] is None and sites["tours"]["took_part"] is False
    assert sites["angers"]["patients"] == found["angers"].answer["patients"]
    assert made["limits"][-1] == "A few patients only."
    page = card.page(made)
    assert (run.folder / "card.md").read_text("utf-8") == page
    count = made["sites"][0]["patients"]
    row = f"| angers | {count['value']:,} ± {count['margin']} | 0.750 (0.700 to 0.800) | 0.100 | 0.200 | 0.210 |"
    assert row in page
    assert "| tours | did not take part |" in page and "2 for, 1 against; released" in page
    assert "| 1 | 3 | angers | 0.6931 | 3 | 0 | yes |" in page


def test_a_run_is_seen_from_the_question_to_its_end(room: Room) -> None:
    ask(room, "seen")
    shelf, folder = room.desk.shelf, room.net.house.folder / "learning/seen"
    found = shelf.look("seen")
    assert found is not None and (found.state, found.willing, found.rounds) == (ASKED, 3, ())
    (folder / "members.json").write_bytes(orjson.dumps({"7": "angers", "8": "brest", "9": "nantes"}))
    rounds = [
        {"round": 1, "sites": 3, "for": None, "against": None, "accepted": None, "seconds": 1.0, "stayed": ["7", "9"]}
    ]
    (folder / "course.json").write_bytes(orjson.dumps({"rounds": rounds, "over": False}))
    found = shelf.again("seen")
    assert found is not None and found.state == UNDER_WAY and found.rounds[0]["lost"] == ["brest"]
    room.desk._tell("seen", found.asked[:1], learning.END)
    assert room.desk.shelf.all()[0].state == BROKEN
    assert shelf.look("nothing") is None and shelf.look("../seen") is None


def test_it_is_told_why_a_model_was_not_released() -> None:
    good, bad = ({"sites": 5, "accepted": accepted} for accepted in (True, False))
    none = {"sites": 2, "accepted": None}

    def told(vote: list[int], released: bool, *rounds: dict[str, Any]) -> tuple[str, ...]:
        return why({"performance": {"last_vote": vote, "released": released}, "method": {"rounds": list(rounds)}})

    assert told([4, 1], True, good) == ()
    assert told([2, 3], False, good, bad) == ("vote", "refused")
    assert told([2, 0], False, good, *[none] * 5) == ("few", "lost")


def test_a_hub_killed_before_it_wrote_the_card_writes_it_later(room: Room) -> None:
    ask(room, "late")
    folder = room.net.house.folder / "learning/late"
    (folder / "members.json").write_bytes(orjson.dumps({"7": "angers"}))
    course = {"rounds": [], "over": True, "pictured": 0, "all": None, "each": {}, "last_vote": [3, 0], "released": True}
    (folder / "course.json").write_bytes(orjson.dumps(course))
    assert room.desk.lead("late", 1.0, lambda: None) == room.desk.card("late")
    with pytest.raises(UsageError, match="is learned"):
        room.desk.lead("late", 1.0, lambda: None)


def test_a_signature_is_of_one_digest(room: Room) -> None:
    key = room.net.house.identity.key
    signing.check("ab", signing.sign("ab", key), key.public_key())
    with pytest.raises(UsageError):
        signing.check("ac", signing.sign("ab", key), key.public_key())


def test_other_code_than_the_own_release_s_is_refused_whoever_signed_it(room: Room) -> None:
    ask(room, "signed")
    digest = "ab" * 32
    asked = Run.open(room.net.house.folder / "learning/signed").job() | lesson("strange").to_object()
    body = asked | {"bundle": digest, "signature": signing.sign(digest, room.net.house.identity.key)}
    with pytest.raises(UsageError, match="not what this release"):
        learning.accept(room.net.places["angers"], Job("j", learning.KIND, body))
    assert not (room.net.places["angers"].folder / "learning/strange").exists()


def test_an_agent_killed_while_it_made_ready_begins_anew(room: Room) -> None:
    left = room.net.places["nantes"].folder / "learning/killed"
    left.mkdir(parents=True)
    (left / "table.npz").write_bytes(b"half")
    assert ask(room, "killed")["nantes"].state == "ok"


def test_who_objects_ends_the_run_here_and_tables_do_not_stay(room: Room) -> None:
    ask(room, "objected")
    place = room.net.places["nantes"]
    folder = place.folder / "learning/objected"
    start = Job("j", learning.GO, {"run": "objected", "phase": learning.START})
    learning.go(place, start)
    assert place.site is not None and (folder / "node.log").is_file()
    assert any(
        one.target.startswith("network:") and one.target.endswith("start")
        for one in place.site.state.audit.find(AuditFilter())
    )
    learning.watch(place)
    assert not Node.at(folder).ended
    patient = Node.at(folder).patients()[0]
    oppose(place.site.warehouse, patient, "hub", dt.date(2020, 1, 1))  # type: ignore[attr-defined]
    with pytest.raises(NotAllowed, match="not the same"):
        learning.go(place, start)
    learning.watch(place)
    assert Node.at(folder).ended and (folder / "table.npz").is_file()  # its node removes it
    os.utime(folder / "end", (1, 1))
    learning.watch(place)  # or, where the power failed, the agent
    assert not (folder / "table.npz").exists() and not Node.at(folder).holds
    with pytest.raises(NotAllowed, match="over here"):
        learning.go(place, start)


def test_a_card_is_seen_as_the_network_decided(room: Room) -> None:
    sites = [{"site": name, "patients": {"value": 100}, "performance": {"auc": 0.7}} for name in SITES]
    rounds = [{"round": 1, "sites": 4, "loss": 0.69, "lost": []}, {"round": 2, "sites": 3, "loss": 0.5, "lost": ["tours"]}]
    made = {"sites": sites, "method": {"rounds": rounds}, "performance": {"sites_in_sum": 3, "all": {"auc": 0.7}}}
    assert card.seen(made, Sight.SITES, "") == made
    total, own = card.seen(made, Sight.TOTAL, "brest"), card.seen(made, Sight.OWN, "brest")
    assert total["performance"]["all"] and not any(one["patients"] or one["performance"] for one in total["sites"])
    assert [one["loss"] for one in total["method"]["rounds"]] == [0.69, None]  # the difference would be near one site's own
    assert [one["loss"] for one in own["method"]["rounds"]] == [None, None]
    assert own["performance"]["all"] is None and [one["site"] for one in own["sites"] if one["patients"]] == ["brest"]
    rita = Actor("rita", Role.RESEARCHER, room.state.accounts.add("rita", "hash", "researcher").id)
    beside(room.net.house.book).publish(CharterKind.USER, "Ask with care.", "key-holder")
    with pytest.raises(NotAllowed, match="charter"):
        LearningDesk(room.state, room.net.house, rita).ask(lesson("unsigned"), "127.0.0.1:1", "127.0.0.1:1")


def test_figures_are_of_one_model_and_votes_have_an_end(tmp_path: Path) -> None:
    plan, path = lesson("told").plan, tmp_path / "table.asked"
    Ledger(path).tell("figures", {"a": np.zeros(2)})
    Ledger(path).tell("figures", {"a": np.zeros(2)})
    with pytest.raises(ValueError, match="one model"):
        Ledger(path).tell("figures", {"a": np.ones(2)})
    Ledger(path).ask(plan, {"a": np.ones(2)})
    held = Ledger(path)
    with pytest.raises(ValueError, match="votes"):
        for _ in range(10_000):
            held.vote(plan)
