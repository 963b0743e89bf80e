"""Local accounts. Passwords are kept as argon2id hashes; verifying one is done by `projects.sign_in`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema import account
from estran.state.transactions import now, reading, writing


class LoginTaken(UsageError):
    """Another account has this login."""


@dataclass(frozen=True)
class Account:
    """A person who may sign in. `language` is "" and `theme` "auto" until they choose."""

    id: int
    login: str
    password_hash: str
    role: str
    language: str
    theme: str
    created: dt.datetime
    disabled: bool


class Accounts:
    """The accounts of the site; a login is compared in lower case."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, login: str, password_hash: str, role: str, language: str = "") -> Account:
        """A new account; LoginTaken when the login is taken."""
        values = {
            "login": login.lower(), "password_hash": password_hash, "role": role, "language": language, "created": now()
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(account.insert().values(**values))
        except sa.exc.IntegrityError:
            raise LoginTaken("This login is taken.", hint="choose another login") from None
        found = self.find(login)
        if found is None:
            raise UsageError("The account was removed while it was being made.", hint="try again")
        return found

    def find(self, login: str) -> Account | None:
        """The account of this login, or None."""
        return self._one(account.c.login == login.lower())

    def by_id(self, account_id: int) -> Account | None:
        """The account of this number, or None."""
        return self._one(account.c.id == account_id)

    def all(self) -> list[Account]:
        """Every account, by login."""
        with reading(self._engine) as connection:
            return [Account(**row._mapping) for row in connection.execute(account.select().order_by(account.c.login))]

    def change(
        self, account_id: int, *, language: str | None = None, theme: str | None = None, role: str | None = None,
        password_hash: str | None = None, disabled: bool | None = None,
    ) -> None:
        """Set what is given, leave the rest."""
        wanted = {
            "language": language, "theme": theme, "role": role, "password_hash": password_hash, "disabled": disabled
        }
        values = {name: value for name, value in wanted.items() if value is not None}
        if values:
            with writing(self._engine) as connection:
                connection.execute(account.update().where(account.c.id == account_id).values(**values))

    def _one(self, condition: sa.ColumnElement[bool]) -> Account | None:
        with reading(self._engine) as connection:
            row = connection.execute(account.select().where(condition)).one_or_none()
        return None if row is None else Account(**row._mapping)
