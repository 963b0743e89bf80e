"""What the process with the key does for the audit trail by itself."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.projects.auditing import AuditedSite, audited, behind_its_back

import estran.state.audit as book
from estran.keeping.auditing import AuditKeeper
from estran.projects.review import prove_all


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AuditedSite]:
    made = audited(tmp_path, audit_checkpoint_minutes=0)
    yield made
    made.state.close()


def test_the_trail_is_sealed_reviewed_and_let_go_once(site: AuditedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=400)
    monkeypatch.setattr(book, "now", lambda: long_ago)
    site.write(3)
    monkeypatch.undo()
    site.write(1)
    keeper = AuditKeeper(site.sealing)
    told = keeper.look()
    assert [sentence.split()[1] for sentence in told] == ["week", "3"], "the portal's key was registered at the last line: sealed"
    assert keeper.look() == []
    verdict = prove_all(site)
    assert verdict.whole
    assert (verdict.first, [r.body["lines"] for r in site.state.reviews.recent()]) == (4, [0])
    assert AuditKeeper(site.sealing).look() == ["audit: checkpoint at line 5"], "the line of the review itself"


def test_a_broken_trail_is_told_and_kept(site: AuditedSite) -> None:
    site.write(3)
    keeper = AuditKeeper(site.sealing)
    site.write(1)
    behind_its_back(site, "UPDATE audit SET login='eve' WHERE id=4")
    site.settings = dataclasses.replace(site.settings, audit_checkpoint_lines=1)
    (told,) = keeper.look()
    assert "broken: altered" in told and "line 4" in told
    assert site.state.audit.last() == 4
