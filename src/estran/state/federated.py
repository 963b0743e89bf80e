"""Who people are at an identity provider, and which account is theirs here."""

from __future__ import annotations

import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema import federated
from estran.state.transactions import now, reading, writing


class Federated:
    """A subject of an issuer opens one account."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def link(self, account_id: int, issuer: str, subject: str) -> None:
        """This subject is this account; UsageError when it is another's already."""
        values = {"issuer": issuer, "subject": subject, "account_id": account_id, "created": now()}
        try:
            with writing(self._engine) as connection:
                connection.execute(federated.insert().values(**values))
        except sa.exc.IntegrityError:
            raise UsageError("This identity belongs to an account already.", hint="take it from that account first") from None

    def account(self, issuer: str, subject: str) -> int | None:
        """The account of a subject, or None."""
        mine = sa.and_(federated.c.issuer == issuer, federated.c.subject == subject)
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(federated.c.account_id).where(mine))

    def of(self, account_id: int) -> list[tuple[str, str]]:
        """Issuer and subject of an account's identities."""
        with reading(self._engine) as connection:
            rows = connection.execute(federated.select().where(federated.c.account_id == account_id))
            return [(row.issuer, row.subject) for row in rows]

    def unlink(self, account_id: int) -> None:
        """Forget the identities of an account."""
        with writing(self._engine) as connection:
            connection.execute(federated.delete().where(federated.c.account_id == account_id))
