"""ORU: laboratory results, antibiograms, nursing scores; corrected, preliminary and withdrawn ones too."""

from __future__ import annotations

from estran.region.calendar import DAY, hl7
from estran.region.course import Stay
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.identities import Identity
from estran.region.library import Hospital, panels
from estran.region.samples import Culture, Order, Result, Test, corrected
from estran.region.shelf import toml
from estran.region.truth import Truth
from estran.region.writing.hl7 import encode, header, person, visit
from estran.region.writing.movements import CLASSES

_CORRECTED, _PRELIMINARY, _WITHDRAWN = 0.012, 0.02, 0.004
_SPECIMENS = {"Urines": "URI", "Expectoration": "EXP", "Hémoculture": "HEM"}
# Scores of the nursing record: local code, words, LOINC, lowest, highest, unit.
_SCORES = (
    ("EVA", "Échelle visuelle analogique de la douleur", "38214-3", 0, 8, "{score}"), ("BRADEN", "Score de Braden", "38227-5", 9, 23, "{score}"),
    ("GIR", "Groupe iso-ressources", "", 1, 6, "{score}"), ("POIDS", "Poids", "29463-7", 45, 110, "kg"),
    ("FC", "Fréquence cardiaque", "8867-4", 52, 118, "/min"), ("PAS", "Pression artérielle systolique", "8480-6", 92, 175, "mm[Hg]"),
    ("PAD", "Pression artérielle diastolique", "8462-4", 48, 98, "mm[Hg]"), ("TEMP", "Température", "8310-5", 36, 39, "Cel"),
    ("SPO2", "Saturation en oxygène", "59408-5", 88, 100, "%"), ("GLASGOW", "Score de Glasgow", "9269-2", 13, 15, "{score}"),
)  # fmt: skip


class Results:
    """The laboratory and nursing feeds of one hospital for one shard."""

    def __init__(self, hospital: Hospital, shard: int, dice: Dice, feeds: Feeds, truth: Truth) -> None:
        self._hospital, self._dice, self._feeds, self._truth = hospital, dice, feeds, truth
        self._shard, self._count = shard, 0
        self.written = 0
        self._lines: dict[str, tuple[str, str]] = {}

    def orders(self, stay: Stay, identity: Identity, orders: list[Order]) -> None:
        """One message per panel, then those that correct or withdraw it."""
        if not orders:
            return
        head = person(identity, stay.number) + visit(
            self._hospital, stay.number, CLASSES[stay.kind], stay.wards[-1].unit, 7, None
        )
        for order in orders:
            self._order(stay, identity, order, head)

    def _order(self, stay: Stay, identity: Identity, order: Order, head: str) -> None:
        dice, number = self._dice, self._number("L")
        fate, sent = dice.chance(), self._feeds.sending(order.minute + 45)
        results, status = order.results, "final"
        if fate < _PRELIMINARY:
            self._send(head, order, number, results, sent, "P")
            sent += dice.between(30, 600)
        self._send(head, order, number, results, sent, "F")
        if _PRELIMINARY <= fate < _PRELIMINARY + _CORRECTED:
            place = dice.below(len(results))
            results = tuple(corrected(dice, r) if n == place else r for n, r in enumerate(results))
            self._send(head, order, number, results, sent + dice.between(60, 2 * DAY), "C")
        elif fate > 1 - _WITHDRAWN:
            status = "cancelled"
            self._send(head, order, number, results, sent + dice.between(60, DAY), "X")
        rows, hospital = self._truth.table("labs"), self._hospital.key
        for r in results:
            a = r.test.analyte
            rows.append((
                hospital, stay.number, identity.ipp, number, order.minute, r.test.code, r.test.loinc or None, float(r.written),
                r.test.unit, r.canonical, a.unit, a.loinc, status,
            ))  # fmt: skip

    def _send(self, head: str, order: Order, number: str, results: tuple[Result, ...], sent: int, letter: str) -> None:
        name, section, _ = panels()[order.panel]
        when = hl7(order.minute)
        lines = []
        for place, result in enumerate(results, 1):
            before, after = self._lines.get(result.test.code) or self._line(result.test)
            lines.append(f"OBX|{place}{before}{result.written}{after}{result.flag}|||{letter}|||{when}\r")
        order_line = (
            f"OBR|1|{number}^DPI|{number}^{self._hospital.lab}|{order.panel.upper()}^{name}^L|||{when}|||||||||||||||"
            f"{hl7(sent)}||{section}|{letter}\r"
        )
        self._post("labo", head, f"ORC|{'OC' if letter == 'X' else 'RE'}|{number}^DPI\r{order_line}{''.join(lines)}", sent)

    def _line(self, test: Test) -> tuple[str, str]:
        """What comes before and after the value in the OBX of a test, made once."""
        coding = f"{test.code}^{test.analyte.name}^L"
        if test.loinc:
            coding += f"^{test.loinc}^{test.analyte.name}^LN"
        if test.low and test.high:
            span = f"{test.low}-{test.high}"
        else:
            span = f"<{test.high}" if test.high else f">{test.low}" if test.low else ""
        found = self._lines[test.code] = f"|NM|{coding}||", f"|{test.unit}|{span}|"
        return found

    def _post(self, feed: str, head: str, body: str, sent: int) -> None:
        self._count += 1
        self.written += 1
        control = f"R{self._shard:05d}{self._count:07d}"
        lead = header(self._hospital, self._hospital.lab, "ORU^R01^ORU_R01", sent, control)
        self._feeds.post(feed, sent, encode(self._hospital, f"{lead}{head}{body}"))

    def _number(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._shard:04d}{self._count:07d}"

    def culture(self, stay: Stay, identity: Identity, culture: Culture) -> None:
        """A germ, then its antibiogram: the results hang off the isolate by their sub-id."""
        number, when = self._number("M"), hl7(culture.minute)
        names, sent = toml("labs.toml")["antibiotic"], self._feeds.sending(culture.minute + 2 * DAY)
        head = person(identity, stay.number) + visit(self._hospital, stay.number, CLASSES[stay.kind], stay.wards[-1].unit, 7)
        lines = [f"OBX|1|CE|GERME^Germe identifié^L^634-6^Bactérie identifiée^LN|1|{culture.germ.code}^{culture.germ.name}^L|||A|||F|||{when}\r"]
        rows = self._truth.table("susceptibilities")
        for place, (drug, letter) in enumerate(culture.results, 2):
            lines.append(f"OBX|{place}|CE|ATB-{drug}^{names[drug]}^L|1|{letter}^^HL70078|||{letter}|||F|||{when}\r")
            rows.append((self._hospital.key, stay.number, identity.ipp, number, culture.germ.code, drug, letter))
        order = (
            f"OBR|1|{number}^DPI|{number}^{self._hospital.lab}|{_SPECIMENS[culture.specimen]}^{culture.specimen} : "
            f"bactériologie^L|||{when}|||||||||||||||{hl7(sent)}||MB|F\r"
        )
        self._post("labo", head, f"ORC|RE|{number}^DPI\r{order}{''.join(lines)}", sent)

    def nursing(self, stay: Stay, identity: Identity) -> None:
        """Vital signs and scores: one form a day, at most three."""
        dice, scores = self._dice, self._truth.table("codes")
        head = person(identity, stay.number) + visit(self._hospital, stay.number, CLASSES[stay.kind], stay.wards[-1].unit, 7)
        for day in range(min(3, 1 + int(stay.days))):
            minute = stay.start + 20 if day == 0 else (stay.start // DAY + day) * DAY + dice.between(420, 540)
            if minute >= stay.end:
                return
            number, when = self._number("N"), hl7(minute)
            lines: list[str] = []
            about = (self._hospital.key, number, "nursing", stay.number, identity.ipp)
            for code, name, loinc, low, high, unit in _SCORES[:4] if dice.chance() < 0.3 else _SCORES:
                value = f"{low + (high - low) * dice.chance():.1f}" if code == "TEMP" else str(dice.between(low, high))
                also = f"^{loinc}^{name}^LN" if loinc else ""
                scores.append((*about, "LOINC" if loinc else "99DSI", loinc or code, float(value), unit))
                lines.append(f"OBX|{len(lines) + 1}|NM|{code}^{name}^99DSI{also}||{value}|{unit}|||||F|||{when}\r")
            sent = self._feeds.sending(minute)
            order = f"OBR|1|{number}^DPI|{number}^DSI|DSI^Relevé infirmier^99DSI|||{when}|||||||||||||||{hl7(sent)}||NRS|F\r"
            self._post("labo", head, order + "".join(lines), sent)
            self._truth.table("documents").append((
                self._hospital.key, number, "labo", "nursing", stay.number, identity.ipp, minute, "final", 1, 0
            ))  # fmt: skip
