"""The search page over a real warehouse: hits, marked pieces, facets, what stays hidden, what is suggested."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests import fresh

from estran.cohort.search import SearchPage, search
from estran.model.errors import UsageError
from estran.model.tables import DOCUMENT, PATIENT, STAY, TEXT, UNIT
from estran.settings import Settings
from estran.warehouse import Changes, Scope, Snapshot
from estran.warehouse.text_index import Facet, TextFilters

TEXTS = {
    0: "Insuffisance cardiaque aiguë. Œdèmes des membres inférieurs.",
    1: "Fièvre et toux depuis l’hospitalisation ; pas d’œdème.",
    2: "Cœur : insuffisance mitrale, fièvre fièvre.",
    3: "Fièvre chez un membre du personnel.",
    4: "Fièvre pendant un séjour protégé.",
    5: "Fièvre d’une patiente protégée.",
}


def _rows(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    blank = {"string": "", "bool": False}
    filled = [
        {f.name: None if f.nullable else blank.get(str(f.type), 0) for f in schema} | row for row in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(filled, schema=schema)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    warehouse = fresh.warehouse(tmp_path_factory.mktemp("site") / "warehouse", Settings(bucket_patients=2))
    day = dt.date(2024, 3, 5)
    documents = [
        {"document_id": i, "patient_id": i // 2 if i < 5 else 3, "kind": "discharge" if i % 2 else "case", "title": f"CR {i}",
         "start_date": day, "unit_id": i % 2, "confidential": i == 3, "stay_id": 40 if i == 4 else None}
        for i in TEXTS
    ]  # fmt: skip
    people = [
        {"patient_id": i, "sex": "female", "birth_month": dt.date(1950, 1, 1), "confidential": i == 3} for i in range(4)
    ]
    changes = Changes(
        append={
            "document": _rows(DOCUMENT, documents),
            "text": _rows(TEXT, [{"document_id": d["document_id"], "patient_id": d["patient_id"],
                                  "text": TEXTS[d["document_id"]]} for d in documents]),
        },
        upsert={
            "patient": _rows(PATIENT, people),
            "stay": _rows(STAY, [{"stay_id": 40, "patient_id": 2, "confidential": True, "status": "active"}]),
            "unit": _rows(UNIT, [{"unit_id": 0, "code": "1234", "label": "Cardiologie"}, {"unit_id": 1, "code": "5678"}]),
        },
    )  # fmt: skip
    with warehouse.writer() as writer:
        return writer.commit(changes)


def _found(page: SearchPage) -> list[int]:
    return sorted(hit.document_id for hit in page.hits)


def test_a_page_shows_marked_pieces(snapshot: Snapshot) -> None:
    page = search(snapshot, "oedeme insuffisances")
    (hit,) = page.hits
    assert (hit.document_id, hit.patient_id, hit.kind, hit.title) == (0, 0, "case", "CR 0")
    assert (hit.date, hit.unit) == (dt.date(2024, 3, 5), "Cardiologie")
    (piece,) = hit.snippets
    assert [piece.text[a:b] for a, b in piece.marks] == ["Insuffisance", "Œdèmes"]
    assert (page.documents, page.patients, page.notice()) == (1, 1, "")
    assert 0 < page.elapsed < 10


def test_what_is_confidential_stays_hidden_until_the_scope_opens(snapshot: Snapshot) -> None:
    assert _found(search(snapshot, "fièvre")) == [1, 2]
    assert _found(search(snapshot.scoped(Scope.CARE), "fièvre")) == [1, 2, 3, 4, 5]


def test_facets_totals_and_pages(snapshot: Snapshot) -> None:
    page = search(snapshot, "fièvre OU insuffisance", limit=1)
    assert (page.documents, page.patients, len(page.hits)) == (3, 2, 1)
    assert page.facets["unit"] == [Facet(0, 2, 2), Facet(1, 1, 1)]
    assert page.units == {0: "Cardiologie", 1: "5678"}
    assert page.facets["age"] == [Facet(65, 3, 2)] and page.facets["sex"] == [Facet("female", 3, 2)]
    pages = [search(snapshot, "fièvre OU insuffisance", limit=1, offset=i) for i in range(3)]
    assert sorted(p.hits[0].document_id for p in pages) == [0, 1, 2]
    assert _found(search(snapshot, "fièvre", TextFilters(kinds=frozenset({"discharge"})))) == [1]


def test_a_typo_is_refused_clearly(snapshot: Snapshot) -> None:
    page = search(snapshot, "cardiqaue fièvre")
    assert (page.hits, page.documents) == ((), 0)
    assert page.notice() == "Aucun document ne contient « cardiqaue ». Vouliez-vous dire : cardiaque ?"
    assert page.notice("en") == "No document holds “cardiqaue”. Did you mean: cardiaque?"
    assert search(snapshot, "mitrale cardiaque").notice() == "Aucun document ne répond."
    assert search(snapshot, "zzzzzz").notice("en") == "No document holds “zzzzzz”."


def test_a_suggestion_is_spelt_as_in_the_texts(snapshot: Snapshot) -> None:
    assert (
        search(snapshot, '"fiévrre"').notice() == "Aucun document ne contient « fiévrre ». Vouliez-vous dire : fièvre ?"
    )


def test_a_suggestion_never_comes_from_what_is_hidden(snapshot: Snapshot) -> None:
    assert search(snapshot, "personel").unknown[0].suggestions == ()
    assert [s.word for s in search(snapshot.scoped(Scope.CARE), "personel").unknown[0].suggestions] == ["personnel"]


@pytest.mark.parametrize(("text", "limit", "offset"), [("", 20, 0), ("toux", 0, 0), ("toux", 201, 0), ("toux", 20, -1)])
def test_what_makes_no_page(text: str, limit: int, offset: int, snapshot: Snapshot) -> None:
    with pytest.raises(UsageError):
        search(snapshot, text, limit=limit, offset=offset)


def test_an_empty_site_answers(tmp_path: Path) -> None:
    page = search(fresh.warehouse(tmp_path / "warehouse", Settings()).snapshot(), "fièvre")
    assert (page.hits, page.documents, page.notice("en")) == ((), 0, "No document holds “fièvre”.")
