"""The page of the reference on checks: Estran's own, and what became of each rule of OHDSI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from estran.catalog.checks import CHECKS
from estran.catalog.dqd import BY_CONSTRUCTION, FIELD_CHECKS, Line, concept_lines, lines
from estran.catalog.dqd_map import ABSENT, TABLES

_HEAD = """# Quality checks

Made by `estran quality rules` from `estran.catalog`; a test fails when this page and the code differ.

A check counts, among the rows it looks at, those that violate it; it fails when they are more than its threshold (in
percent of the rows it looks at). Categories are those of Kahn et al. 2016 (doi:10.13063/2327-9214.1244).
`t` is the row, `p` its patient, `s` its stay, `c` its concept, `u` its unit.

## Estran's own checks

| check | category | table | among | violated when | threshold, % |
|---|---|---|---|---|---|
"""
_OHDSI = """
## Rules of OHDSI's DataQualityDashboard (CDM 5.4)

Read from OHDSI's own tables (Apache License 2.0) and evaluated on Estran's. `_date` and `_datetime` fields, which are
one date here, make one check; the check of `estran quality show` is then named after the first.

- A fact belongs to the table of OMOP that its concept's kind says.
- *standardConceptRecordCompleteness* counts facts whose code is mapped to no standard one (OMOP's concept 0).
- The month of birth stands for the birth date: its first day, as the dashboard does without a day.
- *cdmTable*, *cdmField*, *cdmDatatype*, *measurePersonCompleteness* and the eras' checks are not run: Estran's tables
  have one schema, which the store enforces, and eras are derived.

"""


def markdown() -> str:
    """The whole page."""
    own = [
        f"| `{c.key}` | {c.category} | {c.relation} | {_code(c.applies)} | {_code(c.violates)} | {c.threshold:g} |"
        for c in CHECKS
    ]
    return _HEAD + "\n".join(own) + "\n" + _OHDSI + _summary() + _fields() + _absent() + _concepts()


def _code(condition: str) -> str:
    return "all" if condition == "true" else f"`{condition.replace('|', chr(92) + '|')}`"


def _summary() -> str:
    rows = ["| check of fields | rules | evaluated | not |", "|---|---|---|---|"]
    made = Counter(line.name for line in lines() if line.check)
    every = Counter(line.name for line in lines())
    rows += [f"| {name} | {every[name]} | {made[name]} | {every[name] - made[name]} |" for name in FIELD_CHECKS]
    rows.append(
        f"| **all** | {sum(every.values())} | {sum(made.values())} | {sum(every.values()) - sum(made.values())} |"
    )
    return "\n".join(rows) + "\n\n"


def _fields() -> str:
    found = ["### Tables and fields that map", ""]
    for name, mapped in TABLES.items():
        mine = [line for line in lines() if line.table == name]
        found += [f"#### {name}", "", f"Relation `{mapped.relation}`, rows where {_code(mapped.where)}.", ""]
        found += ["| field | in Estran | evaluated | not evaluated, and why |", "|---|---|---|---|"]
        found += [_field(field, mapped.fields.get(field, ""), own) for field, own in _by_field(mine)]
        found.append("")
    return "\n".join(found) + "\n"


def _by_field(mine: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    found: dict[str, list[Line]] = {}
    for line in mine:
        found.setdefault(line.field, []).append(line)
    return list(found.items())


def _field(name: str, value: str, own: list[Line]) -> str:
    made = ", ".join(line.name for line in own if line.check)
    reasons: dict[str, list[str]] = {}
    for line in own:
        if not line.check:
            reasons.setdefault(line.reason, []).append(line.name)
    said = " ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    return f"| {name} | {_code(value) if value else '–'} | {made or '–'} | {said or '–'} |"


def _absent() -> str:
    found = ["### Tables that do not map", "", "| table | rules | why |", "|---|---|---|"]
    every = Counter(line.table for line in lines())
    found += [f"| {name} | {every[name]} | {reason} |" for name, reason in sorted(ABSENT.items()) if every[name]]
    always = [f"- {name}: {reason}" for name, reason in BY_CONSTRUCTION.items()]
    return "\n".join([*found, "", "Checks that are not evaluated for any field:", "", *always, ""]) + "\n"


def _concepts() -> str:
    counts = Counter(name for _, _, name in concept_lines())
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    return "\n".join(
        [
            "### Rules about one concept", "",
            "Evaluated for the concepts that the site knows by their number in OMOP (`OMOP:<number>`); units are compared as",
            "UCUM codes, and a unit that Estran has no UCUM code for is left out of the list of plausible ones. A rule of values",
            "holds for facts in its own unit.", "", "| check | rules |", "|---|---|", *rows, "",
        ]
    )  # fmt: skip
