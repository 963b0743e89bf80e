"""The registry sheet (GDPR article 30) and what the running site meets of the CNIL's reference framework for
warehouses of health data (deliberation 2021-118), requirement by requirement.

A requirement is met only where something was measured; what only the hospital knows is said to be the hospital's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.measures import MEASURES, Finding, Verdict
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.projects.transparency import PublicCounts, public_projects
from estran.state.transactions import now


class Section(StrEnum):
    """Parts of the sheet, in the order of article 30(1)."""

    CONTROLLER = "controller"
    PURPOSES = "purposes"
    CATEGORIES = "categories"
    RECIPIENTS = "recipients"
    TRANSFERS = "transfers"
    RETENTION = "retention"
    SECURITY = "security"


@dataclass(frozen=True)
class Sheet:
    """The sheet: each section with its lines. A section without any line is for the hospital to state."""

    site: str
    made: dt.datetime
    snapshot: int
    sections: tuple[tuple[Section, tuple[str, ...]], ...]
    checklist: tuple[Finding, ...]

    def counts(self) -> dict[str, int]:
        """Findings by verdict."""
        return {verdict: sum(one.verdict is verdict for one in self.checklist) for verdict in Verdict}


def sheet(site: SiteServices, actor: Actor) -> Sheet:
    """Look at the configuration and the data now; NotAllowed when the policy says no."""
    permit(site.state, actor, Action.REGISTRY, Target("registry sheet"), snapshot=site.snapshot().version)
    findings = tuple(sorted((one for measure in MEASURES for one in measure(site)), key=lambda one: int(one.requirement[1:])))
    sections = tuple((section, tuple(_lines(site, section, findings))) for section in Section)
    return Sheet(site.settings.name, now(), site.snapshot().version, sections, findings)


def as_row(made: Sheet) -> dict[str, Any]:
    """The sheet for JSON."""
    return {
        "site": made.site, "made": made.made.isoformat(), "snapshot": made.snapshot,
        "sheet": {str(section): list(lines) for section, lines in made.sections},
        "checklist": [asdict(finding) for finding in made.checklist], "counts": made.counts(),
    }  # fmt: skip


def markdown(made: Sheet) -> str:
    """The sheet and the checklist as one page."""
    lines = [f"# Registry sheet: {made.site}", "", f"Made on {made.made:%Y-%m-%d %H:%M} UTC from snapshot {made.snapshot}.", ""]
    for section, said in made.sections:
        lines += [f"## {section.capitalize()}", "", *(f"- {line}" for line in said or ("For the hospital to state.",)), ""]
    lines += ["## Reference framework", "", "| Requirement | Topic | Verdict | Evidence |", "|---|---|---|---|"]
    lines += [f"| {f.requirement} | {f.topic} | {f.verdict} | {f.evidence.replace('|', '/')} |" for f in made.checklist]
    return "\n".join(lines) + "\n"


def _lines(site: SiteServices, section: Section, findings: tuple[Finding, ...]) -> list[str]:
    """What is known of a section; nothing of transfers outside the Union, which only the hospital knows."""
    settings, state = site.settings, site.state
    basis = f" ({settings.retention_basis})" if settings.retention_basis else ""
    match section:
        case Section.CONTROLLER:
            said = [one for one in (settings.controller, settings.dpo_contact) if one]
        case Section.PURPOSES:
            said = [f"{one.title}: {one.purpose} ({one.legal_basis}; {one.status})" for one in public_projects(site)]
        case Section.CATEGORIES:
            said = _categories(site)
        case Section.RECIPIENTS:
            said = [f"{one.name} ({one.kind}): {' '.join(sorted(one.purposes))}" for one in state.rights.recipients()]
        case Section.RETENTION:
            said = [f"Health data: {settings.retention_years} years{basis}.", f"Audit trail: {settings.audit_months} months."]
        case Section.SECURITY:
            said = [f"{one.topic}: {one.evidence}" for one in findings if one.verdict is Verdict.MET]
        case _:
            said = []
    return said


def _categories(site: SiteServices) -> list[str]:
    with site.snapshot().connect() as connection:
        rows = connection.execute("select distinct kind from document order by 1").fetchall()
    held = PublicCounts(site).held().patients
    size = f"fewer than {held.below}" if held.below else f"about {held.value}"
    return [f"Patients of the hospital ({size}).", *(f"Documents: {kind}" for (kind,) in rows)]
