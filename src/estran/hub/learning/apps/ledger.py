"""What a site remembers of a run, so that nobody asks for the same sum twice or for more rounds than the budget was made for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from estran.analysis.learning.learner import State
from estran.analysis.learning.plan import Plan

_VOTES = 6  # for each sum: refusals make a candidate more careful, a lost answer is asked for again
_PACE = ("pace", "moved")  # how far to go says nothing of the model that is asked about


class Ledger:
    """A file beside the site's table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text("ascii")) if path.is_file() else {}
        self._opened: list[str] = kept.get("opened", [])
        self._pending: str = kept.get("pending", "")
        self._told: dict[str, str] = kept.get("told", {})
        self._votes: int = kept.get("votes", 0)

    def ask(self, plan: Plan, state: State) -> None:
        """Note that a sum is asked for of this model; ValueError when one was opened before, or the run goes on for too long."""
        name = digest(state)
        limit = plan.most_rounds * (plan.depth + 1) + 1
        if name in self._opened:
            raise ValueError("A sum of this very model was opened before.")
        if len(self._opened) >= (plan.most_rounds if plan.privacy else limit):
            raise ValueError("All the rounds of the plan were given.")
        self._keep(name)

    def open(self) -> None:
        """Note that the sum last asked for is opened."""
        if self._pending:
            self._opened.append(self._pending)
        self._keep("")

    def tell(self, what: str, state: State) -> None:
        """Note that figures are told (`what`: the site's own, or its part of a picture); ValueError when they were told of another
        model: of many models, chosen for it, they would tell of single patients."""
        if self._told.setdefault(what, digest(state)) != digest(state):
            raise ValueError("Figures are told of one model in a run.")
        self._keep(self._pending)

    def vote(self, plan: Plan) -> None:
        """Note a vote; ValueError when there were more than a run has."""
        self._votes += 1
        if self._votes > _VOTES * (plan.most_rounds * (plan.depth + 1) + 1):
            raise ValueError("All the votes of the plan were given.")
        self._keep(self._pending)

    def _keep(self, pending: str) -> None:
        self._pending = pending
        scratch = self._path.with_suffix(".new")
        told = {"opened": self._opened, "pending": pending, "told": self._told, "votes": self._votes}
        scratch.write_text(json.dumps(told), "ascii")
        scratch.replace(self._path)


def digest(state: State) -> str:
    """Names a model, whatever is to be done with it."""
    found = hashlib.sha256()
    for name in sorted(set(state) - set(_PACE)):
        found.update(name.encode() + state[name].tobytes())
    return found.hexdigest()
