"""What a hub does with a question of another hub: asks its own members on, and answers with what they answered.

A hub is a site of the hub above it. It never adds its sites up: what it tells is its own distinct total, by its linkage
unit or by sketches, or bounds. Each site's answer goes along, or not, by the hub's own rule (`detail`). The question ends
when the one above it does; a list of the networks it came through refuses circles and bounds the depth.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson

from estran.cohort.language import json as question_json
from estran.exchange.dcat_check import written
from estran.hub import house as hubs
from estran.hub.agent.cataloguing import GRAPH, HOLDINGS, WITHDRAWN
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import AgentSite, Handle, Place
from estran.hub.agent.rules import Rules, SiteRules
from estran.hub.book import HubBook, Question
from estran.hub.catalogues import KIND as CATALOGUE
from estran.hub.catalogues import shelf_of
from estran.hub.gathering import Gathered, Inner, SiteAnswer, Total, advance, gather
from estran.hub.governance import GovernanceBook
from estran.hub.pooling.routes import PATH
from estran.hub.wire import File
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.gate import Shown
from estran.projects.policy import Action, Target
from estran.projects.questions import names_patients

DEEPEST = 3  # hubs that a question may come through
_DAY = 86_400.0


def or_own(own: Handle, relay: Handle) -> Handle:
    """A kind that a hospital answers itself and a hub asks on."""

    def handle(place: Place, job: Job) -> Answer | None:
        return relay(place, job) if place.site is not None and hubs.is_hub(place.site.directory) else own(place, job)

    return handle


def count(place: Place, job: Job) -> Answer | None:
    """The answer of a hub to a feasibility question; None as long as its own sites are expected.

    NotAllowed when its rules, its quota or the way that the question came forbid it.
    """
    rules, site, actor = willing(place, job)
    query = question_json.from_object(job.body.get("cohort"))
    with opened_book(site) as book:
        rules = bound(book, rules)
        path, number = way(book, job), question_of(place, job.id)
        if book.question(number) is None:
            said = question_json.dumps(query)
            asked = Target(f"question of {place.membership.network} passed on", names_patients=names_patients(query))
            permit(site.state, actor, Action.HUB_COUNT, asked, query=said)
            _mind_quota(book, rules, actor.login, site.settings.count_days)
            body = {"cohort": job.body["cohort"], "distinct": bool(job.body.get("distinct", True)), PATH: path}
            _ask_on(book, number, actor.login, place.membership.hub, said, body, job.expires)
        advance(book, number)
        found = gather(book, number)
        if _comes(found) and time.time() < _until(book, number, rules, job):
            return None
        return _answer(found, rules)


def catalogue(place: Place, job: Job) -> Answer:
    """The last valid catalogues of a hub's own sites; nothing is asked on, the hub harvests by its own clock. Where it tells
    none any more, what it told before is taken back."""
    rules, site, actor = willing(place, job)
    with opened_book(site) as book:
        if bound(book, rules).detail != "sites":
            return Answer("refused", "This hub tells of its sites in totals only.", {WITHDRAWN: True})
        path = way(book, job)
        permit(site.state, actor, Action.HUB_CATALOGUE, Target(f"catalogues for {place.membership.network}"))
        shelf = shelf_of(book)
        try:
            sites = [one | {"via": [book.meta("name"), *one["via"]]} for member in book.members("site", active=True)
                     for one in shelf.holdings(member.id)]  # fmt: skip
            shallow = [one for one in sites if len(one["via"]) <= DEEPEST - len(path) + 1]
            if not shallow:
                return Answer("refused", "No catalogue of this hub's sites is there.", {WITHDRAWN: True})
            graph = written(shelf.parts().values(), "ttl")
        finally:
            shelf.close()
    named: dict[str, dict[str, Any]] = {}
    for one in shallow:  # of two of a name, the first
        named.setdefault(one["name"], one)
    body = {"sites": len(named), "codes": sum(len(one["codes"]) for one in named.values())}
    return Answer("ok", "", body, (File(GRAPH, graph), File(HOLDINGS, orjson.dumps({"sites": list(named.values())}))))


def standing(site: AgentSite, rules: SiteRules) -> dict[str, Any]:
    """What a hub says of itself at each visit: the kinds that it answers, no catalogue where it tells totals only; and which of
    its sites, at whatever level below, took back what they told."""
    with opened_book(site) as book, closing(shelf_of(book)) as shelf:
        single = bound(book, rules.site).detail == "sites"
        answers = [kind for kind in rules.answered() if single or kind != CATALOGUE]
        return {"answers": answers, WITHDRAWN: shelf.withdrawn()}


def rows(place: Place, job: Job) -> Answer:
    """NotAllowed: statistics, linkage and a hub's own pool need rows of patients, and hospitals that have checked each other."""
    raise NotAllowed("A hub has no rows of patients for another hub: its sites join the other network themselves.")


# Whether it is asked on


def willing(place: Place, job: Job) -> tuple[Rules, AgentSite, Actor]:
    """The rules of a hub for this kind of job, and who it is done as; NotAllowed when they do not allow it."""
    if place.site is None or place.actor is None:
        raise UsageError("There are no patients here.")
    found = place.rules.willing(job.kind)
    if not found:
        raise NotAllowed("The rules of this site do not allow this kind of question.")
    return found[0][1], place.site, place.actor


def bound(book: HubBook, rules: Rules) -> Rules:
    """The rules of a hub, no wider than what its network lets its own people see: totals where a role sees no more."""
    own = GovernanceBook(Path(book.db.path).parent)
    try:
        return rules if own.sees_all() else dataclasses.replace(rules, detail="total")
    finally:
        own.close()


def way(book: HubBook, job: Job) -> list[str]:
    """The networks that a question came through, and this one; NotAllowed when it went in a circle or too deep."""
    came = job.body.get(PATH, [])
    if not isinstance(came, list) or not all(isinstance(one, str) for one in came):
        raise UsageError("The way that this question came cannot be read.")
    own = book.meta("network")
    if own in came:
        raise NotAllowed("This question came through this hub already.")
    if len(came) >= DEEPEST:
        raise NotAllowed("This question came through too many hubs.")
    return [*came, own]


def _mind_quota(book: HubBook, rules: Rules, login: str, days: int) -> None:
    """The hub above has a quota of questions at this one, as it has at a hospital."""
    since = time.time() - days * _DAY
    found = book.db.one("SELECT count(*) FROM question WHERE login = ? AND asked > ?", (login, since))
    if found is not None and found[0] >= rules.quota:
        raise NotAllowed(
            "You have used up your questions of this period: more answers together could tell of one patient."
        )


def question_of(place: Place, job: str) -> str:
    """What a question, or a job, of another hub is called here: always the same, so that one done again asks nobody twice."""
    return hashlib.sha256(f"{place.membership.network}\n{job}".encode()).hexdigest()[:16]


def _ask_on(
    book: HubBook, number: str, login: str, title: str, said: str, body: dict[str, Any], expires: float
) -> None:
    now = time.time()
    members = [one.id for one in book.members("site", active=True)]
    if not members:
        raise NotAllowed("No site has joined this hub.")
    question = Question(number, now, login, title, said, {"distinct": body["distinct"]})
    book.ask(question, [(member, "count", body) for member in members], min(expires or now + _DAY, now + 7 * _DAY))


def _until(book: HubBook, number: str, rules: Rules, job: Job) -> float:
    """When the answer is given with what there is: by the hub's patience, and well before the job's own end."""
    question = book.question(number)
    asked = time.time() if question is None else question.asked
    wait = rules.patience if not job.expires else min(rules.patience, max(0.0, (job.expires - asked) * 0.8))
    return asked + wait


def _comes(found: Gathered) -> bool:
    """Whether something is still expected: a site that is not down, or the total of the linkage unit."""
    sent = sum("tokens" in one.has for one in found.sites)
    counting = found.total.method == "bounds" and sent > 1 and len(found.total.covers) < sent
    return counting or any(one.owes is not None or one.state in ("waiting", "late") for one in found.sites)


@contextmanager
def opened_book(site: AgentSite) -> Iterator[HubBook]:
    """The file of the hub that this member is."""
    book = hubs.open_book(site.directory)
    try:
        yield book
    finally:
        book.close()


# What is told


def _answer(found: Gathered, rules: Rules) -> Answer:
    given = [one for one in found.sites if one.state == "answered"]
    if not given:
        return Answer("refused", f"No site of this hub has answered: {_names(found)}.")
    if rules.detail != "sites" and len(given) < _FEWEST:
        return Answer("refused", f"Fewer than {_FEWEST} sites of this hub have answered, and it tells totals only.")
    shown = _shown(found.total, rules.floor)
    body: dict[str, Any] = {
        "count": shown.value, "below": shown.below, "margin": shown.margin, "datasetCount": len(given), "floor": rules.floor,
        "method": found.total.method, "asked": len(found.sites), "answered": len(given),
        "unknown": sorted({code for one in given for code in one.unknown})[:50],
        "elapsed_ms": max((one.elapsed_ms or 0.0) for one in given),
        "members": [_member(one, rules.floor) for one in found.sites] if rules.detail == "sites" else [],
    }  # fmt: skip
    return Answer(
        "ok", "" if len(given) == len(found.sites) else f"{len(given)} of {len(found.sites)} sites answered.", body
    )


_FEWEST = 3  # sites behind a total that tells of none of them


def _shown(total: Total, floor: int) -> Shown:
    """A total as a count with its error: of bounds, the middle and as far as either end."""
    if total.shown is not None and total.method != "bounds":
        return _floored(total.shown, floor)
    if total.low < floor:
        return Shown(0, below=max(total.high + 1, floor))
    middle = (total.low + total.high) // 2
    return Shown(middle, margin=total.high - middle)


def _floored(shown: Shown, floor: int) -> Shown:
    """Nothing is told of fewer than this hub's rules allow."""
    low = shown.below > 0 or shown.value < floor
    return Shown(0, below=max(shown.below, floor)) if low else shown


def _member(one: SiteAnswer | Inner, floor: int) -> dict[str, Any]:
    shown = None if one.shown is None else _floored(one.shown, floor)
    told = {} if shown is None else {"count": shown.value, "below": shown.below, "margin": shown.margin}
    members = [_member(inner, floor) for inner in one.members]
    return {"name": one.name, "state": one.state, "said": one.said, **told, "members": members}


def _names(found: Gathered) -> str:
    return ", ".join(one.name for one in found.sites)[:300]
