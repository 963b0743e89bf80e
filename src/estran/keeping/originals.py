"""Handing originals over: looked up in the landing, closed for the browser that asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from estran.identity import boxes
from estran.model.errors import EstranError, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.originals import reached
from estran.projects.policy import Action, Target
from estran.projects.rows import one
from estran.projects.site import SiteServices
from estran.sources.pipeline.carried import Carrier, carried_pdf
from estran.sources.pipeline.run import Parts
from estran.state import Original

_LOOK_EVERY = 1.0  # seconds: somebody waits before a page


class OriginalKeeper:
    """Looked at often; finds the originals that wait, and lets go of those whose time is over."""

    def __init__(self, site: SiteServices, loading: Callable[[], AbstractContextManager[Parts]]) -> None:
        self._site, self._loading = site, loading
        self._next = 0.0

    def look(self) -> list[str]:
        """Returns a sentence when something was done."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_EVERY
        shelf = self._site.state.originals
        told = [f"originals: {gone} expired"] if (gone := shelf.expire()) else []
        for asked in shelf.waiting():
            try:
                shelf.put(asked.id, self._closed(asked))
                told.append(f"original {asked.id}: handed over")
            except EstranError as error:
                shelf.fail(asked.id, error.what)
                told.append(f"original {asked.id}: {error.what}")
        return told

    def _closed(self, asked: Original) -> bytes:
        """The original, closed; what the person may do is asked again, and written, before it is read."""
        account = self._site.state.accounts.by_id(asked.account_id)
        snapshot = self._site.snapshot()
        sql = "SELECT source, file_no, record_no, record_key FROM document WHERE document_id = ? AND patient_id = ?"
        row = one(snapshot, sql, [asked.document_id, asked.patient_id])
        if account is None or account.disabled or row is None or row["file_no"] is None or row["record_no"] is None:
            raise UsageError("The document may not be seen any more.")
        actor = Actor.of(account).bounded(self._site.state)
        whose, outside = reached(self._site, actor, asked.document_id)
        target = Target(f"look up original:{asked.id} document:{asked.document_id}", patients=whose, outside=outside)
        permit(self._site.state, actor, Action.ORIGINAL, target, query=asked.reason, snapshot=snapshot.version)
        if not whose:
            raise UsageError("The document may not be seen any more.")
        with self._loading() as parts:
            return boxes.close(asked.public, carried_pdf(parts, Carrier(**row)))
