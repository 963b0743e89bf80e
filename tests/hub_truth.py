"""What a network of hospitals answers when nothing goes wrong, and whether what a hub shows is that: each count, and each
distinct total, of all hospitals or of some."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub.book import HubBook, Question
from estran.hub.gathering import Gathered, advance, gather
from estran.projects.gate import Shown
from estran.projects.network import NetworkClerk
from tests.hub_process import Child
from tests.network_kit import KEY, Hospital, Network

_FAR = 3  # margins: noise exceeds them once in eight thousand


@dataclass(frozen=True)
class Truth:
    """`counts` by hospital and question, `totals` by hospitals and question. `far`: totals that are not near the number
    of persons whom the invented hospitals know, which is reckoned without hub, tokens or linkage unit."""

    counts: dict[tuple[str, str], Shown]
    totals: dict[tuple[frozenset[str], str], Shown]
    far: int

    def right(self, text: str, stands: Gathered) -> bool:
        """Whether what is shown of a question is what has to be, for the hospitals that have answered."""
        given = {site.member: site.shown for site in stands.sites if site.state == "answered"}
        told = [self.counts[member, text] for member in given]
        if list(given.values()) != told:
            return False
        total, covers = stands.total, frozenset(stands.total.covers)
        if total.method == "linkage":
            return covers == set(given) and total.shown == self.totals[covers, text]
        if total.method == "one":
            return total.shown == told[0]
        rest = [_interval(self.counts[member, text]) for member in given if member not in covers]
        linked = [_interval(self.totals[covers, text])] if covers else []
        low = max([one[0] for one in linked + rest], default=0)
        high = sum(one[1] for one in linked + rest)
        return total.method in ("bounds", "none") and (total.low, total.high) == (low, high)

    def right_link(self, text: str, sites: Collection[str], answer: dict[str, Any]) -> bool:
        """Whether the linkage unit counted what it has to for these hospitals."""
        return _shown(answer) == self.totals[frozenset(sites), text]


def _interval(shown: Shown) -> tuple[int, int]:
    if shown.below:
        return 0, shown.below - 1
    return max(0, shown.value - shown.margin), shown.value + shown.margin


def _shown(answer: dict[str, Any]) -> Shown:
    return Shown(answer["count"], answer["below"], answer["margin"])


def put(book: HubBook, text: str, sites: Sequence[str]) -> str:
    """A question as a desk puts it; again when the disk is full for a moment."""
    query = parse(text)
    question = Question(os.urandom(8).hex(), time.time(), "test", text, question_json.dumps(query), {"distinct": True})
    body = {"cohort": question_json.to_object(query), "distinct": True}
    for _ in range(100):
        try:
            book.ask(question, [(name, "count", body) for name in sites], time.time() + 86_400)
            return question.id
        except Exception:  # noqa: BLE001
            time.sleep(0.05)
    raise TimeoutError("the question could not be put")


def without_faults(net: Network, sites: Sequence[str], texts: Sequence[str], told: Path) -> Truth:
    """Every question to every two hospitals or more, in a process that ends: what SQLite and DuckDB open must not be
    shared with those to come."""
    child = Child(lambda: told.write_text(json.dumps(_asked(net, sites, texts)), "utf-8") and None)
    child.start()
    os.waitpid(child.pid, 0)
    counts, totals, far = {}, {}, 0
    for one in json.loads(told.read_text("utf-8")):
        text, shown = one["text"], _shown(one["total"])
        counts.update({(name, text): _shown(answer) for name, answer in one["counts"].items()})
        totals[frozenset(one["counts"]), text] = shown
        low, high = (0, shown.below) if shown.below else (shown.value, shown.value)
        far += not low - _FAR * shown.margin <= one["persons"] <= high + _FAR * shown.margin
    return Truth(counts, totals, far)


def _asked(net: Network, sites: Sequence[str], texts: Sequence[str]) -> list[dict[str, Any]]:
    book = HubBook(net.house.folder)
    net = dataclasses.replace(net, house=dataclasses.replace(net.house, book=book))
    some = [group for size in range(2, len(sites) + 1) for group in itertools.combinations(sites, size)]
    asked = [(put(book, text, group), text, group) for text in texts for group in some]
    persons = {(name, text): _persons(net, name, text) for name in sites for text in texts}
    net.run(*sites)
    for question, _, _ in asked:
        advance(book, question)
    net.run("linkage")
    found = []
    for question, text, group in asked:
        stands = gather(book, question)
        if stands.total.method != "linkage" or set(stands.total.covers) != set(group):
            raise ValueError(f"no total without faults: {stands.total.method}")
        (link,) = book.jobs(question, "link")
        found.append(
            {
                "text": text,
                "counts": {job.member: job.answer for job in book.jobs(question, "count")},
                "total": link.answer,
                "persons": len(set[bytes]().union(*(persons[name, text] for name in group))),
            }
        )
    return found


def _persons(net: Network, name: str, text: str) -> set[bytes]:
    """Who is counted at a hospital, each by what makes a person one in the invented world."""
    place = net.places[name]
    assert place.room is not None and place.actor is not None and isinstance(place.site, Hospital)
    counted = NetworkClerk(place.room, place.actor, floor=10, quota=500).count(parse(text), "truth").patients
    tokens = place.site.linkage_tokens(KEY, with_ins=False)
    chosen = np.isin(tokens.patients, np.asarray(counted.to_array(), np.int32))
    return {row.tobytes() for row in tokens.traits[chosen]}
