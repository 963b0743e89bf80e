"""Damaged, truncated and odd OMOP files: each bad row is refused by itself, and says why."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from estran.sources.omop import OmopReader
from estran.sources.omop.content import hash_columns, hash_slices
from estran.sources.omop.delimited import read_blocks, read_header
from estran.sources.records import Batch, Code

HEADER = (
    "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,operator_concept_id,"
    "value_as_number,unit_concept_id,unit_source_value,visit_occurrence_id,measurement_source_value,"
    "measurement_source_concept_id,value_source_value"
)
GOOD = "1,7,3025315,2013-05-17,2013-05-17 00:00:00,0,48.1,9529,kg,38,29463-7,3025315,48.1"


def read(tmp_path: Path, content: str | bytes, name: str = "MEASUREMENT.csv", zone: str = "Europe/Paris") -> Batch:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (batch,) = OmopReader(zone=zone).read(path, name)
    return batch


def rows(*lines: str) -> str:
    return "\n".join((HEADER, *lines)) + "\n"


def refusal(batch: Batch) -> tuple[str, str, int | None]:
    (one,) = batch.refused.to_pylist()
    assert len(one["reason"]) > 15
    return one["field"], one["code"], batch.records["line"][one["record"]].as_py()


def changed(column: str, value: str) -> str:
    fields = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {column: value}
    return ",".join(fields.values())


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("person_id", "", "missing"), ("person_id", "abc", "malformed"), ("person_id", "12.5", "malformed"),
        ("person_id", "99999999999999999999", "malformed"), ("measurement_id", "", "missing"),
        ("measurement_date", "2013-02-30", "malformed"), ("measurement_date", "17 mai", "malformed"),
        ("measurement_date", "0013-05-17", "malformed"), ("measurement_datetime", "2013-05-17 25:00:00", "malformed"),
        ("value_as_number", "12,5", "truncated"), ("value_as_number", "douze", "malformed"),
        ("value_as_number", "inf", "malformed"), ("unit_concept_id", "kg", "malformed"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_its_field_and_line(tmp_path: Path, column: str, value: str, code: str) -> None:
    batch = read(tmp_path, rows(GOOD, changed(column, value), GOOD))
    field, found, line = refusal(batch)
    assert line == 3 and len(batch.documents) == 2
    if code != "truncated":
        assert (field, found) == (column, code)
    assert value not in batch.refused["reason"][0].as_py() or not value, "a refusal never shows the value"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1,7,3025315", "truncated"), (GOOD + ",more,and more", "malformed"), ('2,"7,3025315,2013', "malformed"),
        (GOOD.replace("kg", "k\0g"), "encoding"), (HEADER, "header"), (HEADER.upper(), "header"),
    ],
)  # fmt: skip
def test_a_damaged_line_costs_itself_only(tmp_path: Path, line: str, code: str) -> None:
    batch = read(tmp_path, rows(GOOD, line, GOOD, GOOD))
    assert refusal(batch)[1:] == (code, 3)
    assert batch.facts["value"].to_pylist() == [48.1] * 3
    assert batch.records["line"].to_pylist() == [2, 3, 4, 5]


def test_a_file_cut_in_its_last_line(tmp_path: Path) -> None:
    batch = read(tmp_path, rows(GOOD, GOOD)[:-40])
    assert refusal(batch)[1] == "truncated" and len(batch.documents) == 1


def test_odd_but_good_rows(tmp_path: Path) -> None:
    """Decimal ids, empty cells of other programs, quoted line ends, blank lines, Windows line ends, a BOM."""
    lines = [
        changed("person_id", "7.0"), changed("visit_occurrence_id", "0"), changed("value_as_number", "NA"), "",
        changed("measurement_source_value", '"two\nlines, and ""quotes"""'), changed("measurement_date", "20130517"),
    ]  # fmt: skip
    content = b"\xef\xbb\xbf" + rows(*lines).replace("\n", "\r\n").replace("two\r\n", "two\n").encode()
    batch = read(tmp_path, content)
    assert len(batch.refused) == 0 and len(batch.documents) == 5
    assert [p.value for p in batch.patients] == ["7"]
    assert batch.documents["stay"].null_count == 1
    assert batch.facts["value"].null_count == 1 and batch.facts["value_text"].to_pylist()[2] == "48.1"
    assert set(batch.facts["start_date"].to_pylist()) == {dt.date(2013, 5, 17)}
    assert batch.records["line"].to_pylist() == [2, 3, 4, 6, 8]


def test_columns_in_another_order_tabs_and_other_names(tmp_path: Path) -> None:
    names = list(reversed(HEADER.split(",")))
    fields = list(reversed(GOOD.split(",")))
    batch = read(tmp_path, "\t".join(n.upper() for n in names) + "\n" + "\t".join(fields) + "\n", "part-0001.csv")
    assert (batch.part, batch.facts["value"].to_pylist(), batch.facts["unit"].to_pylist()) == ("measurement", [48.1], ["kg"])


def test_latin_1_lines_are_read(tmp_path: Path) -> None:
    line = changed("measurement_concept_id", "0").replace("29463-7", "créatinine").replace("3025315,48.1", "0,48.1")
    batch = read(tmp_path, rows(GOOD).encode() + line.encode("latin-1") + b"\n")
    assert batch.codes[1] == Code("LOCAL/omop-measurement", "créatinine", "créatinine", kind="laboratory")


def test_a_code_without_concept(tmp_path: Path) -> None:
    local = changed("measurement_concept_id", "0")
    bare = changed("measurement_concept_id", "").replace(",29463-7,3025315,", ",,0,")
    batch = read(tmp_path, rows(local, bare))
    assert batch.codes[0].vocabulary == "LOCAL/omop-measurement" and batch.codes[0].also == (("OMOP", "3025315", ""),)
    assert refusal(batch)[:2] == ("measurement_concept_id", "missing")


def test_times_of_day(tmp_path: Path) -> None:
    """A time counts only when it is not midnight; clock changes count what elapsed; offsets are brought home."""
    stamps = [
        "2022-07-08 14:05:59", "2022-07-08 00:00:00", "2022-03-27 03:30:00", "2022-10-30 12:00:00",
        "2022-07-08T12:05:00Z", "2022-07-08T23:30:00+00:00", "",
    ]  # fmt: skip
    batch = read(tmp_path, rows(*(changed("measurement_datetime", s) for s in stamps)))
    assert len(batch.refused) == 0
    dates = [d.isoformat() for d in batch.facts["start_date"].to_pylist()]
    minutes = batch.facts["start_minute"].to_pylist()
    assert list(zip(dates, minutes, strict=True)) == [
        ("2022-07-08", 845), ("2013-05-17", None), ("2022-03-27", 150), ("2022-10-30", 780), ("2022-07-08", 845),
        ("2022-07-09", 90), ("2013-05-17", None),
    ]  # fmt: skip
    assert batch.facts["precision"].to_pylist() == [4, 2, 4, 4, 4, 4, 2]


def test_persons_with_partial_or_impossible_births(tmp_path: Path) -> None:
    header = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,gender_source_value\n"
    body = "1,8507,1998,4,9,M\n2,0,1950,,,F\n3,8532,1950,2,,\n4,8507,1999,2,29,M\n5,8507,,,,M\n6,8507,1999,13,1,M\n"
    batch = read(tmp_path, header + body, "person.csv")
    people = [(s.person.birth_date.isoformat(), int(s.person.birth_precision), s.person.sex) for s in batch.identities]
    assert people == [("1998-04-09", 2, "male"), ("1950-01-01", 0, "female"), ("1950-02-01", 1, "female")]
    assert [(r["record"], r["field"], r["code"]) for r in batch.refused.to_pylist()] == [
        (3, "day_of_birth", "malformed"), (4, "year_of_birth", "missing"), (5, "year_of_birth", "malformed"),
    ]  # fmt: skip


def test_notes_care_sites_and_maps(tmp_path: Path) -> None:
    note = read(
        tmp_path,
        "note_id,person_id,note_date,note_title,note_text,note_type_concept_id,language_concept_id,visit_occurrence_id\n"
        '5,7,2020-01-02,CRH,"Le patient\nva bien",44814637,4180190,3\n6,7,2020-01-02,,,44814637,4180190,\n',
        "note.csv",
    )
    (row,) = note.documents.to_pylist()
    assert (row["kind"], row["title"], row["text"], row["lang"]) == ("discharge", "CRH", "Le patient\nva bien", "fr")
    assert refusal(note)[:2] == ("note_text", "missing") and note.stays[0].value == "3"
    site = read(tmp_path, "care_site_id,care_site_name\n12,Cardiologie\n", "care_site.csv")
    assert site.units == [("omop:12", "Cardiologie", "service")] and len(site.records) == 1
    maps = read(
        tmp_path,
        "source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id\nNA,0,LABO,Na,3019550\nK,0,LABO,K,0\n",
        "source_to_concept_map.csv",
    )
    assert maps.vocabulary is not None and maps.vocabulary.maps.to_pylist()[0]["source_vocabulary"] == "LOCAL/LABO"
    assert refusal(maps)[:2] == ("target_concept_id", "missing")


def test_an_unknown_table_is_refused_row_by_row(tmp_path: Path) -> None:
    batch = read(tmp_path, "a,b\n1,2\n3,4\n", "whatever.csv")
    assert batch.refused["reason"].unique().to_pylist() == [
        "Table WHATEVER is not part of the OMOP common data model."
    ] and len(batch.records) == 2  # fmt: skip
    costs = read(tmp_path, "cost_id,total_cost\n1,2\n", "COST.csv")
    assert costs.refused["reason"].to_pylist() == ["Table COST is not read: costs have no place in the warehouse."]


def test_a_duckdb_file_of_text_columns_views_and_another_schema(tmp_path: Path) -> None:
    path = tmp_path / "site.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA cdm")
        columns = ", ".join(f"'{v}' AS {n.upper()}" for n, v in zip(HEADER.split(","), GOOD.split(","), strict=True))
        con.execute(f"CREATE TABLE cdm.measurements AS SELECT {columns}")
        con.execute("CREATE VIEW cdm.measurement AS SELECT * FROM cdm.measurements")
    batches = {b.part: b for b in OmopReader().read(path, "site.duckdb")}
    assert batches["measurement"].facts["value"].to_pylist() == [48.1]
    assert batches["measurements"].refused["code"].to_pylist() == ["unknown-type"]


def test_random_damage_never_stops_the_reading(tmp_path: Path) -> None:
    """Bytes flipped, deleted and doubled at random: read = loaded + refused, and most rows survive."""
    sound = rows(*(GOOD.replace("1,7", f"{i},{i % 5}", 1) for i in range(300))).encode()
    chance = random.Random(20)
    for _ in range(25):
        content = bytearray(sound)
        for _ in range(6):
            place = chance.randrange(len(HEADER) + 1, len(content))
            content[place : place + chance.randrange(3)] = bytes(chance.choice(b'",\n\r\x00\xff0a') for _ in range(chance.randrange(3)))
        batch = read(tmp_path, bytes(content))
        assert len(batch.records) == len(batch.documents) + len(batch.refused)
        assert len(batch.documents) >= 280, (content, batch.refused.to_pylist())


def test_blocks_of_any_size_cut_between_records() -> None:
    import io

    body = b'a,b\n1,"x\ny"\n2,z\n\n3,"""q"""\n4,w'
    whole = None
    for size in (3, 7, 10, 1000):
        stream = io.BytesIO(body)
        header = read_header(stream)
        blocks = list(read_blocks(stream, header, header.names, 0, size))
        found = [row for b in blocks for row in zip(b.table.to_pylist(), b.content.tolist(), b.numbers.tolist(), strict=True)]
        whole = whole or found
        assert found == whole and len(found) == 4


def test_the_hash_of_a_row_never_changes() -> None:
    """Golden values: idempotence across versions depends on them."""
    data = np.frombuffer(b"abcdefgh" * 5, dtype=np.uint8)
    starts, lengths = np.array([0, 0, 1, 8, 3], dtype=np.int64), np.array([0, 8, 8, 8, 20], dtype=np.int64)
    hashes = hash_slices(data, starts, lengths).tolist()
    assert hashes[1] == hashes[3] and len(set(hashes)) == 4
    table = pa.table({"a": [1, 2, None], "b": ["x", None, ""], "c": pa.array([1.5, None, 0.0])})
    assert len(set(hash_columns(table).tolist())) == 3
    assert hash_columns(table).tolist() == hash_columns(table.slice(0, 2)).tolist() + hash_columns(table.slice(2)).tolist()
    assert (hashes, hash_columns(table).tolist()) == GOLDEN


GOLDEN = (
    [0, 15600158567533563437, 7357837970697080309, 15600158567533563437, 18139140561930140214],
    [-1307552270355535793, -845382339313805445, -4150699911199830086],
)
