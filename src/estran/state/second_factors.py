"""Secrets of one-time codes, sealed, and recovery codes, hashed. Checking a code is done by `projects.second_factor`."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import recovery_code, totp
from estran.state.sealing import Seal
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class SharedSecret:
    """The secret shared with a person's device; `confirmed` once a first code was given."""

    secret: bytes
    confirmed: bool
    last_step: int


class SecondFactors:
    """One secret and one set of recovery codes per account."""

    def __init__(self, engine: sa.Engine, seal: Seal) -> None:
        self._engine = engine
        self._seal = seal

    def has(self, account_id: int) -> bool:
        """Whether codes are asked of this account."""
        mine = sa.and_(totp.c.account_id == account_id, totp.c.confirmed.is_not(None))
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(totp.c.account_id).where(mine)) is not None

    def secret(self, account_id: int) -> SharedSecret | None:
        """The secret of an account, or None; StoreError when it cannot be opened."""
        with reading(self._engine) as connection:
            row = connection.execute(totp.select().where(totp.c.account_id == account_id)).one_or_none()
        if row is None:
            return None
        opened = self._seal.open(bytes(row.sealed), _owner(account_id))
        return SharedSecret(opened, row.confirmed is not None, row.last_step)

    def begin(self, account_id: int, secret: bytes) -> None:
        """Keep a new secret, not yet in use; one begun before is forgotten, one in use is not touched."""
        sealed = self._seal.seal(secret, _owner(account_id))
        unused = sa.and_(totp.c.account_id == account_id, totp.c.confirmed.is_(None))
        with writing(self._engine) as connection:
            connection.execute(totp.delete().where(unused))
            connection.execute(totp.insert().values(account_id=account_id, sealed=sealed, created=now()))

    def confirm(self, account_id: int, code_hashes: list[str]) -> None:
        """Put the secret in use, with these recovery codes."""
        with writing(self._engine) as connection:
            connection.execute(totp.update().where(totp.c.account_id == account_id).values(confirmed=now()))
            _replace_codes(connection, account_id, code_hashes)

    def replace_codes(self, account_id: int, code_hashes: list[str]) -> None:
        """New recovery codes in place of the old ones."""
        with writing(self._engine) as connection:
            _replace_codes(connection, account_id, code_hashes)

    def take_step(self, account_id: int, step: int) -> bool:
        """Note that the code of a step was used; False when it, or a later one, was before."""
        newer = sa.and_(totp.c.account_id == account_id, totp.c.last_step < step)
        with writing(self._engine) as connection:
            return connection.execute(totp.update().where(newer).values(last_step=step)).rowcount == 1

    def code_hash(self, account_id: int, number: int) -> str | None:
        """The hash of a recovery code that was not used, or None."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(recovery_code.c.code_hash).where(_unused(account_id, number)))

    def take_code(self, account_id: int, number: int) -> bool:
        """Note that a recovery code was used; False when it was before."""
        with writing(self._engine) as connection:
            change = recovery_code.update().where(_unused(account_id, number)).values(used=now())
            return connection.execute(change).rowcount == 1

    def codes_left(self, account_id: int) -> int:
        """How many recovery codes were not used."""
        mine = sa.and_(recovery_code.c.account_id == account_id, recovery_code.c.used.is_(None))
        with reading(self._engine) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(recovery_code).where(mine)) or 0)

    def remove(self, account_id: int) -> None:
        """Ask no code of this account any more."""
        with writing(self._engine) as connection:
            connection.execute(totp.delete().where(totp.c.account_id == account_id))
            connection.execute(recovery_code.delete().where(recovery_code.c.account_id == account_id))


def _owner(account_id: int) -> str:
    return f"totp:{account_id}"


def _unused(account_id: int, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        recovery_code.c.account_id == account_id, recovery_code.c.number == number, recovery_code.c.used.is_(None)
    )


def _replace_codes(connection: sa.Connection, account_id: int, code_hashes: list[str]) -> None:
    connection.execute(recovery_code.delete().where(recovery_code.c.account_id == account_id))
    for number, code_hash in enumerate(code_hashes, 1):
        connection.execute(recovery_code.insert().values(account_id=account_id, number=number, code_hash=code_hash))
