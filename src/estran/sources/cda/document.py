"""A clinical document into a batch: whole (a feed of CDA), or as the content of a message."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from estran.model.codes import DocumentKind, DocumentStatus
from estran.model.moments import Moment
from estran.sources.cda.elements import Element, Refused, find, open_root, pages_of
from estran.sources.cda.facts import Entries
from estran.sources.cda.header import Header, Stay, read_header
from estran.sources.cda.narrative import Body, read_body
from estran.sources.cda.people import Identity, read_identity
from estran.sources.records import BatchBuilder, IdentityStatement


@dataclass(frozen=True)
class Setting:
    """The site: its zone, and who gives numbers that come without an authority."""

    zone: str = "Europe/Paris"
    author_system: str = ""


@dataclass(frozen=True)
class Content:
    """An opened document, for readers whose messages carry one: header, text, media, and its facts."""

    root: Element
    setting: Setting
    header: Header
    body: Body

    @property
    def text(self) -> str | None:
        """What people read."""
        return self.body.text

    @property
    def is_level_1(self) -> bool:
        """Whether the body is a file, not sections."""
        return find(self.root, "component/nonXMLBody") is not None

    def add_facts(self, builder: BatchBuilder, document: int, start: Moment | None = None) -> int:
        """The coded entries as facts of `document`, the newest of the builder; returns how many."""
        kind = "laboratory" if self.header.kind == DocumentKind.LABORATORY else "observation"
        authority = self.setting.author_system or "CDA"
        entries = Entries(builder, self.setting.zone, authority, self.header.lang, pages_of(self.root), kind)
        return entries.add(self.root, document, start or self.header.start)

    def add_media(self, builder: BatchBuilder, document: int, uri: str) -> None:
        """Rows for embedded documents; `uri` says where the bytes lie, a number is put after it."""
        for number, medium in enumerate(self.body.media, 1):
            builder.media(
                document, modality=medium.media_type, uri=f"{uri};document={number}",
                shape=f"{len(medium.data)} bytes", checksum=sha256(medium.data).hexdigest(),
            )  # fmt: skip


def open_content(data: bytes, setting: Setting) -> Content:
    """The document in `data`. Raises Refused: no CDA, no number, a date that is none, a damaged PDF."""
    root = open_root(data)
    return Content(root, setting, read_header(root, setting.zone), read_body(root))


def read_into(builder: BatchBuilder, record: int, data: bytes, setting: Setting, record_no: int = 0) -> None:
    """The document in `data` as `record` of the batch, its patient and stay included. Raises Refused;
    call `builder.undo` then."""
    content = open_content(data, setting)
    header = content.header
    identity = read_identity(content.root, setting.zone, setting.author_system)
    patient = _patient(builder, record, identity)
    builder.date_record(record, header.event_time)
    stay = _stay(builder, record, patient, header.stay, identity) if header.stay else None
    unit = builder.unit(*header.stay.unit) if header.stay and header.stay.unit else None
    # Earlier documents of another number get a last, cancelled version: whichever comes first, only
    # the document that replaces them stays.
    for key in header.ended:
        builder.document(record, key, patient, stay, header.kind, "", header.start, None, DocumentStatus.CANCELLED)
    alive = header.status != DocumentStatus.CANCELLED
    document = builder.document(
        record, header.key, patient, stay, header.kind, header.title, header.start, content.text if alive else None,
        header.status, known_at=header.known_at or None, unit=unit, author_role=header.author_role,
        confidential=header.confidential, lang=header.lang,
    )  # fmt: skip
    if alive:
        content.add_facts(builder, document)
        content.add_media(builder, document, f"landing:record={record_no}")


def _patient(builder: BatchBuilder, record: int, identity: Identity) -> int:
    patient = builder.patient(*identity.key)
    builder.batch.identities.append(
        IdentityStatement(record, patient, identity.aliases, identity.person, identity.ins)
    )
    return patient


def _stay(builder: BatchBuilder, record: int, patient: int, stay: Stay, identity: Identity) -> int:
    system, value = stay.number
    seat = builder.stay(patient, system or identity.key.system, value)
    start, end = stay.start, stay.end
    builder.stay_event(
        record, seat, kind=stay.kind, start_date=start.date if start else None, start_minute=start.minute if start else None,
        end_date=end.date if end else None, end_minute=end.minute if end else None,
        precision=int(start.precision) if start else None, unit=builder.unit(*stay.unit) if stay.unit else None,
    )  # fmt: skip
    return seat


__all__ = ["Content", "Refused", "Setting", "open_content", "read_into"]
