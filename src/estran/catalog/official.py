"""The hospital's official monthly figures (its PMSI), read from a CSV file, and what the warehouse counts instead.

The file has a heading `month;figure;code;value` (or `mois;chiffre;code;valeur`) and one figure per line, parted by
semicolons, commas or tabs: `2024-03;stays;;1204`, `2024-03;ghm;05M093;41`. Figures are `stays`, `sessions`, `ghm`
(with its code), `deaths`; `séjours`, `séances`, `décès` are understood. What each counts:

- stays: stays of kind venue that ended in the month;
- sessions: what PMSI summaries of the month state (their number of sessions); where none was loaded, stays of kind session;
- ghm: documents that state the GHM, by the month in which their stay ended (of the document when it has no stay);
- deaths: stays of kind venue that ended in the month by death (exit mode 9), or in which the patient's death falls.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.catalog.reading import ask
from estran.model.errors import InputRefused
from estran.warehouse import Snapshot

FIGURES = ("stays", "sessions", "ghm", "deaths")
_SPOKEN = {"sejours": "stays", "seances": "sessions", "deces": "deaths"}
_HEADINGS = {"mois": "month", "chiffre": "figure", "valeur": "value"}
_WANTED = ("month", "figure", "code", "value")
_LARGEST = 5_000_000  # bytes
_TOLD = 20
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

Figures = dict[tuple[str, str, str], int]  # month, figure, code → value


@dataclass(frozen=True)
class Difference:
    """An official figure beside what the warehouse counts; `patients` stand behind the latter."""

    month: str
    figure: str
    code: str
    official: int
    ours: int
    patients: int

    @property
    def gap(self) -> int:
        """How many more (negative: fewer) the warehouse has."""
        return self.ours - self.official

    def beyond(self, tolerance: float) -> bool:
        """Whether the gap is more than `tolerance` percent of the official figure."""
        return 100 * abs(self.gap) > tolerance * self.official


def read_figures(path: Path) -> Figures:
    """The figures of a file. InputRefused names every line that cannot be read (the first twenty)."""
    if path.stat().st_size > _LARGEST:
        raise InputRefused("The file is too large for monthly figures.", where=path.name)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text("cp1252", errors="replace")
    return parse_figures(text, path.name)


def parse_figures(text: str, name: str = "") -> Figures:
    """The figures of a text; InputRefused as `read_figures`."""
    lines = text.splitlines()
    separator = next((mark for mark in (";", "\t", ",") if lines and mark in lines[0]), ";")
    rows = csv.reader(lines, delimiter=separator)
    heading = [_HEADINGS.get(_plain(word), _plain(word)) for word in next(rows, [])]
    missing = [word for word in _WANTED if word not in heading]
    if missing:
        raise InputRefused("The heading of the file lacks columns.", where=f"{name}, line 1: {', '.join(missing)}",
                           hint="write month;figure;code;value")  # fmt: skip
    figures: Figures = {}
    faults: list[str] = []
    for number, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        fault = _take(dict(zip(heading, (cell.strip() for cell in row), strict=False)), figures)
        faults += [f"line {number}: {fault}"] if fault else []
    if faults:
        more = f" (and {len(faults) - _TOLD} more)" if len(faults) > _TOLD else ""
        raise InputRefused("Lines of the official figures cannot be read.", where=f"{name}, {'; '.join(faults[:_TOLD])}{more}",
                           hint="nothing was kept: mend them all and send the file again")  # fmt: skip
    return figures


def _take(row: Mapping[str, str], figures: Figures) -> str:
    """Put a line among the figures; what is wrong with it, or ""."""
    month, code = row.get("month", ""), row.get("code", "").upper()
    figure = _SPOKEN.get(_plain(row.get("figure", "")), _plain(row.get("figure", "")))
    value = re.sub(r"[\s\u00a0\u202f]", "", row.get("value", ""))
    wrong = {
        "the month is not written YYYY-MM": not _MONTH.fullmatch(month),
        f"the figure is none of {', '.join(FIGURES)}": figure not in FIGURES,
        "a GHM needs its code, and only a GHM has one": (figure == "ghm") != bool(code),
        "the code is too long": len(code) > 40,
        "the value is not a whole number": not value.isdecimal() or len(value) > 12,
        "this figure of this month was given before": (month, figure, code) in figures,
    }
    fault = next((sentence for sentence, holds in wrong.items() if holds), "")
    if not fault:
        figures[month, figure, code] = int(value)
    return fault


def _plain(word: str) -> str:
    folded = unicodedata.normalize("NFKD", word.strip().lower())
    return "".join(c for c in folded if not unicodedata.combining(c))


_EVENTS = """
WITH ended AS (SELECT * FROM stay WHERE end_date IS NOT NULL AND status <> 'planned'),
     stated AS (
         SELECT f.document_id, f.patient_id, f.stay_id, strftime(coalesce(s.end_date, f.start_date), '%Y-%m') AS month,
                c.vocabulary, c.code, f.value
         FROM fact_by_concept f JOIN concept c USING (concept_id) LEFT JOIN stay s ON s.stay_id = f.stay_id
         WHERE (c.vocabulary = 'GHM' OR (c.vocabulary = 'LOCAL/PMSI' AND c.code = 'seances')) AND f.status NOT IN (5, 6)),
     told AS (SELECT DISTINCT month FROM stated WHERE code = 'seances')
SELECT strftime(end_date, '%Y-%m') AS month, 'stays' AS figure, '' AS code, patient_id, stay_id, 1::BIGINT AS n
FROM ended WHERE kind = 'venue'
UNION ALL
SELECT month, 'sessions', '', patient_id, stay_id, sum(value)::BIGINT FROM stated
WHERE code = 'seances' AND value > 0 GROUP BY ALL
UNION ALL
SELECT strftime(end_date, '%Y-%m'), 'sessions', '', patient_id, stay_id, 1 FROM ended
WHERE kind = 'session' AND strftime(end_date, '%Y-%m') NOT IN (SELECT month FROM told)
UNION ALL
SELECT DISTINCT ON (document_id, code) month, 'ghm', code, patient_id, stay_id, 1 FROM stated WHERE vocabulary = 'GHM'
UNION ALL
SELECT strftime(e.end_date, '%Y-%m'), 'deaths', '', e.patient_id, e.stay_id, 1
FROM ended e JOIN patient p USING (patient_id)
WHERE e.kind = 'venue' AND (e.exit_mode = '9' OR coalesce(p.death_date BETWEEN e.start_date AND e.end_date, false))"""


def counted(snapshot: Snapshot, months: Iterable[str]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """What the warehouse has of each figure in these months: the figure, and its patients."""
    listed = ", ".join(f"'{month}'" for month in sorted(set(months)) if _MONTH.fullmatch(month)) or "''"
    sql = f"SELECT month, figure, code, sum(n)::BIGINT AS n, count(DISTINCT patient_id) AS patients FROM ({_EVENTS}) WHERE month IN ({listed}) GROUP BY ALL"
    return {(row["month"], row["figure"], row["code"]): (row["n"], row["patients"]) for row in ask(snapshot, sql)}


def differences(snapshot: Snapshot, official: Mapping[tuple[str, str, str], int]) -> list[Difference]:
    """Each official figure beside ours, in order; and the GHM that we have in months whose GHM were given without it."""
    ours = counted(snapshot, (month for month, _, _ in official))
    given = {(month, figure) for month, figure, _ in official}
    keys = sorted({*official, *(key for key in ours if key[:2] in given)})
    return [Difference(*key, official.get(key, 0), *ours.get(key, (0, 0))) for key in keys]


def rows_of(snapshot: Snapshot, month: str, figure: str, code: str = "", most: int = 500) -> list[dict[str, Any]]:
    """The stays behind what the warehouse counts."""
    if not _MONTH.fullmatch(month) or figure not in FIGURES or not re.fullmatch(r"\w{0,40}", code):
        return []
    sql = f"""SELECT e.patient_id, e.stay_id, s.kind, s.start_date, s.end_date, e.n FROM ({_EVENTS}) e LEFT JOIN stay s USING (stay_id)
              WHERE e.month = '{month}' AND e.figure = '{figure}' AND e.code = '{code}' ORDER BY s.end_date, e.stay_id LIMIT {most}"""
    return ask(snapshot, sql)
