"""The projects that the public page tells, as the data centre wrote them."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from estran.state.schema_rights import public_project
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class PublicProject:
    """A project in words for everybody. `status` is open or closed; `outputs` are publications, patents, software."""

    code: str
    title: str
    purpose: str
    legal_basis: str
    status: str
    responsible: str = ""
    begun: dt.date | None = None
    ended: dt.date | None = None
    results: str = ""
    outputs: str = ""


class PublicProjects:
    """One row per project."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, project: PublicProject) -> None:
        """Write a project, or write it anew."""
        values = asdict(project) | {"changed": now()}
        with writing(self._engine) as connection:
            connection.execute(public_project.delete().where(public_project.c.code == project.code))
            connection.execute(public_project.insert().values(**values))

    def drop(self, code: str) -> bool:
        """Take a project off the page; False when it is not on it."""
        with writing(self._engine) as connection:
            return connection.execute(public_project.delete().where(public_project.c.code == code)).rowcount == 1

    def all(self) -> list[PublicProject]:
        """Every project, those under way first, the newest first."""
        columns = [c for c in public_project.c if c.name != "changed"]
        query = sa.select(*columns).order_by(public_project.c.status.desc(), public_project.c.begun.desc(), public_project.c.code)
        with reading(self._engine) as connection:
            return [PublicProject(**row._mapping) for row in connection.execute(query)]
