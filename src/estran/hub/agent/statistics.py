"""The kinds `statistics` and `statistics-round`: a site's part in a statistic over the sites of a network.

The first asks: the site decides, reads its rows once, and answers with its key of the study. The second goes on with
what was accepted: a new key after a site was lost, the sites' common secret, the rounds, the end. What leaves are
sums under masks that vanish only in the sum over all sites of a list that this site checked itself.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from estran.analysis.federated import masking
from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.rounds import Here, Params
from estran.analysis.federated.safeguards import Rules
from estran.cohort.language import json as question_json
from estran.cohort.query import And, Node, StayCriterion
from estran.hub.agent.counting import linkage_key
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.agent.study_book import Attempt, StudyBook
from estran.hub.study import (
    AGAIN,
    END,
    KIND,
    MOST_ATTEMPTS,
    SHARE,
    STEP,
    WORDS,
    Announcement,
    Asked,
    announce,
    place_of,
)
from estran.hub.wire import File
from estran.identity.keys import Cipher
from estran.model.errors import CheckFailed, NotAllowed, UsageError
from estran.projects.datamarts.analysis import read_wanted
from estran.projects.network_statistics import StatisticsClerk

_SECRET = 32
_LONGEST = 7 * 86_400.0


def accept(place: Place, job: Job) -> Answer:
    """Take part in a study, with a key made for it; NotAllowed when this site does not."""
    with _member(place) as member:
        asked, study = Asked.read(job.body), _study(job)
        known = member.book.study(study)
        if known is not None and known.digest == asked.digest and (before := member.book.attempt(study, 1)):
            return Answer("ok", "", before.announced.to_object())
        wanted = read_wanted(asked.table, member.query(asked))
        rows = member.clerk.table(member.own(asked), wanted, member.target(study, asked))
        member.book.begin(study, asked, rows, min(job.expires or time.time() + _LONGEST, time.time() + _LONGEST))
        return member.announced(study, 1, asked)


def go_on(place: Place, job: Job) -> Answer:
    """The next step of a study that this site takes part in; NotAllowed when it does not, or not in this."""
    with _member(place) as member:
        study, phase = _study(job), str(job.body.get("phase"))
        asked = member.book.study(study)
        if phase == END:
            member.book.end(study)
            return Answer("ok")
        if asked is None:
            raise NotAllowed("This study has ended here, or asks something else now.")
        number = _whole(job.body.get("attempt"))
        if phase == AGAIN:
            known = member.book.attempt(study, number)
            return Answer("ok", "", known.announced.to_object()) if known else member.announced(study, number, asked)
        attempt = member.settled(study, number, asked, job.body.get("roster"))
        steps = {SHARE: member.shared, STEP: member.contribution}
        if phase not in steps:
            raise UsageError("A study has no such phase.")
        try:
            return steps[phase](asked, attempt, job.body)
        except CheckFailed as error:
            return Answer("failed", error.what)


@dataclass(frozen=True)
class _Member:
    """A site in a network, asked about a study."""

    place: Place
    book: StudyBook
    shared_key: bytes

    @cached_property
    def clerk(self) -> StatisticsClerk:
        """Reads for the hub, by the strictest of the rules; NotAllowed when nobody here is willing."""
        rules = [one for _, one in self._willing()]
        if self.place.room is None or self.place.actor is None:
            raise UsageError("There are no patients here.")
        floor, quota = max(one.floor for one in rules), min(one.quota for one in rules)
        return StatisticsClerk(self.place.room, self.place.actor, floor=floor, quota=quota)

    def _willing(self) -> tuple[tuple[str, Any], ...]:
        found = self.place.rules.willing(KIND)
        if not found:
            raise NotAllowed("The rules of this site do not allow this kind of question.")
        return found

    def query(self, asked: Asked) -> Node:
        return question_json.from_object(dict(asked.cohort))

    def own(self, asked: Asked) -> Node:
        """The question, of the patients of those legal entities that are willing."""
        willing = self._willing()
        units = tuple(dict.fromkeys(unit for _, rules in willing for unit in rules.units))
        part = bool(units) and all(rules.units for _, rules in willing)
        return And((self.query(asked), StayCriterion(units=units))) if part else self.query(asked)

    def target(self, study: str, asked: Asked, what: str = "") -> str:
        said = f"network:{self.place.membership.network} study:{study} {asked.method}"
        return f"{said} {what or ', '.join(_columns(asked))[:300]}"

    # Keys

    def announced(self, study: str, number: int, asked: Asked) -> Answer:
        """A new key for an attempt, kept and told."""
        if not 1 <= number <= MOST_ATTEMPTS:
            raise NotAllowed("This study began anew too often.")
        own, party = self.place.identity, masking.Party.new(self.place.membership.member)
        place = place_of(self.place.membership.network, study, number, asked)
        told = announce(party.name, own.public.certificate, party.public, place, own.key, self.shared_key)
        self.book.announce(study, number, party, told)
        return Answer("ok", "", told.to_object())

    def settled(self, study: str, number: int, asked: Asked, said: Any) -> Attempt:
        """An attempt with its list of sites, which is checked at first sight and never changes."""
        attempt = self.book.attempt(study, number)
        if attempt is None or not isinstance(said, list):
            raise NotAllowed("This site gave no key for this.")
        roster = tuple(sorted(map(Announcement.read, said), key=lambda one: one.member))
        if attempt.roster and roster != attempt.roster:
            raise NotAllowed("The list of the sites of a study does not change.")
        if not attempt.roster:
            self._check(roster, attempt, place_of(self.place.membership.network, study, number, asked))
            self.book.settle(study, number, roster)
        return Attempt(study, number, attempt.party, attempt.announced, roster, attempt.secret)

    def _check(self, roster: tuple[Announcement, ...], own: Attempt, place: bytes) -> None:
        """NotAllowed unless each site of the list is a hospital of the network, known by its certificate."""
        masking.check_roster(keys_of(roster))
        if min(len({one.member for one in roster}), len({one.fingerprint for one in roster})) < len(roster):
            raise NotAllowed("A site stands twice in the list of a study.")
        if own.announced not in roster:
            raise NotAllowed("This site is not in the list of the study, or with another key.")
        trusted = {one for _, rules in self._willing() for one in rules.peers}
        for one in roster:
            if not (one.signed(place) and one.marked(place, self.shared_key)):
                raise NotAllowed(f"The site {one.member} does not prove that it is a hospital of this network.")
            if trusted and one != own.announced and one.fingerprint not in trusted:
                raise NotAllowed(f"The site {one.member} is not among those with which this site computes.")
        self.book.meet(((one.member, one.fingerprint) for one in roster), time.time())

    # Steps

    def shared(self, asked: Asked, attempt: Attempt, _: dict[str, Any]) -> Answer:
        """At the first site of the list: the sites' common secret, sealed to each of the others."""
        if attempt.party.name != min(one.member for one in attempt.roster):
            raise NotAllowed("Another site draws the secret of this study.")
        secret = attempt.secret or secrets.token_bytes(_SECRET)
        if not attempt.secret:
            self.book.keep_secret(attempt.study, attempt.number, secret)
        sealed = masking.share(attempt.party, keys_of(attempt.roster), secret, _name(attempt).encode())
        return Answer("ok", "", {"sealed": {peer: base64.b64encode(one).decode() for peer, one in sealed.items()}})

    def contribution(self, asked: Asked, attempt: Attempt, said: dict[str, Any]) -> Answer:
        """What this site adds to a round; the same bytes when it is asked again."""
        params, sites = Params.from_json(str(said.get("params"))), tuple(one.member for one in attempt.roster)
        if not asked.fits(params, sites):
            raise NotAllowed("The parameters of this round are of another question.")
        bound = masking.context(_name(attempt), params)
        before = self.book.answered(attempt.study, attempt.number, params.number)
        if before is not None:
            if before[0] != bound.hex():
                raise NotAllowed("This round was answered before, with other parameters.")
            return before[1]
        rows = self.book.rows(attempt.study)
        self.clerk.again(rows, self.target(attempt.study, asked, f"round {params.number}"))
        here = Here(Rules(self.clerk.floor), self._secret(asked, attempt, said.get("secret")))
        arrays, method = METHODS[asked.method].local(params, rows, here), METHODS[asked.method]
        if method.masked:
            made = masking.mask(arrays, attempt.party, keys_of(attempt.roster), bound, here.common)
            answer = Answer("ok", "", {"layout": made.layout}, (File(WORDS, made.words),))
        else:
            answer = Answer("ok", "", {"arrays": {name: values.tolist() for name, values in arrays.items()}})
        self.book.answer(attempt.study, attempt.number, params.number, bound.hex(), answer)
        return answer

    def _secret(self, asked: Asked, attempt: Attempt, said: Any) -> bytes:
        """The common secret, where the method needs one: the first that comes from the site that draws it stays."""
        if attempt.secret or not METHODS[asked.method].sealed:
            return attempt.secret
        try:
            sealed = base64.b64decode(str(said), validate=True)
        except binascii.Error:
            raise UsageError("The secret of the sites cannot be read.") from None
        secret = masking.take(attempt.party, keys_of(attempt.roster), sealed, _name(attempt).encode())
        self.book.keep_secret(attempt.study, attempt.number, secret)
        return secret


@contextmanager
def _member(place: Place) -> Iterator[_Member]:
    if place.site is None:
        raise UsageError("There are no patients here.")
    key = linkage_key(place)
    if key is None:
        raise NotAllowed("This site was not given the key that the hospitals of the network share.")
    book = StudyBook(place.folder, Cipher(place.site.secret("network-studies")))
    try:
        book.end_those_past(time.time())
        yield _Member(place, book, key)
    finally:
        book.close()


def keys_of(roster: tuple[Announcement, ...]) -> masking.Roster:
    """The public keys of a list of sites."""
    return {one.member: bytes.fromhex(one.key) for one in roster}


def _name(attempt: Attempt) -> str:
    return study_name(attempt.study, attempt.number)


def study_name(study: str, attempt: int) -> str:
    """What the pads of an attempt are bound to."""
    return f"{study}.{attempt}"


def _columns(asked: Asked) -> list[str]:
    names = [str(one) for one in asked.table.get("demographics", ())]
    return names + [f"{one['name']} ({' '.join(one['codes'])})" for one in asked.table.get("variables", ())]


def _study(job: Job) -> str:
    study = str(job.body.get("study", ""))
    if not (study.isalnum() and len(study) <= 64):
        raise UsageError("A study is named by letters and digits.")
    return study


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise UsageError("An attempt of a study is a number.")
    return int(value)
