"""The kinds `count` and `tokens`: how many patients a question selects here, and what it takes to count distinct ones
elsewhere.

What leaves: the protected count of each legal entity that answers; a sketch where one is safe; later, when the hub asks
for them, tokens keyed for this question alone and sealed to the linkage unit. All are of the set that the gate answered for, so that two questions
that differ by a few patients give one and the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.cohort.query import And, Node, StayCriterion
from estran.hub.agent import parcel
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.parcel import sealed_place
from estran.hub.agent.place import AgentSite, Place
from estran.hub.agent.rules import FLOOR, Rules
from estran.hub.keys import Public
from estran.hub.wire import File
from estran.identity.keys import Cipher
from estran.model.errors import NotAllowed, UsageError
from estran.projects.audit import permit
from estran.projects.gate import Shown
from estran.projects.network import NetworkClerk, NetworkCount
from estran.projects.policy import Action, Target
from estran.release.disclosure import digest
from estran.release.linkage import Records, keyed, pack, seed_of
from estran.release.sketch import Crowd, safe_sketch

KEY_FILE = "linkage.key"
SKETCH, TOKENS = "sketch", "tokens"
_ANSWERED = 16  # questions whose counted sets wait for their tokens to be asked for


@dataclass(frozen=True)
class _Part:
    """What one legal entity answered; `said` tells why it did not."""

    name: str
    rules: Rules
    counted: NetworkCount | None
    said: str = ""


def count(place: Place, job: Job) -> Answer:
    """Answer a feasibility question; UsageError when it cannot be read, NotAllowed when nobody here may answer."""
    parts = _parts(place, job)
    given = [part for part in parts if part.counted is not None]
    if not given:
        raise NotAllowed(parts[0].said)
    shown = _together([part.counted.shown for part in given if part.counted is not None])
    first = given[0].counted
    body: dict[str, Any] = {
        "count": shown.value, "below": shown.below, "margin": shown.margin, "datasetCount": len(given),
        "floor": max(part.rules.floor for part in given), "unknown": [] if first is None else list(first.unknown),
        "snapshot": 0 if first is None else first.version,
        "elapsed_ms": round(sum(part.counted.elapsed_ms for part in given if part.counted is not None), 2),
        "entities": [_entity(part) for part in parts if part.name], "files": [],
    }  # fmt: skip
    if not job.body.get("distinct", True):
        return Answer("ok", "", body)
    marks = _marks(place, given)
    if marks is None:
        return Answer("ok", "", body)
    _keep(place, job.question, given)
    files = marks.sketch()
    body["files"] = [{"file_name": one.name, "file_size": len(one.data)} for one in files]
    return Answer("ok", "", {**body, TOKENS: marks.tokened}, files)


def tokens(place: Place, job: Job) -> Answer:
    """The kind `tokens`: after a count, by what those whom it counted can be told apart at the linkage unit. NotAllowed
    when the rules keep tokens here."""
    given = place.kept.answered.pop(job.question, None) or _once_more(place, job)
    marks = _marks(place, given)
    if marks is None or not marks.tokened or place.actor is None:
        raise NotAllowed("This site sends no tokens.")
    permit(marks.site.state, place.actor, Action.HUB_COUNT, Target(f"{_target(place, job)} tokens"))
    told = _together([part.counted.shown for part in given if part.counted is not None])
    return Answer("ok", "", {}, (marks.tokens(job.question, told),))


def _once_more(place: Place, job: Job) -> list[_Part]:
    """Who was counted, counted again: the agent was started anew in between. What needed a yes needs another."""
    if place.rules.asks("count"):
        raise NotAllowed("The answer to this question is not at hand any more.")
    return [part for part in _parts(place, job) if part.counted is not None]


def _keep(place: Place, question: str, given: list[_Part]) -> None:
    """For the tokens, which are asked for a moment later; of the last few questions."""
    kept = place.kept.answered
    kept[question] = given
    while len(kept) > _ANSWERED:
        del kept[next(iter(kept))]


def _parts(place: Place, job: Job) -> list[_Part]:
    query = question_json.from_object(job.body.get("cohort"))
    return [_answered(place, job, name, rules, query) for name, rules in place.rules.each()]


def _target(place: Place, job: Job) -> str:
    return f"network:{place.membership.network} question:{job.question}"


def _answered(place: Place, job: Job, name: str, rules: Rules, query: Node) -> _Part:
    if name not in dict(place.rules.willing("count")):
        return _Part(name, rules, None, "The rules of this site do not allow this kind of question.")
    if place.room is None or place.actor is None:
        raise UsageError("There are no patients here.")
    own = And((query, StayCriterion(units=rules.units))) if rules.units else query
    try:
        clerk = NetworkClerk(place.room, place.actor, floor=rules.floor, quota=rules.quota)
        return _Part(
            name,
            rules,
            clerk.count(own, f"{_target(place, job)} entity:{name}".strip()),
        )
    except NotAllowed as error:
        return _Part(name, rules, None, error.what)


def _entity(part: _Part) -> dict[str, Any]:
    if part.counted is None:
        return {"name": part.name, "status": "refused", "message": part.said}
    shown = part.counted.shown
    return {"name": part.name, "status": "ok", "count": shown.value, "below": shown.below, "margin": shown.margin}


def _together(every: list[Shown]) -> Shown:
    """The sum of the entities' counts as shown: a patient of two of them is counted twice, as the page says."""
    if len(every) == 1:
        return every[0]
    told = [one for one in every if not one.below]
    if not told:  # fewer than ten here and fewer than ten there may be eighteen
        return Shown(0, below=1 + sum(one.below - 1 for one in every))
    spread = max(one.margin for one in told) * len(told) ** 0.5
    return Shown(sum(one.value for one in told), margin=round(spread) + sum(one.below for one in every if one.below))


def prepare(place: Place) -> None:
    """Open a new snapshot, and have its tokens made, before anybody asks: of many patients it takes a while."""
    if place.room is not None and place.actor is not None:
        NetworkClerk(place.room, place.actor, floor=FLOOR, quota=0).warm()
    key = linkage_key(place)
    if key is not None:
        _people(place, key)


# What it takes to count distinct patients


@dataclass(frozen=True)
class _People:
    """Everybody whom the hub may be told of, and the tokens of all patients, by growing number."""

    everybody: BitMap
    patients: npt.NDArray[np.int32]
    records: Records
    numbers: npt.NDArray[np.uint64]
    known: npt.NDArray[np.bool_]
    crowd: Crowd


def _people(place: Place, key: bytes) -> _People | None:
    """Read once per snapshot; None where there is no patient."""
    if place.site is None or place.room is None or place.actor is None:
        return None
    clerk, kept = NetworkClerk(place.room, place.actor, floor=FLOOR, quota=0), place.kept
    if kept.version != clerk.version:
        tokens = place.site.linkage_tokens(key, with_ins=place.membership.identifiers == "ins")
        held, everybody = Records(tokens.ins, tokens.traits), clerk.everybody()
        numbers, known, places = held.numbers(), held.known(), _places(tokens.patients, everybody)
        crowd = Crowd(numbers[places[known[places]]])
        kept.people, kept.version = _People(everybody, tokens.patients, held, numbers, known, crowd), clerk.version
    people: _People = kept.people
    return people


@dataclass(frozen=True)
class _Marks:
    """By what the patients of one answer can be told apart elsewhere: `places` are theirs among all, `unknown` how many
    have no token at all, not even an empty one."""

    place: Place
    site: AgentSite
    key: bytes
    people: _People
    rules: tuple[Rules, ...]
    selected: BitMap
    places: npt.NDArray[np.intp]

    @property
    def unknown(self) -> int:
        return len(self.selected) - len(self.places)

    @property
    def tokened(self) -> bool:
        """Whether tokens may be sent, and to whom."""
        return all(one.tokens for one in self.rules) and bool(self.place.membership.linkage_unit)

    def sketch(self) -> tuple[File, ...]:
        """A sketch, where the rules allow one and it is safe."""
        people = self.people
        if self.unknown or not all(one.sketches for one in self.rules) or not people.known[self.places].all():
            return ()
        made = safe_sketch(people.numbers[self.places], people.crowd)
        return () if made is None else (File(SKETCH, made.dump()),)

    def tokens(self, question: str, shown: Shown) -> File:
        """Tokens keyed for a question and sealed to the linkage unit."""
        seed, member = seed_of(self.site.secret("linkage-seed"), digest(self.selected)), self.place.membership
        records = self.people.records.of(self.places).with_unknown(self.unknown)
        packed = pack(keyed(records, self.key, question), seed, max(shown.below, shown.value + shown.margin))
        unit, where = Public(member.certificate, member.linkage_unit), sealed_place(member.network, question)
        return File(TOKENS, parcel.make(packed, unit, self.key, where, member.member))


def _marks(place: Place, given: list[_Part]) -> _Marks | None:
    """None where the keys are not there for it."""
    key = linkage_key(place)
    people = None if key is None else _people(place, key)
    if key is None or people is None or place.site is None:
        return None
    # The set answered for may be an older one: who opposed since is not in it any more.
    selected = BitMap.union(*(part.counted.patients for part in given if part.counted is not None)) & people.everybody
    rules = tuple(part.rules for part in given)
    return _Marks(place, place.site, key, people, rules, selected, _places(people.patients, selected))


def _places(patients: np.ndarray[Any, Any], wanted: BitMap) -> np.ndarray[Any, Any]:
    """Where the wanted patients are in a sorted list of patients."""
    numbers = np.frombuffer(wanted.to_array(), np.uint32).astype(patients.dtype)
    places = np.searchsorted(patients, numbers)
    places = places[places < len(patients)]
    found: np.ndarray[Any, Any] = places[patients[places] == numbers[: len(places)]]
    return found


def linkage_key(place: Place) -> bytes | None:
    """The key that the sites of the network share, None when this site was not given it."""
    path = place.folder / KEY_FILE
    if not path.is_file() or place.site is None:
        return None
    return open_linkage_key(place.site, path.read_bytes(), place.membership.network)


def keep_linkage_key(site: AgentSite, folder: Path, key: bytes, network: str) -> None:
    """Keep the key that the sites share, sealed with the site's own."""
    path = folder / KEY_FILE
    path.touch(mode=0o600)
    path.write_bytes(_cipher(site).seal(key, network.encode()))


def open_linkage_key(site: AgentSite, sealed: bytes, network: str) -> bytes:
    """Inverse of `keep_linkage_key`."""
    return _cipher(site).open(sealed, network.encode())


def _cipher(site: AgentSite) -> Cipher:
    return Cipher(site.secret("network-linkage-key"))
