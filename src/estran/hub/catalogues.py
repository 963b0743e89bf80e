"""What the hub keeps of the catalogues of its sites: every edition, what each holds now, and since when.

A file of its own beside the hub's book. An answer is looked at once: an edition that does not conform, or cannot be
read, is kept as a line of the history only, and the last valid one of the site stays.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Row
from typing import Any

import orjson

from estran.exchange.dcat import address_of
from estran.hub.book import HubBook, Member
from estran.hub.database import Database
from estran.projects.gate import Shown
from estran.state.catalogue import folded

KIND = "catalogue"
FILE_NAME = "catalogue.sqlite"
VALID, INVALID = "valid", "invalid"
GONE = "withdrawn"  # an edition that its member took back: nothing of it is kept
_VERSION = 2
_WITHDRAWAL = """\
CREATE TABLE withdrawal (member TEXT, site TEXT, mark TEXT NOT NULL, PRIMARY KEY (member, site)) WITHOUT ROWID;
CREATE TABLE unshed (mark TEXT PRIMARY KEY) WITHOUT ROWID"""
_SCHEMA = f"""
CREATE TABLE edition (
  id INTEGER PRIMARY KEY, member TEXT NOT NULL, job TEXT NOT NULL UNIQUE, asked REAL NOT NULL, came REAL NOT NULL,
  state TEXT NOT NULL, said TEXT NOT NULL, digest TEXT NOT NULL DEFAULT '', sites TEXT NOT NULL DEFAULT '[]',
  gained TEXT NOT NULL DEFAULT '[]', lost TEXT NOT NULL DEFAULT '[]', data BLOB);
CREATE INDEX edition_member ON edition (member, state, id);
CREATE TABLE part (
  member TEXT, base TEXT, triples BLOB NOT NULL, PRIMARY KEY (member, base)) WITHOUT ROWID;
CREATE TABLE holding (
  member TEXT, site TEXT, kind TEXT, key TEXT, label_fr TEXT NOT NULL, label_en TEXT NOT NULL, nature TEXT NOT NULL,
  words TEXT NOT NULL, body TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (member, site, kind, key)) WITHOUT ROWID;
CREATE INDEX holding_key ON holding (kind, key);
CREATE TABLE known (
  member TEXT, site TEXT, kind TEXT, key TEXT, since REAL NOT NULL, PRIMARY KEY (member, site, kind, key)) WITHOUT ROWID;
{_WITHDRAWAL}
"""
_STEPS = {1: f"{_WITHDRAWAL};\nINSERT INTO unshed VALUES ('version 1')"}  # what was withdrawn before was not shed
_CHANGES = 200  # codes gained or lost that an edition names
_PRESENT = "FROM holding WHERE (? = '' OR kind = ?) AND (? = '' OR member = ?)"
_KEYS = "GROUP BY kind, key HAVING count(DISTINCT member) >= ?"


@dataclass(frozen=True)
class SiteHoldings:
    """One site of an edition: a member, or a site that a member, a hub itself, stands for. Its numbers are None, and its
    months "", for who may not see them."""

    name: str
    homepage: str
    controller: str
    day: str
    snapshot: int
    first: str
    last: str
    via: tuple[str, ...]
    patients: Shown | None
    records: Shown | None
    kinds: int | None
    codes: int | None
    services: tuple[dict[str, Any], ...] = ()

    @property
    def date(self) -> dt.date:
        """The day of the snapshot that was counted."""
        return dt.date.fromisoformat(self.day)


@dataclass(frozen=True)
class Edition:
    """What came of one harvest of a member. `gained` and `lost` are against its last valid edition."""

    id: int
    member: str
    asked: float
    came: float
    state: str
    said: str
    sites: tuple[SiteHoldings, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def moment(self) -> dt.datetime:
        """When it came."""
        return dt.datetime.fromtimestamp(self.came, dt.UTC)


@dataclass(frozen=True)
class Cell:
    """What one site holds of a thing; months as YYYY-MM, `since` when the hub first heard of it."""

    member: str
    site: str
    patients: Shown
    rows: Shown
    first: str
    last: str
    since: dt.datetime
    years: tuple[tuple[str, Shown], ...] = ()


@dataclass(frozen=True)
class Thing:
    """A code, or a kind of document, and the sites that hold it: how many members, and what each holds."""

    kind: str
    key: str
    label_fr: str
    label_en: str
    nature: str
    cells: tuple[Cell, ...] = field(default=())
    sites: int = 0

    def label(self, lang: str) -> str:
        """In a language, or in the other one, or the key."""
        first, second = (self.label_en, self.label_fr) if lang == "en" else (self.label_fr, self.label_en)
        return first or second or self.key

    def of(self, site: tuple[str, str]) -> Cell | None:
        """What a (member, site) holds of it."""
        return next((one for one in self.cells if (one.member, one.site) == site), None)


@dataclass(frozen=True)
class Standing:
    """A member and its catalogue: the last valid edition, and what came of the last harvest."""

    member: Member
    edition: Edition | None
    last: Edition | None
    waiting: bool
    old: bool


@dataclass(frozen=True)
class Found:
    """Things that were looked for, on one page, and how many there are in all."""

    things: tuple[Thing, ...]
    total: int


class CatalogueBook:
    """The file of catalogues of a hub."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION, _STEPS)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    # Writing

    def knows(self, job: str) -> bool:
        """Whether the answer to a job was looked at."""
        return self.db.one("SELECT 1 FROM edition WHERE job = ?", (job,)) is not None

    def failed(self, member: str, job: str, asked: float, came: float, state: str, said: str) -> None:
        """Note a harvest that gave no valid catalogue; what is held stays as it was."""
        self.db.write(
            "INSERT OR IGNORE INTO edition (member, job, asked, came, state, said) VALUES (?, ?, ?, ?, ?, ?)",
            (member, job, asked, came, state, said[:2_000]),
        )

    def keep(
        self, member: str, job: str, asked: float, came: float, sites: Sequence[dict[str, Any]], parts: dict[str, str]
    ) -> None:
        """Put a valid edition in the place of the last one; `sites` as `cleaned` gives them, `parts` by address."""
        data = orjson.dumps(list(sites))
        digest = hashlib.sha256(data).hexdigest()
        with self.db.writing():
            if self.knows(job):
                return
            before = self._keys(member)
            last = self.db.one(
                "SELECT digest FROM edition WHERE member = ? AND state = ? ORDER BY id DESC", (member, VALID)
            )
            same = last is not None and last["digest"] == digest
            self._replace(member, sites, came)
            after = self._keys(member)
            self._parts(member, parts)
            heads = [
                {name: one[name] for name in _HEAD} | {"kinds": len(one["kinds"]), "codes": len(one["codes"])} for one in sites
            ]  # fmt: skip
            self.db.write(
                "INSERT INTO edition (member, job, asked, came, state, said, digest, sites, gained, lost, data) "
                "VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?)",
                (member, job, asked, came, VALID, digest, _json(heads),
                 _json(sorted(after - before)[:_CHANGES] if last else []), _json(sorted(before - after)[:_CHANGES]),
                 None if same else zlib.compress(data)),
            )  # fmt: skip

    def forget(self, member: str) -> None:
        """A member left: what it holds is shown no more; its history stays."""
        with self.db.writing():
            for table in ("holding", "part"):
                self.db.write(f"DELETE FROM {table} WHERE member = ?", (member,))

    def withdraw(self, member: str) -> None:
        """A member tells no more what it told: that something came, and when, is all that stays of it."""
        with self.db.writing():
            self._note_unshed()
            valid = self._valid(member)
            names = {str(head["name"]) for row in valid for head in orjson.loads(row["sites"])}
            self.forget(member)
            self.db.write("DELETE FROM known WHERE member = ?", (member,))
            self._forget_reports(member)
            for row in valid:
                self._empty(row)
            self._mark(member, {name: secrets.token_hex(8) for name in names})

    def shed(self) -> bool:
        """Leave nothing of what was taken back in the file or its log; whether nothing is left. As often as it takes: what was
        taken back and not shed yet is noted in the file."""
        left = self.db.rows("SELECT mark FROM unshed")
        if not left:
            return True
        if not self.db.shed(anew=True):
            return False
        with self.db.writing():
            for row in left:
                self.db.write("DELETE FROM unshed WHERE mark = ?", (row["mark"],))
        return True

    def _note_unshed(self) -> None:
        self.db.write("INSERT INTO unshed VALUES (?)", (secrets.token_hex(8),))

    def take_back(self, member: str, marks: Mapping[str, str]) -> bool:
        """Sites that a member, a hub itself, stands for tell no more what they told: nothing of theirs stays, at whatever level
        they are. A mark that was obeyed changes nothing; whether one was new."""
        known = self._marks(member)
        new = {site: mark for site, mark in marks.items() if known.get(site) != mark}
        if not new:
            return False
        with self.db.writing():
            self._note_unshed()
            for site in new:
                for table in ("holding", "known"):
                    self.db.write(f"DELETE FROM {table} WHERE member = ? AND site = ?", (member, site))
            self._strip(member, new)
            self._mark(member, new)
        return True

    def withdrawn(self) -> dict[str, str]:
        """Sites that took back what they told, here or below, each with a mark that is another one each time: what the hub
        above is told."""
        marks: dict[str, str] = {}
        for row in self.db.rows("SELECT site, mark FROM withdrawal ORDER BY site, member"):
            marks[row["site"]] = hashlib.sha256((marks.get(row["site"], "") + row["mark"]).encode()).hexdigest()[:16]
        return marks

    def _marks(self, member: str) -> dict[str, str]:
        rows = self.db.rows("SELECT site, mark FROM withdrawal WHERE member = ?", (member,))
        return {str(row["site"]): str(row["mark"]) for row in rows}

    def _mark(self, member: str, marks: Mapping[str, str]) -> None:
        for site, mark in marks.items():
            self.db.write("INSERT OR REPLACE INTO withdrawal VALUES (?, ?, ?)", (member, site, mark))

    def _valid(self, member: str) -> list[Row]:
        return self.db.rows("SELECT * FROM edition WHERE member = ? AND state = ? ORDER BY id", (member, VALID))

    def _forget_reports(self, member: str) -> None:
        """What was said of an edition that does not conform cites it."""
        self.db.write("UPDATE edition SET said = '' WHERE member = ? AND state = ?", (member, INVALID))

    def _empty(self, row: Row) -> None:
        emptied = "state = ?, digest = '', sites = '[]', gained = '[]', lost = '[]', data = NULL"
        self.db.write(f"UPDATE edition SET {emptied} WHERE id = ?", (GONE, row["id"]))

    def _strip(self, member: str, names: Collection[str]) -> None:
        """Take some sites out of every edition. Codes gained and lost are those of all sites together, and go. Where the last
        edition was of them alone, all is withdrawn: what was told before it is not told again."""
        valid = self._valid(member)
        last = orjson.loads(valid[-1]["sites"]) if valid else []
        gone = [one for one in last if one["name"] in names]
        if gone and len(gone) == len(last):
            self.withdraw(member)
            return
        self._strip_parts(member, {address_of(one["homepage"], one["name"]) for one in gone})
        self._forget_reports(member)
        for row in valid:
            self._strip_edition(row, names)

    def _strip_edition(self, row: Row, names: Collection[str]) -> None:
        heads = [one for one in orjson.loads(row["sites"]) if one["name"] not in names]
        if not heads:
            self._empty(row)
            return
        data = row["data"]
        if data is not None:
            sites = orjson.loads(zlib.decompress(data))
            data = zlib.compress(orjson.dumps([one for one in sites if one["name"] not in names]))
        self.db.write(
            "UPDATE edition SET digest = '', sites = ?, gained = '[]', lost = '[]', data = ? WHERE id = ?",
            (_json(heads), data, row["id"]),
        )

    def _strip_parts(self, member: str, bases: Collection[str]) -> None:
        """Triples of some sites; of the whole member where the address of one is another than its name and page make."""
        for base in bases:
            if not self.db.write("DELETE FROM part WHERE member = ? AND base = ?", (member, base)):
                self.db.write("DELETE FROM part WHERE member = ?", (member,))

    def _keys(self, member: str) -> set[str]:
        return {str(row[0]) for row in self.db.rows("SELECT key FROM holding WHERE member = ?", (member,))}

    def _replace(self, member: str, sites: Sequence[dict[str, Any]], came: float) -> None:
        self.db.write("DELETE FROM holding WHERE member = ?", (member,))
        for site in sites:
            for kind, lines in (("document", site["kinds"]), ("code", site["codes"])):
                for one in lines:
                    place = (member, site["name"], kind, one["key"])
                    self.db.write("INSERT OR IGNORE INTO known VALUES (?, ?, ?, ?, ?)", (*place, came))
                    words = folded(" ".join((one["key"], one["fr"], one["en"], one["nature"])))
                    self.db.write(
                        "INSERT OR REPLACE INTO holding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT since FROM known "
                        "WHERE member = ? AND site = ? AND kind = ? AND key = ?))",
                        (*place, one["fr"], one["en"], one["nature"], words, _json(one), *place),
                    )

    def _parts(self, member: str, parts: dict[str, str]) -> None:
        self.db.write("DELETE FROM part WHERE member = ?", (member,))
        for base, triples in parts.items():
            self.db.write("INSERT INTO part VALUES (?, ?, ?)", (member, base, zlib.compress(triples.encode())))

    # Reading

    def latest(self, member: str) -> Edition | None:
        """The last valid edition of a member."""
        found = self.db.one("SELECT * FROM edition WHERE member = ? AND state = ? ORDER BY id DESC", (member, VALID))
        return None if found is None else _edition(found)

    def history(self, member: str, limit: int = 50) -> list[Edition]:
        """What came of each harvest of a member, the newest first."""
        rows = self.db.rows(
            "SELECT * FROM edition WHERE member = ? ORDER BY came DESC, id DESC LIMIT ?", (member, limit)
        )
        return [_edition(row) for row in rows]

    def look_up(
        self, words: str, kind: str = "", member: str = "", most: int = 50, offset: int = 0, fewest: int = 1
    ) -> tuple[list[Thing], int]:
        """Things whose code or label holds every word and that `fewest` members hold, those that most sites hold first; and
        how many there are."""
        said = [f"%{_escaped(word)}%" for word in folded(words).split()]
        where = _PRESENT + " AND words LIKE ? ESCAPE '\\'" * len(said)
        values = (kind, kind, member, member, *said, fewest)
        total = self.db.one(f"SELECT count(*) FROM (SELECT 1 {where} {_KEYS})", values)
        keys = self.db.rows(
            f"SELECT kind, key, count(*) AS n {where} {_KEYS} ORDER BY n DESC, kind DESC, key LIMIT ? OFFSET ?",
            (*values, most, offset),
        )
        return [self.thing(row["kind"], row["key"]) for row in keys], 0 if total is None else int(total[0])

    def thing(self, kind: str, key: str, member: str | None = None) -> Thing:
        """One thing with all the sites that hold it, or as one member alone tells it; without a cell when none does."""
        rows = self.db.rows(
            "SELECT * FROM holding WHERE kind = ? AND key = ? AND (? IS NULL OR member = ?) ORDER BY member, site",
            (kind, key, member, member),
        )

        def first(name: str) -> str:
            return next((str(row[name]) for row in rows if row[name]), "")

        cells = tuple(_cell(row) for row in rows)
        members = len({cell.member for cell in cells})
        return Thing(kind, key, first("label_fr"), first("label_en"), first("nature"), cells, members)

    def coverage(self) -> list[tuple[str, str, str, int]]:
        """(member, site, nature) and how many codes of it the site holds; documents are of the nature "document"."""
        rows = self.db.rows(
            "SELECT member, site, CASE kind WHEN 'document' THEN 'document' ELSE nature END AS nature, count(*) AS n "
            "FROM holding GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return [(str(row["member"]), str(row["site"]), str(row["nature"]), int(row["n"])) for row in rows]

    def parts(self, member: str = "") -> dict[str, str]:
        """Triples by address of a catalogue, of one member or of all; of an address that two members tell of, from the one
        that is told first."""
        found: dict[str, str] = {}
        for row in self.db.rows(
            "SELECT base, triples FROM part WHERE ? IN ('', member) ORDER BY member, base", (member,)
        ):
            found.setdefault(str(row["base"]), zlib.decompress(row["triples"]).decode())
        return found

    def digest(self) -> tuple[tuple[str, str], ...]:
        """Changes when a member has another valid edition, took back some of it, or is gone."""
        rows = self.db.rows(
            "SELECT member, max(id) AS last FROM edition WHERE state = ? AND member IN (SELECT member FROM part) GROUP BY member",
            (VALID,),
        )
        editions = [(str(row["member"]), str(row["last"])) for row in rows]
        return (*editions, *sorted(self.withdrawn().items()))

    def holdings(self, member: str) -> list[dict[str, Any]]:
        """Everything of the last valid edition of a member, as it came."""
        found = self.db.one(
            "SELECT data FROM edition WHERE member = ? AND state = ? AND data IS NOT NULL ORDER BY id DESC",
            (member, VALID),
        )
        sites: list[dict[str, Any]] = [] if found is None else orjson.loads(zlib.decompress(found["data"]))
        return sites


def shelf_of(book: HubBook) -> CatalogueBook:
    """The file of catalogues beside the hub's book."""
    return CatalogueBook(Path(book.db.path).parent)


_HEAD = ("name", "homepage", "controller", "day", "snapshot", "first", "last", "via", "patients", "records", "services")


def _edition(row: Row) -> Edition:
    sites = tuple(
        SiteHoldings(**one | {"via": tuple(one["via"]), "patients": Shown(*one["patients"]), "records": Shown(*one["records"]),
                              "services": tuple(one["services"])})
        for one in orjson.loads(row["sites"])
    )  # fmt: skip
    return Edition(
        row["id"], row["member"], row["asked"], row["came"], row["state"], row["said"], sites,
        tuple(orjson.loads(row["gained"])), tuple(orjson.loads(row["lost"])),
    )  # fmt: skip


def _cell(row: Row) -> Cell:
    body = orjson.loads(row["body"])
    return Cell(
        row["member"], row["site"], Shown(*body["patients"]), Shown(*body["rows"]), body["first"], body["last"],
        dt.datetime.fromtimestamp(row["since"], dt.UTC),
        tuple((year, Shown(*count)) for year, *count in body.get("years", ())),
    )  # fmt: skip


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
