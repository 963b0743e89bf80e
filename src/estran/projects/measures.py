"""The measures behind the checklist: each looks at the running configuration or at the data, and says what it saw.

Requirements are those of the CNIL's reference framework (deliberation 2021-118) and of the European health data space
(Regulation 2025/327) as gathered in R1 to R16; topics keep the reader's words, not the articles'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import sqlalchemy as sa
from pyroaring import BitMap

from estran.model.tables import PATIENT
from estran.projects.policy import ALLOWED, Action
from estran.projects.sealing import last_checkpoint
from estran.projects.site import SiteServices
from estran.projects.transparency import public_projects
from estran.state.guards import missing
from estran.state.transactions import now, reading
from estran.warehouse import Snapshot


class Verdict(StrEnum):
    """What was seen. STATE: only the hospital can say."""

    MET = "met"
    NOT_MET = "not met"
    STATE = "for the hospital to state"


@dataclass(frozen=True)
class Finding:
    """One line of the checklist, with what it rests on."""

    requirement: str
    topic: str
    verdict: Verdict
    evidence: str


def _said(requirement: str, topic: str, met: bool | None, evidence: str) -> Finding:
    verdict = Verdict.STATE if met is None else Verdict.MET if met else Verdict.NOT_MET
    return Finding(requirement, topic, verdict, evidence)


def _stated(requirement: str, topic: str, statement: str, ask: str) -> Finding:
    """What a setting states is the hospital's word, not a measure."""
    return _said(requirement, topic, None, f"The hospital states: {statement}" if statement else ask)


def access(site: SiteServices) -> Iterable[Finding]:
    accounts = [account for account in site.state.accounts.all() if not account.disabled]
    bare = sum(not site.state.second_factors.has(one.id) and not site.state.passkeys.of(one.id) for one in accounts)
    required = site.settings.second_factor == "required"
    yield _said(
        "R1", "Second factor", required,
        f"second_factor = {site.settings.second_factor}; {bare} of {len(accounts)} open accounts have not set one up"
        + (" and must before they read anything." if required else "."),
    )  # fmt: skip
    yield _said("R1", "Network apart", None, "The network of the site is not seen from the program.")
    totals = [str(role) for role, rights in ALLOWED.items() if Action.COUNT in rights and not rights & _READING]
    yield _said("R7", "A role for aggregates only", bool(totals), f"Roles that count and read no patient: {', '.join(totals)}.")
    writers = [str(role) for role, rights in ALLOWED.items() if rights & {Action.OPERATE}]
    yield _said("R15", "Named people, few who may change data", len(writers) <= 2, f"Roles that may have data changed: {', '.join(writers)}.")


_READING = {Action.SNIPPETS, Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE}
_IDENTIFYING = {"name", "family_name", "given_name", "address", "phone", "mail", "ins", "birth_date", "ipp"}


def secrecy(site: SiteServices) -> Iterable[Finding]:
    found = _IDENTIFYING & set(PATIENT.names)
    folder = site.audit_folder.parent
    inside = [path.name for path in folder.glob("*.key") if path.name != "portal.key"]
    apart = (folder / "vault").is_dir() and not inside
    yield _said("R2", "Pseudonymised patients", not found, f"Columns kept of a patient: {', '.join(PATIENT.names)}.")
    yield _said(
        "R2", "Identities apart", apart if (folder / "vault").is_dir() else None,
        "The vault is a folder of its own; no key file but the portal's is inside the site." if apart else f"Key files inside the site: {', '.join(inside) or 'none'}.",
    )  # fmt: skip
    yield _said("R2", "New pseudonyms for each project", None, f"Datamarts registered: {_datamarts(site)}; what keys them anew is seen where they are made.")
    yield _stated("R3", "Encrypted volumes", site.settings.disk_encryption, "Say how the volume of the site is encrypted (disk_encryption).")


def leaving(site: SiteServices) -> Iterable[Finding]:
    settings = site.settings
    protected = settings.count_floor > 0 and settings.count_noise > 0
    yield _said("R4", "A closed space per project", None, f"Datamarts registered: {_datamarts(site)}; the spaces in which they are read are not seen from here.")
    yield _said(
        "R5", "Counts safe even when filtered", protected,
        f"Noise of scale {settings.count_noise:g}, steps of {settings.count_step}, one answer for sets closer than "
        f"{settings.count_near}, {settings.count_quota} new sets in {settings.count_days} days.",
    )  # fmt: skip
    yield _said(
        "R6", "Small cells hidden", True if settings.count_floor >= 11 else None if settings.count_floor == 10 else False,
        f"Fewer than {settings.count_floor} are never told"
        + ("; guides ask for 10 or 11, and the hospital says which." if settings.count_floor == 10 else "."),
    )  # fmt: skip
    yield _said("R14", "Only non-personal data leave", None, "Exports from closed spaces are checked where those spaces run.")


def trail(site: SiteServices) -> Iterable[Finding]:
    with reading(site.state.engine) as connection:
        gone = missing(connection)
    lines, months, sealed = site.state.audit.last(), site.settings.audit_months, last_checkpoint(site)
    yield _said(
        "R8", "Every access recorded, append-only", lines > 0 and not gone,
        f"{lines} lines; guards missing: {', '.join(gone) or 'none'}.",
    )  # fmt: skip
    age = f"Last signed checkpoint at line {sealed.line} on {site.settings.day(sealed.at)}." if sealed else "There is no signed checkpoint."
    late = sealed is None or (lines > sealed.line and now() - sealed.at > dt.timedelta(days=1))
    yield _said("R8", "Checkpoints signed", not late, age)
    yield _said("R8", "Kept 6 to 12 months", 6 <= months <= 12, f"audit_months = {months}.")
    reviews = site.state.reviews.recent(1)
    fresh = bool(reviews) and now() - reviews[0].at < dt.timedelta(days=8)
    yield _said("R8", "Reviewed each week", fresh, f"Last review on {site.settings.day(reviews[0].at)}." if reviews else "Nothing was reviewed yet.")


def purposes(site: SiteServices) -> Iterable[Finding]:
    told = public_projects(site)
    bare = sum(not (one.purpose.strip() and one.legal_basis.strip()) for one in told)
    yield _said("R9", "Purpose and legal route of each project", not bare if told else None, f"Projects told to the public: {len(told)}; without one or the other: {bare}.")
    yield _said("R10", "No match with the national claims base", None, "A match made outside this program is not seen here.")
    with site.snapshot().connect() as connection:
        sources = [row[0] for row in connection.execute("select distinct source from load order by 1").fetchall()]
    yield _said("R11", "Nothing collected for the warehouse alone", None, f"Sources: {', '.join(sources) or 'none'}.")


def rights(site: SiteServices) -> Iterable[Finding]:
    snapshot = site.snapshot()
    opposed = snapshot.opposed()
    seen = _visible(snapshot, opposed)
    yield _said(
        "R12", "Opposed patients are not read", seen == 0 if opposed else None,
        f"Rows of opposed patients that the views of patients, stays, documents, facts and texts show: {seen}." if opposed else "Nobody is opposed yet: nothing to measure.",
    )  # fmt: skip
    genetic = site.settings.genetic_data
    yield _said("R12", "Genetic data closed by default", genetic == "closed", f"genetic_data = {genetic}.")
    lists = site.state.letters.lists(1)
    yield _said("R12", "Individual information", None, f"Last list of letters: {site.settings.day(lists[0].listed)}." if lists else "No list of letters was made here.")
    yield _stated("R12", "Opinion of the committee", site.settings.committee_opinion, "Say its number (committee_opinion).")
    yield _stated("R12", "Public directory", site.settings.hdh_directory, "Say the number there (hdh_directory).")
    late = sum(one.deadline < now() for one in site.state.rights.tombstones())
    holders = len(site.state.rights.recipients())
    yield _said("R12", "Copies obey in time", late == 0 if holders else None, f"Recipients: {holders}; wishes past their deadline: {late}.")
    yield _said("R16", "Opposition reversible, without a reason", _kept(site), "The register takes an end as another act and refuses changes; no reason is asked.")


def _visible(snapshot: Snapshot, patients: BitMap) -> int:
    """Rows of these patients in what people read."""
    with snapshot.connect() as connection:
        connection.register("asked", pa.table({"patient_id": pa.array(patients, pa.int32())}))
        counts = " + ".join(f"(select count(*) from {table} semi join asked using (patient_id))" for table in _READ)
        return int(connection.execute(f"select {counts}").fetchall()[0][0])


_READ = ("patient", "stay", "document", "fact", "text")


def retention(site: SiteServices) -> Iterable[Finding]:
    years = site.settings.retention_years
    with site.snapshot().connect() as connection:
        found = connection.execute(
            "select count(*) from (select patient_id from document group by 1 having max(start_date) < ? - to_years(?))",
            [site.snapshot().today(), years],
        ).fetchall()
    beyond = int(found[0][0])
    evidence = "none" if not beyond else f"fewer than {site.settings.count_floor}" if beyond < site.settings.count_floor else "some"
    yield _said("R13", "Nothing kept beyond its time", beyond == 0, f"retention_years = {years}; patients without any newer document: {evidence}.")


def _datamarts(site: SiteServices) -> int:
    return sum(one.kind == "datamart" for one in site.state.rights.recipients())


def _kept(site: SiteServices) -> bool:
    """Whether the guards of the register are in place."""
    names = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if site.state.engine.dialect.name != "sqlite":
        names = "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
    with reading(site.state.engine) as connection:
        return {"right_act_no_update", "right_act_no_delete"} <= set(connection.scalars(sa.text(names)))


MEASURES: tuple[Callable[[SiteServices], Iterable[Finding]], ...] = (
    access, secrecy, leaving, trail, purposes, rights, retention
)  # fmt: skip
