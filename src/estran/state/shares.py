"""Stars on saved cohorts, and with whom their owners share them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.cohorts import CohortShelf, SavedCohort
from estran.state.schema import account, saved_cohort
from estran.state.schema_daily import favourite, share
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Share:
    """A cohort open to one person (`login`) or to everybody of a role."""

    id: int
    cohort_id: int
    login: str
    role: str
    at: dt.datetime


class Shares:
    """Who besides the owner may open a cohort, and who starred which."""

    def __init__(self, engine: sa.Engine, cohorts: CohortShelf) -> None:
        self._engine = engine
        self._cohorts = cohorts

    def stars(self, account_id: int) -> frozenset[int]:
        """Numbers of the cohorts that a person starred."""
        wanted = sa.select(favourite.c.cohort_id).where(favourite.c.account_id == account_id)
        with reading(self._engine) as connection:
            return frozenset(connection.scalars(wanted))

    def star(self, account_id: int, cohort_id: int, on: bool) -> None:
        """Star a cohort, or take the star off."""
        mine = sa.and_(favourite.c.account_id == account_id, favourite.c.cohort_id == cohort_id)
        with writing(self._engine) as connection:
            connection.execute(favourite.delete().where(mine))
            if on:
                connection.execute(favourite.insert().values(account_id=account_id, cohort_id=cohort_id))

    def share(self, cohort_id: int, account_id: int | None, role: str) -> bool:
        """Open a cohort to a person or a role; False when it was open to them already."""
        same = sa.and_(share.c.cohort_id == cohort_id, share.c.account_id.is_(account_id), share.c.role == role)
        if account_id is not None:
            same = sa.and_(share.c.cohort_id == cohort_id, share.c.account_id == account_id)
        with writing(self._engine) as connection:
            if connection.scalar(sa.select(share.c.id).where(same)) is not None:
                return False
            values = {"cohort_id": cohort_id, "account_id": account_id, "role": role, "at": now()}
            connection.execute(share.insert().values(**values))
        return True

    def unshare(self, cohort_id: int, number: int) -> None:
        """Take a share of a cohort back."""
        with writing(self._engine) as connection:
            connection.execute(share.delete().where(share.c.id == number, share.c.cohort_id == cohort_id))

    def of(self, cohort_ids: list[int]) -> list[Share]:
        """The shares of some cohorts, the oldest first."""
        columns = (share.c.id, share.c.cohort_id, sa.func.coalesce(account.c.login, "").label("login"), share.c.role, share.c.at)
        wanted = sa.select(*columns).outerjoin(account, account.c.id == share.c.account_id)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.where(share.c.cohort_id.in_(cohort_ids)).order_by(share.c.id)).all()
        return [Share(**row._mapping) for row in rows]

    def reach(self, cohort_id: int, account_id: int, role: str) -> bool:
        """Whether a cohort that is still on its owner's list is shared with this person."""
        return cohort_id in self._shared_with(account_id, role)

    def shared_with(self, account_id: int, role: str) -> list[SavedCohort]:
        """The cohorts of others that are shared with a person, by name; archived ones are left out."""
        found = (self._cohorts.cohort(number) for number in self._shared_with(account_id, role))
        return sorted((cohort for cohort in found if cohort), key=lambda one: one.name)

    def _shared_with(self, account_id: int, role: str) -> list[int]:
        mine = sa.or_(share.c.account_id == account_id, sa.and_(share.c.role == role, share.c.role != ""))
        wanted = sa.select(share.c.cohort_id).distinct().join(saved_cohort, saved_cohort.c.id == share.c.cohort_id)
        wanted = wanted.where(mine, saved_cohort.c.archived.is_(None), saved_cohort.c.owner_id != account_id)
        with reading(self._engine) as connection:
            return list(connection.scalars(wanted))
