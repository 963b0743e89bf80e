"""What readers raise where something cannot be read, to be caught by the reader itself: it becomes a refusal.

Each reader has its own subclass, so that one that reads what another would (a CDA inside a message) knows whose
it is. A reason is one sentence without any value.
"""

from __future__ import annotations


class Unread(Exception):
    """Why a file, a header or a document gives nothing: a code of Refusal and the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Refused(Exception):
    """Why one record cannot be loaded: the field in the source's own terms, a code of Refusal and the reason."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.code, self.reason = field, code, reason
