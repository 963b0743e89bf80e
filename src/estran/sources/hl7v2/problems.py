"""PPR (problems) and DFT (acts and diagnoses for billing)."""

from __future__ import annotations

from typing import Any

from estran.model.codes import DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.hl7v2.clinical import read_clinical
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.groups import (
    Group,
    Paper,
    add_comments,
    draft_of,
    entity,
    mark_of,
    read_subject,
    split_groups,
    store,
)
from estran.sources.hl7v2.message import Message, first, get, part, parts
from estran.sources.hl7v2.observations import Draft
from estran.sources.hl7v2.values import read_label

_DELETED = frozenset(("DE", "D"))
_TAKEN_BACK = frozenset(("CD", "CR", "R"))  # FT1-6: a credit takes a charge back


def read_problems(gathering: Gathering, message: Message, record: int, record_no: int) -> int:
    """Add a PPR to the batch: one document per problem; returns its event time. Raises Refused."""
    sender, subject = gathering.sender(message), read_subject(gathering, message)
    groups = [g for g in split_groups(message.lines, "PRB") if g.one("PRB")]
    rank = 0
    for group in groups:
        paper, deleted = _problem(gathering, sender, subject, group)
        rank = max(rank, 1 if deleted else 0)
        store(gathering, record, subject, sender, paper, group, record_no)
    event_time = sender.sent + rank if sender.sent else 0
    read_clinical(gathering, message, record, subject, sender, sender.day, kinds=("AL1",))
    gathering.state_now(subject, record) if not groups else gathering.state(subject, record, event_time)
    return event_time


def _problem(gathering: Gathering, sender: Sender, subject: Subject, group: Group) -> tuple[Paper, bool]:
    prb, clock = group.one("PRB") or [], gathering.clock
    deleted = first(get(prb, 1)).upper() in _DELETED
    began = next((m for n in (16, 7, 2) if (m := moment_of(clock, prb, n, "PRB"))), None)
    ended = moment_of(clock, prb, 9, "PRB")
    draft = draft_of(gathering, sender, "diagnosis", "Diagnostic", began)
    status = FactStatus.CANCELLED if deleted else FactStatus.FINAL
    fact = _coded(gathering, draft, get(prb, 3), {"status": int(status) or None, **_end(ended)})
    for obr in group.all("OBR"):
        _coded(gathering, draft, get(obr, 4), {"status": int(FactStatus.ORDERED), "parent_fact_no": fact})
    add_comments(gathering, draft, group, None)
    instance = entity(get(prb, 4), sender) or "|".join(("P", *subject.identity.key))
    return Paper(f"PRB|{instance}|{first(get(prb, 3))}", DocumentKind.DIAGNOSIS, draft, []), deleted


def read_charges(gathering: Gathering, message: Message, record: int, record_no: int) -> int:
    """Add a DFT to the batch: one document per transaction (FT1), and the diagnoses and acts beside them."""
    sender, subject = gathering.sender(message), read_subject(gathering, message)
    groups = [g for g in split_groups(message.lines, "FT1") if g.one("FT1")]
    rank = 0
    for place, group in enumerate(groups):
        paper, taken_back = _charge(gathering, sender, group, mark_of(message), place)
        rank = max(rank, int(taken_back))
        store(gathering, record, subject, sender, paper, group, record_no)
    event_time = sender.sent + rank if sender.sent else 0
    read_clinical(gathering, message, record, subject, sender, sender.day, kinds=("DG1", "PR1"))
    gathering.state_now(subject, record) if not groups else gathering.state(subject, record, event_time)
    return event_time


def _charge(gathering: Gathering, sender: Sender, group: Group, mark: int, place: int) -> tuple[Paper, bool]:
    """The act (FT1-25, else the transaction's own code) and the diagnoses (FT1-19) of one transaction."""
    ft1 = group.one("FT1") or []
    taken_back = first(get(ft1, 6)).upper() in _TAKEN_BACK
    start = moment_of(gathering.clock, ft1, 4, "FT1")
    draft = draft_of(gathering, sender, "procedure", "Actes", start)
    status = {"status": int(FactStatus.CANCELLED)} if taken_back else {}
    act = get(ft1, 25) or get(ft1, 7)
    quantity = gathering.held.number(first(get(ft1, 10)))
    _coded(gathering, draft, act, status, quantity.value if quantity and quantity.value != 1 else None)
    codes = draft.codes
    draft.codes = gathering.codes_of(sender, "diagnosis")
    for repetition in filter(None, get(ft1, 19).split("~")):
        _coded(gathering, draft, repetition, {**status, "role": "associated"})
    draft.codes = codes
    add_comments(gathering, draft, group, None)
    number = entity(get(ft1, 2), sender) or f"M|{sender.control_id}|{sender.sent}|{sender.facility}|{place}"
    if not sender.control_id and not get(ft1, 2):
        number = f"R|{mark}|{place}"
    return Paper(f"FT1|{number}", DocumentKind.PMSI, draft, []), taken_back


def _coded(
    gathering: Gathering, draft: Draft, coded: str, rare: dict[str, Any], value: float | None = None
) -> int | None:
    """Add the fact of a coded field; its words become text when it has no code."""
    if not coded:
        return None
    code = None if _is_phrase(coded) else gathering.code(draft.codes, coded)
    if code is None:
        words = read_label(coded)
        draft.lines += [words] if words else []
        return None
    return draft.facts.add(gathering.builder.profile(code), draft.start, value, rare)


def _is_phrase(coded: str) -> bool:
    """Whether a field that should be a code is words ('aortic stenosis'): those are masked like any text."""
    cwe = parts(coded.partition("~")[0])
    return not any(part(cwe, n) for n in range(2, len(cwe) + 1)) and " " in part(cwe, 1)


def _end(moment: Moment | None) -> dict[str, int | None]:
    return {"end_date": moment.date, "end_minute": moment.minute} if moment else {}

