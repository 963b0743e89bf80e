"""The kinds `pool` and `pool-life`: the datamart of an open project sent to the pool of a network, and what follows from it.

A site sends only what the committee of its own project accepted and what was agreed for the pool, without whoever is opposed
to sharing with other hospitals, under ids of a key that it never shows. Having sent, it is bound to tell who left, whatever
its rules say of sending more: `pool-life` needs no yes.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from pyroaring import BitMap

from estran.exchange.tables import files_as_views
from estran.exchange.whole import flush, passing_folder
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import AgentSite, Place
from estran.hub.pooling.agreement import Schema, agreement_refusal, schema_of, units_of
from estran.hub.pooling.delivery import KIND, MOST, PARCEL, PIECE, WHOLE, Asked, Manifest, pack, pack_ids, size_of
from estran.hub.pooling.pieces import ASKED, PIECES, digests, piece
from estran.hub.pooling.rekeying import note_ids, rekeyed_sql, write_sorted
from estran.hub.pooling.routes import FIRST, FOR
from estran.hub.pooling.taking import JOB, PACKAGE
from estran.hub.wire import File
from estran.model.errors import NotAllowed, UsageError
from estran.projects import rights
from estran.projects.actors import Actor
from estran.projects.audit import record
from estran.projects.datamarts import holding
from estran.projects.datamarts.deciding import may_build
from estran.projects.datamarts.reading import SpecFile, read_spec
from estran.projects.gate import ProtectedGate, rules_of
from estran.projects.policy import Action, Decision, Target, decide
from estran.release.pooled import PoolKey
from estran.release.rekey import ProjectKey
from estran.state.datamarts import DatamartRow, MartState
from estran.state.transactions import now

_FOLDER = "pools"
_HUB = frozenset({"hub"})  # whoever is opposed to sharing with other hospitals is in no pool


@dataclass(frozen=True)
class Sent:
    """What a site keeps of a pool that it sends to. `members` are all that were ever sent (base 64 of a bitmap), `owed`
    the tombstones of each withdrawal that the hub has not carried out yet, `certificate` the hub's, at the end, `dropped`
    that of the hub that took this site out of the pool, until it sends anew; `refused` are the jobs that came before."""

    pool: str
    project: str
    recipient: str
    key: str
    members: str
    owed: dict[str, list[int]]
    certificate: dict[str, Any] | None = None
    made: str = ""  # when it last sent, never earlier than before: a clock that was put back withdraws nobody's wish
    via: str = ""  # the name of the hub that it went on to, when it was not the network's own
    package: str = ""  # when the last package was made
    job: str = ""  # which asking that package answered, as the hub that asks calls it
    dropped: dict[str, Any] | None = None
    refused: list[str] = field(default_factory=list)

    @property
    def people(self) -> BitMap:
        return BitMap.deserialize(base64.b64decode(self.members)) if self.members else BitMap()


@dataclass(frozen=True)
class _Chosen:
    """The datamart that is sent, and who is left out of it."""

    row: DatamartRow
    held: SpecFile
    gone: BitMap


def pool(place: Place, job: Job) -> Answer:
    """Send the datamart of a project; NotAllowed with the reason when this site does not."""
    asked, (site, actor) = Asked.read(job.body), _here(place)
    decided, chosen = _decided(place, site, actor, asked, _first_id(job))
    what = f"pool:{asked.pool} project:{asked.project[:40]} network:{place.membership.network}"
    what += f" for:{asked.via}" if asked.via else ""
    record(site.state, actor, Action.HUB_POOL, decided, target=what, snapshot=site.snapshot().version)
    if chosen is None:
        raise NotAllowed(decided.reason)
    try:
        return _sent(place, site, asked, chosen, _first_id(job))
    except UsageError as error:
        raise NotAllowed(error.what) from None  # too large: said as a refusal of the site


def _here(place: Place) -> tuple[AgentSite, Actor]:
    if place.site is None or place.actor is None:
        raise UsageError("There are no patients here.")
    return place.site, place.actor


def _first_id(job: Job) -> str:
    """What the hub that asks calls a job that may have been carried."""
    return str(job.body.get(FIRST, job.id))


def _decided(place: Place, site: AgentSite, actor: Actor, asked: Asked, job: str) -> tuple[Decision, _Chosen | None]:
    decision = decide(actor, Action.HUB_POOL, Target(f"pool:{asked.pool}"))
    if not decision.allowed:
        return decision, None
    if len(place.rules.willing(KIND)) < len(place.rules.each()):
        return Decision(False, "The rules of this site do not allow its datamarts to be pooled."), None
    before = _kept(place, asked.pool)
    if before.certificate is not None:
        return Decision(False, "This pool is destroyed."), None
    if job in before.refused:
        return Decision(False, "The hub took this site out of the pool after it had asked for this."), None
    if before.key not in ("", asked.key.public_bytes_raw().hex()):  # one key, one pool: no two hubs get the same ids
        return Decision(False, "This pool was asked for with another key before."), None
    return _found(site, asked)


def _found(site: AgentSite, asked: Asked) -> tuple[Decision, _Chosen | None]:
    """The newest datamart of the project that is what was agreed and what its committee accepted."""
    said = "This project has no datamart here."
    for row in site.state.datamarts.of(asked.project):
        if row.state != MartState.LIVE or row.expires <= now():
            continue
        if "pool" in orjson.loads(row.manifest):
            said = "This datamart is itself a pool of sites: those sites are to be asked."
            continue
        held = read_spec(orjson.loads(row.spec))
        granted = may_build(site.state, held.frozen(), row.recipient, row.expires)
        said = granted.reason if not granted.allowed else agreement_refusal(asked.agreed, held)
        if said:
            continue
        uses = holding.uses(site.state, row.project, row.recipient) | _HUB
        return granted, _Chosen(row, held, rights.excluded(site.snapshot(), uses))
    return Decision(False, said), None


def _sent(place: Place, site: AgentSite, asked: Asked, chosen: _Chosen, job: str) -> Answer:
    row, version = chosen.row, site.snapshot().version
    with passing_folder(place.folder / _FOLDER / asked.pool) as scratch:
        content = scratch / "content"
        content.mkdir()
        counts = _write(place, site, chosen, asked, content, scratch)
        manifest = _manifest(place, site, asked, chosen, counts) | {JOB: job}
        sealed, signature = pack(content, manifest, place.identity.key, asked.key)
        data, listed = _first(place, asked, sealed)
    members = (BitMap.deserialize(row.members) - chosen.gone) | _kept(place, asked.pool).people
    _keep(place, replace(
        _kept(place, asked.pool), project=row.project, recipient=row.recipient, key=asked.key.public_bytes_raw().hex(),
        members=base64.b64encode(members.serialize()).decode(), certificate=None, via=asked.via, made=manifest["made"],
        package=manifest["made"], job=job, dropped=None,
    ))  # fmt: skip
    texts = frozenset({"texts"} if chosen.held.texts else set())
    uses = holding.uses(site.state, row.project, row.recipient) | _HUB | {"genetic"} | texts
    rights.register(site.state, recipient_of(place, asked.pool, asked.via), "hub", uses, version)
    return Answer("ok", "", _body(asked.pool, manifest, signature) | listed, (File(PARCEL, data),))


def _first(place: Place, asked: Asked, sealed: Path) -> tuple[bytes, dict[str, Any]]:
    """What goes with the answer: the package, or its first piece and the digests of all; then the rest stays here, sealed to
    the hub, until it has taken it. UsageError when it is too large."""
    kept = _parcel(place, asked.pool)
    kept.unlink(missing_ok=True)
    if size_of(sealed, WHOLE if asked.pieces else MOST) <= PIECE or not asked.pieces:
        return sealed.read_bytes(), {}
    listed = digests(sealed)
    sealed.chmod(0o600)
    flush(sealed)
    sealed.replace(kept)
    with kept.open("rb") as stream:
        return stream.read(PIECE), {PIECES: listed}


def _parcel(place: Place, pool_id: str) -> Path:
    """Where a package lies that is sent in pieces."""
    return place.folder / _FOLDER / f"{pool_id}.parcel"


def _body(pool_id: str, manifest: Manifest, signature: str) -> dict[str, Any]:
    return {"pool": pool_id, "made": manifest["made"], "signature": signature}


def _write(place: Place, site: AgentSite, chosen: _Chosen, asked: Asked, target: Path, scratch: Path) -> dict[str, int]:
    """The tables of the datamart that were agreed on, under the ids of the pool; rows of each."""
    folder, spec = site.directory / "datamarts" / chosen.row.folder / "parquet", chosen.held.frozen()
    sources = {name: folder / f"{name}.parquet" for name in schema_of(spec)}
    own = ProjectKey(chosen.row.project, site.secret(f"project:{chosen.row.project}"))
    key, agreed, rows = pool_key(place, site, asked.pool), schema_of(asked.agreed.frozen()), dict[str, int]()
    with files_as_views(sources, scratch) as connection:
        shown = {
            name: _columns(connection.sql(f'SELECT * FROM "{name}" LIMIT 0').columns, name, agreed) for name in sources
        }
        note_ids(connection, {name: tuple(columns) for name, columns in shown.items() if name != "codes"}, key.ids)
        connection.execute("CREATE TEMP TABLE gone (old VARCHAR)")
        for old in own.pseudonyms(BitMap.deserialize(chosen.row.members) & chosen.gone):
            connection.execute("INSERT INTO gone VALUES (?)", [old])
        connection.execute("DELETE FROM new_patient WHERE old IN (FROM gone)")
        for name, columns in shown.items():
            rows[name] = write_sorted(connection, rekeyed_sql(name, columns), target / f"{name}.parquet")
    return rows


def _columns(held: Iterable[str], table: str, agreed: Schema) -> dict[str, str]:
    """Of the columns of a table those agreed on: a datamart holds more when its reader asked for it."""
    wanted = {column.name for column in agreed.get(table, ())}
    return {name: f't."{name}"' for name in held if name in wanted}


def _manifest(place: Place, site: AgentSite, asked: Asked, chosen: _Chosen, rows: Mapping[str, int]) -> Manifest:
    row, spec = chosen.row, chosen.held.frozen()
    mart = orjson.loads(row.manifest)
    left = len(BitMap.deserialize(row.members) & chosen.gone)
    shown = ProtectedGate(site.state, rules_of(site.settings), None).show(left, f"pool/{asked.pool}/{row.id}")
    return {
        "pool": asked.pool, "network": place.membership.network, "member": place.membership.member, "what": "tables",
        "made": later(_kept(place, asked.pool)), "snapshot": mart["snapshot"], "question": mart["question"], "dates": str(spec.dates),
        "fingerprint": spec.fingerprint, "vocabularies": mart["vocabularies"], "rows": dict(rows), "units": units_of(spec),
        "variables": [one.name for one in spec.variables], "datamart_built": mart["built"],
        "oppositions": {"applied": sorted(holding.uses(site.state, row.project, row.recipient) | _HUB),
                        "left_out": {"fewer_than": shown.below} if shown.below else {"about": shown.value, "margin": shown.margin}},
    }  # fmt: skip


# What a site owes once it has sent


def life(place: Place, job: Job) -> Answer:
    """Tell who left since, hear that they are out of the pool, or that the pool is destroyed."""
    site, actor = _here(place)
    pool_id, what = str(job.body.get("pool", "")), str(job.body.get("what", ""))
    if not pool_id.isalnum() or what not in _DUTIES:
        raise UsageError("The hub says something of a pool that this release cannot read.")
    decision = decide(actor, Action.HUB_POOL, Target(f"pool:{pool_id}"))
    record(
        site.state, actor, Action.HUB_POOL, decision, target=f"pool:{pool_id} {what}", snapshot=site.snapshot().version
    )
    if not decision.allowed:
        raise NotAllowed(decision.reason)
    kept = _kept(place, pool_id)
    if not kept.key and what not in ("destroyed", "dropped"):
        return Answer("ok", "Nothing was sent to this pool from here.", {"pool": pool_id})
    return _DUTIES[what](place, site, kept, job)


def _withdrawals(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """The ids of all who were sent and may not be in the pool any more; all of them once the project is over here."""
    if kept.certificate is not None:  # a hub that was restored from a backup asks of what it destroyed
        return Answer("ok", "", {"pool": kept.pool, "destroyed": True})
    if kept.dropped is not None:
        return Answer("ok", "", {"pool": kept.pool, "dropped": True})
    name = recipient_of(place, kept.pool, kept.via)
    owed = [one.id for one in holding.owed(site.state).get(name, [])]  # before the snapshot: a later wish waits
    gone = kept.people
    if not holding.over(site.state, kept.project):
        uses = holding.uses(site.state, kept.project, kept.recipient) | _HUB
        gone &= rights.excluded(site.snapshot(), uses)
    old = ProjectKey(kept.project, site.secret(f"project:{kept.project}")).pseudonyms(gone)
    ids = pool_key(place, site, kept.pool).ids("patient", old)
    manifest: Manifest = {
        "pool": kept.pool, "network": place.membership.network, "member": place.membership.member, "what": "withdrawn",
        "made": later(kept), "snapshot": {"version": site.snapshot().version}, JOB: _first_id(job),
    } | ({PACKAGE: kept.package} if kept.package else {})  # fmt: skip
    to = X25519PublicKey.from_public_bytes(bytes.fromhex(kept.key))
    data, signature = pack_ids(place.folder / _FOLDER / kept.pool, ids, manifest, place.identity.key, to)
    _keep(place, replace(kept, made=manifest["made"], owed=kept.owed | ({manifest[JOB]: owed} if ids else {})))
    if owed and not ids:
        rights.acknowledge(site.state, name, owed, "nobody in it")
    return Answer("ok", "", _body(kept.pool, manifest, signature), (File(PARCEL, data),))


def _piece(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """One more piece of the package that was sent last."""
    number, digest = job.body.get("number"), str(job.body.get("sha256"))
    data = piece(_parcel(place, kept.pool), digest, number) if isinstance(number, int) and number > 0 else None
    if data is None:
        return Answer("refused", "This package is not here any more: it was sent anew, or taken.")
    return Answer("ok", "", {"pool": kept.pool, "number": number}, (File(PARCEL, data),))


def _taken(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """The hub has the package: what was kept of it goes, unless a newer one lies there."""
    if piece(_parcel(place, kept.pool), str(job.body.get("first")), 0) is not None:
        _parcel(place, kept.pool).unlink()
    return Answer("ok", "", {"pool": kept.pool})


def _carried_out(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """The hub took them out: what was owed for them is acknowledged."""
    done = [one for one in map(str, job.body.get("jobs", ())) if one in kept.owed]
    numbers = [number for one in done for number in kept.owed[one]]
    if numbers:
        name = recipient_of(place, kept.pool, kept.via)
        rights.acknowledge(site.state, name, numbers, f"taken out of pool {kept.pool}")
    _keep(place, replace(kept, owed={one: owed for one, owed in kept.owed.items() if one not in done}))
    return Answer("ok", "", {"pool": kept.pool})


def _dropped(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """The hub took out all that this site sent: what it was asked before is refused, and who was sent is forgotten, unless it
    has sent anew since. The hub may ask again."""
    name = recipient_of(place, kept.pool, kept.via or str(job.body.get(FOR, ""))[:60])
    certificate, jobs = job.body.get("certificate"), [str(one) for one in job.body.get("jobs", ())]
    if not isinstance(certificate, dict):
        raise UsageError("The end of a pool comes with a certificate.")
    kept = replace(kept, refused=sorted({*kept.refused, *jobs}))
    if kept.certificate is not None or (kept.job and kept.job not in jobs):
        _keep(place, kept)
        return Answer("ok", "", {"pool": kept.pool})
    _keep(place, replace(kept, members="", owed={}, dropped=certificate))
    told = _forgotten(place, site, kept, name)
    return told if kept.key else Answer("ok", "", {"pool": kept.pool})  # it does not know what it sent


def _destroyed(place: Place, site: AgentSite, kept: Sent, job: Job) -> Answer:
    """The hub destroyed the pool: its certificate is kept, and who was in the pool is forgotten here."""
    name, certificate = recipient_of(place, kept.pool, kept.via), job.body.get("certificate")
    if not isinstance(certificate, dict):
        raise UsageError("The end of a pool comes with a certificate.")
    _keep(place, replace(kept, members="", owed={}, certificate=certificate))
    return _forgotten(place, site, kept, name)


def _forgotten(place: Place, site: AgentSite, kept: Sent, name: str) -> Answer:
    """Nothing is in the pool any more: no refusal has to reach it."""
    _parcel(place, kept.pool).unlink(missing_ok=True)
    if any(one.name == name for one in site.state.rights.recipients()):
        rights.end(site.state, name)
    own = {
        "certificate": 1, "pool": kept.pool, "member": place.membership.member, "destroyed": now().isoformat(timespec="seconds"),
        "what": "packages sent, list of the patients sent", "method": "deleted when the hub had taken them, and now",
    }  # fmt: skip
    return Answer("ok", "", {"pool": kept.pool, "certificate": own})


_DUTIES = {
    "withdrawals": _withdrawals, "withdrawn": _carried_out, "destroyed": _destroyed, "dropped": _dropped, ASKED: _piece, "taken": _taken,
}  # fmt: skip


def recipient_of(place: Place, pool_id: str, via: str = "") -> str:
    """What a pool is called in the register of rights of a site."""
    beyond = f", {via}" if via else ""
    return f"pool {pool_id} {place.membership.network}{beyond}"[:120]


def pool_key(place: Place, site: AgentSite, pool_id: str) -> PoolKey:
    """By which this site re-keys for one pool of one network; no two pools can be joined by their ids."""
    return PoolKey(site.secret(f"pool:{place.membership.network}/{pool_id}"))


def later(kept: Sent) -> str:
    """Now, and later than what was sent before whatever the clock says."""
    last = dt.datetime.fromisoformat(kept.made) if kept.made else now()
    return max(now(), last + dt.timedelta(microseconds=1)).isoformat()


def _kept(place: Place, pool_id: str) -> Sent:
    path = place.folder / _FOLDER / f"{pool_id}.json"
    return Sent(**orjson.loads(path.read_bytes())) if path.is_file() else Sent(pool_id, "", "", "", "", {})


def _keep(place: Place, sent: Sent) -> None:
    """Whole or not at all."""
    folder = place.folder / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f".{sent.pool}.json"
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps(asdict(sent)))
    draft.replace(folder / f"{sent.pool}.json")
