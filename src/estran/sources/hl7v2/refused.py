"""Why one message cannot be loaded."""

from __future__ import annotations

from estran.sources import refusing


class Refused(refusing.Refused):
    """`field` in HL7's own terms (PID-3), `code` one word, `reason` a sentence without any value."""
