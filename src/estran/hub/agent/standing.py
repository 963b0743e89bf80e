"""What a member says of its own rules at each visit, asked or not: the hub obeys at once what a site takes back.

`answers` are the kinds of jobs that it answers now, at once or after a yes. A hub says too which of its own sites took back
their catalogues (`withdrawn`), so that the hub above lets go of them. What is not said, as by an earlier release, changes nothing.
"""

from __future__ import annotations

from typing import Any

from estran.hub import house as hubs
from estran.hub.agent import relaying
from estran.hub.agent.place import Place
from estran.model.errors import UsageError


def standing(place: Place) -> dict[str, Any]:
    """What is said now; nothing by a linkage unit, nor while the rules cannot be read."""
    if place.site is None:
        return {}
    try:
        rules = place.rules
    except UsageError:
        return {}
    if hubs.is_hub(place.site.directory):
        return relaying.standing(place.site, rules)
    return {"answers": rules.answered()}
