"""What a hub remembers of the statistics put to its sites: each study, its rounds, and the jobs of each round."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Row
from typing import Any

import orjson

from estran.analysis.federated.rounds import Result
from estran.hub.database import Database
from estran.hub.study import Asked

FILE_NAME = "studies.sqlite"
ASKING, SHARING, ROUNDS, DONE, FAILED = "asking", "sharing", "rounds", "done", "failed"
OPEN = (ASKING, SHARING, ROUNDS)
_VERSION = 1
_SCHEMA = """
CREATE TABLE study (
  id TEXT PRIMARY KEY, asked REAL NOT NULL, login TEXT NOT NULL, body TEXT NOT NULL, members TEXT NOT NULL, patience REAL NOT NULL,
  state TEXT NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL, roster TEXT NOT NULL DEFAULT '[]',
  secrets TEXT NOT NULL DEFAULT '{}', params TEXT NOT NULL DEFAULT '', gone TEXT NOT NULL DEFAULT '{}', said TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '', ended REAL) WITHOUT ROWID;
CREATE INDEX study_asked ON study (asked);
CREATE TABLE step (
  study TEXT REFERENCES study (id), attempt INTEGER, number INTEGER, phase TEXT NOT NULL, begun REAL NOT NULL, ended REAL,
  PRIMARY KEY (study, attempt, number)) WITHOUT ROWID;
CREATE TABLE job (
  id TEXT PRIMARY KEY, study TEXT NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL, member TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX job_step ON job (study, attempt, step)
"""


@dataclass(frozen=True)
class Gone:
    """A site that does not take part (any more): since which attempt, what came of its job, and what it said."""

    attempt: int
    state: str
    said: str


@dataclass(frozen=True)
class Study:
    """A study and where it stands. `patience`: seconds for which a site that owes an answer is waited for.

    `attempt` counts from one, and grows when a site was lost; `step` counts the steps of an attempt: keys, secret,
    rounds. `roster` holds the announcements of the sites of this attempt, `params` the text of the round.
    """

    id: str
    asked: float
    login: str
    body: Asked
    members: tuple[str, ...]
    patience: float
    state: str
    attempt: int
    step: int
    roster: tuple[dict[str, str], ...]
    secrets: Mapping[str, str]
    params: str
    gone: Mapping[str, Gone]
    said: str
    result: str
    ended: float | None

    @property
    def moment(self) -> dt.datetime:
        """When it was asked."""
        return dt.datetime.fromtimestamp(self.asked, dt.UTC)

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.state in OPEN

    @property
    def sites(self) -> tuple[str, ...]:
        """The members of the list of this attempt, by name."""
        return tuple(sorted(one["member"] for one in self.roster))

    @property
    def outcome(self) -> Result | None:
        """What may be shown; None until it is done."""
        if not self.result:
            return None
        found = orjson.loads(self.result)
        return Result(found["method"], found["spec"], found["result"])


@dataclass(frozen=True)
class Step:
    """One step of an attempt. `seconds` from the jobs to the sum; None while it lasts."""

    attempt: int
    number: int
    phase: str
    begun: float
    seconds: float | None


class Studies:
    """The hub's file of studies."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def add(self, study: Study) -> None:
        """Keep a new study."""
        with self.db.writing():
            self.db.write(
                "INSERT INTO study (id, asked, login, body, members, patience, state, attempt, step) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0)",
                (study.id, study.asked, study.login, _json(study.body.to_object()), _json(study.members), study.patience, study.state),
            )  # fmt: skip

    def save(self, study: Study) -> Study:
        """Keep where a study stands; the same."""
        gone = {name: [one.attempt, one.state, one.said] for name, one in study.gone.items()}
        self.db.write(
            "UPDATE study SET state = ?, attempt = ?, step = ?, roster = ?, secrets = ?, params = ?, gone = ?, said = ?, result = ?, "
            "ended = ? WHERE id = ?",
            (study.state, study.attempt, study.step, _json(study.roster), _json(study.secrets), study.params, _json(gone), study.said,
             study.result, study.ended, study.id),
        )  # fmt: skip
        return study

    def study(self, study: str) -> Study | None:
        """A study by its id."""
        found = self.db.one("SELECT * FROM study WHERE id = ?", (study,))
        return None if found is None else _study(found)

    def studies(self, login: str = "", limit: int = 50) -> list[Study]:
        """The last studies, the newest first: of one person, or of all."""
        rows = self.db.rows("SELECT * FROM study WHERE ? IN ('', login) ORDER BY asked DESC LIMIT ?", (login, limit))
        return [_study(row) for row in rows]

    def going_on(self) -> list[str]:
        """Ids of the studies that have not ended."""
        return [str(row[0]) for row in self.db.rows("SELECT id FROM study WHERE ended IS NULL ORDER BY asked")]

    def study_of(self, job: str) -> str | None:
        """The study that a job belongs to."""
        found = self.db.one("SELECT study FROM job WHERE id = ?", (job,))
        return None if found is None else str(found[0])

    # Steps

    def begin(self, study: Study, phase: str, jobs: Mapping[str, str], now: float) -> None:
        """A step with its jobs (member to id)."""
        self.db.write(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?, NULL)", (study.id, study.attempt, study.step, phase, now)
        )
        for member, job in jobs.items():
            self.db.write("INSERT INTO job VALUES (?, ?, ?, ?, ?)", (job, study.id, study.attempt, study.step, member))

    def finish(self, study: Study, now: float) -> None:
        """The present step has ended."""
        self.db.write(
            "UPDATE step SET ended = ? WHERE study = ? AND attempt = ? AND number = ? AND ended IS NULL",
            (now, study.id, study.attempt, study.step),
        )

    def steps(self, study: str) -> list[Step]:
        """The steps of a study, in order."""
        rows = self.db.rows(
            "SELECT *, ended - begun AS seconds FROM step WHERE study = ? ORDER BY attempt, number", (study,)
        )
        return [Step(r["attempt"], r["number"], r["phase"], r["begun"], r["seconds"]) for r in rows]

    def jobs(self, study: Study) -> dict[str, str]:
        """The jobs of the present step, member to id."""
        asked = "SELECT member, id FROM job WHERE study = ? AND attempt = ? AND step = ?"
        return {row[0]: row[1] for row in self.db.rows(asked, (study.id, study.attempt, study.step))}

    def every_job(self, study: Study) -> dict[str, str]:
        """The jobs of the present attempt, id to member."""
        asked = "SELECT id, member FROM job WHERE study = ? AND attempt = ?"
        return {row[0]: row[1] for row in self.db.rows(asked, (study.id, study.attempt))}


def without(study: Study, gone: Mapping[str, Gone]) -> Study:
    """The study with these sites left out."""
    return replace(study, gone={**study.gone, **gone})


def _study(row: Row) -> Study:
    said: dict[str, Sequence[Any]] = orjson.loads(row["gone"])
    return Study(
        row["id"], row["asked"], row["login"], Asked.read(orjson.loads(row["body"])), tuple(orjson.loads(row["members"])),
        row["patience"], row["state"], row["attempt"], row["step"], tuple(orjson.loads(row["roster"])),
        orjson.loads(row["secrets"]), row["params"], {name: Gone(*one) for name, one in said.items()}, row["said"], row["result"],
        row["ended"],
    )  # fmt: skip


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
