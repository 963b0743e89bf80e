"""What a keeper raises ends its own look only."""

from __future__ import annotations

import pytest

from estran.keeping.guard import Guarded
from estran.model.errors import StoreError


class Failing:
    """Raises what it is given, then tells."""

    def __init__(self, *raised: Exception) -> None:
        self.left, self.looks = list(raised), 0

    def look(self) -> list[str]:
        self.looks += 1
        if self.left:
            raise self.left.pop(0)
        return ["done"]


def test_an_error_is_told_without_its_text_and_tried_again_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("estran.keeping.guard.time.monotonic", lambda: clock[0])
    keeper = Failing(KeyError("a name of a patient"), StoreError("The store is busy."))
    guarded = Guarded(keeper)
    assert guarded.look() == ["Failing: KeyError"] and guarded.failed
    assert guarded.look() == [] and keeper.looks == 1
    clock[0] += 2
    assert guarded.look() == ["Failing: The store is busy."]
    clock[0] += 2
    assert guarded.look() == [], "four seconds the second time"
    clock[0] += 2
    assert guarded.look() == ["done"] and not guarded.failed
