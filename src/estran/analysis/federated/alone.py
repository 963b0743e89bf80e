"""A method played on the table of one site, where there is nobody to hide its sums from."""

from __future__ import annotations

import pyarrow as pa

from estran.analysis.federated import masking
from estran.analysis.federated.rounds import MOST_ROUNDS, Here, Method, Params, Result, Spec
from estran.model.errors import CheckFailed


def play(method: Method, spec: Spec, table: pa.Table, here: Here) -> Result:
    """Rounds until there is a result; the site's safeguards hold as they do among several."""
    params = method.start(spec)
    for _ in range(MOST_ROUNDS):
        params = Params.from_json(params.to_json())
        following = method.step(params, masking.unmasked(method.local(params, table, here)))
        if isinstance(following, Result):
            return following
        params = following
    raise CheckFailed(f"There is no result after {MOST_ROUNDS} rounds.")
