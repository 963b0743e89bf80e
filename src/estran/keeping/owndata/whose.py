"""Whom a project may hold, and which pseudonym each subject of a data set has now."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from estran.identity.keys import SiteKey
from estran.identity.vault import Vault
from estran.projects.datamarts import holding
from estran.projects.site import SiteServices
from estran.release.rekey import ProjectKey
from estran.state import OwnDataRow


def allowed(site: SiteServices, project: str) -> BitMap:
    """The patients of the newest snapshot who are not opposed to the warehouse, nor to a use that this project has."""
    snapshot = site.snapshot()
    return BitMap(snapshot.population()) - holding.excluded(site.state, snapshot, project, "")


def pseudonyms(site: SiteServices, key: SiteKey, vault: Vault, row: OwnDataRow) -> pa.Table:
    """`_subject` and `_patient` of every subject that is linked to somebody allowed, or that waits for a decision about
    somebody allowed (null)."""
    may, links = allowed(site, row.project), vault.own.of(row.id)
    doubts = [one for one in vault.own.doubts(row.id) if one.subject not in links]
    resembled = vault.patient_of(np.array([one.identity for one in doubts], np.int32)).tolist() if doubts else []
    waiting = [one.subject for one, patient in zip(doubts, resembled, strict=True) if patient in may]
    subjects = np.array(list(links), np.int64)
    patients = vault.patient_of(np.array(list(links.values()), np.int32)) if links else np.zeros(0, np.int32)
    keep = np.isin(patients, np.array(may, np.int64))
    named = ProjectKey.of(key, row.project).pseudonyms(patients[keep].tolist())
    return pa.table({
        "_subject": pa.array(np.concatenate([subjects[keep], np.array(waiting, np.int64)])),
        "_patient": pa.array([*named, *([None] * len(waiting))], pa.string()),
    }).sort_by("_subject")  # fmt: skip


def digest_of(who: pa.Table) -> str:
    """Tells whether somebody came, went, or has another pseudonym."""
    lines = "\n".join(
        f"{subject} {patient}" for subject, patient in zip(*(who[n].to_pylist() for n in who.column_names), strict=True)
    )
    return hashlib.sha256(lines.encode()).hexdigest()
