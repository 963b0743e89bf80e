"""The kinds of jobs that a member knows. A new kind is a function of (place, job) and a line here.

A function decides by `projects.policy` as the hub's actor and has it audited before anything runs; what it raises as
NotAllowed becomes "refused", with the reason. Whether the kind is answered at all is the site's own rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from estran.hub.agent.counting import count, tokens
from estran.hub.agent.linking import link
from estran.hub.agent.matching import keep_ids, match, send_records
from estran.hub.agent.place import Handle
from estran.hub.agent.pooling import life, pool
from estran.hub.agent.statistics import accept, go_on
from estran.hub.study import KIND, ROUND

SITE_KINDS: Mapping[str, Handle] = {
    "count": count, "tokens": tokens, KIND: accept, ROUND: go_on,
    "linkage": send_records, "linkage-ids": keep_ids,
    "pool": pool, "pool-life": life,
}  # fmt: skip
LINKAGE_KINDS: Mapping[str, Handle] = {"link": link, "link-records": match}
KINDS: Mapping[str, Mapping[str, Handle]] = {"site": SITE_KINDS, "linkage": LINKAGE_KINDS}
