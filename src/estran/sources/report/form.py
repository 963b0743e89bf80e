"""One report as the fields that a source gives, and what it becomes."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from estran.model.codes import DocumentKind, DocumentStatus, Precision, Sex
from estran.model.moments import Moment, instant, parse_iso
from estran.sources import refusing
from estran.sources.extraction import PDF, Extracted, Unreadable, extract, media_type_of
from estran.sources.records import BatchBuilder, Code, IdentityStatement, Person
from estran.terminology.systems import LOCAL, hl7_vocabulary, is_standard
from estran.terminology.units import ucum

CASE = "case"  # system of the numbers of published cases: url and id, since ids are a corpus's own
_ALIASES = {
    "nom": "family_name", "nom_naissance": "birth_name", "prenom": "given_name", "prenoms": "given_name",
    "date_naissance": "birth_date", "sexe": "sex", "adresse": "address", "code_postal": "postcode", "ville": "city",
    "telephone": "phone", "titre": "title", "type_document": "kind", "auteur": "author_role", "langue": "lang",
    "statut": "status", "texte": "text", "uf": "unit", "licence": "license", "fichier": "file",
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


class Bad(refusing.Refused):
    """Why a record is refused."""


@dataclass(frozen=True)
class Attached:
    """The document that a record came as."""

    media_type: str
    size: int
    pages: int
    checksum: str
    modified: dt.datetime | None

    def media(self) -> dict[str, Any]:
        """Columns of MEDIA: where the original can be found."""
        return {"modality": self.media_type, "shape": f"{self.size} bytes, {self.pages} pages", "checksum": self.checksum}


def embedded(row: dict[str, Any]) -> tuple[dict[str, Any], Attached]:
    """A line that carries its document in Base64 (`data`), with `media_type`."""
    data = row.pop("data")
    if not isinstance(data, str):
        raise Bad("data", "malformed", "The data is not a text in Base64.")
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Bad("data", "malformed", "The data is not valid Base64.") from None
    return read_attached(row, raw, str(row.get("media_type") or ""))


def read_attached(row: dict[str, Any], raw: bytes, media_type: str) -> tuple[dict[str, Any], Attached]:
    """The row with the document's text."""
    try:
        found: Extracted = extract(raw, media_type)
        kind = media_type_of(raw, media_type)
    except Unreadable as why:
        raise Bad("file", why.code, why.reason) from None
    title = row.get("title") or ("" if kind == PDF else found.title)  # a PDF's is mostly a file's name
    checksum = sha256(raw).hexdigest()
    return row | {"text": found.text, "title": title}, Attached(kind, len(raw), found.pages, checksum, found.modified)


@dataclass(frozen=True)
class Form:
    """One record, its fields under their English names."""

    zone: str
    author_system: str
    row: dict[str, Any]
    attached: Attached | None = None

    def build(self, builder: BatchBuilder, record: int, record_no: int = 0) -> None:
        """Everything is read before anything is added, so that a refused record leaves nothing."""
        key, kind, start, text = self._word("id"), self._kind(), self._moment("date"), self._text()
        if not key:
            raise Bad("id", "missing", "The report has no id.")
        person, system, number, moved = self._person(), self._system(), self._word("ipp"), self._event_time()
        facts = [self._fact(code, place) for place, code in enumerate(self._codes())]
        stay, status, unit, title = self._word("nda"), self._status(), self._unit(), self._title()
        role, lang = self._word("author_role"), self._word("lang") or "fr"
        if not number and not self._is_published():
            raise Bad("ipp", "no-patient", "The report names no patient (ipp), and is not a published case.")
        patient = builder.patient(system, number) if number else builder.patient(CASE, f"{self._word('url') or ''}#{key}")
        introduces = not number or person != Person()
        builder.batch.identities.append(IdentityStatement(record, patient, (), person, introduces=introduces))
        builder.date_record(record, moved)
        seat = builder.stay(patient, self._word("nda_system") or system, stay) if stay else None
        ward = builder.unit(*unit) if unit else None
        document = builder.document(
            record, key, patient, seat, kind, title, start, text, status, unit=ward, author_role=role, lang=lang
        )
        if self.attached:
            builder.media(document, uri=f"landing:record={record_no}", **self.attached.media())
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
            raise Bad(name, "malformed", f"The {name} is not a text.")
        return str(value).strip() or None

    def _system(self) -> str:
        return self._word("ipp_system") or self.author_system

    def _words(self, name: str) -> tuple[str, ...]:
        value = self.row.get(name)
        values = value if isinstance(value, list) else [value] if value is not None else []
        if not all(isinstance(v, str) for v in values):
            raise Bad(name, "malformed", f"The {name} is neither a text nor a list of texts.")
        return tuple(v.strip() for v in values if v.strip())

    def _text(self) -> str | None:
        value = self.row.get("text")
        if value is not None and not isinstance(value, str):
            raise Bad("text", "malformed", "The text is not a text.")
        if not (value or "").strip() and not self.row.get("codes"):
            raise Bad("text", "missing", "The report has neither text nor codes.")
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
            raise Bad("kind", "unknown-type", "The kind is not one of the documented kinds of document.")
        return _KINDS[word.lower()]

    def _status(self) -> DocumentStatus:
        word = (self._word("status") or "current").lower()
        if word not in _STATUSES:
            raise Bad("status", "malformed", "The status is not current, preliminary or cancelled.")
        return _STATUSES[word]

    def _moment(self, name: str, row: dict[str, Any] | None = None) -> Moment | None:
        word = Form(self.zone, self.author_system, row)._word(name) if row is not None else self._word(name)
        if word is None:
            return None
        try:
            return _moment(word, self.zone)
        except (ValueError, OverflowError):
            raise Bad(name, "malformed", f"The {name} is not a date: YYYY-MM-DD[Thh:mm] or DD/MM/YYYY.") from None

    def _event_time(self) -> int:
        """When the report was written, else its version number, orders its versions."""
        updated = self._moment("updated")
        if updated:
            return instant(updated, self.zone)
        if self.attached and self.attached.modified and not self._word("version"):
            return _micros(self.attached.modified, self.zone)
        version = self._word("version") or "0"
        if not version.isascii() or not version.isdigit() or len(version) > 15:
            raise Bad("version", "malformed", "The version is not a whole number.")
        return int(version)

    def _person(self) -> Person:
        families = self._words("birth_name") + self._words("family_name")
        birth, sex = self._moment("birth_date"), self._word("sex")
        if sex and sex.lower() not in _SEXES:
            raise Bad("sex", "malformed", "The sex is not one of male, female, other, unknown.")
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
            inner = Form(self.zone, self.author_system, value)
            try:
                code = inner._word("code")
                return (code, inner._word("label") or "") if code else None
            except Bad as bad:
                raise Bad(f"unit.{bad.field}", bad.code, bad.reason) from None
        code = self._word("unit")
        return (code, "") if code else None

    def _codes(self) -> list[dict[str, Any]]:
        codes = self.row.get("codes")
        if codes is None:
            return []
        if not isinstance(codes, list) or not all(isinstance(c, dict) for c in codes):
            raise Bad("codes", "malformed", "The codes are not a list of objects.")
        return codes

    def _fact(self, given: dict[str, Any], place: int) -> tuple[Code, Moment | None, dict[str, Any]]:
        inner, where = Form(self.zone, self.author_system, given), f"codes[{place}]"
        try:
            vocabulary, code = inner._word("vocabulary") or "", inner._word("code")
            if not code:
                raise Bad("code", "missing", "A code is empty.")
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
        except Bad as bad:
            raise Bad(f"{where}.{bad.field}", bad.code, bad.reason) from None


def _micros(when: dt.datetime, zone: str) -> int:
    """Microseconds UTC; a time without offset is told by the site's clock."""
    aware = when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone))
    try:
        return max(round(aware.timestamp() * 1_000_000), 0)
    except (OverflowError, ValueError, OSError):
        return 0


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


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    """The row under the English names of its fields."""
    return {_ALIASES.get(name, name): value for name, value in row.items()}
