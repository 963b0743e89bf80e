"""Small hospitals as warehouse rows, for the tests of this folder."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from estran.model import tables as T
from estran.settings import Settings
from estran.warehouse import Changes, Snapshot

SMALL = Settings(bucket_patients=10, row_group_rows=4096)
DAY = dt.date(2024, 3, 1)


def rows(table: str, items: list[dict[str, Any]]) -> pa.Table:
    """Rows of a table; columns that are not given are null, or a plain value where null is refused."""
    schema = T.TABLES[table]
    columns = [pa.array([item.get(f.name, _plain(f)) for item in items], f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _plain(f: pa.Field) -> Any:
    if f.nullable:
        return None
    return "" if pa.types.is_string(f.type) else False if pa.types.is_boolean(f.type) else 0


@dataclass
class Hospital:
    """Numbers documents and gathers changes; `current` tells the id of a document's live version."""

    document: int = 0
    current: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # (identity, key): (id, patient)

    def patients(self, *ids: int, **columns: Any) -> pa.Table:
        return rows("patient", [{"patient_id": i, "sex": "female" if i % 2 else "male", **columns} for i in ids])

    def stays(self, *pairs: tuple[int, int], **columns: Any) -> pa.Table:
        return rows("stay", [{"stay_id": s, "patient_id": p, "status": "finished", **columns} for s, p in pairs])

    def concepts(self, *ids: int) -> pa.Table:
        return rows(
            "concept", [{"concept_id": i, "vocabulary": "TEST", "code": f"C{i}", "standard": True} for i in ids]
        )

    def documents(self, *given: dict[str, Any]) -> Changes:
        """Each: patient, key, facts (dicts), text, identity (the patient unless said), other document columns."""
        documents, facts, texts, attributes, retire = [], [], [], [], []
        for item in given:
            identity = item.get("identity", item["patient"])
            number, self.document = self.document, self.document + 1
            if (identity, item["key"]) in self.current:
                retire.append(self.current[identity, item["key"]])
            self.current[identity, item["key"]] = (number, item["patient"])
            own = {"document_id": number, "patient_id": item["patient"], "stay_id": item.get("stay")}
            extra = {k: v for k, v in item.items() if k in T.DOCUMENT.names}
            documents.append(
                {
                    **own,
                    "identity_id": identity,
                    "record_key": item["key"],
                    "kind": "laboratory",
                    "start_date": DAY,
                    "precision": 2,
                    "content": number,
                    **extra,
                }
            )
            facts += [
                {**own, "fact_no": n, "start_date": DAY, "precision": 4, **f}
                for n, f in enumerate(item.get("facts", ()))
            ]
            attributes += [
                {**own, "fact_no": n, "attribute_id": 1, "value": 2.0} for n, f in enumerate(item.get("facts", ()))
            ]
            if "text" in item:
                texts.append({**own, "text": item["text"], "deid_version": 1})
        append = {
            "document": rows("document", documents),
            "fact": rows("fact", facts),
            "text": rows("text", texts),
            "fact_attribute": rows("fact_attribute", attributes),
        }
        return Changes(append=append, retire=np.array(retire, np.int64), counters={"document": self.document})


def first_load(hospital: Hospital, patients: int = 25) -> Changes:
    """Patients 0..n-1, one stay each, two documents each with facts and a text."""
    given = []
    for p in range(patients):
        facts = [
            {"concept_id": 1 + p % 3, "value": float(p), "start_minute": p},
            {"concept_id": 4, "local_concept_id": 9},
        ]
        given.append({"patient": p, "key": 1, "stay": p, "facts": facts, "text": f"insuffisance cardiaque {p}"})
        given.append({"patient": p, "key": 2, "facts": [{"concept_id": 5, "context": p % 2}]})
    changes = hospital.documents(*given)
    changes.upsert["patient"] = hospital.patients(*range(patients))
    changes.upsert["stay"] = hospital.stays(*[(p, p) for p in range(patients)])
    changes.append["concept"] = hospital.concepts(1, 2, 3, 4, 5, 9)
    return changes


def one(snapshot: Snapshot, query: str) -> Any:
    """The one value of a query."""
    with snapshot.connect() as connection:
        return connection.execute(query).fetchall()[0][0]


def keys(prefix: str, count: int = 200) -> dict[int, str]:
    return {i: f"{prefix}{i}" for i in range(count)}
