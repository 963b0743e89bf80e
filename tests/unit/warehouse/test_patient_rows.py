"""The shortest way to one patient's rows says what the views say."""

from __future__ import annotations

import pytest
from tests.unit.warehouse.warehouse_rows import Hospital

from estran.warehouse import Warehouse

TABLES = ("patient", "stay", "document", "text", "fact")


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_a_patient_are_those_of_the_view(loaded: Warehouse, hospital: Hospital, table: str) -> None:
    with loaded.writer() as writer:  # a retired document, and files that are not merged yet
        writer.commit(hospital.documents({"patient": 1, "key": 1, "facts": [{"concept_id": 3}], "text": "autre"}))
    snapshot = loaded.snapshot()
    names = snapshot.schema(table).names
    with snapshot.connect() as connection:
        for patient in snapshot.population():
            found = snapshot.patient_rows(table, patient)
            query = f"SELECT {', '.join(names)} FROM {table} WHERE patient_id = {patient}"
            expected = connection.execute(query).fetchall()
            assert sorted(map(str, map(tuple, (row.values() for row in found.to_pylist())))) == sorted(
                map(str, expected)
            )


def test_chosen_columns_only_and_nothing_of_strangers(loaded: Warehouse) -> None:
    found = loaded.snapshot().patient_rows("document", 1, ["kind", "document_id"])
    assert found.column_names == ["kind", "document_id"] and len(found)
    assert len(loaded.snapshot().patient_rows("document", 10**6)) == 0
