"""Why one message cannot be loaded."""

from __future__ import annotations


class Refused(Exception):
    """`field` in HL7's own terms (PID-3), `code` one word, `reason` a sentence without any value."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.code, self.reason = field, code, reason
