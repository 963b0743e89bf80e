"""Doors that files come in by: public keys of the process that holds the site's key, which files are sealed to."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import secret
from estran.state.transactions import reading, writing


class SealedDoor:
    """What is left at this door is read by the holder of the key only. `name` tells it from the other doors."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine, self._name = engine, name

    @property
    def public(self) -> bytes | None:
        """The public key that files are sealed to; None until the holder of the key put it here."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(secret.c.value).where(secret.c.name == self._name))

    def put(self, public: bytes) -> None:
        """Say which public key files are sealed to from now on; nothing is written when it is this one already."""
        if self.public == public:
            return
        with writing(self._engine) as connection:
            connection.execute(secret.delete().where(secret.c.name == self._name))
            connection.execute(secret.insert().values(name=self._name, value=public))
