"""The kinds of jobs that a member knows. A new kind is a function of (place, job) and a line here.

A function decides by `projects.policy` as the hub's actor and has it audited before anything runs; what it raises as
NotAllowed becomes "refused", with the reason; None from it means not yet. Whether the kind is answered at all is the site's own rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from estran.hub.agent import learning, relaying
from estran.hub.agent.carrying import carry
from estran.hub.agent.cataloguing import catalogue
from estran.hub.agent.counting import count, tokens
from estran.hub.agent.linking import link
from estran.hub.agent.matching import keep_ids, match, send_records
from estran.hub.agent.place import Handle
from estran.hub.agent.pooling import life, pool
from estran.hub.agent.statistics import accept, go_on
from estran.hub.study import KIND, ROUND

SITE_KINDS: Mapping[str, Handle] = {
    "count": relaying.or_own(count, relaying.count),
    "tokens": relaying.or_own(tokens, relaying.rows),
    "catalogue": relaying.or_own(catalogue, relaying.catalogue),
    KIND: relaying.or_own(accept, relaying.rows),
    ROUND: go_on,
    "linkage": relaying.or_own(send_records, relaying.rows),
    "linkage-ids": keep_ids,
    learning.KIND: relaying.or_own(learning.accept, relaying.rows),
    learning.GO: learning.go,
    "pool": relaying.or_own(pool, carry),
    "pool-life": relaying.or_own(life, carry),
}
LINKAGE_KINDS: Mapping[str, Handle] = {"link": link, "link-records": match}
KINDS: Mapping[str, Mapping[str, Handle]] = {"site": SITE_KINDS, "linkage": LINKAGE_KINDS}
