"""The register of rights: what each patient asked, since when the warehouse obeys, and who still has to.

Acts are never changed: ending an opposition is another act. A tombstone is one act to be carried out by one recipient.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from estran.state.schema_rights import recipient, right_act, right_applied, tombstone
from estran.state.transactions import now, reading, writing

_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is read for another


def acknowledgement(moment: dt.datetime) -> str:
    """A number to give to whoever asked: the year and 39 random bits. It opens nothing."""
    return f"R{moment:%Y}-{''.join(secrets.choice(_LETTERS) for _ in range(8))}"


@dataclass(frozen=True)
class Wish:
    """What is asked for a patient. `kind` is opposition, consent or erasure; `ends` takes an earlier one back.

    `proof` says where the paper is kept, never a name; `proof_date` is the day on it.
    """

    patient_id: int
    scope: str
    kind: str
    from_date: dt.date
    ends: bool = False
    asked_by: str = "person"
    channel: str = "desk"
    proof_date: dt.date | None = None
    proof: str = ""
    request_id: int | None = None


@dataclass(frozen=True)
class Act(Wish):
    """A wish as it was registered. `snapshot` is the first that obeys, None until the warehouse does."""

    id: int = 0
    number: str = ""
    at: dt.datetime = dt.datetime.min
    login: str = ""
    snapshot: int | None = None


@dataclass(frozen=True)
class Recipient:
    """Who holds data of the site and must follow its patients' wishes."""

    id: int
    name: str
    kind: str
    purposes: frozenset[str]
    snapshot: int
    registered: dt.datetime
    ended: dt.datetime | None


@dataclass(frozen=True)
class Tombstone:
    """One act to be carried out by one recipient: `what` is hide, restore or erase."""

    id: int
    recipient: str
    number: str
    patient_id: int
    scope: str
    what: str
    made: dt.datetime
    deadline: dt.datetime
    acknowledged: dt.datetime | None
    outcome: str


_ACTS = sa.select(right_act, right_applied.c.snapshot).outerjoin(right_applied)
_TOMBSTONES = (
    sa.select(
        tombstone.c.id, recipient.c.name.label("recipient"), right_act.c.number, right_act.c.patient_id, right_act.c.scope,
        tombstone.c.what, tombstone.c.made, tombstone.c.deadline, tombstone.c.acknowledged, tombstone.c.outcome,
    )
    .join(recipient, recipient.c.id == tombstone.c.recipient_id)
    .join(right_act, right_act.c.id == tombstone.c.act_id)
    .order_by(tombstone.c.deadline, tombstone.c.id)
)  # fmt: skip


class RightsBook:
    """Acts, recipients and tombstones."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # Acts

    def declare(self, wish: Wish, login: str) -> Act:
        """Register a wish; it is on disk when this returns."""
        moment = now()
        values = asdict(wish) | {"number": acknowledgement(moment), "at": moment, "login": login}
        with writing(self._engine) as connection:
            key = connection.execute(right_act.insert().values(**values)).inserted_primary_key
        return Act(**values, id=int(key[0]) if key else 0)

    def applied(self, act_id: int, snapshot: int) -> None:
        """The warehouse obeys from this snapshot on; the first word stays."""
        known = sa.select(right_applied.c.act_id).where(right_applied.c.act_id == act_id)
        with writing(self._engine) as connection:
            if connection.execute(known).first() is None:
                connection.execute(right_applied.insert().values(act_id=act_id, snapshot=snapshot, at=now()))

    def acts(self, patients: Iterable[int] | None = None, *, waiting: bool = False, limit: int | None = None) -> list[Act]:
        """Acts, the oldest first: of some patients; only those that the warehouse does not obey yet. With `limit`,
        the last ones, the newest first."""
        query = _ACTS.order_by(right_act.c.id if limit is None else right_act.c.id.desc()).limit(limit)
        if patients is not None:
            query = query.where(right_act.c.patient_id.in_(list(patients)))
        if waiting:
            query = query.where(right_applied.c.act_id.is_(None))
        with reading(self._engine) as connection:
            return [Act(**row._mapping) for row in connection.execute(query)]

    def since(self, snapshot: int) -> list[Act]:
        """Acts that a copy of this snapshot does not know."""
        later = sa.or_(right_applied.c.snapshot > snapshot, right_applied.c.act_id.is_(None))
        with reading(self._engine) as connection:
            return [Act(**row._mapping) for row in connection.execute(_ACTS.where(later).order_by(right_act.c.id))]

    def standing(self) -> set[tuple[int, str, str]]:
        """(patient, scope, kind) of what was asked and not taken back, among what the warehouse obeys."""
        newest = (
            sa.select(sa.func.max(right_act.c.id))
            .join(right_applied)
            .group_by(right_act.c.patient_id, right_act.c.scope, right_act.c.kind)
        )
        columns = (right_act.c.patient_id, right_act.c.scope, right_act.c.kind)
        query = sa.select(*columns).where(right_act.c.id.in_(newest), right_act.c.ends.is_(False))
        with reading(self._engine) as connection:
            return {(row[0], row[1], row[2]) for row in connection.execute(query)}

    # Recipients and what they owe

    def register(self, name: str, kind: str, purposes: frozenset[str], snapshot: int) -> Recipient:
        """Enter a recipient, or say anew what it holds and from which snapshot."""
        values = {"kind": kind, "purposes": " ".join(sorted(purposes)), "snapshot": snapshot, "ended": None}
        with writing(self._engine) as connection:
            found = connection.execute(sa.select(recipient.c.id).where(recipient.c.name == name)).scalar()
            if found is None:
                connection.execute(recipient.insert().values(name=name, registered=now(), **values))
            else:
                connection.execute(recipient.update().where(recipient.c.id == found).values(**values))
        return next(one for one in self.recipients() if one.name == name)

    def end(self, name: str) -> bool:
        """A recipient holds nothing any more; False when there is none of this name."""
        live = sa.and_(recipient.c.name == name, recipient.c.ended.is_(None))
        with writing(self._engine) as connection:
            return connection.execute(recipient.update().where(live).values(ended=now())).rowcount == 1

    def recipients(self) -> list[Recipient]:
        """Those that hold data now, by name."""
        query = recipient.select().where(recipient.c.ended.is_(None)).order_by(recipient.c.name)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Recipient(**dict(row._mapping) | {"purposes": frozenset(row.purposes.split())}) for row in rows]

    def bury(self, act_id: int, recipient_id: int, what: str, deadline: dt.datetime) -> None:
        """One act for one recipient; once is enough."""
        same = sa.and_(tombstone.c.act_id == act_id, tombstone.c.recipient_id == recipient_id)
        with writing(self._engine) as connection:
            if connection.execute(sa.select(tombstone.c.id).where(same)).first() is None:
                connection.execute(
                    tombstone.insert().values(
                        act_id=act_id, recipient_id=recipient_id, what=what, made=now(), deadline=deadline, outcome=""
                    )
                )

    def tombstones(self, name: str = "", *, owed: bool = True) -> list[Tombstone]:
        """What live recipients have to do, the most urgent first: of one of them, or of all."""
        query = _TOMBSTONES.where(recipient.c.ended.is_(None))
        query = query.where(recipient.c.name == name) if name else query
        query = query.where(tombstone.c.acknowledged.is_(None)) if owed else query
        with reading(self._engine) as connection:
            return [Tombstone(**row._mapping) for row in connection.execute(query)]

    def acknowledge(self, name: str, numbers: Iterable[int], outcome: str) -> int:
        """A recipient did what these tombstones say; how many of its own were waiting."""
        of = sa.select(recipient.c.id).where(recipient.c.name == name).scalar_subquery()
        mine = sa.and_(tombstone.c.recipient_id == of, tombstone.c.acknowledged.is_(None), tombstone.c.id.in_(list(numbers)))
        with writing(self._engine) as connection:
            done = connection.execute(tombstone.update().where(mine).values(acknowledged=now(), outcome=outcome[:200]))
            return done.rowcount
