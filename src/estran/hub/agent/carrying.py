"""A hub as courier: what another hub asks of its sites for a pool goes on to them, and what they answer goes back, as it is.

The package is sealed to the hub that asked, so that the courier cannot read it, and keeps no key of it; the site says yes to
that hub and its project, whatever its rules say of pools in the network it joined. The courier adds who the site is:
the key that signs for it, and the network where it is a member.
"""

from __future__ import annotations

import time
from typing import Any

from estran.hub import house as hubs
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.agent.relaying import bound, opened_book, question_of, rows, way, willing
from estran.hub.book import ASK_AGAIN, OPEN, HubBook, JobRecord
from estran.hub.pooling.delivery import KIND, LIFE
from estran.hub.pooling.routes import FIRST, FOR, JOB_LIFE, LEFT, NETWORK, PATH, SIGNER, TO, member_of
from estran.model.errors import NotAllowed, UsageError
from estran.projects.audit import permit
from estran.projects.policy import Action, Target

_KEPT = ("unsupported", "failed")  # all other ends without an answer are refusals
_FIRST_HAND = 2  # networks on the way of a job that comes from the hub that asks, this one included
_PASSED = "passed"  # of a job of which the hub above has the answer: nothing that came is here any more


def carry(place: Place, job: Job) -> Answer | None:
    """What a site of this hub answers; None until it has. NotAllowed when this hub's rules, or the way that the job came,
    forbid it; UsageError when it names no site."""
    if TO not in job.body:
        return rows(place, job)
    site, to = place.site, str(job.body[TO])
    if site is None or place.actor is None:
        raise UsageError("There are no patients here.")
    with opened_book(site) as book:
        number, member = question_of(place, job.id), member_of(to)
        found = book.job(number)
        if found is not None and found.state == _PASSED:  # the hub above has lost the answer, as after a restore
            book.db.write(f"{ASK_AGAIN}, expires = ? WHERE id = ?", (_ends(job), number))
            found = book.job(number)
        if (found is None or found.state in OPEN) and not _reaches(book, member):
            book.give_up(number)
            return _not_there(job)
        if found is None:
            path = way(book, job)
            if path[-2:-1] != [place.membership.network]:
                raise NotAllowed("This job names another way than the one that it came.")
            if job.kind == KIND and bound(book, willing(place, job)[0]).detail != "sites":
                raise NotAllowed("This hub tells of its sites in totals only.")
            target = Target(f"{job.kind} of {place.membership.network} carried to {to[:60]}")
            permit(site.state, place.actor, Action.HUB_POOL, target)
            asker = place.membership.hub if len(path) == _FIRST_HAND else str(job.body.get(FOR, ""))
            _hand_on(book, number, member, job, {PATH: path, FOR: asker})
        return _come(book, book.job(number))


def told(place: Place, job: str) -> None:
    """The hub above has the answer to one of its jobs: what was carried for it is dropped."""
    if place.site is None or not hubs.is_hub(place.site.directory):
        return
    with opened_book(place.site) as book:
        found = book.job(question_of(place, job))
        if found is not None and found.kind in (KIND, LIFE):
            with book.db.writing():
                book.give_up(found.id)
                book.db.write("UPDATE job SET state = ? WHERE id = ? AND state = 'ok'", (_PASSED, found.id))


def _reaches(book: HubBook, member: str) -> bool:
    return any(one.id == member for one in book.members("site", active=True))


def _not_there(job: Job) -> Answer:
    """A site that has left can tell nothing any more: nothing of it may stay."""
    if job.kind == KIND:
        raise NotAllowed("No site of this name is with this hub.")
    return Answer("ok", "", {"pool": str(job.body.get("pool", "")), LEFT: True})


def _hand_on(book: HubBook, number: str, member: str, job: Job, came: dict[str, Any]) -> None:
    rest = str(job.body[TO]).partition(".")[2]
    body = {name: value for name, value in job.body.items() if name != TO} | came
    body |= {FIRST: str(job.body.get(FIRST, job.id))} | ({TO: rest} if rest else {})
    book.add_job(None, member, job.kind, body, time.time(), _ends(job), job=number)


def _ends(job: Job) -> float:
    """When the job of the hub above ends, and no later than one of this hub's own would."""
    last = time.time() + JOB_LIFE
    return min(job.expires or last, last)


def _come(book: HubBook, found: JobRecord | None) -> Answer | None:
    """The answer with its files, once it is here."""
    if found is None or (found.state in OPEN and found.expires > time.time()):
        return None
    if found.state != "ok":
        said = found.said or "The site of this hub has not answered in time."
        return Answer(found.state if found.state in _KEPT else "refused", said)
    member = book.member(found.member)
    if TO in found.body or member is None or member.public is None:
        vouched = {}  # the hub that the site joined has said it
    else:
        vouched = {SIGNER: member.public.key.public_bytes_raw().hex(), NETWORK: book.meta("network")}
    return Answer("ok", "", found.answer | vouched, book.files(found.id, "answer"))
