"""A specification as people write it: TOML or JSON, strict. docs/reference/datamart.md says every field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from estran.cohort.language import json as question_json
from estran.cohort.language.parser import parse
from estran.cohort.query import Code, Node
from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.projects.datamarts.spec import (
    Aggregate,
    Demographic,
    Documents,
    Form,
    Of,
    OwnPart,
    Spec,
    StayColumn,
    Stays,
    Variable,
    Window,
)
from estran.release.dates import DatePolicy

_LARGEST = 4 << 20  # bytes of a specification
Days = Annotated[int, Field(ge=-40_000, le=40_000)]
Model = TypeVar("Model", bound=BaseModel)
WindowField = Annotated[list[Days | None], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariableFile(_Strict):
    """One variable."""

    name: str
    codes: list[str] = Field(min_length=1, max_length=10_000)
    aggregate: Aggregate = Aggregate.LAST
    of: Of = Of.VALUE
    window: WindowField | None = None
    unit: str = ""
    justification: str = Field(default="", max_length=2_000)

    def frozen(self) -> Variable:
        return Variable(
            self.name, tuple(code(one) for one in self.codes), self.aggregate, self.of, _window(self.window), self.unit,
            self.justification,
        )  # fmt: skip


class StaysFile(_Strict):
    """The stays that are asked for."""

    columns: list[StayColumn] = Field(min_length=1)
    window: WindowField | None = None


class DocumentsFile(_Strict):
    """The documents that are asked for."""

    kinds: list[DocumentKind] = Field(default_factory=list)
    window: WindowField | None = None


class OwnFile(_Strict):
    """Columns of the project's own data."""

    data: int = Field(ge=1)
    table: str = Field(default="data", max_length=60)
    columns: list[str] = Field(min_length=1, max_length=2_000)


class SpecFile(_Strict):
    """A whole specification."""

    project: str
    name: str
    cohort: str | dict[str, Any]
    demographics: list[Demographic] = Field(default_factory=list)
    variables: list[VariableFile] = Field(default_factory=list, max_length=2_000)
    stays: StaysFile | None = None
    documents: DocumentsFile | None = None
    texts: bool = False
    shape: Annotated[str, Field(pattern="^(flat|tables)$")] = "flat"
    dates: DatePolicy = DatePolicy.SHIFT
    reason: str = Field(default="", max_length=2_000)
    fingerprint: bool = True
    formats: list[Form] = Field(default_factory=lambda: [Form.PARQUET, Form.DUCKDB])
    days: int = 365
    own: list[OwnFile] = Field(default_factory=list, max_length=100)

    def frozen(self) -> Spec:
        """The specification; UsageError when its parts contradict each other."""
        stays, documents = self.stays, self.documents
        return Spec(
            project=self.project, name=self.name, cohort=_question(self.cohort),
            demographics=tuple(dict.fromkeys(self.demographics)), variables=tuple(one.frozen() for one in self.variables),
            stays=Stays(tuple(dict.fromkeys(stays.columns)), _window(stays.window)) if stays else None,
            documents=Documents(tuple(documents.kinds), _window(documents.window)) if documents else None,
            texts=self.texts, flat=self.shape == "flat", dates=self.dates, reason=self.reason, fingerprint=self.fingerprint,
            formats=tuple(dict.fromkeys(self.formats)), days=self.days,
            own=tuple(OwnPart(one.data, one.table, tuple(dict.fromkeys(one.columns))) for one in self.own),
        )  # fmt: skip

    def canonical(self) -> dict[str, Any]:
        """Plain JSON that reads back to the same specification, the question in its versioned form."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain | {"cohort": question_json.to_object(_question(self.cohort))}


def read_spec(given: Any) -> SpecFile:
    """A specification from plain objects; UsageError with the place of what is wrong, never its value."""
    found = validated(SpecFile, given)
    found.frozen()
    return found


def validated(model: type[Model], given: Any) -> Model:
    """Plain objects as a model; UsageError with the place of what is wrong, never its value."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise UsageError(
            f"The specification is not well formed: {wrong['msg']}.", where=place, hint="see docs/reference/datamart.md"
        ) from None


def read_file(path: Path) -> dict[str, Any]:
    """The plain objects of a TOML or JSON file; UsageError when it is neither."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError("The file is too large for a specification.", where=str(path))
        text = path.read_text("utf-8")
        found = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UsageError("There is no such file.", where=str(path)) from None
    except (tomllib.TOMLDecodeError, orjson.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The file is not valid {path.suffix.lstrip('.').upper() or 'TOML'}.",
            where=f"{path}: {type(error).__name__}",
        ) from None
    if not isinstance(found, dict):
        raise UsageError("A specification is a table of fields.", where=str(path))
    return found


def _question(given: str | dict[str, Any]) -> Node:
    return parse(given) if isinstance(given, str) else question_json.from_object(given)


def code(text: str) -> Code:
    """A code written VOCABULARY:CODE, with all below it."""
    vocabulary, _, own = text.partition(":")
    return Code(vocabulary, own)


def _window(given: list[int | None] | None) -> Window:
    return Window() if given is None else Window(given[0], given[1])
