"""The tables of a datamart as SQL over one snapshot: chosen people, chosen columns, dates by policy.

Every table is ordered by what it shows, so that the same content is always written in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from estran.cohort.query import Code
from estran.model.errors import UsageError
from estran.projects.datamarts.members import Members
from estran.projects.datamarts.spec import (
    Aggregate,
    Demographic,
    Documents,
    Of,
    Spec,
    StayColumn,
    Stays,
    Variable,
    Window,
)
from estran.release.dates import DatePolicy, date_sql, masked_sql
from estran.warehouse import LIVE, Snapshot

MEMORY = "1GB"  # that the database may hold; what is beyond it goes to the warehouse's folder for scratch files
_EPOCH = "DATE '1970-01-01'"
_INDEX = f"({_EPOCH} + m.index_day)"
_OLDEST = 90  # ages from this one on are one


@contextmanager
def opened(snapshot: Snapshot, spec: Spec, members: Members) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the people as `member`, the concepts as `wanted` and the stays' own numbers as `stay_number`."""
    with snapshot.connect() as connection:
        limit = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        try:
            connection.register("given_members", members.table)
            connection.execute(
                "CREATE TEMP TABLE member AS SELECT g.*, p.birth_month FROM given_members g JOIN patient p USING (patient_id)"
            )
            connection.register("given_wanted", _wanted(snapshot, spec.variables))
            connection.execute("CREATE TEMP TABLE wanted AS SELECT * FROM given_wanted")
            if spec.stays:
                connection.execute(_NUMBERS)
            yield connection
        finally:
            connection.execute(f"SET memory_limit = '{limit}'")


_NUMBERS = """
CREATE TEMP TABLE stay_number AS
SELECT s.stay_id, row_number() OVER (PARTITION BY s.patient_id ORDER BY s.start_date, s.start_minute, s.stay_id) AS number
FROM stay s SEMI JOIN member m USING (patient_id)"""


def _wanted(snapshot: Snapshot, variables: Sequence[Variable]) -> pa.Table:
    """Concept by concept: the number of its variable, the window in days, the unit; UsageError for an unknown code."""
    columns: dict[str, list[object]] = {name: [] for name in ("concept_id", "variable", "low", "high", "unit")}
    for number, variable in enumerate(variables):
        known = {code: snapshot.concept_ids(code.vocabulary, code.code) for code in variable.codes}
        if not any(known.values()):
            raise UsageError("This site knows none of the codes of a variable.", where=variable.name)
        # Without a window, an event counts whether or not the patient has an index date.
        concepts = _concepts(snapshot, variable, known)
        columns["concept_id"] += concepts
        columns["variable"] += [number] * len(concepts)
        columns["low"] += [_bound(variable.window, variable.window.low, -1)] * len(concepts)
        columns["high"] += [_bound(variable.window, variable.window.high, 1)] * len(concepts)
        columns["unit"] += [variable.unit or None] * len(concepts)
    types = (pa.int32(), pa.int32(), pa.int32(), pa.int32(), pa.string())
    return pa.table({name: pa.array(found, kind) for (name, found), kind in zip(columns.items(), types, strict=True)})


def _concepts(snapshot: Snapshot, variable: Variable, known: dict[Code, list[int]]) -> list[int]:
    found: set[int] = set()
    for code in variable.codes:
        ids = known[code]
        found.update(snapshot.descendants(ids).tolist() if code.descendants else ids)
    return sorted(found)


def _bound(window: Window, bound: int | None, side: int) -> int | None:
    """A bound; far away where the other one is given, None for a window that leaves nothing out."""
    return None if window.open else side * 1_000_000 if bound is None else bound


_WITHIN = (
    f"(w.low IS NULL OR (f.start_date - {_INDEX}) BETWEEN w.low AND w.high) AND (w.unit IS NULL OR f.unit = w.unit)"
)


def events_sql(variables: Sequence[int]) -> str:
    """Facts of the variables, one key per variable, patient and moment, and their value, in order.

    The key is (variable × patients + rank) × 2^28 + moment; a moment is minutes since 1830, 0 when unknown.
    """
    moment = "coalesce((f.start_date - DATE '1829-12-31') * 1500 + coalesce(f.start_minute, 0), 0)"
    return f"""
        SELECT ((w.variable::BIGINT * $people + m.rank) << 28) + {moment} AS key, f.value
        FROM fact_by_concept f JOIN wanted w USING (concept_id) JOIN member m USING (patient_id)
        WHERE {LIVE} AND {_WITHIN} AND w.variable IN ({", ".join(map(str, variables))})
        ORDER BY key, value NULLS FIRST"""


def patients_sql(spec: Spec) -> str:
    """One row per patient: the pseudonym and the demographics asked for."""
    shown = {
        Demographic.SEX: "p.sex",
        Demographic.AGE: f"CAST(least(greatest(date_diff('month', p.birth_month, {_reference(spec)}) // 12, 0), {_OLDEST}) AS SMALLINT)",
        Demographic.BIRTH_YEAR: _birth_year(spec.dates),
        Demographic.DIED: "p.death_date IS NOT NULL",
        Demographic.DEATH_DATE: date_sql(spec.dates, "p.death_date", "m.shift", "m.birth_month"),
        Demographic.RESIDENCE_AREA: "p.residence_area",
        Demographic.INDEX_DATE: date_sql(spec.dates, _INDEX, "m.shift", "m.birth_month"),
    }
    columns = ["m.patient", *(f'{shown[one]} AS "{one}"' for one in spec.demographics)]
    return f"SELECT {', '.join(columns)} FROM member m JOIN patient p USING (patient_id) ORDER BY m.rank"


def _reference(spec: Spec) -> str:
    """The day at which people's age is told: the index date, the snapshot's own without one."""
    return f"coalesce({_INDEX}, $today::DATE)"


def _birth_year(policy: DatePolicy) -> str:
    born = "p.birth_month + m.shift" if policy is DatePolicy.SHIFT else "p.birth_month"
    return f"CAST(year({born}) AS SMALLINT)"


def facts_sql(spec: Spec) -> str:
    """Each fact of the variables that keep all of theirs."""
    numbers = [n for n, one in enumerate(spec.variables) if one.aggregate is Aggregate.ALL]
    names = " ".join(f"WHEN {n} THEN '{spec.variables[n].name}'" for n in numbers)
    stay = ("s.number AS stay, ", "LEFT JOIN stay_number s USING (stay_id)") if spec.stays else ("", "")
    date = date_sql(spec.dates, "f.start_date", "m.shift", "m.birth_month")
    return f"""
        SELECT m.patient, CASE w.variable {names} END AS variable, c.vocabulary || ':' || c.code AS code,
               {date} AS date, CAST(f.start_date - {_INDEX} AS INTEGER) AS days, {stay[0]}
               ['=', '<', '<=', '>', '>='][coalesce(f.comparator, 0) + 1] AS comparator, f.value, f.unit
        FROM fact_by_concept f JOIN wanted w USING (concept_id) JOIN member m USING (patient_id)
             JOIN concept c USING (concept_id) {stay[1]}
        WHERE {LIVE} AND {_WITHIN} AND w.variable IN ({", ".join(map(str, numbers))})
        ORDER BY ALL"""


def stays_sql(spec: Spec, stays: Stays) -> str:
    """Each stay, under a number of its own within the patient."""
    shown = {
        StayColumn.KIND: "s.kind",
        StayColumn.START: date_sql(spec.dates, "s.start_date", "m.shift", "m.birth_month"),
        StayColumn.END: date_sql(spec.dates, "s.end_date", "m.shift", "m.birth_month"),
        StayColumn.DAYS: f"CAST(s.start_date - {_INDEX} AS INTEGER)",
        StayColumn.LENGTH: "CAST(s.end_date - s.start_date AS INTEGER)",
        StayColumn.ENTRY_MODE: "s.entry_mode",
        StayColumn.EXIT_MODE: "s.exit_mode",
        StayColumn.WARD: "u.label",
    }
    columns = ["m.patient", "n.number AS stay", *(f'{shown[one]} AS "{one}"' for one in stays.columns)]
    ward = "LEFT JOIN unit u USING (unit_id)" if StayColumn.WARD in stays.columns else ""
    return f"""
        SELECT {", ".join(columns)} FROM stay s JOIN member m USING (patient_id) JOIN stay_number n USING (stay_id) {ward}
        WHERE {_during("s", stays.window)} ORDER BY m.rank, n.number"""


def documents_sql(spec: Spec, documents: Documents) -> str:
    """Each document, under a number of its own within the patient; with its de-identified text when asked for."""
    kinds = f"d.kind IN ({', '.join(repr(str(kind)) for kind in documents.kinds)})" if documents.kinds else "true"
    stay = ("s.number AS stay, ", "LEFT JOIN stay_number s USING (stay_id)") if spec.stays else ("", "")
    text = (
        (f", {masked_sql(spec.dates, 't.text')} AS text", "LEFT JOIN text t USING (document_id)")
        if spec.texts
        else ("", "")
    )
    return f"""
        SELECT m.patient, row_number() OVER (PARTITION BY m.rank ORDER BY d.start_date, d.start_minute, d.document_id) AS document,
               {stay[0]} d.kind, {date_sql(spec.dates, "d.start_date", "m.shift", "m.birth_month")} AS date,
               CAST(d.start_date - {_INDEX} AS INTEGER) AS days {text[0]}
        FROM document d JOIN member m USING (patient_id) {stay[1]} {text[1]}
        WHERE {kinds} AND {_during("d", documents.window)} ORDER BY m.rank, document"""


def _during(alias: str, window: Window) -> str:
    if window.open:
        return "true"
    low, high = (_bound(window, window.low, -1), _bound(window, window.high, 1))
    return f"({alias}.start_date - {_INDEX}) BETWEEN {low} AND {high}"


CODES = """
SELECT DISTINCT c.vocabulary || ':' || c.code AS code, coalesce(c.label_fr, c.label_en) AS label_fr,
       coalesce(c.label_en, c.label_fr) AS label_en, c.kind
FROM concept c SEMI JOIN wanted w USING (concept_id) ORDER BY ALL"""


def mixed_units(connection: duckdb.DuckDBPyConnection, spec: Spec) -> None:
    """UsageError when values of one variable come in several units and none was chosen."""
    of_values = (Aggregate.FIRST, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN)
    numbers = [
        n for n, one in enumerate(spec.variables)
        if one.aggregate in of_values and one.of is Of.VALUE and not one.unit
    ]  # fmt: skip
    if not numbers:
        return
    found = connection.execute(f"""
        SELECT w.variable FROM fact_by_concept f JOIN wanted w USING (concept_id) JOIN member m USING (patient_id)
        WHERE {LIVE} AND {_WITHIN} AND f.value IS NOT NULL AND w.variable IN ({", ".join(map(str, numbers))})
        GROUP BY w.variable HAVING min(coalesce(f.unit, '')) <> max(coalesce(f.unit, '')) ORDER BY 1""").fetchall()
    if found:
        raise UsageError(
            "Values of a variable come in several units.",
            where=spec.variables[found[0][0]].name,
            hint="choose one with `unit`",
        )
