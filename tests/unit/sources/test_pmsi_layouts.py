"""PMSI layouts: read back what was written, compared with another project's tables, extended by table alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.spec.site_kit import load, make, rows
from tests.unit.sources.pmsi_lines import FINESS, layout_of, vidhosp, write_file, write_line

from estran.model.errors import InputRefused, UsageError
from estran.sources.pmsi import PmsiReader
from estran.sources.pmsi.layout import Kind, Layout, load_kinds, own_kinds
from estran.sources.records import Batch

EVERY = [(kind, layout) for kind in own_kinds() for layout in kind.layouts]
RUMS = [layout for kind, layout in EVERY if kind.kind == "rum"]
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2030, 12, 31))
DIAGNOSES = st.from_regex(r"[A-Z][0-9]{2}[0-9+]{0,3}", fullmatch=True)
ACTS = st.from_regex(r"[A-Z]{4}[0-9]{3}", fullmatch=True)
FIXED = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def read(path: Path, **options: Any) -> list[Batch]:
    return list(PmsiReader(author_system="CHU", **options).read(path, path.name))


def written(day: dt.date) -> str:
    return day.strftime("%d%m%Y") if day.year >= 1000 else ""


def by_role(batch: Batch, *roles: str) -> list[tuple[int, str, str]]:
    """(document, role, code) of the facts with a role."""
    facts = zip(*(batch.facts[n].to_pylist() for n in ("document", "role", "code")), strict=True)
    return [(document, role, batch.codes[code].code) for document, role, code in facts if role in roles]


@given(
    st.sampled_from(RUMS), DAYS, st.integers(0, 400), DIAGNOSES, st.lists(DIAGNOSES, max_size=99), st.lists(DIAGNOSES, max_size=9),
    st.lists(st.tuples(ACTS, DAYS, st.integers(1, 99)), max_size=60), st.integers(0, 160),
)  # fmt: skip
@FIXED
def test_every_rum_layout_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, layout: Layout, entry: dt.date, length: int, principal: str,
    das: list[str], dad: list[str], acts: list[tuple[str, dt.date, int]], igs: int,
) -> None:
    leaving = entry + dt.timedelta(days=length)
    values = {"finess": FINESS, "rss": "77", "nda": "900001", "rum": "1", "um": "6024", "naissance": "01021950",
              "entree": written(entry), "sortie": written(leaving), "dp": principal, "igs2": igs, "ghm": "04M134", "mode_entree": "8"}  # fmt: skip
    if leaving.year >= 2100 or entry.year < 2000:
        values["entree"], values["sortie"], entry, leaving = "03012020", "09012020", dt.date(2020, 1, 3), dt.date(2020, 1, 9)
    line = write_line(
        layout, values, das=[{"code": c} for c in das], dad=[{"code": c} for c in dad],
        actes=[{"code": c, "date": written(d), "nombre": n, "phase": "0", "activite": "1"} for c, d, n in acts],
    )  # fmt: skip
    path = write_file(tmp_path_factory.mktemp("rum") / "rum.txt", line, line)
    (batch,) = read(path)
    assert batch.refused.num_rows == 0
    said = by_role(batch, "DP", "DAS", "DAD")
    for document in (0, 1):
        assert [c for d, r, c in said if (d, r) == (document, "DP")] == [principal]
        assert sorted(c for d, r, c in said if (d, r) == (document, "DAS")) == sorted(das)
        assert sorted(c for d, r, c in said if (d, r) == (document, "DAD")) == sorted(dad)
    facts = batch.facts.to_pylist()
    done = sorted((batch.codes[f["code"]].code, f["start_date"], int(f["value"])) for f in facts
                  if f["document"] == 0 and batch.codes[f["code"]].vocabulary == "CCAM")  # fmt: skip
    assert done == sorted(acts)
    assert [f["value"] for f in facts if batch.codes[f["code"]].code == "igs2"] == [igs, igs]
    starts = batch.documents["start_date"].to_pylist()
    assert set(starts[:2]) == {entry}
    assert batch.movements["end_date"].to_pylist() == [leaving, leaving]
    grouped = layout.version.startswith("1")
    assert batch.documents["title"].to_pylist() == ["RUM"] * 2 + ["RSS"] * (2 if grouped else 0)
    numbers = [(f["document"], f["fact_no"]) for f in facts]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("kind", "layout"), EVERY, ids=[f"{k.kind}-{v.version}" for k, v in EVERY])
def test_a_line_of_each_layout_is_known_by_it(kind: Kind, layout: Layout, tmp_path: Path) -> None:
    """Every layout of the package, written with all its fields, is read without a fault."""
    sample = {"d": "15062021", "m": "062021", "w": "242021"}
    values = {n: sample.get(f.type, ("1" if f.type.startswith("n") else "A")) for n, f in layout.fields.items()}
    for name in ("finess", "site"):
        values |= {name: FINESS} if name in layout.fields else {}
    values |= {n: v for n, v in {"cmd": "04", "ghm": "04M134", "severite": "4", "gme": "", "index": "0000000001"}.items() if n in values}
    values |= {n: "" for n in ("version", "version_rss", "version_groupage", "lettre", "type") if n in values}
    line = write_line(layout, {n: v for n, v in values.items() if v}, **{g.name: [] for g in layout.groups})
    path = write_file(tmp_path / "910019447.2021.6.txt", line)
    batches = read(path)
    assert [b.part for b in batches if b.part != "hosp-mere"] == [kind.kind]
    assert [b.refused.to_pylist() for b in batches] == [[]] * len(batches)


# --- another project's tables, as a judge of positions -------------------------------------------------

# champ, table of the judge; our kind; fields that are a part, or a union, of fields of the judge
JUDGED = [
    ("mco", "rum", "rum", {"cmd", "severite", "ghm", "version_rss"}),
    ("mco", "rsa", "rsa", {"ghm", "sortie", "severite", "cmd"}),
    ("mco", "rum_ano", "hosp", set()),
    ("mco", "rum_med", "fichcomp-med", {"ucd", "indication"}),
    ("mco", "rum_dmi", "fichcomp-dmi", set()),
    ("ssr", "rhs", "rhs", {"presence", "gme"}),
    ("psy", "rps", "rps", set()),
    ("psy", "raa", "raa", set()),
]


@pytest.fixture(scope="module")
def judge(shared: Path) -> dict[tuple[str, str, int], set[tuple[int, int]]]:
    found: dict[tuple[str, str, int], set[tuple[int, int]]] = {}
    for row in pq.read_table(shared / "pmsi_formats" / "pmeasyr_formats.parquet").to_pylist():
        if row["position"] and row["longueur"] and str(row["an"]).isdigit():
            places = found.setdefault((str(row["champ"]), str(row["table"]), 2000 + int(row["an"]) % 100), set())
            places.add((int(row["position"]), int(row["longueur"])))
    return found


@pytest.mark.parametrize(("champ", "table", "kind", "composed"), JUDGED, ids=[j[1] for j in JUDGED])
def test_positions_agree_with_another_project(
    judge: dict[tuple[str, str, int], set[tuple[int, int]]], champ: str, table: str, kind: str, composed: set[str]
) -> None:
    """Each year of the judge has a layout of ours all of whose fields lie where it says."""
    layouts = [layout for k, layout in EVERY if k.kind == kind]
    agreed = set()
    for (area, name, year), places in judge.items():
        if (area, name) == (champ, table):
            fit = [v for v in layouts if _outside(v, places, composed) == []]
            agreed |= {year} if fit else set()
    first = {"rum": 2011, "rsa": 2011, "fichcomp-med": 2011, "fichcomp-dmi": 2011, "rhs": 2015, "hosp": 2018, "rps": 2011, "raa": 2017}[kind]
    told = {year for area, name, year in judge if (area, name) == (champ, table) and first <= year <= 2025}
    missing = {2011} if kind == "rum" else set()  # the judge cuts two numbers of that year otherwise
    assert told - agreed == missing
    assert len(told) >= 8


def _outside(layout: Layout, places: set[tuple[int, int]], composed: set[str]) -> list[str]:
    return [n for n, f in layout.fields.items() if n not in composed and (f.start + 1, f.length) not in places]


# --- the next year by table alone ----------------------------------------------------------------------

NEXT_YEAR = """
kind = "rum"

[[layout]]
version = "023"
years = [2026, 2026]
like = "022"
marks = ["10:023", "63:@8", "82:20"]
shift = 1
shift_from = 134
fields = "dp 126 9"

[[layout.group]]
name = "das"
count = "nb_das"
width = 9
fields = "code 1 9"
"""


def test_the_next_year_needs_a_table_only(tmp_path: Path) -> None:
    """Diagnoses of nine characters in 2026: the hospital writes what differs, and loads."""
    folder = tmp_path / "layouts"
    folder.mkdir()
    (folder / "rum-2026.toml").write_text(NEXT_YEAR, "utf-8")
    layout = layout_of("rum", "023", load_kinds(folder))
    values = {"finess": FINESS, "rss": "1", "nda": "9001", "rum": "1", "naissance": "01011970", "um": "12",
              "entree": "02012026", "sortie": "05012026", "dp": "A00123456"}  # fmt: skip
    path = write_file(tmp_path / "rss-2026.txt", write_line(layout, values, das=[{"code": "B99765432"}]))
    with pytest.raises(InputRefused, match="known PMSI layout"):
        read(path)
    site = make(tmp_path / "site", author_system="CHU", pmsi_layouts=str(folder))
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "IPP1")))
    assert load(site, "pmsi", path).total("loaded") == 1
    assert rows(site, "select role, code from fact join concept using (concept_id) where role is not null order by 1") == [
        ("DAS", "B99.765432"), ("DP", "A00.123456"),
    ]  # fmt: skip


NOBODY = """kind = "new"
title = "NEW"
key = ["number"]
start = "day"
[[layout]]
version = "1"
marks = ["1:NEW"]
width = 20
fields = '''
number 4 9
day   13 8 d
'''
"""

SEEN = """kind = "rpss"
[[layout]]
version = "X99"
marks = ["1:X99"]
width = 60
fields = '''
finess         4  9
nda           13 20
sequence      33  4
sous_sequence 37  4
debut         41  8 d
nature        49  2
nb_das        51  2 n
'''
"""
DASS = """
[[layout.group]]
name = "dass"
count = "nb_das"
width = 8
fields = "code 1 8"
"""
NATURE = """
[[fact]]
coded = "nature"
code = "nature-sejour"
label = "Nature"
"""


def test_a_fact_that_the_tables_of_two_years_state_counts_once(tmp_path: Path) -> None:
    (tmp_path / "had-2098.toml").write_text(SEEN.replace("X99", "X98") + NATURE, "utf-8")
    (tmp_path / "had-2099.toml").write_text(SEEN + NATURE, "utf-8")
    (kind,) = (kind for kind in load_kinds(tmp_path) if kind.kind == "rpss")
    assert [layout.version for layout in kind.layouts] == ["X98", "X99"]
    assert [spec.code for spec in kind.documents[0].facts if spec.source == "nature"] == ["nature-sejour"]


def test_a_fact_may_have_its_place_in_a_later_table_and_a_group_without_fields_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('kind = "rpss"\n' + NATURE, "utf-8")
    (tmp_path / "b.toml").write_text(SEEN + DASS.replace('fields = "code 1 8"', ""), "utf-8")
    (kind,) = (kind for kind in load_kinds(tmp_path) if kind.kind == "rpss")
    assert [group.name for group in kind.layouts[0].groups] == ["dass"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='nobody'\nmarks=['1:9']", "is like a version that is not written before it"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'", "layout 9 has no marks"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['1:9']\nfields='dp 170 20'", "field dp is outside the fixed part"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['1:9']\nfields='dp x 20'", "a field is not written"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['one:9']", "a mark is not written"),
        ("kind = 'rum'\nlayuot = 1", "has an unknown entry 'layuot'"),
        ("kind = 'new'\nkey = ['a']\n[[fact]]\nfield='a'\nnumber='b'", "exactly one of"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['1:9']\ndrop=['rss']", "gives no place to rss"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['1:9']\nfields='sortie 88 8'", "field sortie is read as a date"),
        ("kind = 'rum'\n[[layout]]\nversion='9'\nlike='022'\nmarks=['1:9']\nfields='igs2 142 3'", "field igs2 is read as a number"),
        ("kind = 'rps'\n[[layout]]\nversion='9'\nlike='P12'\nmarks=['1:9']\ndrop=['debut']", "gives no place to debut"),
        ("kind = 'ium'\n[[fact]]\ncoded='mode'\ncode='mode'", "the kind has no title"),
        (NOBODY, "says whose its records are"),
        (SEEN + NATURE + NATURE.replace("Nature", "Other"), "the [[fact]] of nature with the code 'nature-sejour' is stated twice"),
        ("kind = 'rum'\n[[fact]]\nfield='dp'\nvocabulary='CIM10'\nrole='OTHER'", "the [[fact]] of dp is stated twice, differently"),
        (SEEN.replace("sous_sequence 37", "sous_sequence 33"), "fields sequence and sous_sequence, which name a record, overlap"),
        (SEEN + DASS, "nothing is read of group dass; the fields of groups that are known: actes.code, das.code, dcmpa.code, dcmpp.code"),
        (SEEN + DASS.replace("dass", "das").replace("code", "cod"), "nothing is read of group das;"),
        (SEEN + NATURE.replace('"nature"', '"natura"'), "no layout gives a place to natura, of which a [[fact]] is stated"),
        ("[[", "is wrong"),
    ],
)
def test_a_wrong_table_is_named_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"mine\.toml is wrong") as caught:
        load_kinds(tmp_path)
    assert sentence in caught.value.what
