"""Clinical reports: JSON Lines, or text files with a small header (docs/reference/sources/report.md)."""

from __future__ import annotations

import datetime as dt
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import orjson

from estran.model.codes import DocumentKind, DocumentStatus, Precision, Sex
from estran.model.errors import InputRefused
from estran.model.moments import Moment, instant, parse_iso
from estran.sources.records import Batch, BatchBuilder, Code, IdentityStatement, Person, content_hash
from estran.terminology.systems import LOCAL, hl7_vocabulary, is_standard
from estran.terminology.units import ucum

_SUFFIXES = (".jsonl", ".ndjson", ".txt")
_BATCH_RECORDS = 5_000
_LONGEST = 20_000_000  # characters of one record
CASE = "case"  # system of the numbers of published cases: url and id, since ids are a corpus's own
_ALIASES = {
    "nom": "family_name", "nom_naissance": "birth_name", "prenom": "given_name", "prenoms": "given_name",
    "date_naissance": "birth_date", "sexe": "sex", "adresse": "address", "code_postal": "postcode", "ville": "city",
    "telephone": "phone", "titre": "title", "type_document": "kind", "auteur": "author_role", "langue": "lang",
    "statut": "status", "texte": "text", "uf": "unit", "licence": "license",
}  # fmt: skip
_SEXES = {
    "m": Sex.MALE, "h": Sex.MALE, "male": Sex.MALE, "homme": Sex.MALE, "1": Sex.MALE, "f": Sex.FEMALE,
    "female": Sex.FEMALE, "femme": Sex.FEMALE, "2": Sex.FEMALE, "other": Sex.OTHER, "unknown": Sex.UNKNOWN,
}  # fmt: skip
_KINDS = {str(kind): kind for kind in DocumentKind} | {
    "crh": DocumentKind.DISCHARGE, "compte-rendu d'hospitalisation": DocumentKind.DISCHARGE,
    "cro": DocumentKind.OPERATIVE, "compte-rendu opératoire": DocumentKind.OPERATIVE,
    "crc": DocumentKind.CONSULTATION, "courrier": DocumentKind.LETTER, "lettre": DocumentKind.LETTER,
    "imagerie": DocumentKind.IMAGING, "anapath": DocumentKind.PATHOLOGY, "biologie": DocumentKind.LABORATORY,
    "urgences": DocumentKind.EMERGENCY, "ordonnance": DocumentKind.PRESCRIPTION, "cas clinique": DocumentKind.CASE,
}  # fmt: skip
_STATUSES = {
    "current": DocumentStatus.CURRENT, "final": DocumentStatus.CURRENT, "preliminary": DocumentStatus.PRELIMINARY,
    "cancelled": DocumentStatus.CANCELLED,
}  # fmt: skip
_OF_A_HOSPITAL = ("ipp_system", "nda", "birth_name", "family_name", "given_name", "birth_date")
_FRENCH_DATE = re.compile(r"(\d{2})/(\d{2})/(\d{4})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?")
_HEADER_LINE = re.compile(r"\s*([A-Za-z_]+)\s*:\s*(.*?)\s*$")
_UNPACKING = (OSError, EOFError, zlib.error)


class _Bad(Exception):
    """Why a record is refused."""

    def __init__(self, field_name: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.code, self.reason = field_name, code, reason


@dataclass
class ReportReader:
    """Reads reports; `zone` is the site's, `author_system` names numbers that come without one."""

    zone: str = "Europe/Paris"
    author_system: str = ""
    batch_records: int = _BATCH_RECORDS
    format: str = field(default="report", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Reports among `paths` and in those of them that are folders, by name."""
        found: dict[Path, None] = {}
        for path in paths:
            if path.is_dir():
                found |= dict.fromkeys(p for p in sorted(path.rglob("*")) if p.is_file() and _is_report(p.name))
            elif path.exists():
                found[path] = None
            else:
                raise InputRefused("There is no such file or directory.", where=str(path), hint="check the path")
        return list(found)

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`, called `name`; a text file is one record.

        Raises InputRefused when the file cannot be unpacked or is neither JSON Lines nor text.
        """
        plain = PurePosixPath(name.replace("\\", "/")).name
        if not _is_report(plain):
            raise InputRefused("A report is a .jsonl or .txt file, plain or .gz.", where=plain)
        builder = BatchBuilder()
        for number, line, raw in _records(path, plain):
            if wanted is not None and number not in wanted:
                continue
            self._take(builder, number, line, raw, plain)
            if len(builder) >= self.batch_records:
                yield builder.build()
                builder = BatchBuilder()
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, number: int, line: int, raw: bytes, name: str) -> None:
        record = builder.record(number, line, 0, content_hash(raw))
        try:
            if b"\0" in raw:
                raise _Bad("record", "encoding", "The record holds a null byte.")
            row = _text_row(raw, name) if _bare(name).endswith(".txt") else _json_row(raw)
            _Report(self, row).build(builder, record)
        except _Bad as bad:
            builder.refuse(record, bad.field, bad.code, bad.reason)


@dataclass(frozen=True)
class _Report:
    """One record, its fields under their English names."""

    reader: ReportReader
    row: dict[str, Any]

    def build(self, builder: BatchBuilder, record: int) -> None:
        """Everything is read before anything is added, so that a refused record leaves nothing."""
        key, kind, start, text = self._word("id"), self._kind(), self._moment("date"), self._text()
        if not key:
            raise _Bad("id", "missing", "The report has no id.")
        person, system, number, moved = self._person(), self._system(), self._word("ipp"), self._event_time()
        facts = [self._fact(code, place) for place, code in enumerate(self._codes())]
        stay, status, unit, title = self._word("nda"), self._status(), self._unit(), self._title()
        role, lang = self._word("author_role"), self._word("lang") or "fr"
        if not number and not self._is_published():
            raise _Bad("ipp", "no-patient", "The report names no patient (ipp), and is not a published case.")
        patient = builder.patient(system, number) if number else builder.patient(CASE, f"{self._word('url') or ''}#{key}")
        introduces = not number or person != Person()
        builder.batch.identities.append(IdentityStatement(record, patient, (), person, introduces=introduces))
        builder.date_record(record, moved)
        seat = builder.stay(patient, self._word("nda_system") or system, stay) if stay else None
        ward = builder.unit(*unit) if unit else None
        document = builder.document(
            record, key, patient, seat, kind, title, start, text, status, unit=ward, author_role=role, lang=lang
        )
        for code, when, columns in facts:
            builder.fact(document, builder.code(code), when or start, **columns)

    def _is_published(self) -> bool:
        """A case that says where it was published, and nothing of a hospital's."""
        return bool(self._word("url") or self._word("license")) and not any(self.row.get(n) for n in _OF_A_HOSPITAL)

    def _word(self, name: str) -> str | None:
        """A short text or a number, trimmed; None when empty."""
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _Bad(name, "malformed", f"The {name} is not a text.")
        return str(value).strip() or None

    def _system(self) -> str:
        return self._word("ipp_system") or self.reader.author_system

    def _words(self, name: str) -> tuple[str, ...]:
        value = self.row.get(name)
        values = value if isinstance(value, list) else [value] if value is not None else []
        if not all(isinstance(v, str) for v in values):
            raise _Bad(name, "malformed", f"The {name} is neither a text nor a list of texts.")
        return tuple(v.strip() for v in values if v.strip())

    def _text(self) -> str | None:
        value = self.row.get("text")
        if value is not None and not isinstance(value, str):
            raise _Bad("text", "malformed", "The text is not a text.")
        if not (value or "").strip() and not self.row.get("codes"):
            raise _Bad("text", "missing", "The report has neither text nor codes.")
        return value or None

    def _title(self) -> str:
        """A published case is titled by its source, so that whoever shows it can name it."""
        title = self._word("title")
        if title or self._word("ipp"):
            return title or ""
        return " — ".join(w for w in (self._word("source"), self._word("url"), self._word("license")) if w)

    def _kind(self) -> DocumentKind:
        word = self._word("kind")
        if word is None:
            return DocumentKind.OTHER if self._word("ipp") else DocumentKind.CASE
        if word.lower() not in _KINDS:
            raise _Bad("kind", "unknown-type", "The kind is not one of the documented kinds of document.")
        return _KINDS[word.lower()]

    def _status(self) -> DocumentStatus:
        word = (self._word("status") or "current").lower()
        if word not in _STATUSES:
            raise _Bad("status", "malformed", "The status is not current, preliminary or cancelled.")
        return _STATUSES[word]

    def _moment(self, name: str, row: dict[str, Any] | None = None) -> Moment | None:
        word = _Report(self.reader, row)._word(name) if row is not None else self._word(name)
        if word is None:
            return None
        try:
            return _moment(word, self.reader.zone)
        except (ValueError, OverflowError):
            raise _Bad(name, "malformed", f"The {name} is not a date: YYYY-MM-DD[Thh:mm] or DD/MM/YYYY.") from None

    def _event_time(self) -> int:
        """When the report was written, else its version number, orders its versions."""
        updated = self._moment("updated")
        if updated:
            return instant(updated, self.reader.zone)
        version = self._word("version") or "0"
        if not version.isascii() or not version.isdigit() or len(version) > 15:
            raise _Bad("version", "malformed", "The version is not a whole number.")
        return int(version)

    def _person(self) -> Person:
        families = self._words("birth_name") + self._words("family_name")
        birth, sex = self._moment("birth_date"), self._word("sex")
        if sex and sex.lower() not in _SEXES:
            raise _Bad("sex", "malformed", "The sex is not one of male, female, other, unknown.")
        precise = {"birth_date": _date(birth), "birth_precision": birth.precision} if birth else {}
        if birth and birth.precision > Precision.DAY:
            precise["birth_precision"] = Precision.DAY
        return Person(
            family_names=families, given_names=self._words("given_name"), sex=_SEXES[sex.lower()] if sex else None,
            addresses=self._words("address"), postcode=self._word("postcode"), city=self._word("city"),
            phones=self._words("phone"), mails=self._words("mail"), **precise,  # type: ignore[arg-type]
        )  # fmt: skip

    def _unit(self) -> tuple[str, str] | None:
        value = self.row.get("unit")
        if isinstance(value, dict):
            inner = _Report(self.reader, value)
            try:
                code = inner._word("code")
                return (code, inner._word("label") or "") if code else None
            except _Bad as bad:
                raise _Bad(f"unit.{bad.field}", bad.code, bad.reason) from None
        code = self._word("unit")
        return (code, "") if code else None

    def _codes(self) -> list[dict[str, Any]]:
        codes = self.row.get("codes")
        if codes is None:
            return []
        if not isinstance(codes, list) or not all(isinstance(c, dict) for c in codes):
            raise _Bad("codes", "malformed", "The codes are not a list of objects.")
        return codes

    def _fact(self, given: dict[str, Any], place: int) -> tuple[Code, Moment | None, dict[str, Any]]:
        inner, where = _Report(self.reader, given), f"codes[{place}]"
        try:
            vocabulary, code = inner._word("vocabulary") or "", inner._word("code")
            if not code:
                raise _Bad("code", "missing", "A code is empty.")
            known = is_standard(vocabulary) or vocabulary.startswith(LOCAL)
            name = vocabulary if known else hl7_vocabulary(vocabulary, self._system() or "report")
            value, unit = given.get("value"), inner._word("unit")
            columns: dict[str, Any] = {"unit": ucum(unit) if unit else None, "role": inner._word("role")}
            if isinstance(value, int | float) and not isinstance(value, bool):
                columns["value"] = float(value)
            elif value is not None:
                columns["value_text"] = inner._word("value")
            kind = inner._word("kind") or "other"
            return Code(name, code, inner._word("label") or "", kind=kind), self._moment("date", given), columns
        except _Bad as bad:
            raise _Bad(f"{where}.{bad.field}", bad.code, bad.reason) from None


def _date(moment: Moment) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=moment.date)


def _moment(word: str, zone: str) -> Moment:
    found = _FRENCH_DATE.fullmatch(word)
    if found:
        day, month, year, time = found.groups()
        word = f"{year}-{month}-{day}" + (f"T{time}" if time else "")
    if not re.match(r"\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}.*)?)?)?$", word):
        raise ValueError("not a date")
    moment = parse_iso(word, zone)
    if not dt.date(1830, 1, 2) <= _date(moment) <= dt.date(2200, 12, 30):
        raise ValueError("date out of range")
    return moment


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _is_report(name: str) -> bool:
    return _bare(name).endswith(_SUFFIXES) and not name.startswith(".")


def _records(path: Path, name: str) -> Iterator[tuple[int, int, bytes]]:
    """(record number, line from 1, bytes): lines that are not blank, or the whole of a text file."""
    try:
        with path.open("rb") as raw:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if name.lower().endswith(".gz") else raw
            if _bare(name).endswith(".txt"):
                yield 0, 1, stream.read(_LONGEST)
                return
            lines = (one for one in enumerate(stream, 1) if one[1].strip())
            for number, (line, content) in enumerate(lines):
                yield number, line, content.rstrip(b"\r\n")
    except _UNPACKING as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=name) from error


def _decoded(raw: bytes) -> str:
    """UTF-8, else Latin-1 (as Windows writes it where Latin-1 has only control characters)."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _json_row(raw: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(_decoded(raw))
    except orjson.JSONDecodeError:
        raise _Bad("record", "malformed", "The line is not a JSON object.") from None
    if not isinstance(row, dict):
        raise _Bad("record", "malformed", "The line is not a JSON object.")
    return _renamed(row)


def _text_row(raw: bytes, name: str) -> dict[str, Any]:
    """Header lines `name: value` up to the first blank line, then the text."""
    lines = _decoded(raw).replace("\r\n", "\n").split("\n")
    row: dict[str, Any] = {}
    for place, line in enumerate(lines):
        if not line.strip():
            row["text"] = "\n".join(lines[place + 1 :]).strip("\n")
            break
        found = _HEADER_LINE.match(line)
        if not found:
            raise _Bad("header", "malformed", "A header line is not `name: value`; a blank line ends the header.")
        row[found.group(1).lower()] = found.group(2)
    row = _renamed(row)
    row.setdefault("id", _bare(name).removesuffix(".txt"))
    if not row.get("ipp"):
        raise _Bad("ipp", "no-patient", "The header names no patient (ipp).")
    return row


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {_ALIASES.get(name, name): value for name, value in row.items()}
