"""Sealing the audit trail with signed checkpoints, proving it, and letting go of lines whose time is over.

What each key protects against is in docs/decisions/0009.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from estran.model.errors import CheckFailed, UsageError
from estran.projects.site import SiteServices
from estran.state.audit import AuditFilter
from estran.state.checkpoints import Checkpoint, CheckpointFile, Kind
from estran.state.signing import Signer, is_signed, sift
from estran.state.transactions import now
from estran.state.verifying import Fault, Verdict, Wrong, verify, verify_since

FILE, SITE_PUBLIC, PORTAL_KEY = "checkpoints.jsonl", "site.pub", "portal.seed"
SHORTEST = 6  # months
_MONTH, _A_DAY = dt.timedelta(days=365.25 / 12), dt.timedelta(days=1)


@dataclass(frozen=True)
class Sealing:
    """The checkpoints of a site, and the key that makes new ones."""

    site: SiteServices
    signer: Signer

    @classmethod
    def with_key(cls, site: SiteServices, seed: bytes) -> Sealing:
        """With the site's own key; makes the portal's key and registers it when there is none yet."""
        made = cls(site, Signer(seed))
        made._prepare()
        return made

    @classmethod
    def of_portal(cls, site: SiteServices) -> Sealing | None:
        """With the portal's key; None as long as nobody with the site's key made it."""
        try:
            return cls(site, Signer(bytes.fromhex((site.audit_folder / PORTAL_KEY).read_text("ascii"))))
        except (OSError, ValueError):
            return None

    @property
    def _file(self) -> CheckpointFile:
        return CheckpointFile(self.site.audit_folder / FILE)

    def _prepare(self) -> None:
        folder = self.site.audit_folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _public(folder) != self.signer.public:
            _write(folder / SITE_PUBLIC, self.signer.public)
        if not (folder / PORTAL_KEY).exists():
            fault = verify_since(self.site.state.engine, self._last())
            if fault:
                raise _broken(fault)
            seed = os.urandom(32)
            self._add(Kind.KEY, self._now(), Signer(seed).public)
            _write(folder / PORTAL_KEY, seed.hex())

    def due(self) -> bool:
        """Whether a checkpoint is due: by the lines written since the last one, or by its age."""
        last, settings = self._last(), self.site.settings
        waiting = self.site.state.audit.last() - (last.line if last else 0)
        if waiting <= 0:
            return False
        late = last is None or now() - last.at >= dt.timedelta(minutes=settings.audit_checkpoint_minutes)
        return late or waiting >= settings.audit_checkpoint_lines

    def seal(self) -> Checkpoint | None:
        """Make a checkpoint of the last line; None when nothing was written since the last one.

        CheckFailed when the lines since then do not follow: what is broken is not signed.
        """
        last = self._last()
        fault = verify_since(self.site.state.engine, last)
        if fault:
            raise _broken(fault)
        there = self._now()
        if last and there.line <= last.line and last.signer == self.signer.public:
            return None  # the site's key seals anew what only the portal's sealed
        return self._add(Kind.SEAL, there)

    def _now(self) -> Checkpoint:
        """The chain as it is, unsigned."""
        before = self._last()
        line, chain, more = self.site.state.audit.end(before.line if before else 0)
        return Checkpoint(Kind.SEAL, line, chain, (before.count if before else 0) + more, now(), "", "")

    def _add(self, kind: Kind, made: Checkpoint, subject: str = "") -> Checkpoint:
        """Sign and keep: in the file first, so that no crash leaves one that only the database knows."""
        signed = self.signer.sign(replace(made, kind=kind, subject=subject, at=now()))
        self._file.add(signed)
        self.site.state.checkpoints.keep(signed)
        return signed

    def _last(self) -> Checkpoint | None:
        return last_checkpoint(self.site, self.signer.public)

    def cut(self) -> int:
        """Remove the lines whose time is over, behind a cut; returns how many went. Needs the site's key.

        CheckFailed when the trail is not whole: what tells of it is kept. UsageError when the setting keeps
        lines for less than six months.
        """
        months = self.site.settings.audit_months
        if months < SHORTEST:
            raise UsageError("Lines of the audit trail are kept for at least 6 months.", where="audit_months")
        book, limit = self.site.state.audit, now() - months * _MONTH
        if not book.count(AuditFilter(until=limit - _A_DAY)):
            return 0  # one look at the whole trail a day is enough
        line = book.last_before(limit)
        if line <= 0:
            return 0
        verdict = prove(self.site)
        if verdict.faults:
            raise _broken(verdict.faults[0])
        before = verdict.cut.count - verdict.cut.line if verdict.cut else 0
        there = Checkpoint(Kind.CUT, line, book.chain_at(line), before + line, now(), "", "")
        self._add(Kind.CUT, there, f"{months} months")
        return book.forget(line)


def last_checkpoint(site: SiteServices, also: str = "") -> Checkpoint | None:
    """The last checkpoint that the site's key, the portal's or the public key `also` signed; that of the file,
    or of the database when the file is gone."""
    portal = Sealing.of_portal(site)
    trusted = {_public(site.audit_folder), also, portal.signer.public if portal else ""}
    found = CheckpointFile(site.audit_folder / FILE).tail() or site.state.checkpoints.all()
    good = (one for one in reversed(found) if one.signer in trusted and is_signed(one))
    return max(itertools.islice(good, 4), key=lambda one: (one.line, one.at), default=None)


def prove(site: SiteServices, public: str = "", more: Sequence[Checkpoint] = ()) -> Verdict:
    """Look at the whole trail. `public` is the site's public key, that of the site's folder by default;
    `more` are checkpoints that were kept elsewhere."""
    folder = site.audit_folder
    found, strange = CheckpointFile(folder / FILE).all()
    faults = [Fault(0, Wrong.FORGED, f"Line {number} of {FILE} is no checkpoint.") for number in strange]
    try:
        found += site.state.checkpoints.all()
    except (TypeError, ValueError):
        faults.append(Fault(0, Wrong.FORGED, "A checkpoint of the database cannot be read."))
    if public and public != _public(folder):
        faults.append(Fault(0, Wrong.FORGED, f"{SITE_PUBLIC} is not the public key of this site."))
    good, forged = sift([*found, *more], public or _public(folder))
    verdict = verify(site.state.engine, good, forged)
    return replace(verdict, faults=(*verdict.faults, *faults))


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """The checkpoints in a file that was kept elsewhere; UsageError when it holds anything else."""
    found, strange = CheckpointFile(path).all()
    if strange or not found:
        raise UsageError(
            "This is not a file of checkpoints.", where=str(path), hint="estran audit checkpoint SITE --out FILE"
        )
    return found


def _public(folder: Path) -> str:
    try:
        return (folder / SITE_PUBLIC).read_text("ascii").strip()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _broken(fault: Fault) -> CheckFailed:
    return CheckFailed(
        f"The audit trail is broken: {fault.wrong}. {fault.said}",
        where=f"line {fault.line}",
        hint="estran audit verify SITE, and keep a copy of the site as it is",
    )
