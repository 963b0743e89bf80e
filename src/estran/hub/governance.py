"""How a network governs itself: who sees which site's numbers, charters and who signed them.

A file of its own beside the hub's book. Of which site a person is lies with the accounts (`state.seats`), for the
committee asks it too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from sqlite3 import Row
from weakref import WeakKeyDictionary

from estran.hub.book import HubBook
from estran.hub.database import Database
from estran.hub.gathering import Gathered, SiteAnswer, Total
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import PERSONS, Actor, Role
from estran.projects.audit import permit, record
from estran.projects.policy import ALLOWED, Action, Decision, Target
from estran.state import StateDatabase

FILE_NAME = "governance.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE sight (role TEXT PRIMARY KEY, sight TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE charter (
  kind TEXT, version INTEGER, text TEXT NOT NULL, login TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, version)) WITHOUT ROWID;
CREATE TABLE signature (
  kind TEXT, version INTEGER, login TEXT, site TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, version, login)) WITHOUT ROWID
"""
FEWEST = 3  # sites behind a total that is shown to who sees no site's number
LONGEST = 50_000
_SILENCE = "silence_hours"
_USUAL_SILENCE = 24  # the time in which each recipient of a site's data hears of a refusal


class Sight(StrEnum):
    """What a role sees of the answers to a question."""

    SITES = "sites"  # each site's number, and the total
    TOTAL = "total"  # the total alone, of three sites or more
    OWN = "own"  # the number of one's own site alone


class CharterKind(StrEnum):
    """Whom a charter binds."""

    USER = "user"  # whoever asks
    PRODUCER = "producer"  # whoever answers for the data of a site
    CITIZEN = "citizen"  # what the network promises to everybody; nobody signs it


@dataclass(frozen=True)
class Charter:
    """One version of a charter."""

    kind: CharterKind
    version: int
    text: str
    login: str
    at: dt.datetime


@dataclass(frozen=True)
class Signature:
    """Who signed which version, and for which site."""

    kind: CharterKind
    version: int
    login: str
    site: str
    at: dt.datetime


class GovernanceBook:
    """The file of a hub's governance."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def sight(self, role: Role) -> Sight:
        """What a role sees; each site's number unless the network decided otherwise."""
        found = self.db.one("SELECT sight FROM sight WHERE role = ?", (str(role),))
        return Sight.SITES if found is None or role is Role.OWNER else Sight(found[0])

    def sees_all(self) -> bool:
        """Whether every role sees each site's number. Where one does not, those numbers are neither public nor told to
        another hub: nobody sees more by signing out, or by way of a hub."""
        return self.db.one("SELECT 1 FROM sight WHERE sight <> ?", (str(Sight.SITES),)) is None

    def set_sight(self, role: Role, sight: Sight) -> None:
        """Decide what a role sees."""
        self.db.write("INSERT OR REPLACE INTO sight VALUES (?, ?)", (str(role), str(sight)))

    def publish(self, kind: CharterKind, text: str, login: str) -> int:
        """A new version of a charter; its number. Signatures of the one before do not count for it."""
        with self.db.writing():
            last = self.charter(kind)
            version = 1 if last is None else last.version + 1
            self.db.write("INSERT INTO charter VALUES (?, ?, ?, ?, ?)", (str(kind), version, text, login, time.time()))
        return version

    def charter(self, kind: CharterKind, version: int = 0) -> Charter | None:
        """A version of a charter, the last one unless it is named."""
        found = self.db.one(
            "SELECT * FROM charter WHERE kind = ? AND ? IN (0, version) ORDER BY version DESC", (str(kind), version)
        )
        return None if found is None else _charter(found)

    def versions(self) -> list[Charter]:
        """Every version of every charter, the newest first."""
        return [_charter(row) for row in self.db.rows("SELECT * FROM charter ORDER BY kind, version DESC")]

    def sign(self, kind: CharterKind, version: int, login: str, site: str) -> None:
        """Keep a signature; again changes nothing."""
        values = (str(kind), version, login, site, time.time())
        self.db.write("INSERT OR IGNORE INTO signature VALUES (?, ?, ?, ?, ?)", values)

    def signed(self, kind: CharterKind, login: str) -> bool:
        """Whether somebody signed the last version; True where there is nothing to sign."""
        last = self.charter(kind)
        row = None if last is None else self.db.one(
            "SELECT 1 FROM signature WHERE kind = ? AND version = ? AND login = ?", (str(kind), last.version, login)
        )  # fmt: skip
        return last is None or row is not None

    def signatures(self) -> list[Signature]:
        """Who signed what, the newest first."""
        rows = self.db.rows("SELECT * FROM signature ORDER BY at DESC")
        return [
            Signature(CharterKind(row["kind"]), row["version"], row["login"], row["site"], _moment(row["at"])) for row in rows
        ]  # fmt: skip


_open: WeakKeyDictionary[HubBook, GovernanceBook] = WeakKeyDictionary()


def beside(book: HubBook) -> GovernanceBook:
    """The governance of a hub, opened once with its book."""
    found = _open.get(book)
    if found is None:
        _open[book] = found = GovernanceBook(Path(book.db.path).parent)
    return found


def silence_of(book: HubBook) -> float:
    """Hours for which a site of a pool may not say whom it takes back: what the charter of producers asks of them."""
    return float(book.meta(_SILENCE) or _USUAL_SILENCE)


def _charter(row: Row) -> Charter:
    return Charter(CharterKind(row["kind"]), row["version"], row["text"], row["login"], _moment(row["at"]))


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def seen(found: Gathered, sight: Sight, own: str) -> Gathered:
    """The answers as somebody of the site `own` ("" for none) may see them: who answered is no secret, numbers are."""
    if sight is Sight.SITES:
        return found
    sites = tuple(
        one if sight is Sight.OWN and own and one.member == own else _without_number(one) for one in found.sites
    )
    told = sight is Sight.TOTAL and found.total.method != "none" and found.answered >= FEWEST
    covers_all = found.total.method not in ("linkage", "sketch") or len(found.total.covers) >= FEWEST
    return Gathered(
        sites, found.total if told and covers_all else Total("none" if not found.answered else "withheld", (), 0, 0)
    )


def _without_number(one: SiteAnswer) -> SiteAnswer:
    return dataclasses.replace(
        one, shown=None, elapsed_ms=None, unknown=(), entities=(), has=frozenset(), method="", members=(),
        said="" if one.state == "answered" else one.said,
    )  # fmt: skip


class Governance:
    """One person before the rules of the network. NotAllowed when the policy says no; each act is recorded first."""

    def __init__(self, state: StateDatabase, book: HubBook, shelf: GovernanceBook, actor: Actor) -> None:
        self._state, self._book, self.shelf, self.actor = state, book, shelf, actor

    def _permit(self, action: Action, what: str) -> None:
        permit(self._state, self.actor, action, Target(f"network governance {what}", self.actor.account_id))

    # Who sees what

    def sights(self) -> dict[Role, Sight]:
        """What each role that may ask the network sees of the answers."""
        self._permit(Action.ASK_HUB, "sights")
        return {
            role: self.shelf.sight(role)
            for role in PERSONS
            if Action.ASK_HUB in ALLOWED[role] and role is not Role.OWNER
        }

    def set_sight(self, role: str, sight: str) -> None:
        """Decide what a role sees; UsageError when there is no such role or sight."""
        if role not in [str(one) for one in PERSONS if one is not Role.OWNER] or sight not in [
            str(one) for one in Sight
        ]:
            raise UsageError("There is no such role, or nothing of this kind to see.", hint="sites, total or own")
        self._permit(Action.RUN_HUB, f"role:{role} sees:{sight}")
        self.shelf.set_sight(Role(role), Sight(sight))

    def seats(self) -> dict[str, str]:
        """Login and site of everybody who has one."""
        self._permit(Action.ASK_HUB, "seats")
        held = self._state.seats.all()
        return {one.login: held[one.id] for one in self._state.accounts.all() if one.id in held}

    def seat(self, login: str, member: str) -> None:
        """Say of which site somebody is, "" for none; UsageError when there is no such account or member."""
        account = self._state.accounts.find(login)
        if account is None or (member and member not in {one.id for one in self._book.members("site")}):
            raise UsageError("There is no such account, or no such site.", hint="estran hub status HUB")
        self._permit(Action.RUN_HUB, f"seat of:{login} site:{member}")
        self._state.seats.put(account.id, member)

    # For how long a site may be silent

    def silence(self) -> float:
        """Hours for which a site of a pool may say nothing, as the charter of producers has it."""
        return silence_of(self._book)

    def set_silence(self, hours: float) -> None:
        """Decide it; UsageError unless it is between an hour and a year."""
        if not 1 <= hours <= 8_760:
            raise UsageError("A site may be silent for 1 to 8760 hours.")
        self._permit(Action.RUN_HUB, f"silence:{hours:g} hours")
        self._book.set_meta({_SILENCE: str(hours)})

    # Charters

    def publish(self, kind: str, text: str) -> int:
        """A new version of a charter; its number. UsageError when it says nothing, or too much."""
        if kind not in [str(one) for one in CharterKind] or not text.strip() or len(text) > LONGEST:
            raise UsageError("A charter is for user, producer or citizen, and has a text of at most 50 000 characters.")
        self._permit(Action.RUN_HUB, f"charter:{kind}")
        return self.shelf.publish(CharterKind(kind), text.strip(), self.actor.login)

    def sign(self, kind: str, version: int) -> None:
        """Sign the last version of a charter; that of producers in the name of one's site."""
        last = (
            None
            if kind == CharterKind.CITIZEN or kind not in [str(one) for one in CharterKind]
            else self.shelf.charter(CharterKind(kind))
        )
        if last is None or last.version != version:
            raise UsageError("There is no such charter to sign, or a newer one is there.", hint="read the last version")
        self._permit(Action.ACCOUNT, f"signature charter:{kind} version:{version}")
        site = self._state.seats.of(self.actor.account_id)
        if last.kind is CharterKind.PRODUCER and not site:
            raise UsageError("The charter of producers is signed for a site, and this account is of none.")
        self.shelf.sign(last.kind, last.version, self.actor.login, site)

    def charters(self) -> list[Charter]:
        """Every version, for everybody who has an account."""
        self._permit(Action.ACCOUNT, "charters")
        return self.shelf.versions()

    def signatures(self) -> list[Signature]:
        """Who signed, for those who run the network."""
        self._permit(Action.RUN_HUB, "signatures")
        return self.shelf.signatures()


def require_charter(state: StateDatabase, shelf: GovernanceBook, actor: Actor) -> None:
    """NotAllowed, and recorded, unless a person has signed the charter of users where there is one."""
    if actor.account_id is not None and not shelf.signed(CharterKind.USER, actor.login):
        refusal = Decision(False, "The network has a charter for its users: read and sign it first.")
        record(state, actor, Action.ASK_HUB, refusal, target="network question")
        raise NotAllowed(refusal.reason, hint="open Network, then its rules and charters")
