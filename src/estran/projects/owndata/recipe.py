"""How a file that a project brings is read: what each of its columns is. Written as TOML or JSON, or on a page."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from estran.model.errors import UsageError
from estran.sources.study.delimited import DelimitedReader
from estran.sources.study.odm import OdmReader
from estran.sources.study.sheet import Item, Kind, StudyReader, plain_name

MOST_COLUMNS = 5_000


class Form(StrEnum):
    """Forms of files."""

    CSV = "csv"
    ECRF = "ecrf"  # an eCRF export as CSV, with its data dictionary
    ODM = "odm"


class Link(StrEnum):
    """By what a subject is found in the vault."""

    NUMBER = "number"  # of the hospital
    INS = "ins"  # the national identifier
    PERSON = "person"  # names and birth date, with a score


class Use(StrEnum):
    """What a column is. Those that find the patient, and those that are left out, are in no store."""

    DROP = "drop"
    PATIENT = "patient"
    FAMILY = "family"
    GIVEN = "given"
    BIRTH = "birth"
    SEX = "sex"
    RECORD = "record"  # names the subject
    KEY = "key"  # tells the rows of a subject apart
    DATE = "date"
    NUMBER = "number"
    FLAG = "flag"
    CODE = "code"
    WORDS = "words"


PERSON = (Use.FAMILY, Use.GIVEN, Use.BIRTH, Use.SEX)
VARIABLES = {Use.DATE, Use.NUMBER, Use.FLAG, Use.CODE, Use.WORDS}
Column = Annotated[str, Field(min_length=1, max_length=200)]


class Recipe(BaseModel):
    """`uses` says what each column is (an item of ODM by its OID), in small letters. `dates` is how days are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: Link = Link.NUMBER
    authority: str = Field(default="", max_length=200)
    dates: Literal["ymd", "dmy"] = "ymd"
    uses: dict[Column, Use] = Field(default_factory=dict, max_length=MOST_COLUMNS)

    def columns(self, *uses: Use) -> tuple[str, ...]:
        """The columns of these uses, in the order of the uses."""
        return tuple(name for use in uses for name, of in self.uses.items() if of is use)


def read_recipe(given: Any) -> Recipe:
    """A recipe from plain objects; UsageError with the place of what is wrong, never its value."""
    try:
        if isinstance(given, dict) and isinstance(given.get("uses"), dict):
            given = given | {"uses": {str(name).strip().lower(): use for name, use in given["uses"].items()}}
        return Recipe.model_validate(given)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise UsageError(
            "The mapping is not well formed.", where=place, hint="see docs/reference/own-data.md"
        ) from None


class Plan:
    """A recipe put together with the dictionary of a file. UsageError when they do not fit."""

    def __init__(self, form: Form, recipe: Recipe, items: Mapping[str, Item], *, table_of_links: bool) -> None:
        self.form, self.recipe, self.table_of_links = form, recipe, table_of_links
        self._known = items
        self._whole = self._uses()
        self.link_columns = () if table_of_links else self._links()
        self.items = self._variables()
        self.reader: StudyReader = OdmReader() if form is Form.ODM else self._delimited()

    def _uses(self) -> dict[str, Use]:
        """What is said of each column; of what the dictionary defines and nobody said anything, its own kind."""
        said = dict(self.recipe.uses)
        for name, item in self._known.items():
            said.setdefault(name, Use.DROP if item.identifies else Use(str(item.kind)))
        if self.form is Form.ECRF and self._known:
            said[next(iter(self._known))] = Use.RECORD
        return said

    def _links(self) -> tuple[str, ...]:
        of = {use: [name for name, given in self._whole.items() if given is use] for use in (Use.PATIENT, *PERSON)}
        if any(len(names) > 1 for names in of.values()):
            raise UsageError("Two columns cannot both be what finds the patient.", hint="leave one of them out")
        if self.recipe.link is not Link.PERSON:
            if not of[Use.PATIENT]:
                raise UsageError(
                    "No column finds the patient.", hint="say which one holds the number, or give a table of links"
                )
            return (of[Use.PATIENT][0],)
        if not all(of[use] for use in PERSON[:3]):
            raise UsageError("Family name, given name and birth date are all needed to find somebody.")
        return tuple(of[use][0] if of[use] else "" for use in PERSON)

    def _variables(self) -> dict[str, Item]:
        """The columns that are kept, by their name in the file; the names under which they are kept differ."""
        kept: dict[str, Item] = {}
        for name, use in self._whole.items():
            if use in VARIABLES:
                known = self._known.get(name)
                kind = Kind(str(use))
                same = known is not None and known.kind is kind
                kept[name] = known if known is not None and same else Item(name, kind, known.label if known else "")
        if not kept:
            raise UsageError("The mapping keeps no column.", hint="say which columns are variables")
        if len({plain_name(name) for name in kept}) < len(kept):
            raise UsageError(
                "Two columns would have the same name.", hint="leave one of them out, or rename it in the file"
            )
        return kept

    def _delimited(self) -> DelimitedReader:
        record = tuple(name for name, use in self._whole.items() if use is Use.RECORD)
        key = tuple(name for name, use in self._whole.items() if use is Use.KEY)
        subject = record or tuple(name for name in self.link_columns if name)
        if not subject:
            raise UsageError("No column names the subject of a row.", hint="say which one is the record")
        return DelimitedReader(subject, key)
