"""A load killed at any instant: the site opens, and the rerun ends as if nothing had happened.

Few kills here; `python -m tests.crash --instants 200` makes many.
"""

from __future__ import annotations

from tests.crash import run


def test_kill_at_random_instants() -> None:
    outcomes = run(instants=2)
    assert len(outcomes) == 2
    assert len({outcome.digest for outcome in outcomes}) == 1
