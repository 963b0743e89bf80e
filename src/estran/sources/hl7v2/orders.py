"""ORM, OML, OMG, OMP, RDE, RDS, RAS, VXU: what was asked for, prescribed, dispensed and given."""

from __future__ import annotations

from estran.model.codes import DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.groups import (
    Attribute,
    Group,
    Paper,
    add_comments,
    coded_attribute,
    draft_of,
    entity,
    frequency,
    mark_of,
    order_number,
    order_period,
    order_status,
    read_subject,
    split_groups,
    store,
)
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.observations import Draft
from estran.sources.hl7v2.oru import service_of
from estran.sources.hl7v2.values import read_label

# In one second: asked, encoded by the pharmacy, dispensed, given; corrected; cancelled.
_RANKS = {"ORM": 0, "OML": 0, "OMG": 0, "OMI": 0, "OMP": 0, "RDE": 1, "RDS": 2, "RAS": 3, "VXU": 3}
_CORRECTED, _ENDED = 5, 6
_CORRECTIONS = frozenset(("XO", "XX", "RP", "RO", "RU"))
_ENDS = frozenset(("CA", "OC", "CR", "DC", "OD"))
_UNKNOWN_AMOUNT = 999.0  # of a vaccine, says the implementation guide of immunisation registries
_NO_VACCINE = "998"
_ROUTE, _SITE, _FREQUENCY, _FORM = ("route", "Voie"), ("site", "Site"), ("frequency", "Fréquence"), ("form", "Forme")
_LOT, _MAKER, _REFUSAL, _SOURCE = (
    ("lot", "Lot"), ("manufacturer", "Fabricant"), ("refusal", "Motif de refus"), ("information-source", "Source de l'information"),
)  # fmt: skip
_TITLES = {DocumentKind.PRESCRIPTION: "Médicament", DocumentKind.ADMINISTRATION: "Médicament", DocumentKind.IMMUNIZATION: "Médicament"}


def read_orders(gathering: Gathering, message: Message, record: int, record_no: int, kind: str) -> int:
    """Add the orders of a message to the batch; returns its event time. Raises Refused."""
    sender, subject = gathering.sender(message), read_subject(gathering, message)
    rank, documents = _RANKS[kind], 0
    for place, group in enumerate(split_groups(message.lines)):
        rank = max(rank, _rank(group))
        for paper in _papers(gathering, sender, subject, group, (kind, mark_of(message), place)):
            store(gathering, record, subject, sender, paper, group, record_no)
            documents += 1
    event_time = sender.sent + rank if sender.sent else 0
    if documents:
        gathering.state(subject, record, event_time)
    else:
        gathering.state_now(subject, record)  # it says who the patient is, and nothing else
    return event_time


def _rank(group: Group) -> int:
    control = first(group.get("ORC", 1)).upper()
    return _ENDED if control in _ENDS else _CORRECTED if control in _CORRECTIONS else 0


def _papers(
    gathering: Gathering, sender: Sender, subject: Subject, group: Group, about: tuple[str, int, int]
) -> list[Paper]:
    """The documents of one group."""
    if group.one("RXA"):
        return [_administration(gathering, sender, subject, group, about)]
    found = []
    if group.one("RXE") or group.one("RXO"):
        found.append(_prescription(gathering, sender, group, about))
    if group.one("RXD"):
        found.append(_dispense(gathering, sender, group, about))
    if group.one("OBR") and not found:
        found.append(_service(gathering, sender, group, about))
    return found


def _service(gathering: Gathering, sender: Sender, group: Group, about: tuple[str, int, int]) -> Paper:
    """An examination that was asked for, with its reasons (DG1) and what was said along with it."""
    kind, code, label = service_of(group.get("OBR", 4), group.get("OBR", 24))
    start, end = order_period(gathering, group)
    draft = draft_of(gathering, sender, "laboratory" if kind == DocumentKind.LABORATORY else "procedure", label, start)
    fact = _add(gathering, draft, group.get("OBR", 4), ("", ""), order_status(group), end)
    reasons = gathering.codes_of(sender, "diagnosis")
    for dg1 in group.all("DG1"):
        reason = gathering.code(reasons, get(dg1, 3), first(get(dg1, 2)) if not part(parts(get(dg1, 3)), 3) else "")
        if reason is not None:
            draft.facts.add(gathering.builder.profile(reason), draft.start, None, {"role": "associated", "parent_fact_no": fact})
        elif words := read_label(get(dg1, 3)) or first(get(dg1, 4)):
            draft.lines.append(words)
    add_comments(gathering, draft, group, fact)
    key = f"ORDER|{order_number(group, sender, about[1], about[2])}|{code}"
    return Paper(key, kind, draft, _attributes(gathering, draft, group, fact))


def _prescription(gathering: Gathering, sender: Sender, group: Group, about: tuple[str, int, int]) -> Paper:
    """A drug ordered (RXO) as the pharmacy encoded it (RXE): one document for both, by the order's number."""
    rxe, rxo = group.one("RXE"), group.one("RXO")
    start, end = order_period(gathering, group)
    drug, amount, unit, form = _given(rxe, rxo)
    draft = draft_of(gathering, sender, "drug", _TITLES[DocumentKind.PRESCRIPTION], start)
    fact = _add(gathering, draft, drug, (amount, unit), order_status(group), end)
    if fact is not None:
        for rxc in group.all("RXC"):
            _add(gathering, draft, get(rxc, 2), (get(rxc, 3), get(rxc, 4)), order_status(group), parent=fact)
    add_comments(gathering, draft, group, fact)
    attributes = _attributes(gathering, draft, group, fact)
    if fact is not None:
        attributes += coded_attribute(gathering, draft, fact, _FORM, form)
    number = entity(group.get("RXE", 15), sender) if not (group.get("ORC", 2) or group.get("ORC", 3)) else ""
    key = f"RX|{number or order_number(group, sender, about[1], about[2])}"
    return Paper(key, DocumentKind.PRESCRIPTION, draft, attributes)


def _given(rxe: Segment | None, rxo: Segment | None) -> tuple[str, str, str, str]:
    """Drug, least dose, unit and form, from RXE when it says so, else from RXO."""
    encoded = [get(rxe, n) for n in (2, 3, 5, 6)] if rxe else [""] * 4
    asked = [get(rxo, n) for n in (1, 2, 4, 5)] if rxo else [""] * 4
    if not encoded[0]:
        return asked[0], asked[1], asked[2], asked[3]
    amount, unit = (encoded[1], encoded[2]) if encoded[1] else (asked[1], asked[2])
    return encoded[0], amount, unit, encoded[3] or asked[3]


def _dispense(gathering: Gathering, sender: Sender, group: Group, about: tuple[str, int, int]) -> Paper:
    rxd = group.one("RXD") or []
    start = moment_of(gathering.clock, rxd, 3, "RXD") or order_period(gathering, group)[0]
    draft = draft_of(gathering, sender, "drug", _TITLES[DocumentKind.PRESCRIPTION], start)
    fact = _add(gathering, draft, get(rxd, 2), (get(rxd, 4), get(rxd, 5)), order_status(group, FactStatus.DISPENSED))
    add_comments(gathering, draft, group, fact)
    key = f"RXD|{order_number(group, sender, about[1], about[2])}|{first(get(rxd, 1))}|{first(get(rxd, 3))}"
    return Paper(key, DocumentKind.PRESCRIPTION, draft, _attributes(gathering, draft, group, fact))


def _administration(
    gathering: Gathering, sender: Sender, subject: Subject, group: Group, about: tuple[str, int, int]
) -> Paper:
    """A dose given or not (RAS), a vaccine given, refused or known of (VXU)."""
    rxa, clock = group.one("RXA") or [], gathering.clock
    kind = DocumentKind.IMMUNIZATION if about[0] == "VXU" else DocumentKind.ADMINISTRATION
    start, end = moment_of(clock, rxa, 3, "RXA"), moment_of(clock, rxa, 4, "RXA")
    draft = draft_of(gathering, sender, "drug", _TITLES[kind], start)
    amount = get(rxa, 6)
    if amount.strip() and _number(gathering, amount) == _UNKNOWN_AMOUNT:
        amount = ""
    end = end if end and start and end > start else None
    fact = _add(gathering, draft, get(rxa, 5), (amount, get(rxa, 7)), _outcome(rxa), end)
    add_comments(gathering, draft, group, fact)
    attributes = _attributes(gathering, draft, group, fact)
    if fact is not None:
        lot = first(get(rxa, 15))
        attributes += [Attribute(fact, *_LOT, words=lot)] if lot else []
        for about_it, number in ((_MAKER, 17), (_REFUSAL, 18), (_SOURCE, 9)):
            attributes += coded_attribute(gathering, draft, fact, about_it, get(rxa, number).partition("~")[0])
    code, moment = first(get(rxa, 5)), first(get(rxa, 3))
    order = order_number(group, sender, about[1], about[2])
    if order[:2] in ("M|", "R|"):  # a dose without a number is known by who, what and when
        order = "|".join(("D", *subject.identity.key))
    return Paper(f"RXA|{order}|{first(get(rxa, 2))}|{code}|{moment}", kind, draft, attributes)


def _outcome(rxa: Segment) -> FactStatus:
    """RXA-20 (completion), RXA-21 (action), and the code that says that nothing was given."""
    if first(get(rxa, 21)).upper() == "D":
        return FactStatus.CANCELLED
    if first(get(rxa, 20)).upper() in ("RE", "NA") or first(get(rxa, 5)) == _NO_VACCINE:
        return FactStatus.NOT_GIVEN
    return FactStatus.GIVEN


def _add(
    gathering: Gathering, draft: Draft, coded: str, dose: tuple[str, str], status: FactStatus,
    end: Moment | None = None, parent: int | None = None,
) -> int | None:  # fmt: skip
    """Add the fact of a coded field with its dose; its words become text when it has no code."""
    code = gathering.code(draft.codes, coded) if coded else None
    if code is None:
        words = read_label(coded) if coded else ""
        draft.lines += [words] if words else []
        return None
    value = _number(gathering, dose[0])
    unit = gathering.held.unit(dose[1]) if dose[1] and value is not None else None
    return draft.facts.add(gathering.builder.profile(code, unit), draft.start, value, {
        "status": int(status) or None, "parent_fact_no": parent,
        "end_date": end.date if end else None, "end_minute": end.minute if end else None,
    })  # fmt: skip


def _number(gathering: Gathering, text: str) -> float | None:
    found = gathering.held.number(first(text)) if text else None
    return found.value if found else None


def _attributes(gathering: Gathering, draft: Draft, group: Group, fact: int | None) -> list[Attribute]:
    """Route, site and frequency of the order's first fact."""
    if fact is None:
        return []
    found: list[Attribute] = []
    for rxr in group.all("RXR")[:1]:
        found += coded_attribute(gathering, draft, fact, _ROUTE, get(rxr, 1))
        found += coded_attribute(gathering, draft, fact, _SITE, get(rxr, 2))
    often = frequency(group)
    return [*found, Attribute(fact, *_FREQUENCY, words=often)] if often else found
