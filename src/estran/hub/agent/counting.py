"""The kind `count`: how many patients a question selects here, and what it takes to count distinct ones elsewhere.

What leaves: the protected count of each legal entity that answers; a sketch where one is safe; tokens keyed for this
question alone and sealed to the linkage unit. All are of the set that the gate answered for, so that two questions
that differ by a few patients give one and the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
from estran.projects.gate import Shown
from estran.projects.network import NetworkClerk, NetworkCount
from estran.release.disclosure import digest
from estran.release.linkage import Records, keyed, pack, seed_of
from estran.release.sketch import safe_sketch

KEY_FILE = "linkage.key"
SKETCH, TOKENS = "sketch", "tokens"


@dataclass(frozen=True)
class _Part:
    """What one legal entity answered; `said` tells why it did not."""

    name: str
    rules: Rules
    counted: NetworkCount | None
    said: str = ""


def count(place: Place, job: Job) -> Answer:
    """Answer a feasibility question; UsageError when it cannot be read, NotAllowed when nobody here may answer."""
    query = question_json.from_object(job.body.get("cohort"))
    parts = [_answered(place, job, name, rules, query) for name, rules in place.rules.each()]
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
        "entities": [_entity(part) for part in parts if part.name],
    }  # fmt: skip
    files = _files(place, job, given) if job.body.get("distinct", True) else ()
    body["files"] = [{"file_name": one.name, "file_size": len(one.data)} for one in files]
    return Answer("ok", "", body, files)


def _answered(place: Place, job: Job, name: str, rules: Rules, query: Node) -> _Part:
    if name not in dict(place.rules.willing(job.kind)):
        return _Part(name, rules, None, "The rules of this site do not allow this kind of question.")
    if place.room is None or place.actor is None:
        raise UsageError("There are no patients here.")
    own = And((query, StayCriterion(units=rules.units))) if rules.units else query
    try:
        clerk = NetworkClerk(place.room, place.actor, floor=rules.floor, quota=rules.quota)
        return _Part(
            name,
            rules,
            clerk.count(own, f"network:{place.membership.network} question:{job.question} entity:{name}".strip()),
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
    if key is not None and place.site is not None:
        place.site.linkage_tokens(key, with_ins=place.membership.identifiers == "ins")


# What it takes to count distinct patients


def _files(place: Place, job: Job, given: list[_Part]) -> tuple[File, ...]:
    """A sketch and sealed tokens, each where the rules and the keys are there for it."""
    key = linkage_key(place)
    if key is None or place.site is None or place.room is None or place.actor is None:
        return ()
    tokens = place.site.linkage_tokens(key, with_ins=place.membership.identifiers == "ins")
    held, files = Records(tokens.ins, tokens.traits), []
    everybody = NetworkClerk(
        place.room, place.actor, floor=given[0].rules.floor, quota=given[0].rules.quota
    ).everybody()
    # The set answered for may be an older one: who opposed since is not in it any more.
    selected = BitMap.union(*(part.counted.patients for part in given if part.counted is not None)) & everybody
    places = _places(tokens.patients, selected)
    if len(places) == len(selected) and all(part.rules.sketches for part in given):
        files += _sketch(held, places, _places(tokens.patients, everybody))
    if all(part.rules.tokens for part in given) and place.membership.linkage_unit:
        seed = seed_of(place.site.secret("linkage-seed"), digest(selected))
        chosen = held.of(places).with_unknown(len(selected) - len(places))
        packed = pack(keyed(chosen, key, job.question), seed)
        member = place.membership
        unit, where = Public(member.certificate, member.linkage_unit), sealed_place(member.network, job.question)
        files.append(File(TOKENS, parcel.make(packed, unit, key, where, member.member)))
    return tuple(files)


def _sketch(held: Records, places: np.ndarray[Any, Any], everybody: np.ndarray[Any, Any]) -> list[File]:
    known = held.known()
    if not known[places].all():
        return []  # somebody without a token would be left out
    made = safe_sketch(held.of(places).numbers(), held.of(everybody[known[everybody]]).numbers())
    return [] if made is None else [File(SKETCH, made.dump())]


def _places(patients: np.ndarray[Any, Any], wanted: BitMap) -> np.ndarray[Any, Any]:
    """Where the wanted patients are in a sorted list of patients."""
    numbers = np.frombuffer(wanted.to_array(), np.uint32).astype(patients.dtype)
    places = np.searchsorted(patients, numbers)
    places = places[places < len(patients)]
    return places[patients[places] == numbers[: len(places)]]


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
