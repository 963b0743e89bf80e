"""The person on whose behalf something is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from estran.model.perimeter import WHOLE, Perimeter
from estran.state import Account, StateDatabase


class Role(StrEnum):
    """What a person is to the site. What each may do is said in `policy`, nowhere else."""

    OWNER = "owner"  # holds the site's key
    ADMINISTRATOR = "administrator"  # accounts of people; no patient
    DATA_ENGINEER = "data_engineer"  # the clinical data centre: loads, checks, prepares
    METHODOLOGIST = "methodologist"  # the clinical data centre: helps with questions, checks what they find
    RESEARCHER = "researcher"
    CLINICIAN = "clinician"
    DIM_PHYSICIAN = "dim_physician"  # medical information department: coding, steering
    INDUSTRIAL_PARTNER = "industrial_partner"
    TEACHER = "teacher"
    COMMITTEE_MEMBER = "committee_member"  # scientific and ethics committee
    EXPERT = "expert"  # from outside, gives an opinion on a project
    DATA_PROTECTION_OFFICER = "data_protection_officer"
    AUDITOR = "auditor"
    HUB_OPERATOR = "hub_operator"  # keeps the hub that joins the sites running
    HUB = "hub"  # another organisation's hub, asking over the network; nobody signs in as it
    VIEWER = "viewer"


PERSONS = tuple(role for role in Role if role is not Role.HUB)  # roles that an account of somebody may have


@dataclass(frozen=True)
class Actor:
    """Who asks. `account_id` is None for the key holder working from the command line.

    `scope` holds the only actions left to somebody who comes with an API token, `via` says which token.
    `perimeter` is the part of the site that may be seen; the desk takes it from the account.
    """

    login: str
    role: Role
    account_id: int | None = None
    scope: frozenset[str] | None = None
    via: str = ""
    perimeter: Perimeter = WHOLE

    @classmethod
    def of(cls, account: Account) -> Actor:
        """The actor that signs in with this account; ValueError when its role is unknown."""
        return cls(account.login, Role(account.role), account.id)

    def bounded(self, state: StateDatabase) -> Actor:
        """The same person within the perimeter of the account; UsageError when that cannot be read."""
        return replace(self, perimeter=state.perimeters.of(self.account_id))


KEY_HOLDER = Actor("key-holder", Role.OWNER)
