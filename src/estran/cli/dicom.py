"""Images: `estran listen-dicom`, `estran dicom copy`, `estran dicom where`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from estran import app as house
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number
from estran.model.errors import StoreError, UsageError
from estran.projects.documents import patient_of
from estran.projects.policy import Action
from estran.sources.pipeline.places import Place, place_of
from estran.sources.pipeline.run import Report, ingest

if TYPE_CHECKING:  # pydicom and pynetdicom are imported by the commands that use them
    from estran.sources.dicom.inbox import Inbox

_PURPOSE = "dicom/copy"  # the key that makes new UIDs: another site's copies never meet ours


def register(app: typer.Typer) -> None:
    app.command("listen-dicom", epilog="Example: estran listen-dicom mysite --port 11112")(listen_dicom)
    images = typer.Typer(help="Images: where they lie, de-identified copies.", no_args_is_help=True)
    images.command(epilog="Example: estran dicom copy mysite 1204 1205 --out copies")(copy)
    images.command(epilog="Example: estran dicom where mysite 1204")(where)
    app.add_typer(images, name="dicom")


def listen_dicom(
    site: SiteArg,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 11112,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    aet: Annotated[str, typer.Option(help="AE title that callers must call.")] = "ESTRAN",
    callers: Annotated[str, typer.Option(help="AE titles that may call, with commas; all when empty.")] = "",
    source: Annotated[str, typer.Option(help="Name of the feed, as for ingest.")] = "scp",
    inbox: Annotated[Path | None, typer.Option(help="Folder of received files; in the site when absent.")] = None,
    every: Annotated[float, typer.Option(help="Seconds that files are gathered before they are loaded.", min=0.2)] = 5.0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Receive images (C-STORE, C-ECHO); answer success for what is durably kept, load it every few seconds."""
    from estran.sources.dicom.inbox import Inbox, Receiver

    opened = house.open_site(site, key)
    box = Inbox(inbox or site / "spool" / "dicom" / source)
    allowed = tuple(t.strip() for t in callers.split(",") if t.strip())
    receiver = Receiver(box, aet, allowed)
    try:
        at = receiver.start(host, port)
    except OSError as error:
        raise UsageError("The port cannot be listened on.", where=f"{host}:{port}", hint="choose another --port") from error
    _say({"listening": at, "host": host, "aet": aet}, f"Listening on {host}:{at} as {aet}.", json=json)
    stop = threading.Event()
    _on_signals(stop)
    try:
        while not stop.wait(every):
            _load(opened, box, source, json=json)
    finally:
        receiver.stop()
        _load(opened, box, source, json=json)


def _on_signals(stop: threading.Event) -> None:
    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, end)


def _load(opened: house.Site, box: Inbox, source: str, *, json: bool) -> None:
    """One micro-batch; a site that is busy is tried again at the next turn."""
    waiting = box.batch()
    if not waiting:
        return
    try:
        current = house.open_site(opened.directory, opened.key_file)  # the key may have been changed meanwhile
        with current.loading() as parts:
            report = ingest(parts, "dicom", waiting, name=source)
    except StoreError as error:
        _say({"waiting": error.what}, error.what, json=json)
        return
    for batch in waiting:
        box.done(batch)
    _say(_counts(report), f"{number(report.total('read'))} objects, {number(report.total('quarantined'))} in quarantine.", json=json)


def _counts(report: Report) -> dict[str, object]:
    counts: dict[str, object] = {n: report.total(n) for n in ("read", "loaded", "superseded", "quarantined")}
    return counts | {"snapshot": report.snapshot}


def _say(fields: dict[str, object], sentence: str, *, json: bool) -> None:
    if json:
        emit(fields)
    else:
        console.print(sentence, highlight=False, markup=False)
    sys.stdout.flush()  # whoever started us reads it as it happens


def copy(
    site: SiteArg,
    documents: Annotated[list[int], typer.Argument(metavar="DOCUMENT...", help="Documents of images, by number.")],
    out: Annotated[Path, typer.Option(help="Folder of the copies.")],
    trust_pixels: Annotated[bool, typer.Option(help="Copy also images of kinds that often have names burnt in.")] = False,
    folder: Annotated[Path | None, typer.Option("--from", help="Where the files are now, when they have been moved.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Make de-identified copies of images; the originals stay where they are."""
    from estran.sources.dicom.copies import copy_images

    opened = house.open_site(site, key)
    files = [file for document in documents for file in _files(opened, document, folder)]
    made = copy_images(files, out, opened.key.subkey(_PURPOSE), trust_pixels=trust_pixels)
    refused = [one.refused for one in made if one.refused]
    counts = {reason: refused.count(reason) for reason in dict.fromkeys(refused)}
    copied = len(made) - len(refused)
    if json:
        emit({"copied": copied, "refused": counts})
    else:
        console.print(f"{number(copied)} images copied.", highlight=False)
        for reason, count in counts.items():
            console.print(f"{number(count)} not copied: {reason}", highlight=False, markup=False)
    if refused:
        raise typer.Exit(4)


def _place(opened: house.Site, document: int) -> Place:
    recorded(opened, Action.DOCUMENT, f"document:{document} images", patient_of(opened.snapshot(), document))
    with opened.loading() as parts:
        return place_of(opened.snapshot(), parts.vault, parts.landing, document)


def _files(opened: house.Site, document: int, folder: Path | None) -> list[Path]:
    from estran.sources.dicom.series import files_of, scan, series_of

    place = _place(opened, document)
    if place.source.partition("/")[0] != "dicom":
        raise UsageError("Only documents of images are copied.")
    if folder is not None:
        return scan(folder, {series_of(place.entry)} - {""} or {place.entry.meta["name"]})
    files = files_of(place.path, place.entry, place.pack)
    if not all(file.is_file() for file in files):
        raise UsageError("The files are no longer where they were loaded from.", hint="say where they are with --from FOLDER")
    return files


def where(
    site: SiteArg,
    document: Annotated[int, typer.Argument(help="A document of images or of a recording, by number.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Show where the file of a document lies, and its address in the PACS (setting dicomweb_url)."""
    from estran.sources.dicom.series import address_of

    opened = house.open_site(site, key)
    place = _place(opened, document)
    address = ""
    if opened.settings.dicomweb_url and place.source.startswith("dicom") and place.entry.meta["kind"] == "object":
        address = address_of(place.entry, opened.settings.dicomweb_url)
    if json:
        emit({"file": str(place.file), "address": address})
        return
    console.print(str(place.file), highlight=False, markup=False, soft_wrap=True)
    if address:
        console.print(address, highlight=False, markup=False, soft_wrap=True)
