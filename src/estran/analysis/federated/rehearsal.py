"""All rounds of a federated statistic played in one process, as the network plays them: text, masks, sums.

For tests, and for an analyst who tries a model out where the rows are: with one table there is nothing to hide from
oneself, so nothing is masked; the site's safeguards hold all the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping

import numpy as np
import pyarrow as pa

from estran.analysis.federated import masking
from estran.analysis.federated.alone import play
from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.rounds import MOST_ROUNDS, Arrays, Here, Method, Params, Result, Spec, Sums
from estran.analysis.federated.safeguards import Rules
from estran.model.errors import CheckFailed, UsageError

Tables = Mapping[str, pa.Table]
Lost = Callable[[int], Collection[str]]  # the sites that do not answer in a round


def rehearse(method: str, spec: Spec, tables: Tables, rules: Rules | None = None, lost: Lost | None = None) -> Result:
    """Play a method over the tables of several sites, or of one.

    A site that is `lost` in a round takes no part any more: the study begins anew without it. Raises UsageError when
    the question is not well formed, NotAllowed when a site's safeguards refuse or two sites are left, CheckFailed
    when there is no answer.
    """
    if method not in METHODS:
        raise UsageError(f"There is no method {method}.", hint=", ".join(METHODS))
    if not tables:
        raise UsageError("A rehearsal needs the table of a site.")
    here = rules or Rules()
    if len(tables) == 1:
        (table,) = tables.values()
        return play(METHODS[method], spec, table, Here(here))
    try:
        return _Study(METHODS[method], tables, here).play(spec, lost)
    except masking.SiteLost as gone:
        rest = {name: table for name, table in tables.items() if name not in gone.sites}
        if len(rest) < masking.FEWEST_SITES:
            raise
        return rehearse(method, _without(spec, gone.sites), rest, rules, lost)


def _without(spec: Spec, gone: Collection[str]) -> Spec:
    """The question to the sites that are left, where it names them."""
    return {**spec, "sites": [one for one in spec["sites"] if one not in gone]} if "sites" in spec else spec


class _Study:
    """Three sites or more: each masks, the sum is read."""

    def __init__(self, method: Method, tables: Tables, rules: Rules) -> None:
        self._method, self._tables, self._rules = method, tables, rules
        self._study = secrets.token_hex(16)
        self._parties = {name: masking.Party.new(name) for name in tables}
        self._roster = {name: party.public for name, party in self._parties.items()}
        masking.check_roster(self._roster)
        self._common = self._shared() if method.sealed else dict.fromkeys(tables, b"")

    def _shared(self) -> dict[str, bytes]:
        first, secret, bound = min(self._roster), secrets.token_bytes(32), self._study.encode()
        sealed = masking.share(self._parties[first], self._roster, secret, bound)
        taken = {name: masking.take(self._parties[name], self._roster, one, bound) for name, one in sealed.items()}
        return {first: secret, **taken}

    def play(self, spec: Spec, lost: Lost | None) -> Result:
        """Rounds until there is a result; SiteLost when a site does not answer."""
        params = self._method.start(spec)
        for number in range(MOST_ROUNDS):
            params = Params.from_json(params.to_json())
            gone = set(lost(number)) if lost else set()
            following = self._method.step(params, self._round(params, gone))
            if isinstance(following, Result):
                return following
            params = following
        raise CheckFailed(f"There is no result after {MOST_ROUNDS} rounds.")

    def _round(self, params: Params, gone: Collection[str]) -> Sums:
        answers = {
            name: self._method.local(params, table, Here(self._rules, self._common[name]))
            for name, table in self._tables.items()
            if name not in gone
        }
        if not self._method.masked:
            return stacked(answers, params.spec.get("sites", sorted(self._tables)))
        bound = masking.context(self._study, params)
        masked = [
            masking.mask(one, self._parties[name], self._roster, bound, self._common[name])
            for name, one in answers.items()
        ]
        return masking.unmask(masked, self._roster, bound)


def stacked(answers: Mapping[str, Arrays], sites: Collection[str]) -> Sums:
    """The arrays of a method that tells the sites apart, one above the other in the order of the sites."""
    missing = set(sites) - set(answers)
    if missing:
        raise masking.SiteLost(sorted(missing))
    arrays = [answers[name] for name in sites]
    return Sums({key: np.stack([np.asarray(one[key], float) for one in arrays]) for key in arrays[0]})
