"""A run at the hub: a folder with the plan, the signed bundle, the door's certificate, and what comes of it."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from estran.analysis.learning.plan import FEWEST_SITES, Plan
from estran.hub.learning import flower, signing
from estran.model.errors import StoreError, UsageError

_LOOK = 0.5
MEMBERS = "members.json"


@dataclass(frozen=True)
class Run:
    """`address` is where nodes reach the SuperLink (host:port), `bind` where it listens."""

    folder: Path
    plan: Plan
    address: str
    bind: str
    digest: str
    signature: str

    @classmethod
    def create(
        cls, folder: Path, plan: Plan, key: Ed25519PrivateKey, address: str, bind: str, instead: Sequence[str] = ()
    ) -> Run:
        """Make and sign the bundle; UsageError when a run of this name is there. `instead`: FILE=PLACE in the bundle, to replace it."""
        if folder.exists():
            raise UsageError(
                "A run of this name is there already.", where=str(folder), hint="give the plan another name"
            )
        folder.mkdir(mode=0o700, parents=True)
        digest = packed(folder, plan, instead)
        signing.door_certificate(folder, address.rsplit(":", 1)[0])
        (folder / "operator").touch(mode=0o600)
        (folder / "operator").write_text(secrets.token_hex(32), "ascii")
        made = cls(folder, plan, address, bind, digest, signing.sign(digest, key))
        told = {"address": address, "bind": bind, "digest": digest, "signature": made.signature}
        (folder / "run.json").write_text(json.dumps(told), "ascii")
        return made

    @classmethod
    def open(cls, folder: Path) -> Run:
        """A run that was made before; UsageError when there is none of this name."""
        try:
            told = json.loads((folder / "run.json").read_text("ascii"))
            plan = Plan.read(json.loads((folder / "plan.json").read_text("utf-8")))
        except OSError:
            raise UsageError("There is no run of this name.", where=str(folder)) from None
        return cls(folder, plan, **told)

    def job(self) -> dict[str, Any]:
        """What a site is asked: everything that its people and its agent need to decide, and to take part."""
        return {
            "run": self.plan.name, "plan": self.plan.told(), "bundle": self.digest, "signature": self.signature, "address": self.address,
            "certificate": (self.folder / "door.pem").read_text("ascii"),
        }  # fmt: skip

    def lead(self, nodes: Mapping[str, str], more: Mapping[str, str] | None = None) -> Led:
        """Open the door, let in the nodes (member and public key), and start; UsageError under three sites."""
        if len(nodes) < FEWEST_SITES:
            raise UsageError(
                f"A model is learned over {FEWEST_SITES} sites at least.", hint="wait until more sites have said yes"
            )
        host, port = self.bind.rsplit(":", 1)
        arguments = [
            str(self.folder / "operator"), "--ssl-certfile", str(self.folder / "door.pem"), "--ssl-keyfile", str(self.folder / "key.pem"),
            "--ssl-ca-certfile", str(self.folder / "door.pem"), "--enable-supernode-auth", "--disable-runtime-dependency-installation",
            "--host", host, "--port", port,
        ]  # fmt: skip
        passed = {"ESTRAN_LEARNING_OUT": str(self.folder), "ESTRAN_LEARNING_SITES": str(len(nodes))} | dict(more or {})
        link = flower.start("link.py", arguments, self.folder / "home", self.folder / "link.log", passed)
        try:
            return Led(self, link, self._started(nodes, port))
        except BaseException:
            flower.stop(link)
            raise

    def _started(self, nodes: Mapping[str, str], port: str) -> dict[str, str]:
        told = {
            "hub": f"127.0.0.1:{port}", "certificate": str(self.folder / "door.pem"), "secret": str(self.folder / "operator"), "nodes": dict(nodes),
            "bundle": str(self.folder / "bundle.fab"),
        }  # fmt: skip
        (self.folder / "lead.json").write_text(json.dumps(told), "utf-8")
        answer = json.loads(flower.call("lead.py", str(self.folder / "lead.json"), home=self.folder / "home"))
        members = {str(number): member for member, number in answer["nodes"].items()}
        (self.folder / MEMBERS).write_text(json.dumps(members), "utf-8")
        return members

    def members(self) -> dict[str, str]:
        """Who takes part, by the number of their node; nobody before the run has begun."""
        path = self.folder / MEMBERS
        found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return found

    def course(self) -> dict[str, Any]:
        """The rounds so far, and the figures at the end."""
        path = self.folder / "course.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {"rounds": [], "over": False}
        return found


def packed(folder: Path, plan: Plan, instead: Sequence[str] = ()) -> str:
    """Make the bundle of a plan in a folder; its SHA-256, which is the same wherever the release is."""
    told = Plan.read(json.loads(json.dumps(plan.told()))).told()  # as it is once it has travelled
    (folder / "plan.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")
    return flower.call(
        "pack.py", str(folder / "bundle.fab"), str(folder / "plan.json"), *instead, home=folder / "home"
    ).strip()


@dataclass(frozen=True)
class Led:
    """A run under way; `members` by the number of their node."""

    run: Run
    link: subprocess.Popen[bytes]
    members: Mapping[str, str]

    def wait(self, seconds: float) -> dict[str, Any]:
        """Until the run is over; StoreError when the time is up or Flower ended. The model that stood last is kept either way."""
        end = time.monotonic() + seconds
        while not (found := self.run.course())["over"]:
            if self.link.poll() is not None or time.monotonic() > end:
                raise StoreError(
                    "The run did not come to its end.",
                    where=str(self.run.folder / "link.log"),
                    hint="the last model that stood is kept",
                )
            time.sleep(_LOOK)
        return found

    def stop(self) -> None:
        """Close the door."""
        flower.stop(self.link)
