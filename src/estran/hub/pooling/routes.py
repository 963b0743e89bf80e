"""How the sites of a pool are reached: a site is a member of this hub (`tours`), or a site of a hub that is its member, and is
then named by the way to it (`west.angers`).

The hubs on the way are couriers. A job is handed on as it is, and so is the answer; the package is sealed to this hub's key,
which no courier has, and its manifest is signed with the site's key, which the hub that the site joined vouches for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from estran.hub.book import HubBook, JobRecord
from estran.model.errors import InputRefused, UsageError

# In a job: the rest of the way, the name of the hub that asks, and what it calls the job.
TO, FOR, FIRST = "to", "for", "first_id"
SIGNER, NETWORK, LEFT = "signer", "network", "left"  # in a carried answer: what the last courier says of the site
JOB_LIFE = 30 * 86_400.0  # seconds that a site has to answer
PATH = "path"  # in a job: the networks that it came through
_NO_PACKAGE = "The answer holds no package."


def member_of(site: str) -> str:
    """The member of this hub that is the first on the way to a site."""
    return site.partition(".")[0]


def active(hub: HubBook) -> set[str]:
    """Sites that are members of the network now."""
    return {one.id for one in hub.members("site", active=True)}


def own_name(site: str) -> str:
    """What a site is called in the network that it joined."""
    return site.rpartition(".")[2]


def check_names(sites: Iterable[str], members: set[str]) -> None:
    """UsageError unless the way to each begins with a member."""
    for site in sites:
        if member_of(site) not in members or not all(site.split(".")):
            hint = "--site angers=2026-004, or --site west.angers=2026-004 for a site of a hub that is a member"
            raise UsageError("Name members of the network, each with the number of its project.", where=site, hint=hint)


def put(hub: HubBook, site: str, kind: str, body: dict[str, Any], life: float) -> None:
    """Queue a job for a site, to be done within `life` seconds."""
    member, _, rest = site.partition(".")
    way = {TO: rest, FOR: hub.meta("name"), PATH: [hub.meta("network")]} if rest else {}
    now = time.time()
    hub.add_job(None, member, kind, body | way, now, now + life)


def jobs_of(hub: HubBook, kind: str, pool: str) -> list[JobRecord]:
    """The jobs of a pool in the order they were made; `member` is the site that each is for."""
    return [job for job in jobs_of_all(hub, kind) if job.body.get("pool") == pool]


def jobs_of_all(hub: HubBook, kind: str) -> list[JobRecord]:
    """The jobs of every pool, as `jobs_of`."""
    return [_named(job) for job in hub.of_kind(kind)]


def _named(job: JobRecord) -> JobRecord:
    rest = job.body.get(TO)
    return replace(job, member=f"{job.member}.{rest}") if rest else job


def name_of(hub: HubBook, site: str) -> str:
    """What a site is called for people."""
    member, _, rest = site.partition(".")
    found = hub.member(member)
    return " › ".join([member if found is None else found.name, *(rest.split(".") if rest else ())])


def sender(hub: HubBook, job: JobRecord) -> tuple[str, Ed25519PublicKey]:
    """The network in which a site packed its answer, and the key that signs for it. InputRefused when nobody vouches for it."""
    if TO not in job.body:
        member = hub.member(job.member)
        if member is None or member.public is None:
            raise InputRefused(_NO_PACKAGE)
        return hub.meta("network"), member.public.key
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(job.answer[SIGNER])))
        return str(job.answer[NETWORK]), key
    except (KeyError, ValueError):
        raise InputRefused("The hub between does not say whose signature the package has.") from None
