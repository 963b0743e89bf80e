"""What a patient asked, obeyed at once: `estran oppose`, `estran erase`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Annotated

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit
from estran.model.errors import UsageError
from estran.projects import opposition
from estran.projects.actors import KEY_HOLDER
from estran.state import Wish

AskerOpt = Annotated[str, typer.Option(help="Who asked: person or guardian.")]
ChannelOpt = Annotated[str, typer.Option(help="desk, letter, mail, phone or form.")]
DayOpt = Annotated[str, typer.Option(help="Day on the proof, YYYY-MM-DD.")]
ProofOpt = Annotated[str, typer.Option(help="Where the proof is kept; never a name.")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran oppose mysite 42 --scope research")(oppose)
    app.command(epilog="Example: estran erase mysite 42 --yes")(erase)


def oppose(
    site: SiteArg,
    patient: Annotated[int, typer.Argument(help="patient_id in the warehouse.")],
    scope: Annotated[str, typer.Option(help="warehouse, research, teaching, industry, genetic, texts, hub, project:CODE.")] = "research",
    end: Annotated[bool, typer.Option("--end", help="Take it back.")] = False,
    consent: Annotated[bool, typer.Option("--consent", help="A consent instead of an opposition.")] = False,
    asked_by: AskerOpt = "person",
    channel: ChannelOpt = "desk",
    proof_date: DayOpt = "",
    proof: ProofOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Record a patient's opposition, its end, or a consent: obeyed by every read at once."""
    opened = house.open_site(site, key)
    with opened.vault():
        pass  # only the key's holder
    wish = Wish(
        patient, scope, "consent" if consent else "opposition", opened.today(), end, asked_by, channel, day(proof_date), proof
    )
    done = opposition.declare(opened.state, opened.warehouse, KEY_HOLDER, wish)
    if json:
        emit(dataclasses.asdict(done))
        return
    console.print(f"Recorded in snapshot {done.snapshot}. Acknowledgement to give back: {done.number}", highlight=False)


def erase(
    site: SiteArg,
    patient: Annotated[int, typer.Argument(help="patient_id in the warehouse.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    asked_by: AskerOpt = "person",
    channel: ChannelOpt = "desk",
    proof_date: DayOpt = "",
    proof: ProofOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Erase one patient from the warehouse, the vault and the landing, for ever."""
    if not yes:
        typer.confirm("Erase this patient for ever?", abort=True)
    opened = house.open_site(site, key)
    wish = Wish(patient, "warehouse", "erasure", opened.today(), False, asked_by, channel, day(proof_date), proof)
    with opened.loading() as parts:
        done = opposition.erase(opened.state, KEY_HOLDER, parts.warehouse, parts.vault, parts.landing.forget, wish)
    opened.state.charts.forget(patient)
    if json:
        emit(dataclasses.asdict(done))
        return
    console.print(f"Erased; snapshot {done.snapshot}. Older snapshots were removed. Acknowledgement: {done.number}", highlight=False)


def day(text: str) -> dt.date | None:
    """A day of the command line; UsageError when it is none."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None
