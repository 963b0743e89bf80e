"""Exports: a whole site by its key holder, or the newest datamart of an open project, in a foreign format.

A project's export is made of its datamart, so that it holds what the committee granted, re-keyed, shifted and marked, and
nothing else. Each export is decided, recorded, then written whole or not at all, with a manifest that says what it holds,
what the format could not say, and the SHA-256 of each file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from estran.exchange import fhir, meds, omop, parcel
from estran.exchange.account import Account
from estran.exchange.holding import Holding, of_datamart, of_site
from estran.exchange.whole import passing_folder, whole_folder
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit, record
from estran.projects.datamarts.deciding import at_command_line
from estran.projects.datamarts.manifest import FILE, Manifest, dumps, libraries, with_files
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.life import open_project
from estran.projects.life.opening import project_of
from estran.projects.policy import Action, Decision, Target
from estran.projects.site import SiteServices
from estran.state.datamarts import MartState
from estran.state.transactions import now

VERSION = 1


class Format(StrEnum):
    """What an export is written as. `national` is OMOP and FHIR together, sealed for its recipient."""

    OMOP = "omop"
    FHIR = "fhir"
    MEDS = "meds"
    NATIONAL = "national"


@dataclass(frozen=True)
class Wish:
    """What is to be exported: the format; the project, "" for the whole site; OMOP tables as CSV instead of Parquet;
    the recipient's public key; whether the data are to be matched to the national claims base; why."""

    form: Format
    project: str = ""
    csv: bool = False
    recipient: Path | None = None
    claims_match: bool = False
    reason: str = ""


class Exporter:
    """One person who exports. NotAllowed when the policy says no; each export is recorded before it is made."""

    def __init__(self, site: SiteServices, actor: Actor, datamarts: Datamarts, folder: Path) -> None:
        self._site, self.actor, self._datamarts, self._folder = site, actor, datamarts, folder

    def export(self, wish: Wish, target: Path) -> Manifest:
        """Write the folder `target` (a file, for a national package) and return its manifest.

        UsageError when it exists or the wish contradicts itself, StoreError when rows do not add up.
        """
        _check(wish, target)
        self._permit(wish, target)
        key = parcel.read_public_key(wish.recipient) if wish.recipient else None
        if key is None:
            with whole_folder(target) as draft:
                return self._write(wish, draft)
        with passing_folder(target) as folder, parcel.whole_file(target) as sealed:
            manifest = self._write(wish, folder)
            parcel.seal(folder, sealed, key)
        return manifest

    def _permit(self, wish: Wish, target: Path) -> None:
        what = f"export:{wish.form} of:{wish.project or 'the whole site'} into:{target.name}"
        version = self._site.snapshot().version
        if not wish.project:
            permit(
                self._site.state,
                self.actor,
                Action.EXPORT,
                Target(what),
                query=wish.reason.strip()[:500],
                snapshot=version,
            )
            return
        try:
            project = open_project(self._site.state, wish.project)
        except NotAllowed as refused:
            if not (at_command_line(self.actor) and len(wish.reason.strip()) >= 10):
                record(
                    self._site.state,
                    self.actor,
                    Action.EXPORT,
                    Decision(False, refused.what),
                    target=what,
                    snapshot=version,
                )
                raise
            said = f"Without an open project: {wish.reason.strip()[:500]}"
            record(self._site.state, self.actor, Action.EXPORT, Decision(True, said), target=what, snapshot=version)
            return
        permit(self._site.state, self.actor, Action.EXPORT, Target(what, owner_id=project.lead), snapshot=version)

    @contextmanager
    def _holding(self, project: str) -> Iterator[Holding]:
        if not project:
            with of_site(self._site.snapshot()) as holding:
                yield holding
            return
        made = [
            one
            for one in self._datamarts.all()
            if one.row.project == project and one.row.state == MartState.LIVE and not one.due
        ]
        folders = [(one, self._folder / one.row.folder / "parquet") for one in made]
        found = next(((one, folder) for one, folder in folders if (folder / "patients.parquet").is_file()), None)
        if found is None:
            raise UsageError(
                "The project has no datamart in Parquet that is up to date.",
                where=project,
                hint="estran datamart build SITE SPEC",
            )
        one, folder = found
        tables = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
        with of_datamart(
            tables, self._site.settings.name, f"{project}/{one.row.name}", one.manifest["snapshot"]
        ) as holding:
            yield holding

    def _write(self, wish: Wish, folder: Path) -> Manifest:
        accounts = {}
        for form in _PARTS.get(wish.form, (wish.form,)):
            with self._holding(wish.project) as holding:
                accounts[str(form)] = _write_form(form, holding, folder / form, wish.csv)
                about = {"version": holding.snapshot, "day": holding.released}
        manifest = self._describe(wish, about) | {"account": {form: one.plain() for form, one in accounts.items()}}
        manifest = with_files(manifest, folder)
        (folder / FILE).write_text(dumps(manifest), "utf-8")
        return manifest

    def _describe(self, wish: Wish, snapshot: dict[str, Any]) -> Manifest:
        matched = wish.claims_match or self._matched(wish.project)
        return {
            "export": VERSION, "format": str(wish.form), "site": self._site.settings.name, "project": wish.project, "snapshot": snapshot,
            "made": now().isoformat(timespec="seconds"), "by": self.actor.login, "reason": wish.reason.strip(), "libraries": libraries(),
            "national_claims_match": matched,
            "framework": "outside the reference framework of health data warehouses: matched to the national claims base"
            if matched else "not to be matched to the national claims base",
            "anonymous": False,
        }  # fmt: skip

    def _matched(self, project: str) -> bool:
        found = project_of(self._site.state, project) if project else None
        return found is not None and found.request.snds


_PARTS = {Format.NATIONAL: (Format.OMOP, Format.FHIR)}


def _check(wish: Wish, target: Path) -> None:
    if wish.form is Format.NATIONAL and wish.recipient is None:
        raise UsageError("A national package is sealed for its recipient.", hint="--for RECIPIENT.pub")
    if wish.csv and wish.form not in (Format.OMOP, Format.NATIONAL):
        raise UsageError("Only OMOP tables are written as CSV.")
    if target.exists():
        raise UsageError("There is something of this name already.", where=str(target), hint="name a new folder")


def _write_form(form: Format, holding: Holding, folder: Path, csv: bool) -> Account:
    if form is Format.OMOP:
        return omop.write(holding, folder, csv=csv)
    return fhir.write(holding, folder) if form is Format.FHIR else meds.write(holding, folder)


def unpack(path: Path, key: Path, target: Path) -> Manifest:
    """Open a sealed package with the recipient's private key, check every file against its manifest, and leave the folder.

    InputRefused when it is not for this key, was altered, or is not whole.
    """
    with whole_folder(target) as draft:
        parcel.open_parcel(path, parcel.read_private_key(key), draft)
        manifest: Manifest = orjson.loads((draft / FILE).read_bytes())
        parcel.prove(draft, manifest)
    return manifest
