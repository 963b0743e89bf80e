"""A document to be, before it is put into a batch: what an image or a recording says."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from estran.model.codes import DocumentStatus, Origin
from estran.model.moments import Moment
from estran.sources.records import BatchBuilder, Code

_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@dataclass(frozen=True)
class Attribute:
    """One attribute of a fact."""

    code: Code
    text: str | None = None
    value: float | None = None
    value_code: Code | None = None


@dataclass(frozen=True)
class Item:
    """One fact; `parent` is the place of another item of the same document."""

    code: Code
    value: float | None = None
    unit: str | None = None
    text: str | None = None
    value_code: Code | None = None
    parent: int | None = None
    when: Moment | None = None
    end: Moment | None = None
    attributes: tuple[Attribute, ...] = ()
    origin: Origin = Origin.CODED


@dataclass(frozen=True)
class Medium:
    """A media row; `checksum` is that of the whole file, empty when the row stands for several files."""

    uri: str
    modality: str
    shape: str = ""
    sampling: float | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Writing:
    """A document with its facts. `key` is the business id; `replaces` are keys that it cancels."""

    key: str
    kind: str
    title: str
    start: Moment | None
    items: tuple[Item, ...] = ()
    text: str | None = None
    status: DocumentStatus = DocumentStatus.CURRENT
    media: tuple[Medium, ...] = ()
    replaces: tuple[str, ...] = ()
    event_time: int = field(default=0)


def opaque(kind: str, key: str) -> str:
    """`urn:estran:<kind>:<32 letters>`: a name for what `key` names, that leads nobody back to it.

    Letters only, since a run of digits would be masked like somebody's number.
    """
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return f"urn:estran:{kind}:{digest.translate(_LETTERS)}"


def put(builder: BatchBuilder, record: int, patient: int, stay: int | None, writing: Writing) -> None:
    """Add the document, its facts and media to the batch."""
    for key in writing.replaces:
        builder.document(record, key, patient, None, writing.kind, "", None, status=DocumentStatus.CANCELLED)
    document = builder.document(
        record, writing.key, patient, stay, writing.kind, writing.title, writing.start, writing.text, writing.status,
        lang="fr",
    )  # fmt: skip
    for item in writing.items:
        rare: dict[str, Any] = {
            "value_text": item.text, "value_code": builder.code(item.value_code) if item.value_code else None,
            "parent_fact_no": item.parent, "origin": int(item.origin) or None,
        }  # fmt: skip
        when = item.when or writing.start
        fact = builder.fact(document, builder.code(item.code), when, item.value, item.unit, end=item.end, **rare)
        for one in item.attributes:
            value_code = builder.code(one.value_code) if one.value_code else None
            builder.attribute(
                document, fact, builder.code(one.code), value=one.value, value_code=value_code, value_text=one.text
            )
    for medium in writing.media:
        builder.media(
            document, uri=medium.uri, modality=medium.modality or None, shape=medium.shape or None,
            sampling=medium.sampling, checksum=medium.checksum or None,
        )  # fmt: skip
