"""What the sites of a pool agreed on: the specification of one datamart, and the columns and units that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from estran.model.errors import UsageError
from estran.projects.datamarts.reading import SpecFile
from estran.projects.datamarts.spec import Aggregate, Demographic, Of, Spec, StayColumn, Variable
from estran.release.dates import DatePolicy

ID, TEXT, NUMBER, FLAG, DATE = "id", "text", "number", "flag", "date"
TYPES = {TEXT: "VARCHAR", ID: "VARCHAR", NUMBER: "DOUBLE", FLAG: "BOOLEAN", DATE: "DATE"}
_OF_VALUES = (Aggregate.FIRST, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN, Aggregate.ALL)


@dataclass(frozen=True)
class Column:
    """A column that was agreed: what it holds, and the unit of its values ("" when they have none)."""

    name: str
    holds: str
    unit: str = ""


Schema = dict[str, tuple[Column, ...]]


def has_unit(variable: Variable) -> bool:
    """Whether what is kept of a variable are values, which have a unit."""
    return variable.aggregate in _OF_VALUES and variable.of is Of.VALUE


def schema_of(spec: Spec) -> Schema:
    """The tables and columns that a site may send, and no others."""
    day = NUMBER if spec.dates is DatePolicy.YEAR else DATE
    stay = (Column("stay", ID),) if spec.stays else ()
    found: Schema = {"patients": _patients(spec, day)}
    if spec.every:
        found["facts"] = (
            Column("patient", ID), Column("variable", TEXT), Column("code", TEXT), Column("date", day), Column("days", NUMBER), *stay,
            Column("comparator", TEXT), Column("value", NUMBER), Column("unit", TEXT),
        )  # fmt: skip
    if spec.stays:
        found["stays"] = (Column("patient", ID), Column("stay", ID), *(_stay(one, day) for one in spec.stays.columns))
    if spec.documents:
        texts = (Column("text", TEXT),) if spec.texts else ()
        found["documents"] = (
            Column("patient", ID), Column("document", ID), *stay, Column("kind", TEXT), Column("date", day), Column("days", NUMBER), *texts,
        )  # fmt: skip
    return found | {"codes": tuple(Column(name, TEXT) for name in ("code", "label_fr", "label_en", "kind"))}


def _patients(spec: Spec, day: str) -> tuple[Column, ...]:
    holds = {
        Demographic.SEX: TEXT, Demographic.AGE: NUMBER, Demographic.BIRTH_YEAR: NUMBER, Demographic.DIED: FLAG,
        Demographic.DEATH_DATE: day, Demographic.RESIDENCE_AREA: TEXT, Demographic.INDEX_DATE: day,
    }  # fmt: skip
    return (
        Column("patient", ID),
        *(Column(str(one), holds[one]) for one in spec.demographics),
        *(_variable(one, day) for one in spec.columns),
    )


def _variable(variable: Variable, day: str) -> Column:
    if variable.aggregate is Aggregate.ANY:
        return Column(variable.name, FLAG)
    if has_unit(variable):
        return Column(variable.name, NUMBER, variable.unit)
    return Column(
        variable.name, day if variable.of is Of.DATE and variable.aggregate is not Aggregate.COUNT else NUMBER
    )


def _stay(column: StayColumn, day: str) -> Column:
    if column in (StayColumn.START, StayColumn.END):
        return Column(str(column), day)
    return Column(str(column), NUMBER if column in (StayColumn.DAYS, StayColumn.LENGTH) else TEXT)


def agreement_refusal(agreed: SpecFile, held: SpecFile) -> str:
    """In what a site's datamart is not what was agreed; "" when it is. It may lack variables, and have other units."""
    ours, theirs = agreed.frozen(), held.frozen()
    if ours.cohort != theirs.cohort:
        return "The datamart answers another question than the one agreed on."
    if ours.dates is not theirs.dates:
        return "The datamart tells dates in another way than agreed on."
    known = {one.name: one for one in ours.variables}
    for one in theirs.variables:
        agreed_one = known.get(one.name)
        if agreed_one is None:
            return f"The datamart holds a variable that was not agreed on: {one.name}."
        if _meaning(one) != _meaning(agreed_one):
            return f"The datamart makes the variable {one.name} of other codes, or in another way, than agreed on."
    if theirs.own:
        return "The datamart holds data that its project brought itself: they were not agreed on."
    return _tables_refusal(ours, theirs)


def _meaning(one: Variable) -> tuple[object, ...]:
    return frozenset(one.codes), one.aggregate, one.of, one.window


def _tables_refusal(ours: Spec, theirs: Spec) -> str:
    beyond = [str(one) for one in theirs.demographics if one not in ours.demographics]
    if theirs.stays:
        beyond += [str(one) for one in theirs.stays.columns if not ours.stays or one not in ours.stays.columns]
        if ours.stays and ours.stays.window != theirs.stays.window:
            return "The datamart holds the stays of other days than agreed on."
    if theirs.documents and (not ours.documents or ours.documents != theirs.documents):
        return "The datamart holds other documents than agreed on."
    if theirs.texts and not ours.texts:
        beyond.append("text")
    return f"The datamart holds columns that were not agreed on: {', '.join(beyond)}." if beyond else ""


def units_of(spec: Spec) -> dict[str, str]:
    """The unit of each variable whose values have one."""
    return {one.name: one.unit for one in spec.variables if has_unit(one)}


def readable(spec: Spec) -> None:
    """UsageError when what is to be agreed on cannot be pooled."""
    if spec.own:
        raise UsageError("A pool holds what sites have, not what a project brings itself.", where="own")
    if "site" in {column.name for columns in schema_of(spec).values() for column in columns}:
        raise UsageError("No variable of a pool is called 'site'.", where="variables")
