"""The audit trail: `estran audit verify|list|patient|checkpoint|review|cut`."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.app import Site
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import StoreError, UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.letter import letter
from estran.projects.officer import Officer
from estran.projects.review import as_row, prove_all
from estran.projects.sealing import FILE, read_checkpoints
from estran.projects.unusual import Finding
from estran.state import AuditEntry, AuditFilter
from estran.state.signing import Signer
from estran.state.transactions import now

trail = typer.Typer(help="The audit trail: prove it, read it, seal it, review it.", no_args_is_help=True)
SinceOpt = Annotated[str, typer.Option(help="From this day on, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    trail.command(epilog="Example: estran audit verify mysite --against kept.jsonl")(verify)
    trail.command("list", epilog="Example: estran audit list mysite --patient 42 --csv > lines.csv")(listing)
    trail.command(epilog="Example: estran audit patient mysite 8001234 --letter > letter.txt")(patient)
    trail.command(epilog="Example: estran audit checkpoint mysite --out /mnt/elsewhere/checkpoints.jsonl")(checkpoint)
    trail.command(epilog="Example: estran audit review mysite")(review)
    trail.command(epilog="Example: estran audit cut mysite")(cut)
    app.add_typer(trail, name="audit")


def verify(
    site: SiteArg,
    against: Annotated[list[Path] | None, typer.Option(help="Checkpoints that were kept elsewhere.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Prove that no line was altered, removed, put in or moved; exit code 1 with the first that was.

    Without the key file, the public key in SITE/audit is believed.
    """
    opened = house.open_site(site, key)
    more = [one for path in against or () for one in read_checkpoints(path)]
    verdict = prove_all(opened, _public(opened), more)
    if json:
        emit(as_row(verdict))
    else:
        for fault in verdict.faults:
            console.print(f"line {fault.line}: {fault.wrong}. {fault.said}", markup=False, highlight=False)
        begins = f", from line {verdict.first} of {verdict.begins:%Y-%m-%d}" if verdict.begins else ""
        sealed = f"sealed up to line {verdict.sealed.line}" if verdict.sealed else "never sealed"
        console.print(f"{number(verdict.lines)} lines{begins}; {sealed}. {'Whole.' if verdict.whole else 'Not whole.'}")
    if not verdict.whole:
        raise typer.Exit(1)


def _public(opened: Site) -> str:
    """The site's public key of its key file; "" without the file."""
    return Signer(opened.key.subkey("audit")).public if opened.key_file.is_file() else ""


def listing(
    site: SiteArg,
    login: Annotated[str, typer.Option(help="Of this person.")] = "",
    patient: Annotated[int | None, typer.Option(help="That read this patient_id.")] = None,
    action: Annotated[str, typer.Option(help="Of this action.")] = "",
    since: SinceOpt = "",
    refused: Annotated[bool, typer.Option("--refused", help="Refused ones only.")] = False,
    limit: Annotated[int, typer.Option(help="Lines at most, the latest.", min=1)] = 1000,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV on standard output.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List lines, the latest first; as a table, CSV or JSON."""
    opened, officer = _officer(site, key)
    patients = () if patient is None else (patient,)
    wanted = AuditFilter(login, action, patients, _day(since, opened), None, refused)
    found = officer.lines(wanted, limit)
    rows = [_row(entry) for entry in found.lines]
    if json:
        emit({"total": found.total, "lines": rows})
    elif as_csv:
        _csv(rows)
    else:
        columns = ("id", "at", "login", "role", "action", "allowed", "target", "patients")
        table(f"{number(found.total)} lines", columns, [[str(row[name]) for name in columns] for row in rows])


_COLUMNS = (
    "id",
    "at",
    "login",
    "role",
    "action",
    "allowed",
    "reason",
    "target",
    "query",
    "snapshot",
    "patients",
    "chain",
)


def _row(entry: AuditEntry) -> dict[str, Any]:
    row = asdict(entry) | {"at": entry.at.isoformat(), "patients": " ".join(map(str, entry.patients))}
    return {name: row[name] for name in _COLUMNS}


def _csv(rows: Iterable[dict[str, Any]]) -> None:
    """Values that a spreadsheet would run as a formula are made text."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_harmless(row[name]) for name in _COLUMNS])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def patient(
    site: SiteArg,
    number_: Annotated[str, typer.Argument(metavar="ID", help="The patient's number at the hospital.")],
    system: Annotated[str | None, typer.Option(help="Its assigning authority (default: that of the settings).")] = None,
    as_letter: Annotated[bool, typer.Option("--letter", help="As a letter to the patient, in French.")] = False,
    names: Annotated[bool, typer.Option("--names", help="With logins; functions only otherwise.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Who read a patient's record: date, function, purpose."""
    opened, officer = _officer(site, key)
    authority = opened.settings.author_system if system is None else system
    with opened.vault() as vault:
        identity = int(vault.resolve([(authority, number_)])[0])
        tied = tuple(vault.ever_tied(identity)) if identity >= 0 else ()
    if not tied:
        raise UsageError("No patient of this number was introduced.", hint="name the assigning authority with --system")
    history = officer.history(tied)
    rows = [
        {"at": e.at.isoformat(), "role": e.role, "action": e.action, **({"login": e.login} if names else {})}
        for e in history
    ]
    if json:
        emit({"reads": rows})
    elif as_letter:
        zone = opened.settings.clocks
        sys.stdout.write(letter(history, opened.settings.name, zone, now(), officer.begins(), names=names))
    else:
        columns = ("at", "role", "action", *(["login"] if names else []))
        table(f"{number(len(rows))} reads", columns, [[row[name] for name in columns] for row in rows])


def checkpoint(
    site: SiteArg,
    out: Annotated[Path | None, typer.Option(help="Also copy all checkpoints here, to be kept elsewhere.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Seal the trail with the site's key, now."""
    opened = house.open_site(site, key)
    made = opened.audit_seal.seal()
    if out is not None:
        if out.resolve().is_relative_to(site.resolve()):
            raise UsageError("A copy inside the site is lost with it.", where=str(out), hint="name a file elsewhere")
        try:
            shutil.copyfile(opened.audit_folder / FILE, out)
        except OSError:
            raise StoreError("The checkpoints cannot be written there.", where=str(out)) from None
    if json:
        emit({"line": made.line if made else None, "out": str(out) if out else None})
        return
    console.print(
        f"Sealed up to line {number(made.line)}." if made else "Nothing was written since the last checkpoint."
    )


def review(
    site: SiteArg,
    since: SinceOpt = "",
    until: Annotated[str, typer.Option(help="Up to this day, excluded; now by default.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Review a period (the last seven days by default), keep the record, and show it."""
    opened, officer = _officer(site, key)
    end = _day(until, opened) or now()
    record = officer.review(_day(since, opened) or end - dt.timedelta(days=7), end)
    if json:
        emit({"review": record.id, "since": record.since.isoformat(), "until": record.until.isoformat()} | record.body)
        return
    body = record.body
    looked = ", ".join(f"{number(body[name])} {name}" for name in ("lines", "people", "reads", "patients", "refused"))
    console.print(f"Review {record.id}: {looked}. The trail is {'whole' if body['trail']['whole'] else 'NOT whole'}.")
    columns = [name for name in Finding.__dataclass_fields__ if name not in ("first", "last")]
    table("Findings", columns, [[str(finding[name]) for name in columns] for finding in body["findings"]])


def cut(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Remove the lines that are older than the setting `audit_months`, behind a signed checkpoint."""
    opened = house.open_site(site, key)
    gone = opened.audit_seal.cut()
    if json:
        emit({"removed": gone})
        return
    console.print(f"{number(gone)} lines were removed; {opened.settings.audit_months} months are kept.")


def _officer(site: Path, key: Path | None) -> tuple[Site, Officer]:
    """The key holder's desk: opening the vault proves that the key is the site's."""
    opened = house.open_site(site, key)
    with opened.vault():
        return opened, Officer(opened, KEY_HOLDER)


def _day(text: str, opened: Site) -> dt.datetime | None:
    try:
        day = dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.", where=text) from None
    return None if day is None else dt.datetime.combine(day, dt.time(), opened.settings.clocks)
