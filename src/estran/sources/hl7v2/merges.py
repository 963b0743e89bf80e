"""ADT that tell who is who: merges, links, dossiers opened under the wrong patient."""

from __future__ import annotations

from estran.sources.hl7v2.gathering import Gathering, Subject
from estran.sources.hl7v2.message import Message, get
from estran.sources.hl7v2.person import merged_numbers
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.visit import read_number
from estran.sources.records import MergeStatement


def merge(gathering: Gathering, message: Message, record: int, event_time: int) -> int:
    """A40 and its kin: each MRG-1 is the same person as the PID before it. Returns `event_time`; raises Refused."""
    builder, subject, pairs = gathering.builder, None, 0
    for line in message.lines:
        if line.startswith("PID"):
            subject = gathering.subject(line, [], "")
            gathering.state_now(subject, record)
        elif line.startswith("MRG") and subject is not None:
            gone = merged_numbers(line.split("|"), gathering.held.default_system)
            known = {subject.identity.key, *subject.identity.aliases}
            for key in (k for k in gone if k not in known):
                builder.batch.merges.append(MergeStatement(record, subject.patient, builder.patient(*key)))
                pairs += 1
            if gone and not pairs:
                raise Refused("MRG-1", "malformed", "The message merges a number with itself.")
    if not pairs:
        if subject is None:
            raise Refused("PID", "missing", "The message has no PID segment.")
        raise Refused("MRG-1", "missing", "The message has no number to merge (MRG-1).")
    return event_time


def link(gathering: Gathering, message: Message, record: int, event_time: int, *, undo: bool) -> int:
    """A24: the patients of two PID are one person; A37: they are not. Returns `event_time`; raises Refused."""
    subjects = [gathering.subject(line, [], "") for line in message.lines if line.startswith("PID")]
    if len(subjects) != 2:
        raise Refused("PID", "missing", "The message does not hold two PID segments.")
    kept, gone = subjects
    if kept.patient == gone.patient:
        raise Refused("PID-3", "malformed", "The message links a number with itself.")
    for subject in subjects:
        gathering.state_now(subject, record)
    gathering.builder.batch.merges.append(MergeStatement(record, kept.patient, gone.patient, undo))
    return event_time


def leave(gathering: Gathering, message: Message, record: int, subject: Subject) -> None:
    """A44, A45: the dossier or stay of MRG leaves the patient of MRG-1 for that of PID-3; raises Refused.

    It ends as cancelled under the first, and the rest of the message opens it under the second. Documents
    that were sent under the wrong patient stay there until their source sends them anew.
    """
    mrg = message.first("MRG")
    if mrg is None:
        raise Refused("MRG", "missing", "The message has no MRG segment.")
    owners = merged_numbers(mrg, gathering.held.default_system)
    said = [read_number(get(mrg, 5)), read_number(get(mrg, 3))]
    numbers = list(dict.fromkeys(n for n in (said if any(said) else [subject.visit.number]) if n))
    if not owners or not numbers:
        raise Refused("MRG-1", "missing", "The message does not say which stay leaves which patient (MRG-1, MRG-3).")
    if owners[0] in (subject.identity.key, *subject.identity.aliases):
        raise Refused("MRG-1", "malformed", "The stay would leave a patient for the same one.")
    builder = gathering.builder
    patient = builder.patient(*owners[0])
    for number in numbers:
        builder.stay_event(record, builder.stay(patient, *number), status="cancelled")
