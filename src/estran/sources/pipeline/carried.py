"""The document that a record carried, as it came: read again from the landing."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from estran.model.errors import UsageError
from estran.sources import extraction
from estran.sources.pipeline.run import Parts

LARGEST = 32 << 20  # bytes handed over at once
_SIGN = 400  # characters by which a text is known again


@dataclass(frozen=True)
class Carrier:
    """Where a document came from: its source, landed file, place in the file, and keyed business number."""

    source: str
    file_no: int
    record_no: int
    record_key: int


def carried_pdf(parts: Parts, carrier: Carrier) -> bytes:
    """The PDF that the document was read from, or that came with it. UsageError when there is none, or it is gone."""
    landed = parts.vault.file(carrier.file_no)
    reader_of = parts.readers.get(carrier.source.partition("/")[0])
    if reader_of is None or not parts.landing.holds(landed.sha256):
        raise UsageError("The file that this document came in is not kept any more.")
    documents: list[pa.Table] = []
    with parts.landing.restored(landed.sha256) as copy, extraction.watched() as seen:
        for batch in reader_of(carrier.source).read(copy, landed.name, frozenset({carrier.record_no})):
            documents.append(batch.documents.select(["key", "text"]))
    found = _of_document(parts, carrier, pa.concat_tables(documents) if documents else None, list(seen))
    if found is None:
        raise UsageError("This document did not come as a PDF.")
    if len(found) > LARGEST:
        raise UsageError("The original is larger than can be handed over.", hint="ask the clinical data centre")
    return found


def _of_document(parts: Parts, carrier: Carrier, documents: pa.Table | None, pdfs: list[bytes]) -> bytes | None:
    """Of the PDFs of a record, that of one of its documents: the only one, or the one whose text it holds."""
    if documents is None or not pdfs:
        return None
    if documents.num_rows == 1 and len(pdfs) == 1:
        return pdfs[0]
    keys = parts.key.record_keys(carrier.source, [key or "" for key in documents["key"].to_pylist()]).tolist()
    texts = [text or "" for key, text in zip(keys, documents["text"].to_pylist(), strict=True) if key == carrier.record_key]
    return next((pdf for pdf in pdfs for text in texts if _holds(text, pdf)), None)


def _holds(text: str, pdf: bytes) -> bool:
    try:
        sign = " ".join(extraction.extract(pdf).text.split())[:_SIGN]
    except extraction.Unreadable:
        return False
    return bool(sign) and sign in " ".join(text.split())
