"""The one place that says which step of a project may follow: a frozen table.

Each row: the step, from which stages, to which stage (None: the project stays where it is), by whose hand, and what
it needs. Whoever is that hand is decided by `projects.policy`; whether a need is met is told by `needs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a project stands."""

    IDEA = "idea"
    LETTER = "letter"  # the letter of intent was sent
    WRITING = "writing"  # pre-selected, or sent back: the request is being written
    SUBMITTED = "submitted"
    EXPERTISE = "expertise"  # outside experts were asked
    COMMITTEE = "committee"  # a session was called
    CONDITIONS = "conditions"  # accepted once its conditions are lifted
    ACCEPTED = "accepted"  # contract pieces are gathered
    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSING = "closing"  # data are archived or destroyed
    CLOSED = "closed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What somebody does to a project."""

    PROPOSE = "propose"
    DESCRIBE = "describe"
    ATTACH = "attach"
    WRITE = "write"
    SIGN = "sign"
    SAY = "say"
    INTEND = "intend"
    PRESELECT = "preselect"
    DECLINE = "decline"
    SUBMIT = "submit"
    RETURN = "return"
    ADVISE = "advise"
    TIGHTEN = "tighten"
    ASK = "ask"
    OPINE = "opine"
    RECUSE = "recuse"
    CALL = "call"
    DECLARE = "declare"
    VOTE = "vote"
    ADJOURN = "adjourn"
    ACCEPT = "accept"
    CONDITION = "condition"
    REFUSE = "refuse"
    LIFT = "lift"
    CONFIRM = "confirm"
    FILE = "file"
    OPEN = "open"
    AMEND = "amend"
    GRANT = "grant"
    APPROVE = "approve"
    DENY = "deny"
    STAFF = "staff"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"
    OUTPUT = "output"
    ARCHIVE = "archive"
    DESTROY = "destroy"
    END = "end"
    WITHDRAW = "withdraw"


class Hand(StrEnum):
    """Who takes a step."""

    ANYBODY = "anybody"  # whoever may propose a project
    TEAM = "team"
    LEAD = "lead"
    HANDLER = "handler"  # the clinical data centre
    ADVISER = "adviser"  # methodologist, data protection officer
    EXPERT = "expert"  # asked for an opinion
    MEMBER = "member"  # of the committee, called to the session
    CHAIR = "chair"  # of the session


class Need(StrEnum):
    """What must be there before a step."""

    COUNTS = "counts"  # a counted cohort is attached
    SITES = "sites"  # as many as the call wants
    IN_TIME = "in-time"  # before the deadline of the call
    NO_LETTER = "no-letter"  # no letter of intent is asked for, or it was kept
    REQUEST = "request"  # complete: each variable has its justification
    CHARTER = "charter"  # signed by the lead
    ADVICE = "advice"  # of a methodologist
    OPINIONS = "opinions"  # as many as the call wants
    DECLARED = "declared"  # one's interests, before voting
    FIRST_VOTE = "first-vote"  # one vote each
    QUORUM = "quorum"
    FOR = "for"  # the votes accept
    FOR_IF = "for-if"  # the votes accept under conditions
    AGAINST = "against"  # the votes do not accept
    LIFTED = "lifted"  # every condition
    PIECES = "pieces"  # every piece of the formality route
    ALL_SIGNED = "all-signed"  # the charter, by the whole team
    NO_WAITING = "no-waiting"  # no amendment waits
    MINOR = "minor"  # the amendment that waits changes no variable and no cohort
    MAJOR = "major"  # it does
    WAITING = "waiting"  # an amendment waits
    ARCHIVED = "archived"
    DATA_GONE = "data-gone"  # the files of its datamarts and of its workspace are destroyed
    DESTROYED = "destroyed"
    OUTPUTS = "outputs"  # the register has a line


@dataclass(frozen=True)
class Move:
    """One row of the table."""

    step: Step
    sources: frozenset[Stage]
    to: Stage | None
    hands: tuple[Hand, ...]
    needs: tuple[Need, ...] = ()


def _row(step: Step, sources: str, to: Stage | None, hands: str, needs: str = "") -> Move:
    return Move(
        step,
        frozenset(map(Stage, sources.split())),
        to,
        tuple(map(Hand, hands.split())),
        tuple(map(Need, needs.split())),
    )


_DRAFT = "idea writing"
_LIVE = "idea letter writing submitted expertise committee conditions accepted open suspended closing"
_BEFORE_OPEN = "idea letter writing submitted expertise committee conditions accepted"

TABLE: tuple[Move, ...] = (
    _row(Step.PROPOSE, "", Stage.IDEA, "anybody"),
    _row(Step.DESCRIBE, _DRAFT, None, "lead"),
    _row(Step.ATTACH, _DRAFT, None, "team"),
    _row(Step.WRITE, _DRAFT, None, "team"),
    _row(Step.SIGN, _LIVE, None, "team"),
    _row(Step.SAY, _LIVE, None, "team adviser handler"),
    _row(Step.INTEND, "idea", Stage.LETTER, "lead", "counts sites in-time"),
    _row(Step.PRESELECT, "letter", Stage.WRITING, "handler"),
    _row(Step.DECLINE, "letter", Stage.REFUSED, "handler"),
    _row(Step.SUBMIT, _DRAFT, Stage.SUBMITTED, "lead", "no-letter counts sites request charter"),
    _row(Step.RETURN, "submitted expertise", Stage.WRITING, "handler"),
    _row(Step.ADVISE, "submitted expertise", None, "adviser"),
    _row(Step.TIGHTEN, "submitted expertise committee conditions accepted", None, "adviser"),
    _row(Step.ASK, "submitted expertise", Stage.EXPERTISE, "handler"),
    _row(Step.OPINE, "expertise", None, "expert"),
    _row(Step.RECUSE, "expertise", None, "expert"),
    _row(Step.CALL, "submitted expertise", Stage.COMMITTEE, "handler", "advice opinions"),
    _row(Step.DECLARE, "committee", None, "member"),
    _row(Step.VOTE, "committee", None, "member", "declared first-vote"),
    _row(Step.ADJOURN, "committee", Stage.SUBMITTED, "handler"),
    _row(Step.ACCEPT, "committee", Stage.ACCEPTED, "chair", "declared quorum for"),
    _row(Step.CONDITION, "committee", Stage.CONDITIONS, "chair", "declared quorum for-if"),
    _row(Step.REFUSE, "committee", Stage.REFUSED, "chair", "declared quorum against"),
    _row(Step.LIFT, "conditions", None, "handler"),
    _row(Step.CONFIRM, "conditions", Stage.ACCEPTED, "handler", "lifted"),
    _row(Step.FILE, "conditions accepted open suspended", None, "handler adviser"),
    _row(Step.OPEN, "accepted", Stage.OPEN, "handler", "counts pieces all-signed"),
    _row(Step.AMEND, "open", None, "lead", "no-waiting"),
    _row(Step.GRANT, "open", None, "handler", "waiting minor"),
    _row(Step.APPROVE, "open", None, "chair", "waiting major"),
    _row(Step.DENY, "open", None, "handler chair", "waiting"),
    _row(Step.STAFF, "conditions accepted open suspended", None, "handler"),
    _row(Step.SUSPEND, "open", Stage.SUSPENDED, "handler"),
    _row(Step.RESUME, "suspended", Stage.OPEN, "handler", "pieces all-signed"),
    _row(Step.CLOSE, "open suspended", Stage.CLOSING, "lead handler"),
    _row(Step.OUTPUT, "open suspended closing closed", None, "team handler"),
    _row(Step.ARCHIVE, "closing", None, "handler"),
    _row(Step.DESTROY, "closing", None, "handler", "archived data-gone"),
    _row(Step.END, "closing", Stage.CLOSED, "handler", "archived destroyed outputs"),
    _row(Step.WITHDRAW, _BEFORE_OPEN, Stage.WITHDRAWN, "lead"),
)
MOVES: dict[Step, Move] = {move.step: move for move in TABLE}


def moves_from(stage: Stage) -> tuple[Move, ...]:
    """The steps that may follow at a stage, in the order of the table."""
    return tuple(move for move in TABLE if stage in move.sources)
