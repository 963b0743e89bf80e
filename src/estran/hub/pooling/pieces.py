"""A package larger than a message goes in pieces: the first with the answer, which lists the SHA-256 of each; the hub asks for
the others one by one, each a job of the kind `pool-life` like any other: signed, given again until it is answered, done
again after a crash. What was sent stays sent: whoever is cut off goes on with the piece that is missing.

The package is sealed as a whole before it is cut, so a piece tells nothing, and pieces of two packages make none. Neither
side ever has more than one piece in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from estran.hub.book import OPEN, HubBook, JobRecord
from estran.hub.pooling.delivery import LIFE, PARCEL, PIECE, WHOLE
from estran.hub.pooling.routes import JOB_LIFE, put
from estran.model.errors import InputRefused

PIECES, ASKED = "pieces", "piece"  # in an answer: the digests; in a job: what is asked for
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digests(parcel: Path) -> list[str]:
    """SHA-256 of each piece of a sealed package."""
    with parcel.open("rb") as stream:
        return [hashlib.sha256(data).hexdigest() for data in iter(lambda: stream.read(PIECE), b"")]


def piece(parcel: Path, digest: str, number: int) -> bytes | None:
    """A piece of a package; None when it is not there any more, or another package is."""
    try:
        with parcel.open("rb") as stream:
            stream.seek(number * PIECE)
            data = stream.read(PIECE)
    except OSError:
        return None
    return data if data and hashlib.sha256(data).hexdigest() == digest else None


class Pieces:
    """The pieces of one package at the hub: `job` brought the first one, or the package whole."""

    def __init__(self, hub: HubBook, job: JobRecord, jobs: Iterable[JobRecord]) -> None:
        self._hub, self._job = hub, job
        self.listed = _listed(job.answer)
        self._own = [one for one in jobs if one.body.get("what") == ASKED and one.body.get("of") == job.id]
        # A site that was asked anew, by a hub that came back from a backup, packed anew: other digests, other pieces.
        listed = dict(enumerate(self.listed))
        self._asked = {
            one.body["number"]: one for one in self._own if listed.get(one.body["number"]) == one.body["sha256"]
        }

    def come(self, life: float) -> bool:
        """Whether all are here; those that were not asked for are, for `life` seconds. InputRefused when one will not come, or
        what is listed cannot be."""
        if self.listed != self._job.answer.get(PIECES, []):
            raise InputRefused("The answer lists no pieces of a package.")
        here = True
        for number, digest in enumerate(self.listed[1:], 1):
            asked = self._asked.get(number)
            if asked is None:
                body = {
                    "pool": self._job.body["pool"],
                    "what": ASKED,
                    "of": self._job.id,
                    "number": number,
                    "sha256": digest,
                }
                put(self._hub, self._job.member, LIFE, body, life)
            elif asked.state not in ("queued", "taken", "approval", "ok"):
                raise InputRefused(f"A piece of the package cannot be had: {asked.said or asked.state}")
            here = here and asked is not None and asked.state == "ok"
        return here

    @property
    def since(self) -> float:
        """When the last that is here came (seconds since 1970)."""
        return max(one.answered or 0.0 for one in (self._job, *self._asked.values()))

    def write(self, path: Path) -> None:
        """Put them together; InputRefused when one lacks, or is not what was listed."""
        listed = self.listed or [""]
        with path.open("wb") as stream:
            for digest, data in zip(listed, self._each(), strict=True):
                if data is None:
                    raise InputRefused("The answer holds no package.")
                if digest and (len(data) > PIECE or hashlib.sha256(data).hexdigest() != digest):
                    raise InputRefused("A piece of the package is not the one that was listed.")
                stream.write(data)

    def keep(self, path: Path) -> None:
        """Put together what came, whatever it is."""
        with path.open("wb") as stream:
            for data in self._each():
                stream.write(data or b"")

    def _each(self) -> Iterator[bytes | None]:
        """The bytes of each, None of one that is not here."""
        for number in range(max(1, len(self.listed))):
            job = self._asked.get(number) if number else self._job
            files = () if job is None else self._hub.files(job.id, "answer")
            yield next((one.data for one in files if one.name == PARCEL), None)

    def files(self) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of each that is here, as certificates list them."""
        return [
            {"path": one.name, "bytes": len(one.data), "sha256": hashlib.sha256(one.data).hexdigest()}
            for job in (self._job, *self._own) for one in self._hub.files(job.id, "answer")
        ]  # fmt: skip

    def left(self) -> bool:
        """Whether anything is still here, or awaited."""
        return any(job.state in OPEN or self._hub.holds(job.id) for job in (self._job, *self._own))

    def done(self) -> None:
        """They are taken, or set aside: drop what came, and have the site drop what it kept. All of it, or nothing."""
        with self._hub.db.writing():
            if self.listed:
                body = {"pool": self._job.body["pool"], "what": "taken", "first": self.listed[0]}
                put(self._hub, self._job.member, LIFE, body, JOB_LIFE)
            for job in (self._job, *self._own):
                self._hub.give_up(job.id)


def _listed(answer: dict[str, Any]) -> list[str]:
    """The digests of the pieces; none of a package that came whole, or when what is listed are none."""
    found = answer.get(PIECES)
    if not isinstance(found, list) or not 2 <= len(found) <= WHOLE // PIECE + 1:
        return []
    return found if all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in found) else []
