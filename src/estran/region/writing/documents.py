"""Reports on their way: MDM messages or JSON Lines, with replaced, edited and withdrawn versions."""

from __future__ import annotations

from typing import Any

import orjson

from estran.region.calendar import DAY, hl7, iso
from estran.region.course import Stay
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.identities import Identity
from estran.region.library import Hospital, wards
from estran.region.truth import Truth
from estran.region.writing.hl7 import encode, escape, header, person, visit
from estran.region.writing.movements import CLASSES

_EDITED, _REPLACED, _WITHDRAWN = 0.01, 0.008, 0.003
# Kind of document → TXA-2 (HL7 table 0270 or LOINC), French title, kind of a JSON report.
KINDS = {
    "discharge": ("DS", "Compte-rendu d'hospitalisation", "CRH"), "consultation": ("CN", "Compte-rendu de consultation", "CRC"),
    "operative": ("OP", "Compte-rendu opératoire", "CRO"), "emergency": ("ED", "Dossier des urgences", "urgences"),
    "imaging": ("DI", "Compte-rendu d'imagerie", "imagerie"), "pathology": ("SP", "Compte-rendu d'anatomopathologie", "anapath"),
}  # fmt: skip


class Documents:
    """The texts and coded records of one hospital for one shard."""

    def __init__(self, hospital: Hospital, shard: int, dice: Dice, feeds: Feeds, truth: Truth) -> None:
        self._hospital, self._dice, self._feeds, self._truth = hospital, dice, feeds, truth
        self._shard, self._count = shard, 0
        self.written = 0

    def number(self, letter: str) -> str:
        """A document number, unique in the hospital."""
        self._count += 1
        return f"{letter}{self._shard:04d}{self._count:07d}"

    def text(self, kind: str, words: str, stay: Stay, identity: Identity, minute: int, codes: list[dict[str, Any]] | None = None) -> str:
        """Send a report, by JSON when it carries codes; returns the number under which it stands in the end."""
        self.written += 1
        dice, sent = self._dice, self._feeds.sending(minute + dice_delay(self._dice))
        fate = dice.chance()
        first, versions, status = self.number("D"), 1, "final"
        if codes is not None or self._hospital.texts == "report":
            feed, last = "comptes-rendus", first
            self._json(first, kind, words, stay, identity, (minute, sent), "final", codes)
            if fate < _EDITED:
                versions = 2
                self._json(first, kind, words, stay, identity, (minute, sent + dice.between(60, 3 * DAY)), "final", codes)
            elif fate > 1 - _WITHDRAWN:
                versions, status = 2, "cancelled"
                self._json(first, kind, words, stay, identity, (minute, sent + dice.between(60, 3 * DAY)), "cancelled", codes)
        else:
            feed = "documents"
            last, versions, status = self._messages(first, kind, words, stay, identity, (minute, sent), fate)
        self._record(last, feed, kind, words, stay, identity, (minute, status, versions))
        self._codes(last, kind, stay, identity, codes or [])
        return last

    def coded(
        self, kind: str, title: str, stay: Stay, identity: Identity, minute: int, codes: list[dict[str, Any]], words: str = ""
    ) -> str:
        """Send a record made of codes: prescription, emergency summary, chemotherapy, teeth."""
        number = self.number("C")
        self._row(number, kind, title, words, stay, identity, (minute, self._feeds.sending(minute)), "final", codes, "dossier")
        self._truth.table("documents").append((
            self._hospital.key, number, "dossier", kind, stay.number, identity.ipp, minute, "final", 1, len(words)
        ))  # fmt: skip
        self._codes(number, kind, stay, identity, codes)
        self.written += 1
        return number

    def _codes(self, number: str, kind: str, stay: Stay, identity: Identity, codes: list[dict[str, Any]]) -> None:
        """What a coded record says goes to the truth."""
        self._truth.table("codes").extend([
            (self._hospital.key, number, kind, stay.number, identity.ipp, c["vocabulary"], c["code"], _figure(c.get("value")), c.get("unit"))
            for c in codes
        ])  # fmt: skip

    def _json(
        self, number: str, kind: str, words: str, stay: Stay, identity: Identity, times: tuple[int, int], status: str,
        codes: list[dict[str, Any]] | None,
    ) -> None:
        _, title, name = KINDS[kind]
        self._row(number, name, title, words, stay, identity, times, status, codes, "comptes-rendus")

    def _row(
        self, number: str, kind: str, title: str, words: str, stay: Stay, identity: Identity, times: tuple[int, int],
        status: str, codes: list[dict[str, Any]] | None, feed: str,
    ) -> None:
        code, label = wards()[stay.wards[-1].unit]
        row: dict[str, Any] = {
            "id": number, "ipp": identity.ipp, "ipp_system": self._hospital.authority, "nda": stay.number, "kind": kind, "title": title,
            "date": iso(times[0])[:16], "updated": iso(times[1])[:16], "unit": {"code": code, "label": label}, "status": status,
        }  # fmt: skip
        if words:
            row["text"] = words
        if codes:
            row["codes"] = codes
        self._feeds.post(feed, times[1], orjson.dumps(row) + b"\n")

    def _messages(
        self, first: str, kind: str, words: str, stay: Stay, identity: Identity, times: tuple[int, int], fate: float
    ) -> tuple[str, int, str]:
        """MDM: sent, and now and then edited, replaced or withdrawn; the last number, versions and status."""
        minute, sent = times
        head = person(identity, stay.number) + visit(self._hospital, stay.number, CLASSES[stay.kind], stay.wards[-1].unit, 9)
        words = escape(words)
        later = sent + self._dice.between(60, 3 * DAY)
        self._message("T02", head, kind, first, "", words, (minute, sent))
        if fate < _EDITED:
            self._message("T08", head, kind, first, "", words, (minute, later))
            return first, 2, "final"
        if fate < _EDITED + _REPLACED:
            second = self.number("D")
            self._message("T10", head, kind, second, first, words, (minute, later))
            return second, 2, "final"
        if fate > 1 - _WITHDRAWN:
            self._message("T04", head, kind, first, "", words, (minute, later))
            return first, 2, "cancelled"
        return first, 1, "final"

    def _message(self, event: str, head: str, kind: str, number: str, parent: str, words: str, times: tuple[int, int]) -> None:
        code, title, _ = KINDS[kind]
        minute, sent = times
        self._count += 1
        state = "CA" if event == "T04" else "AU"
        lead = header(self._hospital, "DPI", f"MDM^{event}^MDM_T02", sent, f"D{self._shard:05d}{self._count:07d}")
        old = f"{parent}^DPI" if parent else ""
        txa = f"TXA|1|{code}^{title}|TX|{hl7(minute)}||||||||{number}^DPI|{old}||||{state}\r"
        obx = f"OBX|1|TX|{code}^{title}^L||{words}||||||F\r"
        self._feeds.post("documents", sent, encode(self._hospital, f"{lead}EVN|{event}|{hl7(sent)}\r{head}{txa}{obx}"))

    def _record(
        self, number: str, feed: str, kind: str, words: str, stay: Stay, identity: Identity, state: tuple[int, str, int]
    ) -> None:
        key, truth = self._hospital.key, self._truth
        minute, status, versions = state
        truth.table("documents").append((
            key, number, feed, kind, stay.number, identity.ipp, minute, status, versions, len(words)
        ))  # fmt: skip


def _figure(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def dice_delay(dice: Dice) -> int:
    """Minutes between what a report tells and its signature."""
    return 30 + int(dice.chance() ** 3 * 4 * DAY)
