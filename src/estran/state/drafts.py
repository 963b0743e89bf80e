"""The cohort that each person is building, with its undo history."""

from __future__ import annotations

import json

import sqlalchemy as sa

from estran.state.schema import draft
from estran.state.transactions import now, reading, writing

KEPT = 60


class Drafts:
    """States are JSON texts; the history keeps the last `KEPT`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def current(self, account_id: int) -> str | None:
        """The state on the desk, or None when there is none yet."""
        with reading(self._engine) as connection:
            found = _read(connection, account_id)
        return None if found is None else found[0][found[1]]

    def reach(self, account_id: int) -> tuple[int, int]:
        """How many steps can be undone, and how many redone."""
        with reading(self._engine) as connection:
            found = _read(connection, account_id)
        return (0, 0) if found is None else (found[1], len(found[0]) - 1 - found[1])

    def put(self, account_id: int, state: str) -> None:
        """A new state after the current one; what had been undone is forgotten. An equal state is no step."""
        with writing(self._engine) as connection:
            found = _read(connection, account_id)
            if found is None:
                _write(connection, account_id, [state], 0, new=True)
                return
            history, position = found
            if history[position] == state:
                return
            kept = [*history[: position + 1], state][-KEPT:]
            _write(connection, account_id, kept, len(kept) - 1)

    def move(self, account_id: int, steps: int) -> str | None:
        """Undo (-1) or redo (+1), as far as there is something; the state then current."""
        with writing(self._engine) as connection:
            found = _read(connection, account_id)
            if found is None:
                return None
            history, position = found
            position = min(max(position + steps, 0), len(history) - 1)
            _write(connection, account_id, history, position)
            return history[position]


def _read(connection: sa.Connection, account_id: int) -> tuple[list[str], int] | None:
    row = connection.execute(draft.select().where(draft.c.account_id == account_id)).one_or_none()
    return None if row is None else (json.loads(row.history), row.position)


def _write(connection: sa.Connection, account_id: int, history: list[str], position: int, new: bool = False) -> None:
    values = {"history": json.dumps(history), "position": position, "changed": now()}
    if new:
        connection.execute(draft.insert().values(account_id=account_id, **values))
    else:
        connection.execute(draft.update().where(draft.c.account_id == account_id).values(**values))
