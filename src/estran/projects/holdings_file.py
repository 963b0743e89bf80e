"""The holdings of a site as a HealthDCAT-AP file: what the catalogue measured, every count through the gate.

Whoever writes it, the file leaves: counts are protected even for the key holder, by the noise that the pages show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import orjson

from estran.exchange import dcat
from estran.exchange.parcel import whole_file
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.described import Listed, count_of, listed
from estran.projects.gate import ProtectedGate, ResultGate, Shown, rules_of
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.release.disclosure import Rules
from estran.settings import Settings
from estran.state.catalogue import Entry

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_HDAB, _HDAB_HOME = "Health Data Hub", "https://www.health-data-hub.fr"
_MEBIBYTE = 1 << 20
_MOST = 2_000  # codes told, those of most patients first


class Measured(Protocol):
    """The catalogue of the application's database."""

    def snapshot(self) -> int | None: ...
    def entries(self, kind: str) -> list[Entry]: ...


class Syntax(StrEnum):
    """How the file is written."""

    TURTLE = "ttl"
    JSON_LD = "jsonld"

    @classmethod
    def of(cls, path: Path) -> Syntax:
        """By the end of the name; UsageError for another one."""
        found = {".ttl": cls.TURTLE, ".jsonld": cls.JSON_LD, ".json": cls.JSON_LD}.get(path.suffix)
        if found is None:
            raise UsageError("The catalogue is a .ttl or a .jsonld file.", where=str(path))
        return found


@dataclass(frozen=True)
class Held:
    """What was measured, each count through a gate; `codes` are those that enough patients have, most patients first,
    `years` the documents of each kind by year."""

    tables: dict[str, Listed]
    kinds: tuple[Listed, ...]
    codes: tuple[Listed, ...]
    years: dict[str, tuple[tuple[str, Shown], ...]]

    @property
    def dated(self) -> list[Listed]:
        """Kinds of documents whose period may be told."""
        return [one for one in self.kinds if one.first]


def held(site: SiteServices, actor: Actor, action: Action = Action.CATALOGUE, rules: Rules | None = None) -> Held:
    """What the catalogue measured, by these rules or the site's own; UsageError when nothing was. Recorded before."""
    snapshot = site.snapshot()
    permit(site.state, actor, action, Target("catalogue as HealthDCAT-AP"), snapshot=snapshot.version)
    shelf: Measured = site.state.catalogue
    if shelf.snapshot() is None:
        raise UsageError("Nothing was measured yet.", hint="estran catalog SITE")
    gate = ProtectedGate(site.state, rules or rules_of(site.settings), None)
    tables = {one.key: one for one in (listed(entry, gate) for entry in shelf.entries("table"))}
    codes = [one for one in (listed(entry, gate) for entry in shelf.entries("variable")) if not one.patients.below]
    codes.sort(key=lambda one: (-one.patients.value, one.key))
    kinds = shelf.entries("document")
    return Held(
        tables, tuple(listed(entry, gate) for entry in kinds), tuple(codes[:_MOST]),
        {entry.key: _years(entry, gate) for entry in kinds},
    )  # fmt: skip


def _years(entry: Entry, gate: ResultGate) -> tuple[tuple[str, Shown], ...]:
    """Documents by year. A year has at least the patients of its fullest month."""
    found: dict[str, tuple[int, int]] = {}
    for row in entry.body.get("months") or []:
        rows, patients = found.get(row["month"][:4], (0, 0))
        found[row["month"][:4]] = (rows + row["facts"], max(patients, row["patients"]))
    place = f"catalogue/{entry.kind}/{entry.key}"
    return tuple((year, count_of(gate, *counts, f"{place}/{year}")) for year, counts in sorted(found.items()))


def described(site: SiteServices, found: Held) -> dcat.Catalogue:
    """The catalogue of what is held; UsageError when a setting is missing."""
    snapshot = site.snapshot()
    homepage, mail, hdab_mail = _addresses(site.settings)
    size = sum(
        Path(path).stat().st_size
        for table in ("patient", "stay", "document", "fact", "text")
        for path in snapshot.files(table)
    )
    return dcat.Catalogue(
        base=dcat.address_of(homepage, site.settings.name), name=site.settings.name, controller=site.settings.controller,
        homepage=homepage, mail=mail, hdab=_HDAB, hdab_homepage=_HDAB_HOME, hdab_mail=hdab_mail, day=snapshot.date.isoformat(),
        version=snapshot.version, patients=_told(found.tables.get("patient"), people=True), records=_told(found.tables.get("fact")),
        bytes=-(-size // _MEBIBYTE) * _MEBIBYTE, first=min((one.first for one in found.dated), default=""),
        last=max((one.last for one in found.dated), default=""), retention_years=site.settings.retention_years,
        kinds=tuple((one.key, _told(one)) for one in found.kinds), codes=tuple(map(_code, found.codes)),
    )  # fmt: skip


def written(told: dcat.Catalogue, syntax: Syntax) -> bytes:
    """The catalogue in a syntax."""
    nodes = dcat.graph(told)
    if syntax is Syntax.TURTLE:
        return dcat.turtle(nodes).encode()
    return orjson.dumps(dcat.json_ld(nodes), option=orjson.OPT_INDENT_2)


def write_holdings(site: SiteServices, actor: Actor, target: Path, syntax: Syntax) -> dict[str, Any]:
    """Write the file, whole or not at all; UsageError when it exists."""
    if target.exists():
        raise UsageError("There is something of this name already.", where=str(target))
    told = described(site, held(site, actor))
    with whole_file(target) as stream:
        stream.write(written(told, syntax))
    return {"file": str(target), "datasets": 1, "codes": len(told.codes), "snapshot": told.version}


def _told(one: Listed | None, *, people: bool = False) -> dcat.Told:
    shown = None if one is None else one.patients if people else one.rows
    if shown is None:
        return dcat.Told(None)
    return dcat.Told(None, shown.below) if shown.below else dcat.Told(shown.value)


def _code(one: Listed) -> dcat.Described:
    vocabulary, _, code = one.key.partition(":")
    return dcat.Described(vocabulary, code, one.label("fr") if one.label_fr or one.label_en else "")


def _addresses(settings: Settings) -> tuple[str, str, str]:
    """Homepage and mailboxes; UsageError naming the settings that are missing."""
    mail, hdab = _MAIL.search(settings.dpo_contact), _MAIL.search(settings.hdab_contact)
    homepage = settings.catalogue_homepage or settings.public_url
    missing = [
        name
        for name, found in (("public_url", homepage), ("dpo_contact", mail), ("hdab_contact", hdab))
        if not found
    ]
    if missing or mail is None or hdab is None:
        raise UsageError(
            "A catalogue names an address of the site, an e-mail address of its officer and one of the health data access body.",
            where=", ".join(missing), hint="set them in estran.toml",
        )  # fmt: skip
    return homepage, mail.group(), hdab.group()
