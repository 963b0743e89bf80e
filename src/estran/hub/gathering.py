"""What the answers to one question make together: each site's state and count, and the distinct total with its error.

Counts of sites are never added up in silence: a patient whom two hospitals know would be counted twice. The total comes
from the linkage unit, or from united sketches; where neither covers a site, bounds are all that is said of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from estran.hub.agent.counting import SKETCH, TOKENS
from estran.hub.book import OPEN, HubBook, JobRecord, Member, Question
from estran.hub.wire import LONGEST
from estran.model.errors import UsageError
from estran.projects.gate import Shown
from estran.release.sketch import WORST_ERROR, Estimate, Sketch, united

LATE_AFTER = 1.2  # seconds without an answer after which a site is called late
_DOWN_AFTER = 45.0  # seconds without a visit after which a site that stays with the hub is called down
_GONE_AFTER = 3.0  # the same, for a site that hung up, at work or while it waited: who only starts anew is back by then
OPENED = "opened"  # the hub's word for when its door last opened
_LARGEST = LONGEST // 2  # bytes of tokens that one job of the linkage unit may carry
_STEP = 5  # estimates are rounded as counts are
Now = Callable[[], float]


@dataclass(frozen=True)
class Inner:
    """A site behind a site that is a hub itself."""

    name: str
    state: str
    said: str = ""
    shown: Shown | None = None
    members: tuple[Inner, ...] = ()


@dataclass(frozen=True)
class SiteAnswer:
    """One site. `state`: answered, waiting, late, down, refused, approval, unsupported, failed or expired.

    `seconds` from question to answer; `shown` and what follows only when answered. `method` says how the distinct total
    of a site that is a hub itself was found, `members` what its own sites answered, as far as it tells. `owes`: its tokens
    were asked for at that moment (seconds since 1970), and may come.
    """

    member: str
    name: str
    state: str
    said: str = ""
    seconds: float | None = None
    shown: Shown | None = None
    elapsed_ms: float | None = None
    unknown: tuple[str, ...] = ()
    entities: tuple[dict[str, Any], ...] = ()
    has: frozenset[str] = field(default_factory=frozenset)
    method: str = ""
    members: tuple[Inner, ...] = ()
    owes: float | None = None


@dataclass(frozen=True)
class Total:
    """Distinct patients of the sites `covers` names. `method`: linkage, sketch, bounds (only `low` and `high` are
    said), one (a single site), or none. The interval holds nineteen times out of twenty, errors of linkage apart."""

    method: str
    covers: tuple[str, ...]
    low: int
    high: int
    shown: Shown | None = None


@dataclass(frozen=True)
class Gathered:
    """A question as it stands now."""

    sites: tuple[SiteAnswer, ...]
    total: Total

    @property
    def answered(self) -> int:
        """How many sites gave a count."""
        return sum(site.state == "answered" for site in self.sites)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come without somebody doing something."""
        return not any(
            site.owes is not None or site.state in ("waiting", "late", "down", "approval") for site in self.sites
        )


def gather(book: HubBook, question: str, now: Now = time.time) -> Gathered:
    """Where a question stands."""
    moment, jobs, sent = now(), book.jobs(question, "count"), book.sent(question)
    members = {member.id: member for member in book.members()}
    gone = _gone(book, members.values(), moment)
    later = {job.member: job for job in book.jobs(question, TOKENS)}

    def site(job: JobRecord) -> SiteAnswer:
        has = frozenset[str]().union(*(sent.get(one.id, ()) for one in (job, later.get(job.member, job))))
        found = _site(members[job.member], job, moment, has, gone.get(job.member, 0.0))
        return replace(found, owes=_asked_at(later.get(job.member), moment))

    sites = sorted(map(site, jobs), key=lambda one: one.name)
    given = [site for site in sites if site.state == "answered"]
    return Gathered(tuple(sites), _total(book, question, given, jobs))


def advance(book: HubBook, question: str, now: Now = time.time, *, patient: bool = True) -> str | None:
    """Ask for the tokens once all sites that are not late have answered (or at once, unless `patient`), then have the
    linkage unit count once these have come and it has not yet for so many; the id of its job, if one was made. Tokens that
    have served are dropped."""
    record, unit = book.question(question), next(iter(book.members("linkage", active=True)), None)
    if record is None or unit is None or not record.body.get("distinct", True):
        return None
    moment = now()
    _ask_tokens(book, record, moment, patient=patient)
    if not _ready(book, record, moment, patient=patient):
        _forget_served(book, question, moment)
        return None
    with book.db.writing():  # two processes may look at once
        ready = _ready(book, record, moment, patient=patient)
        if not ready:
            return None
        counts = {job.member: job for job in book.jobs(question, "count")}
        sent = {job.member: job for job in book.jobs(question, TOKENS)}
        where = {f"{TOKENS}/{site}": sent.get(site, counts[site]).id for site in sorted(ready)}
        floor = max(_whole(counts[site].answer.get("floor")) for site in ready)
        expires = max(job.expires for job in counts.values())
        body = {"sites": sorted(ready), "floor": floor, "sent": where}
        return book.add_job(question, unit.id, "link", body, moment, expires)


def after_answer(book: HubBook, job: str, now: Now = time.time) -> None:
    """When an answer has come, see what the question needs next; while others are expected any moment it needs nothing, and
    nothing is read to find that out."""
    found = book.db.one("SELECT question FROM job WHERE id = ?", (job,))
    if found is None or not found[0]:
        return
    expected = "SELECT 1 FROM job WHERE question = ? AND state IN ('queued', 'taken') AND created > ?"
    if book.db.one(expected, (found[0], now() - LATE_AFTER)) is None:
        advance(book, str(found[0]), now)


def tidy(book: HubBook, now: Now = time.time) -> None:
    """Drop what nobody will count any more, whatever ended before it could: a hub when it starts, and every hour."""
    book.forget_old_files(now())
    for question in book.having(TOKENS):
        _forget_served(book, question, now())
    book.db.shed(anew=True)  # also after what was deleted elsewhere, and when somebody read while tokens were


def ask_for_tokens(book: HubBook, job: str) -> None:
    """Ask a site for the tokens of an answer that has just come, without waiting for the other sites."""
    found = book.job(job)
    if found is not None and found.kind == "count" and found.question and book.members("linkage", active=True):
        _want(book, found.question, [found], time.time())


def _ask_tokens(book: HubBook, question: Question, moment: float, *, patient: bool) -> None:
    """They are many bytes: they are asked for when nobody's count is expected, and not where sketches do."""
    if book.asks_tokens(question.id):
        found = gather(book, question.id, lambda: moment)
        if found.total.method != "sketch" and not (patient and any(site.state == "waiting" for site in found.sites)):
            _want(book, question.id, book.jobs(question.id, "count"), moment)


def _forget_served(book: HubBook, question: str, moment: float) -> None:
    """Drop the tokens of a question when no answer is awaited, none will be asked for, and the linkage unit has counted
    these, or never will."""
    awaited = f"SELECT 1 FROM job WHERE question = ? AND state IN {OPEN} AND expires > ?"
    if not book.sizes(question, TOKENS) or book.db.one(awaited, (question, moment)) or book.asks_tokens(question):
        return
    record = book.question(question)
    if record is not None and not _ready(book, record, moment, patient=False):
        book.forget_files(question, TOKENS)
        book.db.shed()


def _want(book: HubBook, question: str, counts: Sequence[JobRecord], moment: float) -> None:
    """One job each for those who said that they have tokens and were not asked for them."""
    with book.db.writing():
        asked = {one.member for one in book.jobs(question, TOKENS)}
        for job in counts:
            has = job.state == "ok" and job.answer.get(TOKENS) is True
            if has and job.member not in asked and job.expires > moment:
                book.add_job(question, job.member, TOKENS, job.body, moment, job.expires)


def _asked_at(job: JobRecord | None, moment: float) -> float | None:
    """When the tokens that are still to come were asked for."""
    return job.created if job is not None and job.state in ("queued", "taken") and job.expires > moment else None


def _ready(book: HubBook, question: Question, moment: float, *, patient: bool) -> frozenset[str]:
    """The sites whose tokens the linkage unit is to count now; none when it is not its turn."""
    found, links = gather(book, question.id, lambda: moment), book.jobs(question.id, "link")
    ready = frozenset(site.member for site in found.sites if TOKENS in site.has)
    if (
        len(ready) < 2
        or found.total.method == "sketch"
        or any(set(job.body.get("sites", ())) >= ready for job in links)
    ):
        return frozenset()
    if patient and any(
        site.state == "waiting" or (site.owes is not None and moment - site.owes < LATE_AFTER) for site in found.sites
    ):
        return frozenset()
    # While sites come late, one by one, each total takes as long as all before it: there are few of them.
    last = max((job.created for job in links), default=question.asked)
    if patient and not found.settled and moment - question.asked < 2 * (last - question.asked):
        return frozenset()
    return ready if book.sizes(question.id, TOKENS) <= _LARGEST else frozenset()


def _gone(book: HubBook, members: Iterable[Member], now: float) -> dict[str, float]:
    """When members went away, by their ids: their connection was closed; or they are not back since the hub's door opened, for
    longer than they are silent otherwise. A hub that starts anew knows nobody's connection."""
    gone, opened = book.gone(), float(book.meta(OPENED) or 0.0)
    for one in members:
        if one.seen is not None and one.seen < opened and now - opened > _patience(one):
            gone[one.id] = max(opened, gone.get(one.id, 0.0))
    return gone


def _patience(member: Member) -> float:
    """Seconds without a visit after which a member is called down."""
    return max(_DOWN_AFTER, 3 * member.every)


def _site(member: Member, job: JobRecord, now: float, sent: frozenset[str], gone: float) -> SiteAnswer:
    if job.state != "ok":
        return SiteAnswer(
            member.id,
            member.name,
            _open_state(member, job, now, gone),
            job.said,
            None if job.answered is None else job.answered - job.created,
        )
    body = job.answer
    shown = _shown(body)
    if shown is None:
        return SiteAnswer(member.id, member.name, "failed", "The answer holds no count.")
    return SiteAnswer(
        member.id, member.name, "answered", job.said, (job.answered or now) - job.created, shown, _number(body.get("elapsed_ms")),
        tuple(str(code)[:200] for code in _listed(body, "unknown")),
        tuple(_entity(one) for one in _listed(body, "entities") if isinstance(one, dict)), sent,
        str(body.get("method", ""))[:20], _inner(body),
    )  # fmt: skip


def _entity(told: dict[str, Any]) -> dict[str, Any]:
    """What a site says of one of its legal entities; nothing else of it is shown."""
    texts = {name: str(told.get(name, ""))[:200] for name in ("name", "status", "message")}
    return texts | {name: _whole(told.get(name)) for name in ("count", "below", "margin")}


def _listed(body: dict[str, Any], name: str) -> list[Any]:
    """What a site says is a list, as long as is sensible."""
    found = body.get(name)
    return found[:50] if isinstance(found, list) else []


def _open_state(member: Member, job: JobRecord, now: float, gone: float) -> str:
    if job.state not in ("queued", "taken"):
        return "expired" if job.state == "expired" else job.state
    if job.expires <= now:
        return "expired"
    hung_up = member.seen is not None and gone >= member.seen and now - gone > _GONE_AFTER
    silent = job.state == "queued" and (member.seen is None or now - member.seen > _patience(member))
    if hung_up or silent:  # who has a job may be at work on it, and silent, for as long as it is not gone
        return "down"
    return "late" if now - job.created > max(LATE_AFTER, member.every) else "waiting"


def _shown(body: dict[str, Any]) -> Shown | None:
    values = [body.get(name, 0) for name in ("count", "below", "margin")]
    if any(type(value) is not int or value < 0 for value in values):
        return None
    return Shown(*values)


_STATES = frozenset(("answered", "waiting", "late", "down", "refused", "approval", "unsupported", "failed", "expired"))
_MOST_INNER, _DEEPEST = 200, 3


def _inner(body: dict[str, Any], depth: int = 1) -> tuple[Inner, ...]:
    """The sites behind an answer, as many and as deep as is sensible."""
    rows = body.get("members", ())
    if not isinstance(rows, list) or depth > _DEEPEST:
        return ()
    return tuple(
        Inner(
            str(one.get("name", ""))[:120], str(one["state"]), str(one.get("said", ""))[:300],
            _shown(one) if one["state"] == "answered" and "count" in one else None, _inner(one, depth + 1),
        )
        for one in rows[:_MOST_INNER]
        if isinstance(one, dict) and one.get("state") in _STATES
    )  # fmt: skip


def _whole(value: Any) -> int:
    """A number of patients; 0 when it is none."""
    return value if type(value) is int and value > 0 else 0


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# The total


def _total(book: HubBook, question: str, given: Sequence[SiteAnswer], jobs: Sequence[JobRecord]) -> Total:
    if not given:
        return Total("none", (), 0, 0)
    if len(given) == 1:
        low, high = _bounds(given)
        return Total("one", (given[0].name,), low, high, given[0].shown)
    linked = _linked(book, question, given)
    return _sketched(book, given, jobs) or linked or Total("bounds", (), *_bounds(given))


def _sketched(book: HubBook, given: Sequence[SiteAnswer], jobs: Sequence[JobRecord]) -> Total | None:
    """From united sketches, when every site that answered sent one."""
    if not all(SKETCH in site.has for site in given):
        return None
    of = {job.member: job for job in jobs}
    found = [_file(book, of[site.member], SKETCH) for site in given]
    try:
        estimate = united([Sketch.load(data) for data in found if data is not None]).estimate()
    except UsageError:
        return None  # a site sent something else
    if not estimate.error <= WORST_ERROR:
        return None
    low, high = estimate.interval
    return Total(
        "sketch",
        tuple(site.name for site in given),
        low,
        high,
        Shown(_rounded(estimate), margin=high - _rounded(estimate)),
    )


def _rounded(estimate: Estimate) -> int:
    return round(estimate.value / _STEP) * _STEP


def _linked(book: HubBook, question: str, given: Sequence[SiteAnswer]) -> Total | None:
    """The last total of the linkage unit; with bounds for sites that answered and are not in it."""
    told = [job for job in book.jobs(question, "link") if job.state == "ok"]
    shown = _shown(told[-1].answer) if told else None
    if shown is None:
        return None
    inside = set(told[-1].body.get("sites", ()))
    covered = tuple(site.name for site in given if site.member in inside)
    low, high = _interval(shown)
    others = [site for site in given if site.member not in inside]
    if not others:
        return Total("linkage", covered, low, high, shown)
    more = _bounds(others)
    return Total("bounds", covered, max(low, more[0]), high + more[1], shown)


def _interval(shown: Shown) -> tuple[int, int]:
    if shown.below:
        return 0, shown.below - 1
    return max(0, shown.value - shown.margin), shown.value + shown.margin


def _bounds(sites: Sequence[SiteAnswer]) -> tuple[int, int]:
    """At least the largest site, at most all of them apart."""
    every = [_interval(site.shown) for site in sites if site.shown is not None]
    return max(low for low, _ in every), sum(high for _, high in every)


def _file(book: HubBook, job: JobRecord, name: str) -> bytes | None:
    return next((one.data for one in book.files(job.id, "answer") if one.name == name), None)
