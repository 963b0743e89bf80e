"""Every engine answers from what the snapshot's scope shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engines.asking import each_engine
from tests.engines.tables import dataset

from estran.cohort.engines import ENGINES
from estran.cohort.language.text import parse
from estran.warehouse import Scope, Snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Patient 1 is open; document 20, stay 30 and patient 4 are confidential."""
    data = dataset(
        patients="""
            patient | sex
            1       | F
            2       | F
            3       | F
            4       | F
        """,
        stays="""
            stay | patient | start      | end
            10   | 1       | 2020-01-01 | 2020-01-09
            30   | 3       | 2020-01-01 | 2020-01-09
        """,
        documents="""
            doc | patient | stay | start      | text
            10  | 1       | 10   | 2020-01-02 | fièvre
            20  | 2       |      | 2020-01-02 | fièvre
            30  | 3       | 30   | 2020-01-02 | fièvre
            40  | 4       |      | 2020-01-02 | fièvre
        """,
        facts="""
            patient | doc | stay | code | start      | value
            1       | 10  | 10   | V:a  | 2020-01-02 | 1
            2       | 20  |      | V:a  | 2020-01-02 | 1
            3       | 30  | 30   | V:a  | 2020-01-02 | 1
            4       | 40  |      | V:a  | 2020-01-02 | 1
            2       |     |      | V:b  | 2020-01-02 | 1
            2       | 20  |      | V:b  | 2020-01-02 | 2
        """,
    )
    for table, key, number in (("document", "document_id", 20), ("stay", "stay_id", 30), ("patient", "patient_id", 4)):
        for row in data.rows[table]:
            row["confidential"] = row[key] == number
    return data.write(Path(tmp_path_factory.mktemp("site")) / "w")


@each_engine
@pytest.mark.parametrize(
    ("question", "research", "care"),
    [
        ("tous()", [1, 2, 3], [1, 2, 3, 4]),
        ("V:a", [1], [1, 2, 3, 4]),
        ("V:a=1", [1], [1, 2, 3, 4]),
        ("V:a[2020]", [1], [1, 2, 3, 4]),
        ("NON V:a", [2, 3], []),
        ("V:b", [2], [2]),
        ("V:b[2x]", [], [2]),
        ('"fièvre"', [1], [1, 2, 3, 4]),
        ("sejour()", [1], [1, 3]),
        ("MEME SEJOUR(V:a ET V:a=1)", [1], [1, 3]),
    ],
)
def test_what_each_scope_answers(
    snapshot: Snapshot, engine: str, question: str, research: list[int], care: list[int]
) -> None:
    for scope, patients in ((Scope.RESEARCH, research), (Scope.CARE, care)):
        assert list(ENGINES[engine](snapshot.scoped(scope)).run(parse(question)).patients) == patients
