"""The person on whose behalf something is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from estran.state import Account


class Role(StrEnum):
    """Roles, from the key holder to the reader of totals."""

    OWNER = "owner"  # holds the site's key
    DATA_ENGINEER = "data_engineer"  # the clinical data centre: loads, checks, prepares
    RESEARCHER = "researcher"
    CLINICIAN = "clinician"
    VIEWER = "viewer"


@dataclass(frozen=True)
class Actor:
    """Who asks. `account_id` is None for the key holder working from the command line."""

    login: str
    role: Role
    account_id: int | None = None

    @classmethod
    def of(cls, account: Account) -> Actor:
        """The actor that signs in with this account; ValueError when its role is unknown."""
        return cls(account.login, Role(account.role), account.id)


KEY_HOLDER = Actor("key-holder", Role.OWNER)
