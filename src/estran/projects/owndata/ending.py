"""How the data that a project brought go: with the project, at the end of their time, or when somebody asks."""

from __future__ import annotations

import contextlib
import shutil
from typing import Any

import orjson

from estran.model.errors import UsageError
from estran.projects import rights
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import record
from estran.projects.owndata.store import Content, folder_of
from estran.projects.policy import Action, Decision
from estran.projects.site import SiteServices
from estran.state import OwnDataRow, OwnState
from estran.state.transactions import now

METHOD = (
    "sealed files unlinked, folder removed; the links in the vault are erased by the holder of the key; copies in backups "
    "go with the backups"
)


def end(
    site: SiteServices, project: str, actor: Actor = KEY_HOLDER, why: str = "the project is closed"
) -> list[dict[str, Any]]:
    """Destroy all that a project brought; a certificate for each data set, those destroyed before included.

    Doing it again destroys nothing more. Whoever calls has decided the step that leads here; what is destroyed is recorded.
    """
    rows = site.state.own_data.of(project)
    for row in rows:
        if row.state != OwnState.ENDED:
            record(
                site.state, actor, Action.TAKE_DATA, Decision(True, "It goes with its project."),
                target=f"project:{project} end own data:{row.id} {why[:200]}",
            )  # fmt: skip
            destroy(site, row, actor, why)
    return [orjson.loads(row.certificate) for row in site.state.own_data.of(project) if row.certificate]


def destroy(site: SiteServices, row: OwnDataRow, actor: Actor, why: str) -> None:
    """Remove the files of a data set, whose row keeps the certificate; those who were told of it are told."""
    if (folder := folder_of(site, row.id)).exists():
        shutil.rmtree(folder)
    site.state.own_data.end(row.id, orjson.dumps(_certificate(row, actor, why)).decode())
    with contextlib.suppress(UsageError):  # nothing was ever linked: nobody was registered
        rights.end(site.state, recipient(row.id))


def recipient(data: int) -> str:
    """The name under which a data set is registered among those who hold data of patients."""
    return f"own-data {data}"


def _certificate(row: OwnDataRow, actor: Actor, why: str) -> dict[str, Any]:
    tables = Content.loads(row.content).tables
    return {
        "certificate": 1, "own_data": row.id, "project": row.project, "title": row.title, "formality": row.formality,
        "reference": row.reference, "destroyed": now().isoformat(timespec="seconds"), "by": actor.login, "why": why,
        "method": METHOD,
        "tables": [{"name": name, "rows": one.rows, "digest": one.digest} for name, one in tables.items()],
    }  # fmt: skip
