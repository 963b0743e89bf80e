"""Sites of a pool that say nothing any more: who was asked whom it takes back, and gave no answer that could be taken for
longer than the network's charter allows its producers.

Until such a site speaks nobody knows whether one of its patients has refused: the pool is left as it is, and people are told.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import orjson

from estran.hub.book import HubBook
from estran.hub.governance import silence_of
from estran.hub.pooling.book import Pool, PoolBook
from estran.hub.pooling.delivery import KIND
from estran.hub.pooling.routes import jobs_of_all, name_of
from estran.projects.actors import Actor
from estran.projects.following import NewsKind
from estran.projects.policy import Action, decide
from estran.settings import Settings
from estran.state import Account, StateDatabase


@dataclass(frozen=True)
class Silence:
    """A site that owes an answer: heard `last`, and asked since `asked` (seconds since 1970)."""

    member: str
    last: float
    asked: float

    @property
    def since(self) -> dt.datetime:
        """When it was last heard."""
        return dt.datetime.fromtimestamp(self.last, dt.UTC)


Silences = dict[str, Silence]  # by member
# Of each site of each pool: when it was last heard, and since when it has owed an answer.
_OWED = """
WITH part AS MATERIALIZED (
  SELECT json_extract(value, '$[0]') AS pool, json_extract(value, '$[1]') AS member, json_extract(value, '$[2]') AS at
  FROM json_each(?)),
asked AS MATERIALIZED (
  SELECT json_extract(body, '$.pool') AS pool, member || coalesce('.' || json_extract(body, '$.to'), '') AS member, created, answered,
         state = 'ok' AND id NOT IN (SELECT value FROM json_each(?)) AS heard
  FROM job WHERE kind = 'pool-life' AND json_extract(body, '$.what') = 'withdrawals'),
spoke AS MATERIALIZED (
  SELECT pool, member, max(at, coalesce(max(answered) FILTER (WHERE heard), 0.0)) AS last
  FROM asked JOIN part USING (pool, member) GROUP BY pool, member)
SELECT pool, member, last, min(created) AS owed FROM asked JOIN spoke USING (pool, member)
WHERE NOT heard AND created >= last GROUP BY pool, member ORDER BY pool, member"""


def silent(hub: HubBook, book: PoolBook, pools: Iterable[Pool], limit: float, now: float) -> dict[str, Silences]:
    """The sites that have been silent for more than `limit` hours, by pool and member. A hub that did not ask has nobody to
    blame."""
    around = {one.id for one in pools if one.state == "open"}
    sent = sorted([(one, part.member, part.at) for one in around for part in book.parts(one, "accepted")] + _sealed(hub, book, around))
    parts = [(*site, at) for site, at in {(pool, member): at for pool, member, at in sent}.items()]  # the last of each
    if not parts:
        return {}
    found = dict[str, Silences]()
    given = orjson.dumps(parts).decode(), orjson.dumps(book.lists_set_aside()).decode()
    for pool, member, last, owed in hub.db.rows(_OWED, given):
        if now - owed > limit * 3_600:
            found.setdefault(pool, {})[member] = Silence(member, last, owed)
    return found


def _sealed(hub: HubBook, book: PoolBook, pools: Collection[str]) -> list[tuple[str, str, float]]:
    """Packages that came, and wait for the site to say who left since."""
    judged = {job for one in pools for job in book.judged(one)}
    came = [job for job in jobs_of_all(hub, KIND) if job.state == "ok" and job.id not in judged]
    return [(pool, job.member, job.answered or 0.0) for job in came if (pool := str(job.body.get("pool"))) in pools]


def warn(state: StateDatabase, settings: Settings, hub: HubBook, book: PoolBook, pool: Pool) -> list[str]:
    """Tell whoever runs the pools of each silence, once: at the bell, and by e-mail; the silent sites."""
    found = silent(hub, book, [pool], silence_of(hub), time.time()).get(pool.id, {})
    people = [one for one in state.accounts.all() if _runs_pools(one)] if found else []
    for one in found.values():
        name = name_of(hub, one.member)
        for person in people:
            key = f"pool/{pool.id}/{one.member}/{one.last:.0f}/{person.id}"
            french = (person.language or settings.language) == "fr"
            if state.notices.queue(key, person.id, *_letter(settings, pool, name, one, french=french)):
                state.news.tell(person.id, NewsKind.SILENT, f"{pool.id} {name}")
    return sorted(found)


def _runs_pools(account: Account) -> bool:
    return not account.disabled and account.role != "owner" and decide(Actor.of(account), Action.RUN_POOLS).allowed


def _letter(settings: Settings, pool: Pool, name: str, one: Silence, *, french: bool) -> tuple[str, str]:
    """Subject and text of the e-mail."""
    address = f"{settings.public_url.rstrip('/')}/pools/{pool.id}" if settings.public_url else ""
    since = settings.day(one.since)
    day = f"{since:%d/%m/%Y}" if french else f"{since:%Y-%m-%d}"
    if french:
        subject = f"[{settings.name}] Base commune {pool.name} : un établissement ne répond plus"
        said = (f"{name} ne dit plus, depuis le {day}, quels patients il retire de la base commune {pool.name} (projet {pool.project}).",
                "Tant qu’il se tait, un patient qui s’est opposé là-bas peut encore s’y trouver. Appelez l’établissement.")  # fmt: skip
        first, last = "Bonjour,", "Ce message est envoyé par l’entrepôt de données ; ne pas y répondre."
    else:
        subject = f"[{settings.name}] Pool {pool.name}: a site does not answer any more"
        said = (f"{name} has not said since {day} which patients it takes back from the pool {pool.name} (project {pool.project}).",
                "As long as it is silent, a patient who refused there may still be in it. Call the site.")  # fmt: skip
        first, last = "Hello,", "This message is sent by the data warehouse; do not answer it."
    return subject[:200], "\n\n".join([first, *said, *([address] if address else []), last]) + "\n"
