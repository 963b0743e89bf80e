"""A site's node: a private folder with the table of the run, which goes when the run does."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import rows_of, split
from estran.hub.learning import flower, signing
from estran.model.errors import NotAllowed, UsageError

_TABLE, _END, _PATIENTS = "table.npz", "end", "patients"

_DAY = 86_400.0


@dataclass(frozen=True)
class Node:
    """What was made ready; `public` is the key that the hub registers."""

    folder: Path
    public: str = ""

    @classmethod
    def prepare(
        cls,
        folder: Path,
        job: Mapping[str, Any],
        columns: Mapping[str, npt.ArrayLike],
        until: float,
        patients: BitMap | None = None,
    ) -> Node:
        """Lay down the table and the keys of a run, in a folder of mode 0700; UsageError when the table is not the plan's, or too small.
        `until`: seconds since 1970 after which the node ends by itself; `patients`: who is in the table."""
        plan = read_plan(job.get("plan"))
        try:
            split(plan, rows_of(plan, columns))
        except ValueError as error:
            raise UsageError(str(error)) from None
        folder.mkdir(mode=0o700, parents=True)
        table: dict[str, Any] = {
            name: np.asarray(columns[name], np.float64) for name in (plan.outcome, *(one.name for one in plan.columns))
        }
        np.savez(folder / _TABLE, **table)
        (folder / _PATIENTS).touch(mode=0o600)
        (folder / _PATIENTS).write_bytes((patients or BitMap()).serialize())
        (folder / "door.pem").write_text(str(job["certificate"]), "ascii")
        (folder / "secret").touch(mode=0o600)
        (folder / "secret").write_bytes(secrets.token_bytes(32))
        told = {
            "bundle": job["bundle"], "hub": job["address"], "port": _free(), "certificate": str(folder / "door.pem"),
            "key": str(folder / "node.key"), "secret": str(folder / "secret"), "table": str(folder / _TABLE), "until": until, "end": str(folder / _END),
        }  # fmt: skip
        (folder / "node.json").write_text(json.dumps(told), "ascii")
        return cls(folder, signing.node_key(folder / "node.key"))

    @classmethod
    def at(cls, folder: Path) -> Node:
        """One that was made ready before."""
        return cls(folder)

    def end(self) -> None:
        """Have it end by itself, within a second or two; its table and its key go with it, or now when it never ran."""
        (self.folder / _END).touch()
        if not (self.folder / "node.log").is_file():
            self.clear()

    def clear(self, after: float = 0.0) -> None:
        """Remove the table and its key, so many seconds after it was told to end."""
        if after and time.time() - (self.folder / _END).stat().st_mtime < after:
            return
        (self.folder / _END).touch()
        for name in (_TABLE, "node.key", _PATIENTS):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def holds(self) -> bool:
        """Whether something of a patient is still there."""
        return any((self.folder / name).is_file() for name in (_TABLE, _PATIENTS))

    @property
    def ended(self) -> bool:
        """Whether it was told to end."""
        return (self.folder / _END).is_file()

    @property
    def until(self) -> float:
        """Seconds since 1970 after which it is over; one that was never made ready in whole has a day from its table on."""
        path = self.folder / "node.json"
        made = (self.folder / (_TABLE if (self.folder / _TABLE).is_file() else _PATIENTS)).stat().st_mtime
        try:
            return float(json.loads(path.read_text("ascii"))["until"])
        except (OSError, ValueError, KeyError):
            return made + _DAY

    def patients(self) -> BitMap:
        """Who is in the table; NotAllowed when the run is over here."""
        if self.ended or not (self.folder / _PATIENTS).is_file():
            raise NotAllowed("This run is over here.")
        return BitMap.deserialize((self.folder / _PATIENTS).read_bytes())

    def start(self) -> subprocess.Popen[bytes]:
        """Start it: it goes on by itself, and ends when the hub is gone for a minute or its time is over."""
        more = {"ESTRAN_LEARNING_TABLE": str(self.folder / _TABLE)}
        return flower.start(
            "node.py", [str(self.folder / "node.json")], self.folder / "home", self.folder / "node.log", more
        )


def read_plan(told: Any) -> Plan:
    """The plan in a job; UsageError with what is wrong."""
    try:
        return Plan.read(told)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None


def _free() -> int:
    """A port of the loopback, for the node's own processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
