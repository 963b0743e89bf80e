"""Reading a mapping: a model, or every fault with its line and field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from estran.model.errors import UsageError
from estran.sources.tabular.expressions import Coalesce, Column, Concat, Constant, Expression, columns_of
from estran.sources.tabular.language import Fact, Instant, Mapping, Table
from estran.sources.tabular.marks import LONGEST, Fault, Marked, NotYaml, Path, read_yaml, shown

_SENTENCES = {
    "missing": "This is required.",
    "extra_forbidden": "This name is not known here.",
    "string_type": "This is not a text.",
    "bool_type": "This is neither true nor false.",
    "bool_parsing": "This is neither true nor false.",
    "int_type": "This is not a whole number.",
    "tuple_type": "This is not a list.",
    "dict_type": "This is not a group of names.",
    "model_type": "This is not a group of names.",
    "model_attributes_type": "This is not a group of names.",
    "too_short": "This list is empty.",
}


class Faulty(UsageError):
    """A mapping with faults; `faults` lists them in the order of lines."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.line, f.field)))
        count = len(self.faults)
        super().__init__(
            "\n".join(f"{name} {fault}" for fault in self.faults), where=name,
            hint=f"correct {'this fault' if count == 1 else f'these {count} faults'}; estran mapping check {name}",
        )  # fmt: skip


def read_mapping(text: str, name: str) -> Mapping:
    """The mapping written in `text`; Faulty (a UsageError) lists what is wrong, `name` being the file's."""
    try:
        marked = read_yaml(text)
    except NotYaml as error:
        raise Faulty(name, list(error.faults)) from None
    if not isinstance(marked.value, dict):
        raise Faulty(name, [Fault(1, "", "A mapping begins with `estran: 1` and lists `tables`.")])
    try:
        mapping = Mapping.model_validate(marked.value, strict=False)
    except ValidationError as error:
        items = error.errors(include_url=False)
        whole = [i for i in items if i["type"] != "too_short" or not _has_faults_inside(i, items)]
        raise Faulty(name, [_fault(item, marked) for item in whole]) from None
    faults = [Fault(marked.line(path), shown(path), message) for path, message in _cross_checks(mapping)]
    if faults:
        raise Faulty(name, faults)
    return mapping


def read_mapping_file(path: FilePath) -> tuple[Mapping, str]:
    """The mapping in the file at `path`, and its text."""
    try:
        with path.open("rb") as file:
            raw = file.read(4 * LONGEST + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError("The mapping cannot be read.", where=str(path), hint="check the path") from error
    except UnicodeDecodeError:
        raise UsageError("The mapping is not UTF-8 text.", where=str(path)) from None
    return read_mapping(text, path.name), text


def _has_faults_inside(item: Any, items: list[Any]) -> bool:
    """A list is told to be too short, too, when what it lists is faulty."""
    place = item["loc"]
    return any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in items)


def _fault(item: Any, marked: Marked) -> Fault:
    context = item.get("ctx") or {}
    path = tuple(item["loc"]) + tuple(context.get("path", ()))
    path = tuple(p for p in path if p != "[key]")
    message = context.get("message") if item["type"] == "misfit" else _SENTENCES.get(item["type"])
    return Fault(marked.line(path), shown(path), str(message or f"{item['msg']}."))


# Checks that one part alone cannot make --------------------------------------------------------------


def _cross_checks(mapping: Mapping) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for place, table in enumerate(mapping.tables):
        path: Path = ("tables", place)
        if table.name in seen:
            yield (*path, "name"), "Two tables have this name."
        seen.add(table.name)
        yield from ((path + at, message) for at, message in _table(table))
        yield from ((path + at, message) for at, message in _origin(table, mapping))
        yield from ((path + at, message) for at, message in _lookups(table, mapping))
    yield from _database(mapping)


def _table(table: Table) -> Iterator[tuple[Path, str]]:
    if table.vocabulary:
        if table.patient or table.stay or table.document or table.facts or table.movement:
            yield ("vocabulary",), "A table of codes is about no patient."
        return
    if not table.patient:
        yield (), "Say who the rows are about (patient), or that they are codes (vocabulary)."
    if table.movement and not table.stay:
        yield ("movement",), "A movement needs a stay."
    if table.facts and not table.document:
        yield ("facts",), "Facts need a document."
    if table.document and bool(table.document.key) == bool(table.document.group):
        yield ("document",), "A document has either a key (one per row) or a group (of rows)."
    if table.document and table.document.text and table.document.group:
        yield ("document", "text"), "A text makes a document of its own row: give a key, not a group."
    does = table.document or table.movement or (table.stay and table.stay.states)
    if table.patient and not does and not _says_something(table):
        yield (), "The rows of this table would have no effect."
    yield from _facts(table)


def _says_something(table: Table) -> bool:
    return bool(table.patient and table.patient.model_fields_set - {"key", "system"})


def _facts(table: Table) -> Iterator[tuple[Path, str]]:
    known: set[str] = set()
    for place, fact in enumerate(table.facts):
        path: Path = ("facts", place)
        if bool(fact.code) == bool(fact.measures):
            yield path, "A fact has either a code or measures."
        if fact.measure and fact.value:
            yield (*path, "measure"), "Give value, or measure (which also reads < and >), not both."
        if fact.measures and (fact.value or fact.measure or fact.value_code or fact.distinct or fact.id):
            yield (*path, "measures"), "With measures, each column is the value; there is no id, value or distinct."
        if fact.distinct and not (table.document and table.document.group):
            yield (*path, "distinct"), "Distinct facts are those of a document made of a group of rows."
        if fact.parent is not None and fact.parent not in known:
            yield (*path, "parent"), "No fact before this one has this id."
        if fact.id:
            known.add(fact.id)
        yield from ((path + at, message) for at, message in _attributes(fact))


def _attributes(fact: Fact) -> Iterator[tuple[Path, str]]:
    for place, attribute in enumerate(fact.attributes):
        if [attribute.value, attribute.text, attribute.coded].count(None) != 2:
            yield ("attributes", place), "Give exactly one of value, text, coded."


def _origin(table: Table, mapping: Mapping) -> Iterator[tuple[Path, str]]:
    given = [name for name in ("files", "table", "query") if getattr(table, name) is not None]
    if len(given) != 1:
        yield (), "Give exactly one of files, table, query."
    elif given != ["files"] and not mapping.database:
        yield (given[0],), "A table of a database needs `database` at the top of the mapping."
    if table.incremental and given == ["files"]:
        yield ("incremental",), "Only tables of a database are read incrementally; files are read whole."


def _lookups(table: Table, mapping: Mapping) -> Iterator[tuple[Path, str]]:
    for name in table.joins:
        if name not in mapping.lookups:
            yield ("joins", name), "No lookup has this name."
    for path, found in references(table):
        if found.lookup and found.lookup not in mapping.lookups:
            yield path, f"No lookup is called '{found.lookup}' (a column's name holds no dot)."


def _database(mapping: Mapping) -> Iterator[tuple[Path, str]]:
    database = mapping.database
    if database is None:
        return
    if bool(database.url) == bool(database.url_env):
        yield ("database",), "Give either url or url_env (the name of an environment variable)."
    try:
        url = sa.make_url(database.url) if database.url else None
    except sa.exc.ArgumentError:
        yield ("database", "url"), "This is not an address such as postgresql+psycopg://user@host/base."
        return
    if url is not None and url.password is not None:
        yield ("database", "url"), "A password is never written in a file: name its variable in password_env."


def references(part: Any, path: Path = ()) -> Iterator[tuple[Path, Column]]:
    """Every column that a part of a mapping reads, and where it says so."""
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from references(getattr(part, name), (*path, name))
    elif isinstance(part, dict):
        for name, item in part.items():
            yield from references(item, (*path, name))
    elif isinstance(part, list | tuple):
        for place, item in enumerate(part):
            yield from references(item.of if isinstance(item, Instant) else item, (*path, place))
    elif hasattr(part, "__dataclass_fields__"):
        yield from ((path, column) for column in columns_of(part))


def constant_of(node: Expression | None) -> str | None:
    """The text of a node that is always the same."""
    return node.value if isinstance(node, Constant) else None


__all__ = ["Coalesce", "Concat", "Faulty", "constant_of", "read_mapping", "read_mapping_file", "references"]
