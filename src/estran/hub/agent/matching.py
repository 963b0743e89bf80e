"""The kinds by which records of several sites are linked: `linkage` and `linkage-ids` of a site, `link-records` of a
linkage unit.

A site makes tokens of the patients of a question, under a key of this run alone, and seals them to the unit. The unit
links them and gives each site, sealed to it, one id for each of its records: the same at two sites for one person. No
site learns which of its patients another one knows, the hub learns protected counts, the unit keeps nothing but a line
in its ledger.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.cohort.query import And, StayCriterion
from estran.hub.agent import parcel
from estran.hub.agent.counting import linkage_key
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.agent.rules import FLOOR
from estran.hub.database import Database
from estran.hub.keys import Public
from estran.hub.wire import LONGEST, File
from estran.identity.keys import Cipher
from estran.identity.matching import RECORD, Rows, run_key
from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.network import NetworkClerk
from estran.release.disclosure import Rules, digest
from estran.release.linkage import protected, seed_of
from estran.release.matching.linking import DOUBT, SURE, Linked, link_records

RECORDS, IDS = "records", "ids"
ID_SIZE = 16
LONGEST_REASON = 200
_FOLDER = "linkage"
_HEAD = np.dtype([("box", "V32"), ("seed", "V32"), ("mark", "V16"), ("records", "<u8")])
_STEP = 512  # records: what the hub carries tells the number of patients to this step only
_SCHEMA = """
CREATE TABLE run (
  id TEXT PRIMARY KEY, at REAL NOT NULL, sites TEXT NOT NULL, records INTEGER NOT NULL, sure REAL NOT NULL,
  doubt REAL NOT NULL, deleted REAL) WITHOUT ROWID
"""


@dataclass(frozen=True)
class _Sent:
    """What a site sealed to the unit: the key to which the reply is sealed, the site's part of the noise, a mark that the
    reply repeats, the records."""

    box: str
    seed: bytes
    mark: bytes
    rows: Rows


@dataclass(frozen=True)
class HubIds:
    """The ids of the patients of one site in one run: 16 bytes each, equal at two sites for one person."""

    patients: npt.NDArray[np.int32]
    ids: npt.NDArray[np.uint8]


# At a site


def send_records(place: Place, job: Job) -> Answer:
    """Tokens of the patients that a question selects, sealed to the linkage unit; NotAllowed when the rules, the policy
    or the number of patients forbid it."""
    run = _run(job)
    willing = [rules for _, rules in place.rules.willing("linkage") if rules.tokens]
    key = linkage_key(place)
    if not willing:
        raise NotAllowed("The rules of this site do not allow to link its records.")
    if key is None or not place.membership.linkage_unit:
        raise NotAllowed("This site has no linkage key, or its network no linkage unit.")
    if place.room is None or place.actor is None or place.site is None:
        raise UsageError("There are no patients here.")
    query, found, allowed = question_json.from_object(job.body.get("cohort")), BitMap(), ins_allowed(place, job)
    for rules in willing:
        clerk = NetworkClerk(place.room, place.actor, floor=rules.floor, quota=rules.quota)
        own = And((query, StayCriterion(units=rules.units))) if rules.units else query
        found |= clerk.linkable(own, f"network:{place.membership.network} linkage:{run}{' ins:' + allowed if allowed else ''}")
    made = place.site.matching_tokens(run_key(key, run), frozenset(found), with_ins=bool(allowed))
    seed = seed_of(place.site.secret("linkage-seed"), digest(BitMap(made.patients)))
    mark = secrets.token_bytes(ID_SIZE)
    packed = _pack(_Sent(place.identity.public.box, seed, mark, made.rows))
    _keep(place, run, made.patients, np.frombuffer(mark, np.uint8).reshape(1, ID_SIZE))
    unit = Public(place.membership.certificate, place.membership.linkage_unit)
    sent = parcel.make(packed, unit, key, sealed_for(place, run), place.membership.member)
    return Answer("ok", "", {"run": run, "floor": max(rules.floor for rules in willing)}, (File(RECORDS, sent),))


def ins_allowed(place: Place, job: Job) -> str:
    """The authorisation by which a project uses the INS, which is the NIR of whoever was born in France; "" when it has none,
    or when the network that this site joined is one of traits alone."""
    said = job.body.get("ins_authorisation")
    return said[:LONGEST_REASON] if isinstance(said, str) and place.membership.identifiers == "ins" else ""


def keep_ids(place: Place, job: Job) -> Answer:
    """Keep the ids that the unit gave to this site's records, in the order in which they were sent."""
    run, sealed = _run(job), job.file(IDS)
    held = _kept(place, run)
    if sealed is None:
        raise UsageError("The ids of the records are missing.")
    plain = place.identity.unseal(sealed, sealed_for(place, run))
    ids = np.frombuffer(plain, np.uint8).reshape(-1, ID_SIZE)
    if len(ids) <= len(held.patients) or ids[0].tobytes() != held.ids[0].tobytes():
        raise UsageError("These ids are not those of the records that were sent last.")
    _keep(place, run, held.patients, ids[: len(held.patients) + 1])
    return Answer("ok", "", {"run": run})


def hub_ids(place: Place, run: str) -> HubIds:
    """The ids of this site's patients in a run; StoreError when they have not come."""
    found = _kept(place, run)
    if len(found.ids) <= len(found.patients):
        raise StoreError("The ids of this linkage have not come yet.", hint="run the agent again later")
    order = np.argsort(found.patients)
    return HubIds(found.patients[order], found.ids[1:][order])


def forget_run(place: Place, run: str) -> None:
    """Destroy what this site keeps of a run."""
    _path(place, run).unlink(missing_ok=True)


def sealed_for(place: Place, run: str) -> str:
    """What records and ids are sealed for: of another run they do not open."""
    return f"{place.membership.network}/{run}/matching"


# At the linkage unit


def match(place: Place, job: Job) -> Answer:
    """Link the records that came with the job; the ids of each site sealed to it, the counts protected. NotAllowed when a
    parcel was not made by the site it is said to be of, with the key that the sites share."""
    run = _run(job)
    names = [one.name.removeprefix(f"{RECORDS}/") for one in job.files]
    if len(names) < 2 or len(set(names)) != len(names):
        raise NotAllowed("Records are linked of two sites at least.")
    sure = job.body.get("sure", SURE)
    floor = job.body.get("floor", FLOOR)
    if type(floor) is not int or not isinstance(sure, float) or not DOUBT < sure < 1:
        raise UsageError("A floor is a number of patients, a threshold lies between 0.5 and 1.")
    _once(place.folder, run, names, sure)
    parcels = {name: one.data for name, one in zip(names, job.files, strict=True)}
    sent = [_unpack(one) for one in parcel.open_all(parcels, place.identity, sealed_for(place, run))]
    linked = link_records([one.rows for one in sent], sure)
    files = _sealed_ids(place, run, names, sent, linked)
    body = _told(linked, names, [one.seed for one in sent], Rules(floor=max(FLOOR, floor)))
    _note(place.folder, run, names, sum(len(one.rows) for one in sent), sure)
    return Answer("ok", "", {"run": run, "sure": sure, "doubt": DOUBT, **body}, files)


def ledger(folder: Path) -> list[dict[str, Any]]:
    """What a linkage unit has done: run, when, which sites, how many records, thresholds, when the tokens were deleted."""
    db = _database(folder)
    try:
        return [dict(row) for row in db.rows("SELECT * FROM run ORDER BY at")]
    finally:
        db.close()


def _sealed_ids(place: Place, run: str, names: list[str], sites: list[_Sent], linked: Linked) -> tuple[File, ...]:
    """An id drawn for each person of this run; to each site those of its records, with some of nobody behind them."""
    every = max((int(one.max(initial=-1)) for one in linked.persons), default=-1) + 1
    drawn = np.frombuffer(secrets.token_bytes(every * ID_SIZE), np.uint8).reshape(-1, ID_SIZE)
    files = []
    for name, site, persons in zip(names, sites, linked.persons, strict=True):
        plain = site.mark + drawn[persons].tobytes() + secrets.token_bytes((-len(persons) % _STEP) * ID_SIZE)
        sealed = Public(place.membership.certificate, site.box).seal(plain, sealed_for(place, run))
        files.append(File(f"{IDS}/{name}", sealed))
    return tuple(files)


def _told(linked: Linked, names: list[str], seeds: list[bytes], rules: Rules) -> dict[str, Any]:
    """How many persons there are, how many two sites share, how many pairs are in doubt: through the gate."""
    shown = {"distinct": protected(linked.distinct, seeds, rules, "matching/distinct"),
             "review": protected(linked.review, seeds, rules, "matching/review")}  # fmt: skip
    body: dict[str, Any] = {name: vars(one) for name, one in shown.items()}
    body["shared"] = [
        {"sites": [one, other], **vars(protected(linked.shared(i, j), [seeds[i], seeds[j]], rules, "matching/shared"))}
        for i, one in enumerate(names) for j, other in enumerate(names) if i < j
    ]  # fmt: skip
    return body


def _once(folder: Path, run: str, names: list[str], sure: float) -> None:
    """NotAllowed when this run was linked with other sites or another threshold: the same noise would cancel out between the
    two, and tell of single patients."""
    if any(
        one["id"] == run and (sorted(one["sites"].split(",")) != sorted(names) or one["sure"] != sure) for one in ledger(folder)
    ):
        raise NotAllowed("These records were linked before, in another way.")


def _note(folder: Path, run: str, names: list[str], records: int, sure: float) -> None:
    """A line of the ledger: the tokens were in memory only, and sealed on disk until the answer is handed in."""
    db, now = _database(folder), time.time()
    try:
        row = (run, now, ",".join(names), records, sure, DOUBT, now)
        db.write("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    finally:
        db.close()


def _database(folder: Path) -> Database:
    return Database(folder / "linkage.sqlite", _SCHEMA, 1)


# What is sealed


def _pack(sent: _Sent) -> bytes:
    """As it is sealed: filled up to a step."""
    head = bytes.fromhex(sent.box) + sent.seed + sent.mark + len(sent.rows).to_bytes(8, "little")
    packed = head + sent.rows.tobytes() + bytes((-len(sent.rows) % _STEP) * RECORD.itemsize)
    if len(packed) > LONGEST // 2:
        raise NotAllowed("There are too many patients here for one linkage.")
    return packed


def _unpack(data: bytes) -> _Sent:
    """Inverse of `_pack`; UsageError when the sizes do not fit."""
    size = _HEAD.itemsize
    head = np.frombuffer(data[:size], _HEAD) if len(data) >= size else None
    records = 0 if head is None else int(head["records"][0])
    if head is None or len(data) != size + (records + -records % _STEP) * RECORD.itemsize:
        raise UsageError("These are no records to be linked.")
    rows = np.frombuffer(data, RECORD, records, size)
    box, seed, mark = (head[name][0].tobytes() for name in ("box", "seed", "mark"))
    return _Sent(box.hex(), seed, mark, rows)


# What a site keeps of a run: its patients in the order in which they were sent, then their ids, sealed


def _keep(place: Place, run: str, patients: npt.NDArray[np.int32], ids: npt.NDArray[np.uint8] | None) -> None:
    path = _path(place, run)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    plain = (
        len(patients).to_bytes(8, "little") + patients.astype("<i4").tobytes() + (b"" if ids is None else ids.tobytes())
    )
    scratch = path.with_name(f".{path.name}")
    scratch.write_bytes(_cipher(place).seal(plain, run.encode()))
    scratch.replace(path)


def _kept(place: Place, run: str) -> HubIds:
    path = _path(place, run)
    if not path.is_file():
        raise UsageError("No records of this site were sent for this linkage.")
    plain = _cipher(place).open(path.read_bytes(), run.encode())
    number = int.from_bytes(plain[:8], "little")
    patients = np.frombuffer(plain, "<i4", number, 8).astype(np.int32)
    return HubIds(patients, np.frombuffer(plain, np.uint8, offset=8 + 4 * number).reshape(-1, ID_SIZE))


def _path(place: Place, run: str) -> Path:
    return place.folder / _FOLDER / run


def _cipher(place: Place) -> Cipher:
    if place.site is None:
        raise UsageError("There are no patients here.")
    return Cipher(place.site.secret("network-linkage-ids"))


def _run(job: Job) -> str:
    run = job.body.get("run")
    if not isinstance(run, str) or not run.isalnum() or len(run) > 64:
        raise UsageError("A linkage is named by letters and digits.")
    return run
