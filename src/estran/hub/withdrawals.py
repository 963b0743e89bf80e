"""Catalogues that members take back: said at each visit, obeyed at once, told on to the hub above.

A site whose rules answer no harvest any more would otherwise stay here with its last numbers for ever, as an old one. One
that cannot be reached says nothing, and stays. What was said last is in the hub's book: the clock obeys it again, so that a
file that was busy, or restored from a backup, keeps nothing of what was taken back.
"""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

import orjson

from estran.hub.book import HubBook
from estran.hub.catalogues import GONE, KIND, CatalogueBook, shelf_of
from estran.model.errors import StoreError

log = logging.getLogger(__name__)
_MOST, _LONGEST = 10_000, 300  # sites that one member names, and characters of a name
_NOTHING: dict[str, Any] = {"tells": True, "withdrawn": {}}


def hear(book: HubBook, member: str, body: dict[str, Any]) -> None:
    """Keep what a member says at a visit of the kinds that it answers, and obey when that is news. Of an earlier release,
    which says nothing of it, all stays as it is."""
    said = _read(body)
    if said is None or said == _said(book, member):
        return
    book.set_meta({_name(member): orjson.dumps(said).decode()})
    try:
        with closing(shelf_of(book)) as shelf:
            _set_aside(book, shelf, member)
            obey(book, shelf, member)
    except StoreError as error:
        log.error("catalogue: %s", error.what)  # the clock obeys later; questions must not wait for it


def tells(book: HubBook, member: str) -> bool:
    """Whether a member answers harvests, by what it said last."""
    return bool(_said(book, member)["tells"])


def obey(book: HubBook, shelf: CatalogueBook, member: str) -> None:
    """Keep nothing of what a member said that it, or a site below it, took back."""
    said = _said(book, member)
    if not said["tells"] and shelf.latest(member) is not None:
        withdraw(book, shelf, member)
    if shelf.take_back(member, said["withdrawn"]):
        _forget_answers(book, member)


def withdraw(book: HubBook, shelf: CatalogueBook, member: str) -> None:
    """A member tells no more what it told."""
    shelf.withdraw(member)
    _forget_answers(book, member)


def _forget_answers(book: HubBook, member: str) -> None:
    """How many sites and codes an answer held is said in the book, too."""
    told = "member = ? AND kind = ? AND state = 'ok' AND answer <> '{}'"
    book.db.write(f"UPDATE job SET answer = '{{}}' WHERE {told}", (member, KIND))


def _set_aside(book: HubBook, shelf: CatalogueBook, member: str) -> None:
    """Answers that came before the news and that nobody has looked at yet: what was taken back may be in them."""
    for job in book.of_kind(KIND):
        if job.member == member and job.state == "ok" and not shelf.knows(job.id):
            shelf.failed(member, job.id, job.created, job.answered or job.created, GONE, "")
            book.drop_files(job.id, "answer")


def _name(member: str) -> str:
    return f"catalogue/{member}"


def _said(book: HubBook, member: str) -> dict[str, Any]:
    found = book.meta(_name(member))
    said: dict[str, Any] = orjson.loads(found) if found else _NOTHING
    return said


def _read(body: dict[str, Any]) -> dict[str, Any] | None:
    """Whether catalogues are told, and the marks of those that were taken back; None when nothing is said of it."""
    answers, marks = body.get("answers"), body.get("withdrawn")
    if not isinstance(answers, list):
        return None
    named = list(marks.items())[:_MOST] if isinstance(marks, dict) else []
    return {"tells": KIND in answers, "withdrawn": {str(site)[:_LONGEST]: str(mark)[:32] for site, mark in named}}
