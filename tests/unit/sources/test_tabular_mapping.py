"""The mapping language: every fault by line and field, and nothing that could be more than data."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.model.errors import EstranError, InputRefused
from estran.sources.tabular.checking import preview
from estran.sources.tabular.mapping import Faulty, read_mapping

SOUND = """\
estran: 1
zone: site
lookups:
  labels: {files: labels.csv, key: code}
tables:
  - name: labs
    files: labs*.csv
    patient:
      key: ipp
    stay:
      key: nda
    document:
      key: id
      kind: laboratory
      start: date
    facts:
      - id: result
        code:
          vocabulary: LOCAL/labo
          code: code
          label: labels.label
        value: value
        unit: unit
"""


def faults(text: str) -> list[tuple[int, str]]:
    with pytest.raises(Faulty) as caught:
        read_mapping(text, "labo.yaml")
    return [(fault.line, fault.field) for fault in caught.value.faults]


def message(text: str) -> str:
    with pytest.raises(Faulty) as caught:
        read_mapping(text, "labo.yaml")
    return caught.value.what


def test_a_sound_mapping_is_read() -> None:
    mapping = read_mapping(SOUND, "labo.yaml")
    assert mapping.tables[0].facts[0].id == "result"


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "words"),
    [
        ("      key: ipp", "      cle: ipp", 9, "tables[0].patient.cle", "not known here"),
        ("      key: ipp", "      cle: ipp", 8, "tables[0].patient.key", "required"),
        ("kind: laboratory", "kind: laboratoire", 14, "tables[0].document.kind", "not one of"),
        ("LOCAL/labo", "LONC", 19, "tables[0].facts[0].code.vocabulary", "LOINC"),
        ("label: labels.label", "label: {column: other.label}", 21, "tables[0].facts[0].code.label", "No lookup"),
        ("        value: value", "        value: {concat: [a, {substrng: b}]}", 22, "tables[0].facts[0].value.concat[1]", "exactly one"),
        ("        value: value", "        value: {substring: a, form: 2}", 22, "tables[0].facts[0].value.form", "does not go with"),
        ("        unit: unit", "        unit: unit\n        parent: culture", 24, "tables[0].facts[0].parent", "id"),
        ("start: date", "start: {column: date, format: '%Q'}", 15, "tables[0].document.start.format", "%Y"),
        ("zone: site", "zone: Europe/Pris", 2, "zone", "time zone"),
        ("files: labs*.csv", "files: ../labs.csv", 7, "tables[0].files", "without folders"),
        ("estran: 1", "estran: 2", 1, "estran", ""),
        ("      key: id\n", "", 12, "tables[0].document", "either a key"),
        ("    files: labs*.csv\n", "    table: labs\n", 7, "tables[0].table", "database"),
        ("    stay:\n      key: nda\n", "    movement: {key: m, start: s}\n", 10, "tables[0].movement", "stay"),
    ],
)  # fmt: skip
def test_faults_name_their_line_and_field(before: str, after: str, line: int, field: str, words: str) -> None:
    assert before in SOUND
    text = SOUND.replace(before, after)
    assert (line, field) in faults(text)
    assert f"labo.yaml line {line}, field {field}: " in message(text)
    assert words in message(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("estran: 1\ntables: [", 2),
        ("a: &x [1]\nb: *x", 2),
        ("a: 1\na: 2", 2),
        ("[" * 200, 1),
        ("a: !!python/object/apply:os.system ['true']", 1),
        ("- 1", 1),
        ("? [a]\n: b", 1),
        ("x" * (1 << 21), 1),
        ("a: \x00", 1),
    ],
)
def test_what_is_no_mapping_is_told_so(text: str, line: int) -> None:
    assert faults(text)[0][0] == line


def test_words_that_other_yaml_readers_change_stay_words() -> None:
    text = SOUND.replace("value: value", "role: no\n        when: {equals: flag, to: 012}")
    fact = read_mapping(text, "m.yaml").tables[0].facts[0]
    assert (fact.role.value, fact.when.values) == ("no", ("012",))


def test_a_password_is_refused_in_a_file() -> None:
    text = SOUND.replace("tables:", "database: {url: 'postgresql+psycopg://a:secret@host/base'}\ntables:")
    assert (5, "database.url") in faults(text)
    assert "secret" not in message(text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="estran: 1tbl[]{}-\n'\"&*!%@`|>#,?x", max_size=200))
def test_no_text_brings_the_reading_down(text: str) -> None:
    try:
        read_mapping(text, "m.yaml")
    except Faulty as faulty:
        assert faulty.faults


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_change_of_a_mapping_brings_the_reading_down(data: st.DataObject) -> None:
    lines = SOUND.splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = data.draw(st.sampled_from(["", lines[place] + " x", "  " + lines[place], "- 1", lines[place][:-2], "tables: 3"]))
    try:
        read_mapping("\n".join(lines), "m.yaml")
    except EstranError as error:
        assert isinstance(error, Faulty)


HOSTILE = ["a\"; DROP TABLE x; --", "a' OR '1'='1", "block.c0", "s0", "read_csv('/etc/passwd')", "c0); ATTACH 'x'; --", "é ü"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_values_are_never_sql(tmp_path: Path, name: str) -> None:
    """A column, a constant, a map and a format that look like SQL are a column, a constant, a map and a format."""
    column = name.replace(".", "_").replace("'", "''")
    with (tmp_path / "labs.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["id", "ipp", "date", name.replace(".", "_")], ["1", "7", "2024-01-02", name]])
    value = name.replace("'", "''")
    text = f"""\
estran: 1
tables:
  - name: labs
    files: labs.csv
    patient: {{key: ipp}}
    document: {{key: id, kind: laboratory, start: date, title: '{value}'}}
    facts:
      - code: {{vocabulary: LOCAL/x, code: {{constant: '{value}'}}}}
        text: {{map: '{column}', to: {{'{value}': x}}, otherwise: '{value}'}}
"""
    (found,) = preview(read_mapping(text, "m.yaml"), [tmp_path / "labs.csv"])
    assert (found.problem, found.facts, found.refused) == ("", 1, 0)


def test_a_missing_column_names_its_place_in_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "labs1.csv").write_text("id,ipp,nda,date,code,value\n", "utf-8")
    (tmp_path / "labels.csv").write_text("code,label\n", "utf-8")
    (found,) = preview(read_mapping(SOUND, "labo.yaml"), [tmp_path / "labs1.csv"])
    assert "no column 'unit'" in found.problem
    assert "tables.labs.facts[0].unit" in found.problem
    with pytest.raises(InputRefused):
        list(preview(read_mapping(SOUND, "labo.yaml"), [tmp_path / "absent.csv"]))


DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("page", ["how-to/load-a-csv-extract.md", "reference/sources/csv.md"])
def test_mappings_of_the_pages_are_sound(page: str) -> None:
    blocks = re.findall(r"```yaml\n(estran: 1.*?)```", (DOCS / page).read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        assert read_mapping(block, page).tables
