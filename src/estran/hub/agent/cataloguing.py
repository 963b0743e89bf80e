"""The kind `catalogue`: what this site holds, as HealthDCAT-AP and as lists that can be searched.

Counts are those of the site's own catalogue, measured by the clock and shown through the gate with the stricter of the
site's floor and the network's. Of vocabularies only the codes that enough patients have are told.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from estran.exchange import dcat
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.wire import File
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actions import Action
from estran.projects.described import Listed
from estran.projects.gate import Shown, rules_of
from estran.projects.holdings_file import Held, described, held
from estran.projects.services import read_services

GRAPH, HOLDINGS = "catalogue.ttl", "holdings.json"  # files of the answer
WITHDRAWN = "withdrawn"  # in a refusal: what was told before must not be kept either


def catalogue(place: Place, job: Job) -> Answer:
    """Answer what is held; NotAllowed when the rules, or one of the legal entities, do not allow it.

    A site that has not measured its holdings, or lacks a setting that the catalogue needs, is told as refusing.
    """
    if job.kind not in place.rules.answered():
        raise NotAllowed("The rules of this site do not allow this kind of question.")
    if place.site is None or place.actor is None:
        raise UsageError("There are no patients here.")
    settings = place.site.settings
    floor = max([settings.count_floor, *(rules.floor for _, rules in place.rules.each())])
    strict = rules_of(dataclasses.replace(settings, count_floor=floor))
    try:
        found = held(place.site, place.actor, Action.HUB_CATALOGUE, strict)
        told = described(place.site, found)
        services = [dataclasses.asdict(one) for one in read_services(place.site.directory)]
    except UsageError as error:
        return Answer("refused", f"{error.what} {error.where}".strip())
    holding = orjson.dumps({"sites": [as_object(told, found) | {"services": services}]})
    files = (File(GRAPH, dcat.turtle(dcat.graph(told)).encode()), File(HOLDINGS, holding))
    return Answer("ok", "", {"snapshot": told.version, "codes": len(told.codes), "sites": 1}, files)


def as_object(told: dcat.Catalogue, found: Held) -> dict[str, Any]:
    """The holdings of one site, as the hub keeps them."""
    return {
        "name": told.name, "homepage": told.homepage, "controller": told.controller, "day": told.day, "snapshot": told.version,
        "first": told.first, "last": told.last, "via": [],
        "patients": _count(found.tables["patient"].patients), "records": _count(found.tables["fact"].rows),
        "kinds": [_line(one) | {"years": [[year, *_count(count)] for year, count in found.years[one.key]]} for one in found.kinds],
        "codes": [_line(one) for one in found.codes],
    }  # fmt: skip


def _line(one: Listed) -> dict[str, Any]:
    return {
        "key": one.key, "fr": one.label_fr, "en": one.label_en, "nature": one.nature, "patients": _count(one.patients),
        "rows": _count(one.rows), "first": one.first, "last": one.last,
    }  # fmt: skip


def _count(shown: Shown) -> list[int]:
    """Value, below which it is not told, margin."""
    return [shown.value, shown.below, shown.margin]
