"""One text index, several folders, what is hidden, what is counted."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.text.parse import parse
from estran.warehouse import text_build
from estran.warehouse.text_index import Facet, TextFilters, TextIndex, TextIndexBuilder, build_index

ROWS: list[dict[str, Any]] = [
    {"document_id": 10, "patient_id": 1, "kind": "case", "title": "Cardiologie", "year": 2020, "unit_id": 7,
     "sex": "female", "birth_year": 1950, "stay_id": 100, "text": "Insuffisance cardiaque avec fièvre"},
    {"document_id": 11, "patient_id": 1, "kind": "imaging", "title": "Scanner", "year": 2021, "unit_id": 8,
     "sex": "female", "birth_year": 1950, "stay_id": 101, "text": "Pas de fièvre, fièvre absente"},
    {"document_id": 12, "patient_id": 2, "kind": "imaging", "title": None, "year": 2021, "unit_id": None,
     "sex": "male", "birth_year": 2005, "stay_id": None, "text": "Toux et fièvre fièvre fièvre"},
    {"document_id": 13, "patient_id": 3, "kind": "letter", "title": "Courrier", "year": None, "unit_id": 8,
     "sex": "male", "birth_year": None, "stay_id": 102, "text": "Toux isolée"},
]  # fmt: skip
FEVER = parse("fièvre")


def _table(rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_index(tmp_path / "index", _table())
    return tmp_path / "index"


def test_sets(folder: Path) -> None:
    index = TextIndex([folder])
    assert index.all_documents() == BitMap([10, 11, 12, 13])
    assert index.documents(FEVER) == BitMap([10, 11, 12])
    assert index.patients(FEVER) == BitMap([1, 2])
    assert index.stays(FEVER) == BitMap([100, 101])
    assert index.documents(parse("titre:scanner OU toux")) == BitMap([11, 12, 13])


def test_ranking_and_pages(folder: Path) -> None:
    index = TextIndex([folder])
    hits = index.search(FEVER, limit=10)
    assert [hit.document_id for hit in hits.hits] == [12, 11, 10]
    assert (hits.documents, hits.patients) == (3, 2)
    pages = [index.search(FEVER, limit=1, offset=i).hits for i in range(4)]
    assert [page[0].document_id for page in pages[:3]] == [12, 11, 10] and pages[3] == []


def test_retired_documents_and_hidden_patients_are_gone(folder: Path) -> None:
    index = TextIndex([folder], BitMap([12]), BitMap([3]))
    assert index.all_documents() == BitMap([10, 11])
    hits = index.search(FEVER, limit=1)
    assert ([hit.document_id for hit in hits.hits], hits.documents, hits.patients) == ([11], 2, 1)
    assert index.documents(parse("toux")) == BitMap()
    assert index.suggest("touxx") == []
    assert [s.word for s in index.suggest("fiebre")] == ["fievre"]


def test_a_document_counts_in_the_last_folder_that_holds_it(folder: Path, tmp_path: Path) -> None:
    moved = {**ROWS[0], "patient_id": 9, "text": "Insuffisance rénale"}
    build_index(tmp_path / "later", _table([moved]))
    index = TextIndex([folder, tmp_path / "later"])
    assert index.all_documents() == BitMap([10, 11, 12, 13])
    assert index.documents(parse("cardiaque")) == BitMap()
    assert index.patients(parse("insuffisance")) == BitMap([9])


@pytest.mark.parametrize(
    ("filters", "documents"),
    [
        (TextFilters(), [10, 11, 12]),
        (TextFilters(kinds=frozenset({"imaging", "poem"})), [11, 12]),
        (TextFilters(years=(2021, 2030)), [11, 12]),
        (TextFilters(units=frozenset({7})), [10]),
        (TextFilters(sexes=frozenset({"male"})), [12]),
        (TextFilters(ages=frozenset({65})), [10, 11]),
        (TextFilters(patients=BitMap([2, 3])), [12]),
        (TextFilters(documents=BitMap([10, 13])), [10]),
        (TextFilters(documents=BitMap()), []),
        (TextFilters(excluded=BitMap([10]), kinds=frozenset({"case"})), []),
    ],
)
def test_filters(filters: TextFilters, documents: list[int], folder: Path) -> None:
    index = TextIndex([folder])
    assert index.documents(FEVER, filters) == BitMap(documents)
    hits = index.search(FEVER, filters, limit=1)
    assert hits.documents == len(documents)
    assert len(hits.hits) == min(1, len(documents))


def test_facets_count_documents_and_patients(folder: Path) -> None:
    facets = TextIndex([folder]).facets(parse("fièvre OU toux"))
    assert facets == {
        "kind": [Facet("imaging", 2, 2), Facet("case", 1, 1), Facet("letter", 1, 1)],
        "year": [Facet(None, 1, 1), Facet(2020, 1, 1), Facet(2021, 2, 2)],
        "unit": [Facet(8, 2, 2), Facet(7, 1, 1), Facet(None, 1, 1)],
        "sex": [Facet("female", 2, 1), Facet("male", 2, 2)],
        "age": [Facet(None, 1, 1), Facet(0, 1, 1), Facet(65, 2, 1)],
    }


def test_facets_of_nothing(folder: Path) -> None:
    assert set(map(len, TextIndex([folder]).facets(parse("varicelle")).values())) == {0}
    assert TextIndex([]).facets(FEVER)["kind"] == []
    assert TextIndex([]).search(FEVER).hits == []


def test_a_large_facet_counts_like_a_small_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = parse("fièvre OU toux")
    small = TextIndex([folder]).facets(query)
    monkeypatch.setattr("estran.warehouse.text_facets._LARGEST_TABLE", 0)
    assert TextIndex([folder]).facets(query) == small


def test_sex_and_age_follow_what_is_known_now(folder: Path) -> None:
    people = pa.table({"patient_id": [2, 1], "sex": ["female", "male"],
                       "birth_month": pa.array([dt.date(1990, 1, 1), None], pa.date32())})  # fmt: skip
    index = TextIndex([folder], people=lambda: people)
    facets = index.facets(parse("fièvre OU toux"))
    assert facets["sex"] == [Facet("male", 2, 1), Facet("female", 1, 1), Facet("unknown", 1, 1)]
    assert facets["age"] == [Facet(None, 3, 2), Facet(30, 1, 1)]
    assert index.documents(FEVER, TextFilters(sexes=frozenset({"female"}))) == BitMap([12])
    assert TextIndex([folder], people=lambda: people.slice(0, 0)).facets(FEVER)["sex"]


def test_ranking_does_not_depend_on_how_loads_were_cut(tmp_path: Path) -> None:
    rows = [
        {"document_id": i, "patient_id": i, "text": text}
        for i, text in enumerate(
            [
                "toux sèche rare",
                "fièvre toux simple",
                "fièvre vue ici",
                "fièvre notée là",
                "toux rhume fièvre",
                "rien du tout",
            ]
        )
    ]
    build_index(tmp_path / "one", _table(rows))
    for i in range(3):
        build_index(tmp_path / f"part{i}", _table(rows[2 * i : 2 * i + 2]))
    one = TextIndex([tmp_path / "one"]).search(parse("fièvre OU rhume OU toux"), limit=10)
    many = TextIndex([tmp_path / f"part{i}" for i in range(3)]).search(parse("fièvre OU rhume OU toux"), limit=10)
    assert [hit.document_id for hit in many.hits] == [hit.document_id for hit in one.hits]
    assert [hit.score for hit in many.hits] == pytest.approx([hit.score for hit in one.hits], rel=1e-3)


# Building


def test_a_sealed_folder_holds_no_lock_and_no_text(folder: Path) -> None:
    assert not list(folder.glob("*.lock")) and not list(folder.glob(".*.lock"))
    assert not any(b"Insuffisance" in path.read_bytes() for path in folder.iterdir())
    assert len(list(folder.glob("*.idx"))) == 1


def test_columns_may_be_absent_and_dates_stand_for_years(tmp_path: Path) -> None:
    table = pa.table({
        "document_id": [1], "patient_id": [5], "text": [None], "title": ["Œdème"],
        "start_date": pa.array([dt.date(2024, 5, 1)], pa.date32()), "birth_month": pa.array([dt.date(2000, 1, 1)], pa.date32()),
    })  # fmt: skip
    info = build_index(tmp_path / "index", table)
    index = TextIndex([tmp_path / "index"])
    assert info.documents == 1 and info.size == sum(p.stat().st_size for p in (tmp_path / "index").iterdir())
    assert index.documents(parse("titre:oedeme")) == BitMap([1])
    facets = index.facets(parse("titre:oedeme"))
    assert facets["age"] == [Facet(18, 1, 1)] and facets["kind"] == [Facet("other", 1, 1)]


def test_tables_are_added_one_after_the_other_without_the_dropped(tmp_path: Path) -> None:
    with TextIndexBuilder(tmp_path / "index") as builder:
        builder.add(_table(ROWS[:2]), drop=BitMap([11]))
        builder.add(_table(ROWS[2:]))
        assert builder.seal().documents == 3
    assert TextIndex([tmp_path / "index"]).all_documents() == BitMap([10, 12, 13])


def test_an_empty_index_answers(tmp_path: Path) -> None:
    build_index(tmp_path / "index", _table().slice(0, 0))
    index = TextIndex([tmp_path / "index"])
    assert index.documents(FEVER) == BitMap() and index.search(FEVER).hits == [] and index.suggest("fievre") == []


def test_litter_is_replaced_and_anything_else_is_not(folder: Path, tmp_path: Path) -> None:
    build_index(folder, _table(ROWS[:1]))
    assert TextIndex([folder]).all_documents() == BitMap([10])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("keep me")
    with pytest.raises(StoreError):
        build_index(tmp_path / "other", _table())
    assert (tmp_path / "other" / "letter.txt").exists()


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), TextIndexBuilder(tmp_path / "index") as builder:
        builder.add(_table().drop_columns(["text"]))
    assert not (tmp_path / "index").exists()


def test_a_missing_damaged_or_outdated_folder_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="missing"):
        TextIndex([tmp_path / "nowhere"])
    shutil.copytree(folder, tmp_path / "damaged")
    next((tmp_path / "damaged").glob("meta.json")).write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        TextIndex([tmp_path / "damaged"])
    old = text_build.COLUMNS.with_metadata({"analysis": "0"})
    monkeypatch.setattr(text_build, "COLUMNS", old)
    build_index(tmp_path / "old", _table())
    with pytest.raises(StoreError, match="rules"):
        TextIndex([tmp_path / "old"])


def test_an_answer_is_remembered(folder: Path) -> None:
    index = TextIndex([folder])
    assert index.documents(FEVER) == index.documents(FEVER)
    assert TextIndex([folder]).documents(FEVER) == BitMap([10, 11, 12])
