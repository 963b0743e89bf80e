"""A site as far as workspaces and the airlock need one, with people and one project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.unit.projects.opened import furnished, key

from estran.projects.actors import Actor, Role
from estran.settings import Settings
from estran.state import StateDatabase

PROJECT = key()


@dataclass
class SmallSite:
    """What the airlock asks of a site."""

    folder: Path
    state: StateDatabase
    settings: Settings

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"


@dataclass
class Stage:
    """A site, its people by role, and the workspace of a project whose team is the researcher and the teacher."""

    site: SmallSite
    people: dict[Role, Actor]

    @property
    def out(self) -> Path:
        return self.site.folder / "workspaces" / str(PROJECT) / "out"

    def put(self, name: str, text: str | bytes) -> str:
        (self.out / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return name


def stage(folder: Path, state: StateDatabase, settings: Settings | None = None) -> Stage:
    people = {role: Actor(role, role, state.accounts.add(role, "-", role).id) for role in Role}
    site = SmallSite(folder, state, settings or Settings())
    datamart = folder / "datamart"
    datamart.mkdir()
    (datamart / "patients.csv").write_text(
        "sex,age,group\n" + "".join(f"{'FM'[n % 2]},{30 + n % 40},{n % 3}\n" for n in range(300))
    )
    team = [people[role].account_id or 0 for role in (Role.RESEARCHER, Role.TEACHER)]
    furnished(site, team, datamart)  # type: ignore[arg-type]
    return Stage(site, people)
