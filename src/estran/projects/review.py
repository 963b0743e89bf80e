"""The review of the audit trail, by itself each week or when asked for: written, kept, acknowledged."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.sealing import prove
from estran.projects.site import SiteServices
from estran.projects.unusual import look
from estran.state import AuditFilter, Checkpoint, ReviewRecord
from estran.state.verifying import Fault, Verdict, Wrong

WEEK = dt.timedelta(days=7)


def write(site: SiteServices, since: dt.datetime, until: dt.datetime, actor: Actor = KEY_HOLDER) -> ReviewRecord:
    """Review a period and keep what was found; the hash of the record goes into the trail itself."""
    body = orjson.dumps(_body(site, since, until)).decode()
    number = site.state.reviews.keep(since, until, body)
    permit(site.state, actor, Action.AUDIT, Target(f"review:{number} sha256:{_hash(body.encode())}"))
    return site.state.reviews.recent(1)[0]


def week_due(site: SiteServices, now: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
    """The last whole week, Monday to Monday on the site's clocks, when it was not reviewed yet.

    None too when nothing had been recorded by its end.
    """
    zone = site.settings.clocks
    today = now.astimezone(zone).date()
    monday = today - dt.timedelta(days=today.weekday())
    until, since = (dt.datetime.combine(day, dt.time(), zone) for day in (monday, monday - WEEK))
    done = any(record.since <= since and record.until >= until for record in site.state.reviews.recent(30))
    return None if done or not site.state.audit.count(AuditFilter(until=until)) else (since, until)


def prove_all(site: SiteServices, public: str = "", more: Sequence[Checkpoint] = ()) -> Verdict:
    """Look at the whole trail, and at the reviews whose hash it holds."""
    verdict = prove(site, public, more)
    return replace(verdict, faults=(*verdict.faults, *_unfaithful(site)))


def as_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict for JSON."""
    return {
        "whole": verdict.whole, "lines": verdict.lines, "first": verdict.first, "last": verdict.last,
        "begins": verdict.begins.isoformat() if verdict.begins else None,
        "cut": verdict.cut.line if verdict.cut else None,
        "sealed": {"line": verdict.sealed.line, "at": verdict.sealed.at.isoformat()} if verdict.sealed else None,
        "faults": [asdict(fault) for fault in verdict.faults],
    }  # fmt: skip


def _body(site: SiteServices, since: dt.datetime, until: dt.datetime) -> dict[str, Any]:
    settings = {name: value for name, value in asdict(site.settings).items() if name.startswith("audit_")}
    return look(site, since, until).as_row() | {"trail": as_row(prove_all(site)), "settings": settings}


def _unfaithful(site: SiteServices) -> list[Fault]:
    """Reviews that are gone, or are not what was written."""
    kept = {f"review:{record.id}": _hash(orjson.dumps(record.body)) for record in site.state.reviews.recent(10_000)}
    faults = []
    for entry in site.state.audit.each(AuditFilter(action=Action.AUDIT)):
        name, _, hashed = entry.target.partition(" sha256:")
        if hashed and kept.get(name) != hashed:
            wrong = Wrong.ALTERED if name in kept else Wrong.REMOVED
            faults.append(Fault(entry.id, wrong, f"The {name.replace(':', ' ')} is not what was written."))
    return faults


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
