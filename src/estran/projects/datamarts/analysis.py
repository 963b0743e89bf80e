"""The table of an analysis: one row per patient, the columns that a statistic reads, made at the site and kept there.

The variables are those of a datamart; their numbers are true, since no row leaves. Besides, a number can be cut into
bands, and a follow-up be counted: days from the index date to an event, or to the end of observation (death, or the
last news of the patient), and whether the event came first. An event of codes counts from the day after the index date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from pyroaring import BitMap

from estran.cohort.query import Node, leading
from estran.model.errors import UsageError
from estran.model.moments import EPOCH
from estran.projects.datamarts import tables as sql
from estran.projects.datamarts.columns import Floats, columns
from estran.projects.datamarts.members import Members
from estran.projects.datamarts.reading import VariableFile, code, validated
from estran.projects.datamarts.spec import Aggregate, Demographic, Form, Of, Spec, Variable, Window
from estran.release.dates import DatePolicy
from estran.warehouse import Snapshot, members

PATIENT, DAYS, EVENT = "patient", "days", "event"  # columns that are always called so
TOLD = (Demographic.SEX, Demographic.AGE, Demographic.BIRTH_YEAR, Demographic.DIED)
_EVENT_DAY = "event_day"
_MOST = 200
_AFTER = Window(1, None)


class Band(BaseModel):
    """A number cut into categories; a band begins with its cut."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    of: str
    cuts: list[float] = Field(min_length=1, max_length=30)

    @property
    def levels(self) -> list[str]:
        """Its categories, from the lowest."""
        edges = [f"{cut:g}" for cut in self.cuts]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"under {edges[0]}", *between, f"{edges[-1]} and more"]


class Follow(BaseModel):
    """What ends a follow-up: one of these codes, or death when there are none."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    codes: list[str] = Field(default_factory=list, max_length=10_000)


class Wanted(BaseModel):
    """The columns that a statistic reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    demographics: list[Demographic] = Field(default_factory=list)
    variables: list[VariableFile] = Field(default_factory=list, max_length=_MOST)
    bands: list[Band] = Field(default_factory=list, max_length=_MOST)
    follow_up: Follow | None = None

    def spec(self, cohort: Node) -> Spec:
        """The same as a datamart would have it; UsageError when it is not well formed."""
        made = [one.frozen() for one in self.variables]
        dated = any(one.aggregate is Aggregate.ALL or one.of is Of.DATE for one in made)
        if dated or set(self.demographics) - set(TOLD):
            raise UsageError("A statistic reads one number or category per patient, and no date.")
        names = {*self.demographics, *(one.name for one in made)}
        every = [*names, *(one.name for one in self.bands), PATIENT, DAYS, EVENT, _EVENT_DAY]
        if len(set(every)) != len(every):
            raise UsageError("A column would stand twice.")
        if any(one.of not in names or one.cuts != sorted(set(one.cuts)) for one in self.bands):
            raise UsageError("Bands are cut of a variable of the table, from the lowest cut on.")
        if self.follow_up is not None and self.follow_up.codes:
            codes = tuple(map(code, self.follow_up.codes))
            made.append(Variable(_EVENT_DAY, codes, Aggregate.FIRST, Of.DAYS, _AFTER))
        return Spec(
            project="network", name="study", cohort=cohort, demographics=tuple(dict.fromkeys(self.demographics)),
            variables=tuple(made), stays=None, documents=None, texts=False, flat=True, dates=DatePolicy.SHIFT, reason="",
            fingerprint=True, formats=(Form.PARQUET,), days=1,
        )  # fmt: skip


def read_wanted(given: object, cohort: Node) -> Wanted:
    """The columns that are asked for; UsageError with the place of what is wrong."""
    found = validated(Wanted, given)
    if (found.spec(cohort).needs_index or found.follow_up is not None) and leading(cohort) is None:
        hint = "name a dated criterion, or leave windows and days out"
        raise UsageError("The question gives no index date.", hint=hint)
    return found


def analysis_table(
    snapshot: Snapshot, cohort: Node, wanted: Wanted, patients: BitMap, index: Mapping[int, dt.date]
) -> pa.Table:
    """The columns of these patients, who may be others than `cohort` selects; `index` are their index dates.

    UsageError when the site knows none of the codes of a variable, or values of one come in several units.
    """
    spec, people = wanted.spec(cohort), _people(patients, index)
    with sql.opened(snapshot, spec, people) as connection:
        sql.mixed_units(connection, spec)
        query = sql.patients_sql(spec)
        table = connection.sql(query, params={"today": snapshot.date} if "$today" in query else {}).to_arrow_table()
        for variable, column in columns(connection, spec):
            table = table.append_column(variable.name, column)
        if wanted.follow_up is not None:
            table = _followed(connection, table)
    for band in wanted.bands:
        table = table.append_column(band.name, _banded(table.column(band.of), band))
    return table.set_column(0, PATIENT, pa.array(people.patients, pa.int32()))


def _people(patients: BitMap, index: Mapping[int, dt.date]) -> Members:
    """The patients as a datamart takes them, without pseudonyms and with true dates: nothing of it leaves."""
    numbers = members(patients)
    found = [index.get(one) for one in numbers.tolist()]
    table = pa.table({
        "patient_id": pa.array(numbers, pa.int32()),
        "patient": pa.array([""] * len(numbers), pa.string()),
        "rank": pa.array(np.arange(len(numbers)), pa.int32()),
        "index_day": pa.array([None if day is None else (day - EPOCH).days for day in found], pa.int32()),
        "shift": pa.array(np.zeros(len(numbers)), pa.int32()),
    })  # fmt: skip
    return Members(numbers, table)


_ENDS = """
SELECT CAST(p.death_date - DATE '1970-01-01' AS INTEGER) - m.index_day AS death,
       CAST(p.last_news - DATE '1970-01-01' AS INTEGER) - m.index_day AS news
FROM member m JOIN patient p USING (patient_id) ORDER BY m.rank"""


def _followed(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> pa.Table:
    """Days and event of each patient; both missing where the index date, or the end, is not known."""
    ends = connection.sql(_ENDS).to_arrow_table()
    death, news = (_numbers(ends.column(name)) for name in ("death", "news"))
    end = np.where(np.isnan(death), news, death)
    came = death
    if _EVENT_DAY in table.column_names:
        came = _numbers(table.column(_EVENT_DAY))
        table = table.drop_columns([_EVENT_DAY])
    happened = ~np.isnan(came)
    last = np.where(happened, came, end)
    unknown = np.isnan(last) | (last < 0)
    days = pa.array(np.where(unknown, 0, last).astype(np.int32), mask=unknown)
    return table.append_column(DAYS, days).append_column(EVENT, pa.array(happened, mask=unknown))


def _banded(column: pa.ChunkedArray, band: Band) -> pa.Array:
    values = _numbers(column)
    at = np.digitize(np.nan_to_num(values), band.cuts)
    return pa.array(np.array(band.levels, object)[at].tolist(), pa.string(), mask=np.isnan(values))


def _numbers(column: pa.ChunkedArray) -> Floats:
    found: Floats = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    return found
