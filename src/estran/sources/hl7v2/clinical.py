"""DG1, PR1, AL1 and OBX of an ADT: what it says of the patient's health."""

from __future__ import annotations

from typing import NamedTuple

from estran.model.codes import DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.columns import FactColumns
from estran.sources.hl7v2.gathering import Codes, Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts, plain
from estran.sources.hl7v2.observations import Draft, observe, store_media
from estran.sources.hl7v2.values import read_label


class _Set(NamedTuple):
    """Where the segments of one kind keep what."""

    segment: str
    document: DocumentKind
    kind: str  # of its codes
    title: str
    words: int  # field with the description, 0 when there is none
    time: int
    rank: int  # field that says 1 for the principal one
    action: int  # field that says D for one taken back
    system: int  # field with the coding system when the code does not name its own


_SETS = (
    _Set("DG1", DocumentKind.DIAGNOSIS, "diagnosis", "Diagnostics", 4, 5, 15, 21, 2),
    _Set("PR1", DocumentKind.PROCEDURE, "procedure", "Actes", 4, 5, 14, 20, 2),
    _Set("AL1", DocumentKind.ALLERGY, "other", "Allergies", 0, 6, 0, 0, 0),
)
_REACTION = 5  # AL1-5, repeated


def read_clinical(
    gathering: Gathering, message: Message, record: int, subject: Subject, sender: Sender, when: Moment | None,
    kinds: tuple[str, ...] = ("DG1", "PR1", "AL1", "OBX"),
) -> None:  # fmt: skip
    """One document per kind of segment; a newer message that has the same kind replaces it whole."""
    for kind in _SETS:
        segments = message.all(kind.segment) if kind.segment in kinds else []
        if segments:
            _store_set(gathering, record, subject, sender, (kind, segments, when))
    results = [line for line in message.lines if line.startswith("OBX")]
    if results and "OBX" in kinds:
        _store_results(gathering, record, subject, sender, results, when)


def set_key(name: str, subject: Subject) -> str:
    """Business id of a set: of the stay, or of the patient when there is no stay."""
    return "|".join((name, *(subject.visit.number or ("", ""))))


def _store_set(
    gathering: Gathering, record: int, subject: Subject, sender: Sender,
    about: tuple[_Set, list[Segment], Moment | None],
) -> None:
    kind, segments, when = about
    facts = FactColumns()
    lines: list[str] = []
    for segment in segments:
        words = _add(gathering, facts, gathering.codes_of(sender, kind.kind), kind, segment, when)
        lines += [words] if words else []
    start = when or next((s for s in facts.starts if s is not None), None)
    document = gathering.builder.document(
        record, set_key(kind.segment, subject), subject.patient, subject.stay, kind.document, kind.title, start,
        "\n".join(lines) or None, known_at=sender.sent or None, unit=gathering.unit(subject.visit.ward), lang=sender.lang,
    )  # fmt: skip
    gathering.builder.add_facts(document, facts)


def _add(
    gathering: Gathering, facts: FactColumns, codes: Codes, kind: _Set, segment: Segment, when: Moment | None
) -> str:
    """Add the fact of one segment, or return its words when nothing of it is coded."""
    coded = _with_words(get(segment, 3), get(segment, kind.words) if kind.words else "")
    system = first(get(segment, kind.system)) if kind.system and not part(parts(coded), 3) else ""
    code = gathering.code(codes, coded, system)
    if code is None:
        return read_label(coded)
    start = moment_of(gathering.clock, segment, kind.time, kind.segment) or when
    removed = kind.action and first(get(segment, kind.action)).upper() == "D"
    facts.add(gathering.builder.profile(code), start, None, {
        "status": int(FactStatus.CANCELLED) if removed else None, "role": _role(kind, segment),
        "value_text": _reactions(segment) if kind.segment == "AL1" else None,
    })  # fmt: skip
    return ""


def _with_words(field_text: str, words: str) -> str:
    """A CWE, its description taken from the field beside it when it has none."""
    components = parts(field_text)
    if not words or part(components, 2):
        return field_text
    return "^".join((components[0], words.partition("^")[0], *components[2:]))


def _reactions(al1: Segment) -> str | None:
    return "; ".join(filter(None, (plain(r).strip() for r in get(al1, _REACTION).split("~")))) or None


def _role(kind: _Set, segment: Segment) -> str | None:
    rank = first(get(segment, kind.rank)) if kind.rank else ""
    if not rank.isdigit():
        return None
    return "principal" if rank == "1" else "associated"


def _store_results(
    gathering: Gathering, record: int, subject: Subject, sender: Sender, results: list[str], when: Moment | None
) -> None:
    codes, values = gathering.codes_of(sender, "observation"), gathering.codes_of(sender, "other")
    draft = Draft(when, codes, values, "Observations")
    observe(gathering, draft, results)
    if not (len(draft.facts) or draft.lines or draft.media):
        return
    document = gathering.builder.document(
        record, set_key("OBX", subject), subject.patient, subject.stay, DocumentKind.OBSERVATION, draft.title,
        draft.start, draft.text, known_at=sender.sent or None, unit=gathering.unit(subject.visit.ward), lang=sender.lang,
    )  # fmt: skip
    gathering.builder.add_facts(document, draft.facts)
    store_media(gathering, document, draft, 0)
