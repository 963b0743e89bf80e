"""The kind `link`, of a linkage unit: how many distinct patients the tokens of several sites are of, protected.

A linkage unit is kept by another organisation than the hub. It has no key to make tokens with, and every question's
tokens are keyed anew, so it learns sizes and overlaps, and nobody's name. It answers each question for ever more sites,
never for a chosen few of those it has seen: differences of totals would tell of one site.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from estran.hub.agent import parcel
from estran.hub.agent.counting import TOKENS
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.agent.rules import FLOOR
from estran.model.errors import NotAllowed, UsageError
from estran.release.disclosure import Rules
from estran.release.linkage import protected_distinct, unpack

FEWEST_SITES = 2
_SEEN = "questions"


def link(place: Place, job: Job) -> Answer:
    """The protected total of the sites whose tokens came with the job."""
    sites = [one.name.removeprefix(f"{TOKENS}/") for one in job.files]
    if len(set(sites)) < max(FEWEST_SITES, len(sites)):
        raise NotAllowed("Patients are put together of two sites at least.")
    parcels = {site: one.data for site, one in zip(sites, job.files, strict=True)}
    opened = parcel.open_all(parcels, place.identity, parcel.sealed_place(place.membership.network, job.question))
    _only_grows(place.folder / _SEEN, job.question, sites)
    records = [unpack(one) for one in opened]
    floor = job.body.get("floor", FLOOR)
    if type(floor) is not int:
        raise UsageError("A floor is a number of patients.", where="floor")
    shown = protected_distinct(records, Rules(floor=max(FLOOR, floor)))
    body: dict[str, Any] = {
        "count": shown.value,
        "below": shown.below,
        "margin": shown.margin,
        "datasetCount": len(sites),
        "sites": sites,
    }
    return Answer("ok", "", body)


def _only_grows(folder: Path, question: str, sites: list[str]) -> None:
    """NotAllowed when sites seen before for this question are left out now."""
    if not question.isalnum():
        raise UsageError("A question is named by letters and digits.")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / question
    before = set(orjson.loads(path.read_bytes())) if path.is_file() else set()
    if not before <= set(sites):
        raise NotAllowed("Sites whose patients were counted for this question are left out of it now.")
    scratch = path.with_name(f".{question}")
    scratch.write_bytes(orjson.dumps(sorted(sites)))
    scratch.replace(path)
