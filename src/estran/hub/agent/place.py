"""What a job finds at a member: the site, on whose behalf it is asked, and the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.membership import Membership
from estran.hub.agent.rules import SiteRules, read_rules
from estran.hub.keys import Identity
from estran.identity.linkage import LinkageTokens
from estran.identity.matching import MatchingTokens
from estran.projects.actors import Actor
from estran.projects.desk import ReadingRoom
from estran.projects.site import SiteServices


class AgentSite(SiteServices, Protocol):
    """What an agent needs of a site beyond what its portal needs: the key is at hand here."""

    @property
    def directory(self) -> Path: ...

    def linkage_tokens(self, key: bytes, *, with_ins: bool) -> LinkageTokens:
        """Tokens of everybody in the vault, under a network's key."""

    def matching_tokens(self, key: bytes, patients: Collection[int], *, with_ins: bool) -> MatchingTokens:
        """Tokens, trait by trait, of some patients, under the key of one run."""

    def numbers_of(self, patient: int) -> list[int]:
        """Every number that a patient had, before merges too."""

    def secret(self, purpose: str) -> bytes:
        """Key material of this site for one purpose."""


@dataclass
class Kept:
    """What is kept between two jobs, as long as the snapshot of this number is the newest."""

    version: int = -1
    people: Any = None
    answered: dict[str, Any] = field(default_factory=dict)  # by question, of whatever snapshot


@dataclass(frozen=True)
class Place:
    """Where a job is done. `room` and `site` are None at a linkage unit, which holds no patient. `given` are rules to
    use instead of those in the folder."""

    membership: Membership
    identity: Identity
    folder: Path
    given: SiteRules | None = None
    room: ReadingRoom | None = None
    site: AgentSite | None = None
    actor: Actor | None = None
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)

    @property
    def rules(self) -> SiteRules:
        """The rules as they are written now."""
        return self.given or read_rules(self.folder)


Handle = Callable[[Place, Job], Answer | None]  # None: not yet, ask again at the next round
