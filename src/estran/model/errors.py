"""Errors that a person can act upon: what happened, where, and what to do next.

Every class carries the exit code of the command line (see docs/reference/exit-codes.md).
Messages never hold a patient's name, number or value.
"""

from __future__ import annotations


class EstranError(Exception):
    """Base of every error that Estran raises on purpose.

    `what` says what happened, `where` the file, line or field, `hint` what to do next.
    """

    exit_code = 6

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"Where: {self.where}")
        if self.hint:
            parts.append(f"To do: {self.hint}")
        return "\n".join(parts)


class CheckFailed(EstranError):
    """A check ran to its end and found something."""

    exit_code = 1


class UsageError(EstranError):
    """The command, the question or a setting is not well formed."""

    exit_code = 2


class InputRefused(EstranError):
    """Nothing of the input could be read."""

    exit_code = 3


class NotAllowed(EstranError):
    """The policy said no; `what` is the reason, for the person who asked."""

    exit_code = 5


class StoreError(EstranError):
    """The site is busy, damaged, or its key does not fit."""

    exit_code = 6


def told(error: Exception) -> str:
    """What may be said of an error: ours in full, of any other its kind only, since its text may hold values."""
    return f"{error.what} {error.where}".strip() if isinstance(error, EstranError) else type(error).__name__
