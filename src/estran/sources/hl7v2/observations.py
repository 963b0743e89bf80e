"""OBX and NTE: results become facts, words become the document's text."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from estran.model.codes import FactStatus
from estran.model.moments import Moment
from estran.sources import cda
from estran.sources.columns import FactColumns
from estran.sources.hl7v2.embedded import Embedded, read_embedded
from estran.sources.hl7v2.gathering import Codes, Gathering
from estran.sources.hl7v2.message import Segment, get, part, parts, plain
from estran.sources.hl7v2.values import REMOVED, STATUSES, Number, read_label, read_structured

_CODED = frozenset(("CE", "CWE", "CNE", "CF", "IS", "ID"))
_WORDS = frozenset(("TX", "FT"))
_TIMES = frozenset(("DT", "TM", "TS", "DTM"))
_UNTOLD = frozenset(("XPN", "XCN", "XAD", "XTN", "XON", "CX", "PN", "CN", "PPN", "PL", "AD", "TN"))  # people, places
_LONG = 200  # characters from which a string is text to read, not a value
# OBX-8 of a susceptibility (HL7 table 0078) and its words.
_INTERPRETATIONS = {
    "S": "Sensible", "I": "Sensible à forte posologie", "R": "Résistant", "SDD": "Sensible selon la dose",
    "NS": "Non sensible", "MS": "Modérément sensible", "VS": "Très sensible",
}  # fmt: skip
_TABLE_78 = "HL70078"
_DMP_METADATA = "MetaDMPMSS"  # how the ANS profile says to whom a document may be shown
_MAIL_SUBJECT = "XDM/1.0/DDM"  # of the mail that carries a document
_PAD = [""] * 15


class Draft:
    """A document being gathered from its OBR and OBX."""

    __slots__ = (
        "alive", "clinical", "coded", "codes", "confidential", "facts", "isolates", "label", "letters", "lines", "media",
        "parent", "removed", "start", "title", "values",
    )  # fmt: skip

    def __init__(self, start: Moment | None, codes: Codes, values: Codes, title: str) -> None:
        self.start, self.codes, self.values, self.title = start, codes, values, title
        self.facts = FactColumns()
        self.lines: list[str] = []
        self.media: list[Embedded] = []
        self.clinical: list[cda.Content] = []
        self.isolates: dict[str, int] = {}  # OBX-4 → fact of the isolate, or first of the group
        self.coded: set[str] = set()  # those OBX-4 whose fact has a coded value
        self.parent: int | None = None  # fact of the isolate that the current OBR is about (OBR-26)
        self.letters: set[str] = set()  # of OBX-11
        self.removed = self.alive = 0
        self.confidential = False
        self.label = ""

    @property
    def text(self) -> str | None:
        return "\n".join(self.lines) or None

    @property
    def is_removed(self) -> bool:
        """Whether every result was taken back."""
        return self.removed > 0 and self.alive == 0


def observe(gathering: Gathering, draft: Draft, lines: list[str]) -> None:
    """Add OBX and NTE segments to `draft`, in order; Refused when OBX-14 or a document is malformed."""
    facts = draft.facts
    number_of, profile_of = gathering.held.numbers.get, draft.codes.profiles.get
    add_profile, add_value = facts.profiles.append, facts.values.append
    is_plain, moment, count, alive = draft.parent is None, draft.start, 0, 0
    tails: dict[str, tuple[bool, Moment | None]] = {}  # by OBX-8 and what follows, which results of one order share
    for line in lines:
        # The common case, a final number that stands alone and of a kind already seen, is neither split
        # to its end nor looked at twice.
        obx = line.split("|", 8)
        if is_plain and len(obx) == 9 and obx[2] == "NM" and not obx[4]:
            number, profile, tail = number_of(obx[5]), profile_of((obx[3], obx[6], obx[7])), obx[8]
            if number is not None and profile is not None:
                known = tails.get(tail)
                if known is None:
                    known = tails[tail] = _plain_tail(gathering, draft, tail)
                if known[0]:
                    if known[1] is not moment:
                        facts.at(moment, count)
                        alive, count, moment = alive + count, 0, known[1]
                    if number[1] is not None:
                        facts.rare.setdefault("comparator", {})[len(facts)] = number[1]
                    add_profile(profile)
                    add_value(number[0])
                    count += 1
                    continue
        facts.at(moment, count)
        alive, count = alive + count, 0
        _observe_line(gathering, draft, line)
    facts.at(moment, count)
    draft.alive += alive + count
    if alive + count:
        draft.letters.add("F")


def _plain_tail(gathering: Gathering, draft: Draft, tail: str) -> tuple[bool, Moment | None]:
    """Whether OBX-8 to OBX-11 tell of a plain final result, and when it happened (OBX-14)."""
    fields = tail.split("|", 7)
    if len(fields) < 4 or fields[3] != "F" or fields[0] in _INTERPRETATIONS:
        return False, None
    return True, gathering.clock.moment(fields[6] if len(fields) > 6 else "", "OBX-14") or draft.start


def _observe_line(gathering: Gathering, draft: Draft, line: str) -> None:
    obx = line.split("|")
    if obx[0] == "NTE":
        note(draft, obx)
        return
    if len(obx) < 15:
        obx += _PAD[len(obx) :]
    _observe(gathering, draft, obx)


def note(draft: Draft, nte: Segment) -> None:
    """A comment is text of the document."""
    text = plain(get(nte, 3).replace("~", "\n")).strip()
    if text:
        draft.lines.append(text)


def _observe(gathering: Gathering, draft: Draft, obx: Segment) -> None:
    kind, identifier = obx[2].strip().upper(), obx[3]
    if _is_metadata(draft, obx):
        return
    letter = obx[11]
    draft.letters.add(letter)
    if letter in REMOVED:
        draft.removed += 1
    else:
        draft.alive += 1
    value = "" if obx[5] == '""' else obx[5]
    if kind == "ED":
        _embed(gathering, draft, value, letter)
    elif kind == "RP":
        draft.media.append(Embedded(None, part(parts(value), 3) or "reference"))
    elif _is_text(kind, value):
        _words(draft, identifier, value, letter)
    else:
        _results(gathering, draft, obx, kind, value)


def _is_metadata(draft: Draft, obx: Segment) -> bool:
    """Whether the OBX speaks of how a document is sent; 'hidden from professionals' makes it confidential."""
    identifier = obx[3]
    if _DMP_METADATA not in identifier and _MAIL_SUBJECT not in identifier:
        return False
    if identifier.startswith("MASQUE_PS") and obx[5][:1].upper() in ("Y", "O"):
        draft.confidential = True
    return True


def _is_text(kind: str, value: str) -> bool:
    if kind in _WORDS:
        return value.strip() not in _INTERPRETATIONS
    return kind in ("ST", "") and (len(value) > _LONG or "\\.br\\" in value)


def _words(draft: Draft, identifier: str, value: str, letter: str) -> None:
    if letter in REMOVED:
        return
    text = plain(value.replace("~", "\n")).strip("\n").rstrip()
    if not text.strip():
        return
    label = read_label(identifier)
    if label and label not in (draft.label, draft.title):
        text = f"{label} : {text}"
    draft.label = label or draft.label
    draft.lines.append(text)


def _embed(gathering: Gathering, draft: Draft, value: str, letter: str) -> None:
    if letter in REMOVED or not value:
        return
    content = read_embedded(value, cda.Setting(gathering.clock.zone, gathering.held.default_system))
    if content.data:
        draft.media.append(content)
    if content.clinical:
        draft.clinical.append(content.clinical)
        draft.confidential = draft.confidential or content.clinical.header.confidential
    if content.text and content.text not in draft.lines:  # senders repeat a document level by level
        draft.lines.append(content.text)


def _results(gathering: Gathering, draft: Draft, obx: Segment, kind: str, value: str) -> None:
    profile = gathering.profile(draft.codes, obx)
    status = STATUSES.get(obx[11], 0)
    if profile is None:
        if value and status != FactStatus.CANCELLED:
            _words(draft, obx[3], value if kind in _CODED else " ".join(filter(None, value.split("^"))), obx[11])
        return
    if not value and status in (FactStatus.FINAL, FactStatus.PRELIMINARY):
        return  # nothing was said
    start = gathering.clock.moment(obx[14], "OBX-14") or draft.start
    for repetition in value.split("~") if kind != "ST" else (value,):
        number, rare = _result(gathering, draft, obx, kind, repetition)
        rare["status"] = int(status) or None
        draft.facts.add(profile, start, number.value if number else None, rare)


def _result(
    gathering: Gathering, draft: Draft, obx: Segment, kind: str, value: str
) -> tuple[Number | None, dict[str, Any]]:
    """The number of an OBX-5, and whatever else its fact needs."""
    number, value_code, text = None, None, None
    if kind in _CODED:
        value_code, text = _coded(gathering, draft, kind, value)
    elif kind == "SN":
        number, said = read_structured(value)
        text = None if number else said or None
    elif kind not in _UNTOLD:
        number, text = _plain_value(gathering, kind, value, has_unit=bool(obx[6]))
    flag = obx[8].partition("~")[0].partition("^")[0]
    is_tested = flag in _INTERPRETATIONS or text in _INTERPRETATIONS
    if is_tested and value_code is None:
        value_code = _interpretation(gathering, draft, flag if flag in _INTERPRETATIONS else text or "")
    is_tested = is_tested or value.partition("^")[0] in _INTERPRETATIONS
    parent = _parent(draft, obx[4], value_code is not None and not is_tested, is_tested)
    return number, {
        "value_code": value_code, "value_text": text, "parent_fact_no": parent,
        "comparator": number.comparator if number else None,
    }  # fmt: skip


def _plain_value(gathering: Gathering, kind: str, value: str, *, has_unit: bool) -> tuple[Number | None, str | None]:
    text = plain(value.replace("~", "\n")).strip() or None
    number = gathering.held.number(text) if text and kind not in _TIMES else None
    if number and kind != "NM" and not has_unit and number.comparator is None:
        number = None  # digits without a unit may well be a name
    return number, None if number else text


def _coded(gathering: Gathering, draft: Draft, kind: str, value: str) -> tuple[int | None, str | None]:
    """Index of a coded value; its words when there is no code or no coding system."""
    cwe = parts(value)
    if kind in ("IS", "ID") or (len(cwe) == 1 and part(cwe, 1) not in _INTERPRETATIONS):
        return None, part(cwe, 1) or None
    if len(cwe) == 1:
        return _interpretation(gathering, draft, part(cwe, 1)), None
    found = gathering.code(draft.values, value, _TABLE_78 if part(cwe, 1) in _INTERPRETATIONS else "")
    return found, None if found is not None else read_label(value) or None


def _interpretation(gathering: Gathering, draft: Draft, letter: str) -> int | None:
    return gathering.code(draft.values, f"{letter}^{_INTERPRETATIONS.get(letter, letter)}^{_TABLE_78}")


def _parent(draft: Draft, sub_id: str, is_group: bool, is_tested: bool) -> int | None:
    """The fact that this one belongs to: '1.2' to '1', a susceptibility to the isolate of its sub-id."""
    key = plain(sub_id).strip()
    own = draft.isolates.get(key) if key and is_tested else None
    above = key.rpartition(".")[0]
    while own is None and above:
        own = draft.isolates.get(above)
        above = above.rpartition(".")[0]
    if key and not is_tested and (key not in draft.isolates or (is_group and key not in draft.coded)):
        draft.isolates[key] = len(draft.facts)
        if is_group:
            draft.coded.add(key)
    return own if own is not None else draft.parent


def store_media(gathering: Gathering, document: int, draft: Draft, record_no: int) -> None:
    """Rows for embedded documents, whose bytes stay in the landed message; the coded entries of a CDA
    document, when the message has no results of its own (senders repeat them there)."""
    if not len(draft.facts):
        for clinical in draft.clinical[:1]:
            clinical.add_facts(gathering.builder, document, draft.start)
    for number, content in enumerate(draft.media, 1):
        gathering.builder.media(
            document, modality=content.media_type, uri=f"landing:record={record_no};document={number}",
            shape=f"{len(content.data)} bytes" if content.data else None,
            checksum=sha256(content.data).hexdigest() if content.data else None,
        )  # fmt: skip
