"""The content files as frozen objects: hospitals, analytes, drugs, reasons for coming, sentences.

National frequencies (`content/frequencies.csv`, per million) are our own rounding of the counts of
stays that ATIH publishes for MCO hospitals; they hold codes and numbers only.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from estran.region.dice import Weighted
from estran.region.shelf import text_of, toml

Bank = tuple[str, ...]  # sentences, as `estran.region.grammar` reads them


@dataclass(frozen=True, slots=True)
class Analyte:
    """A laboratory analyte: its law in the canonical unit, and how other hospitals report it."""

    key: str
    name: str
    short: str
    loinc: str
    unit: str
    law: str
    mean: float
    sd: float
    digits: int
    panel: str
    low: float | None = None
    high: float | None = None
    alt: tuple[str, float, int, str] | None = None


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug as prescribed: ATC, doses, unit, route, times a day."""

    key: str
    atc: str
    name: str
    doses: tuple[float, ...]
    unit: str
    route: str
    times: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """A chemotherapy protocol: drugs of a cycle, days between cycles, cycles."""

    key: str
    name: str
    drugs: tuple[str, ...]
    days: int
    cycles: int


@dataclass(frozen=True, slots=True)
class Germ:
    """A bacterium and the share of its strains that resist each antibiotic tested."""

    name: str
    code: str
    resistance: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why people come, and everything that follows from it."""

    key: str
    dp: str
    kind: str
    unit: str
    ages: tuple[int, int]
    women: float  # share of women among the patients of this reason, 0.5 when both come alike
    los: float
    weight: float
    ghm: Weighted[str]
    acts: tuple[tuple[str, float], ...]
    das: tuple[tuple[str, float], ...]
    labs: tuple[tuple[str, float], ...]
    panels: tuple[str, ...]
    drugs: tuple[str, ...]
    micro: float
    season: str
    planned: bool
    cancer: str
    series: tuple[int, int]
    birth: bool
    teeth: bool
    name: str
    story: Bank
    signs: Bank
    exams: Bank
    course: Bank
    plan: Bank
    operation: Bank


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital and its dialect."""

    key: str
    name: str
    authority: str
    finess: str
    city: str
    departments: tuple[str, ...]
    size: float
    charset: str
    codes: str
    lab: str
    loinc: bool
    alt: frozenset[str]
    texts: str
    orders: str
    mail: str
    place: int = field(default=0)

    @property
    def hd(self) -> str:
        """The authority as HL7 v2 writes it in a CX: a name, or an OID or web address as universal id."""
        if self.has_oid:
            return f"&{self.authority}&ISO"
        return f"&{self.authority}&URI" if ":" in self.authority else self.authority

    @property
    def has_oid(self) -> bool:
        """Whether the authority is an OID, as CDA documents need it."""
        return self.authority[:2] == "2."


@dataclass(frozen=True, slots=True)
class Commune:
    insee: str
    postcode: str
    name: str


@lru_cache(maxsize=1)
def frequencies() -> dict[str, dict[str, float]]:
    """Per kind (cim10, ccam, ghm), the national frequency of each code per million."""
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(text_of("frequencies.csv"))):
        found.setdefault(row["kind"], {})[row["code"]] = float(row["per_million"])
    return found


@lru_cache(maxsize=1)
def analytes() -> dict[str, Analyte]:
    return {
        one["key"]: Analyte(**{**one, "alt": tuple(one["alt"]) if "alt" in one else None}) for one in toml("labs.toml")["lab"]
    }


@lru_cache(maxsize=1)
def panels() -> dict[str, tuple[str, str, tuple[Analyte, ...]]]:
    """Per panel: its words, the section of the laboratory, its analytes."""
    every = analytes().values()
    return {
        key: (name, section, tuple(a for a in every if a.panel == key))
        for key, (name, section) in toml("labs.toml")["panel"].items()
    }


@lru_cache(maxsize=1)
def germs() -> Weighted[Germ]:
    return Weighted(
        (Germ(one["name"], one["code"], tuple(one["antibiotics"].items())), one["weight"]) for one in toml("labs.toml")["germ"]
    )


@lru_cache(maxsize=1)
def drugs() -> dict[str, Drug]:
    return {
        key: Drug(key, atc, name, tuple(doses), unit, route, times)
        for key, (atc, name, doses, unit, route, times) in toml("drugs.toml")["drug"].items()
    }


@lru_cache(maxsize=1)
def protocols() -> dict[str, Protocol]:
    return {
        key: Protocol(key, name, tuple(parts), days, cycles)
        for key, (name, parts, days, cycles) in toml("drugs.toml")["protocol"].items()
    }


@lru_cache(maxsize=1)
def communes() -> dict[str, Weighted[Commune]]:
    """Per department, its communes in proportion to their inhabitants."""
    by_department: dict[str, list[tuple[Commune, float]]] = {}
    for row in csv.DictReader(io.StringIO(text_of("communes.tsv")), delimiter="\t"):
        commune = Commune(row["insee"], row["postcode"], row["name"])
        by_department.setdefault(row["insee"][:2], []).append((commune, float(row["population"])))
    return {department: Weighted(pairs) for department, pairs in by_department.items()}


@lru_cache(maxsize=1)
def surnames() -> tuple[str, ...]:
    return tuple(text_of("surnames.txt").split("\n"))


@lru_cache(maxsize=2)
def hospitals(count: int) -> tuple[Hospital, ...]:
    """The first `count` hospitals of the region (six, or nine)."""
    rows = toml("hospitals.toml")["hospital"][:count]
    return tuple(
        Hospital(**{**row, "departments": tuple(row["departments"]), "alt": frozenset(row["alt"])}, place=place)
        for place, row in enumerate(rows)
    )


def wards() -> dict[str, list[str]]:
    """Per ward: its code and its words."""
    return toml("hospitals.toml")["ward"]  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def reasons() -> dict[str, Reason]:
    rows = toml("reasons_medical.toml")["reason"] + toml("reasons_surgical.toml")["reason"]
    return {row["key"]: _reason(row) for row in rows}


def _reason(row: dict[str, Any]) -> Reason:
    national = frequencies()["ghm"]
    groups = [(code, n) for code, n in national.items() if code[:5] in row["roots"]]
    return Reason(
        key=row["key"], dp=row["dp"], kind=row["kind"], unit=row["unit"], ages=(row["age"][0], row["age"][1]),
        women=_women(row.get("sex", "")), los=row["los"], weight=sum(n for _, n in groups) * row.get("share", 1.0),
        ghm=Weighted(groups), acts=tuple(row["acts"].items()), das=tuple(row["das"].items()),
        labs=tuple(row["labs"].items()), panels=tuple(row["panels"]), drugs=tuple(row["drugs"]),
        micro=row.get("micro", 0.0), season=row.get("season", ""), planned=row.get("planned", False),
        cancer=row.get("cancer", ""), series=tuple(row.get("series", (1, 0))), birth=row.get("birth", False),
        teeth=row.get("teeth", False), name=row["name"],
        **{name: tuple(row[name]) for name in ("story", "signs", "exams", "course", "plan")},
        operation=tuple(row.get("op", [])),
    )  # fmt: skip


def _women(sex: str) -> float:
    """`F` all women, `M70` 70 % of men, nothing: half."""
    share = float(sex[1:] or 100) / 100 if sex else 0.5
    return share if sex[:1] != "M" else 1 - share


def headings() -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, toml("common.toml")["headings"].values()))
