"""A small hospital written through the real warehouse: invented from one seed, nobody in it exists.

Patient 0 is a 70-year-old woman whose course is told by readable reports; patient 1 has ten thousand events;
the others follow simple rules, so that cohorts have something to find.
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests import fresh
from tests.kept import once

from estran.model.feeds import Feed
from estran.model.tables import TABLES
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.sealing import Sealing
from estran.projects.sign_in import create_account
from estran.settings import Settings
from estran.state import StateDatabase
from estran.warehouse import Changes, Snapshot, Warehouse

PATIENTS = 400
MANY_EVENTS = 10_000
PASSWORD = "marée basse à midi"
EPOCH = dt.date(1970, 1, 1)

CONCEPTS = [
    # vocabulary, code, French, English, kind, unit
    ("CIM10", "I50", "Insuffisance cardiaque", "Heart failure", "diagnosis", None),
    ("CIM10", "I50.0", "Insuffisance cardiaque congestive", "Congestive heart failure", "diagnosis", None),
    ("CIM10", "I50.1", "Insuffisance ventriculaire gauche", "Left ventricular failure", "diagnosis", None),
    ("CIM10", "E11", "Diabète sucré de type 2", "Type 2 diabetes mellitus", "diagnosis", None),
    ("CIM10", "E11.9", "Diabète de type 2, sans complication", "Type 2 diabetes, uncomplicated", "diagnosis", None),
    ("CIM10", "E85", "Amylose", "Amyloidosis", "diagnosis", None),
    ("CIM10", "K74.6", "Cirrhose du foie, autre et sans précision", "Cirrhosis of liver", "diagnosis", None),
    ("CIM10", "I10", "Hypertension essentielle", "Essential hypertension", "diagnosis", None),
    (
        "CCAM",
        "DZQM006",
        "Échographie-doppler transthoracique du cœur",
        "Transthoracic echocardiography",
        "procedure",
        None,
    ),
    ("LOINC", "2160-0", "Créatinine", "Creatinine", "laboratory", "umol/L"),
    ("LOINC", "4548-4", "Hémoglobine A1c", "Haemoglobin A1c", "laboratory", "%"),
    ("LOINC", "33762-6", "NT-proBNP", "NT-proBNP", "laboratory", "ng/L"),
    ("LOINC", "2823-3", "Potassium", "Potassium", "laboratory", "mmol/L"),
    ("ATC", "C03CA01", "Furosémide", "Furosemide", "drug", None),
    ("ATC", "A10BA02", "Metformine", "Metformin", "drug", None),
    ("LOINC", "8867-4", "Fréquence cardiaque", "Heart rate", "observation", "/min"),
]
ANCESTORS = [(0, 0, 0), (0, 1, 1), (0, 2, 1), (1, 1, 0), (2, 2, 0), (3, 3, 0), (3, 4, 1), (4, 4, 0)]
RANGES = {9: (45.0, 84.0), 10: (4.0, 6.0), 11: (0.0, 125.0), 12: (3.5, 5.1)}
UNITS = [("CARD", "Cardiologie"), ("DIAB", "Diabétologie"), ("URG", "Urgences"), ("HEP", "Hépatologie")]

LETTER = """Service de cardiologie

COMPTE RENDU D'HOSPITALISATION

Patiente : Mme [NOM] [PRENOM], née le [DATE_NAISSANCE], tél. [TEL]

Motif d'hospitalisation
Dyspnée d'aggravation progressive depuis dix jours, NYHA III, avec orthopnée.

Antécédents
- Hypertension artérielle traitée depuis 2005
- Fibrillation atriale permanente
- Diabète de type 2 (HbA1c 7,4 %) sous metformine
- Maladie rénale chronique stade 3a

Histoire de la maladie
Patiente de 70 ans adressée pour insuffisance cardiaque globale. Pas de douleur thoracique. Pas de fièvre.
La dyspnée s'accompagne d'œdèmes des membres inférieurs et d'une prise de poids de 6 kg en trois semaines.

Examens complémentaires
NT-proBNP 6 840 ng/L. Créatinine 128 µmol/L, potassium 4,6 mmol/L.
Échographie : FEVG altérée à 35 %, hypokinésie globale. Pas d'argument pour une amylose.

Conclusion
Décompensation cardiaque globale sur cardiopathie dilatée. Traitement diurétique par furosémide.
"""
TEXTS = [
    ("discharge", "Compte rendu d'hospitalisation", "Insuffisance cardiaque décompensée. Dyspnée NYHA {n}. Traitement par furosémide."),
    ("consultation", "Consultation de cardiologie", "Suivi d'une insuffisance cardiaque chronique stable. Pas de dyspnée de repos."),
    ("letter", "Courrier au médecin traitant", "Diabète de type 2 équilibré sous metformine, HbA1c {n},2 %."),
    ("imaging", "Échographie cardiaque", "FEVG {n}5 %. Suspicion d'amylose cardiaque, à confirmer par scintigraphie."),
    ("emergency", "Passage aux urgences", "Douleur thoracique atypique. Troponine négative. Retour à domicile."),
]  # fmt: skip


@dataclass
class Site:
    """An open site, as `app` gives it to the portal."""

    folder: Path
    settings: Settings
    state: StateDatabase
    warehouse: Warehouse
    feeds: tuple[Feed, ...] = ()

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"

    def snapshot(self) -> Snapshot:
        return self.warehouse.snapshot()


class Rows:
    """Rows of every table while the hospital is being written."""

    def __init__(self) -> None:
        self.of: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.facts = 0

    def document(
        self, patient: int, day: int, kind: str, title: str, text: str | None, stay: int | None, unit: int
    ) -> int:
        number = len(self.of["document"])
        self.of["document"].append(
            {"document_id": number, "patient_id": patient, "identity_id": patient, "stay_id": stay, "kind": kind, "title": title,
                 "start_date": date(day), "start_minute": 9 * 60, "precision": 4, "unit_id": unit, "source": source_of(kind),
                 "record_key": number, "event_time": day * 86_400_000_000, "content": number, "load_id": 0 if kind != "laboratory" else 1,
                 "status": 0, "confidential": False, "lang": "fr", "known_at": (day * 1440 + 600) * 60_000_000}
        )  # fmt: skip
        if text:
            self.of["text"].append({"document_id": number, "patient_id": patient, "text": text, "deid_version": 1})
        self.facts = 0
        return number

    def fact(self, document: int, concept: int, day: int, value: float | None = None, **more: Any) -> None:
        head = self.of["document"][document]
        low, high = RANGES.get(concept, (None, None))
        self.of["fact"].append(
            {"patient_id": head["patient_id"], "start_date": date(day), "start_minute": 8 * 60 + 15, "concept_id": concept,
                 "document_id": document, "fact_no": self.facts, "stay_id": head["stay_id"], "precision": 4, "value": value,
                 "unit": CONCEPTS[concept][5] if value is not None else None, "low": low if value is not None else None,
                 "high": high if value is not None else None, "status": 0, "context": 0, "origin": 0} | more
        )  # fmt: skip
        self.facts += 1

    def stay(self, patient: int, start: int, days: int, kind: str, unit: int) -> int:
        number = len(self.of["stay"])
        self.of["stay"].append(
            {"stay_id": number, "patient_id": patient, "kind": kind, "start_date": date(start), "start_minute": 600,
                 "end_date": date(start + days), "end_minute": 900, "precision": 4, "unit_id": unit, "confidential": False,
                 "status": "finished", "source": "hl7v2"}
        )  # fmt: skip
        return number


def date(day: int) -> dt.date:
    return EPOCH + dt.timedelta(days=int(day))


def source_of(kind: str) -> str:
    return {"laboratory": "hl7v2/labo", "pmsi": "hl7v2/pmsi", "prescription": "fhir"}.get(kind, "report")


def build(folder: Path, language: str = "fr", patients: int = PATIENTS) -> Site:
    """Write the hospital into `folder` and open it, with one account per role."""
    shutil.copytree(_written(language, patients), folder, dirs_exist_ok=True)
    settings = _settings(language)
    return Site(
        folder, settings, StateDatabase.open(folder / "state.sqlite"), Warehouse.open(folder / "warehouse", settings)
    )


def _settings(language: str) -> Settings:
    return Settings(name="CHU de l'Estran (démonstration)", language=language)


def _written(language: str, patients: int) -> Path:
    return once(("small", language, patients), lambda folder: _write(folder, language, patients))


def _write(folder: Path, language: str, patients: int) -> None:
    settings = _settings(language)
    warehouse = Warehouse.create(folder / "warehouse", settings)
    with warehouse.writer() as writer:
        writer.commit(hospital(patients))
    state = fresh.state(folder / "state.sqlite")
    first, *others = Role
    password = create_account(state, KEY_HOLDER, str(first), PASSWORD, first, language).password_hash
    for role in others:  # to hash it fourteen times more takes seconds
        state.accounts.add(str(role), password, str(role), language)
    Sealing.with_key(Site(folder, settings, state, warehouse), bytes(32))
    state.close()


def hospital(patients: int) -> Changes:
    """All that the hospital holds, to be committed to an empty warehouse."""
    return _changes(_hospital(patients))


def _changes(rows: Rows) -> Changes:
    tables = {name: pa.Table.from_pylist(found, TABLES[name]) for name, found in rows.of.items() if found}
    upserted = {"patient", "stay", "unit", "concept", "load", "quarantine"}
    counters = {
        "document": len(rows.of["document"]),
        "concept": len(CONCEPTS),
        "unit": len(UNITS),
        "load": 3,
        "file": 3,
    }
    return Changes(
        append={name: table for name, table in tables.items() if name not in upserted},
        upsert={name: table for name, table in tables.items() if name in upserted},
        counters=counters,
    )


def _hospital(patients: int) -> Rows:
    rows, rng = Rows(), np.random.default_rng(2024)
    _lists(rows)
    _first_patient(rows)
    _patient_of_many_events(rows, rng)
    for patient in range(2, patients):
        _ordinary_patient(rows, rng, patient)
    return rows


def _lists(rows: Rows) -> None:
    for number, (vocabulary, code, fr, en, kind, unit) in enumerate(CONCEPTS):
        rows.of["concept"].append(
            {"concept_id": number, "vocabulary": vocabulary, "code": code, "label_fr": fr, "label_en": en, "kind": kind, "unit": unit,
                 "standard": True}
        )  # fmt: skip
    for ancestor, descendant, distance in ANCESTORS:
        rows.of["concept_ancestor"].append({"ancestor_id": ancestor, "descendant_id": descendant, "distance": distance})
    for number, (code, label) in enumerate(UNITS):
        rows.of["unit"].append({"unit_id": number, "code": code, "label": label, "level": "service"})
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1_000_000)
    loads = [
        ("report", 1240, 1236, 3, 1),
        ("hl7v2/labo", 5210, 5180, 18, 12),
        ("fhir", 880, 880, 0, 0),
        ("hl7v2/pmsi", 640, 636, 4, 0),
    ]
    for number, (source, read, loaded, superseded, quarantined) in enumerate(loads):
        rows.of["load"].append(
            {"load_id": number, "file_no": number, "part": "", "source": source, "started": now - 3_700_000_000, "finished": now - 3_600_000_000 * (number + 1),
                 "complete": True, "read": read, "loaded": loaded, "superseded": superseded, "quarantined": quarantined, "unknown_stays": 0}
        )  # fmt: skip
    for number in range(12):
        rows.of["quarantine"].append(
            {"file_no": 1, "record_no": number, "part": "", "source": "hl7v2/labo", "load_id": 1, "code": "no-patient",
                 "reason": "The patient was never introduced.", "content": number}
        )  # fmt: skip


def _person(rows: Rows, patient: int, sex: str, birth: dt.date, death: dt.date | None = None) -> None:
    rows.of["patient"].append(
        {"patient_id": patient, "sex": sex, "birth_month": birth, "death_date": death, "last_news": dt.date(2024, 6, 1), "staff": False,
             "confidential": False}
    )  # fmt: skip


def _first_patient(rows: Rows) -> None:
    _person(rows, 0, "female", dt.date(1954, 3, 1))
    start = (dt.date(2024, 2, 3) - EPOCH).days
    stay = rows.stay(0, start, 8, "venue", 0)
    letter = rows.document(0, start + 8, "discharge", "Compte rendu d'hospitalisation", LETTER, stay, 0)
    for concept, value in [(1, None), (11, 6840.0), (9, 128.0), (12, 4.6), (10, 7.4)]:
        rows.fact(letter, concept, start + 1, value, origin=1 if value is not None else 0)
    rows.fact(letter, 5, start + 1, context=1, origin=1)
    report = rows.document(0, start + 1, "laboratory", "Biochimie", None, stay, 0)
    for concept, value in [(9, 128.0), (12, 4.6), (11, 6840.0), (10, 7.4)]:
        rows.fact(report, concept, start + 1, value)
    summary = rows.document(0, start + 8, "pmsi", "RUM", None, stay, 0)
    rows.fact(summary, 1, start, role="DP")
    rows.fact(summary, 4, start, role="DAS")
    rows.fact(summary, 8, start + 2)
    order = rows.document(0, start, "prescription", "Prescription", None, stay, 0)
    rows.fact(order, 13, start, end_date=date(start + 8), status=4)
    rows.fact(order, 14, start - 900, end_date=date(start + 200), status=2)


def _patient_of_many_events(rows: Rows, rng: np.random.Generator) -> None:
    _person(rows, 1, "male", dt.date(1948, 11, 1))
    first, days = (dt.date(2012, 1, 4) - EPOCH).days, 4700
    stays = []
    for n in range(60):
        start = first + int(rng.integers(0, days))
        stays.append((rows.stay(1, start, int(rng.integers(1, 21)), "venue", n % 4), start))
    per = MANY_EVENTS // 200
    for n in range(200):
        stay, start = stays[n % 60] if n % 3 else (None, first + int(rng.integers(0, days)))
        kind, title, text = TEXTS[n % 5]
        report = rows.document(1, start + n % 9, kind, title, text.format(n=2 + n % 3), stay, n % 4)
        for concept in rng.choice(len(CONCEPTS), per - 1, p=WEIGHTS):
            day = start + int(rng.integers(0, 12))
            value = float(np.round(VALUES[int(concept)] * rng.uniform(0.6, 1.6), 1)) if int(concept) in VALUES else None
            ends = {"end_date": date(day + int(rng.integers(1, 30)))} if CONCEPTS[int(concept)][4] == "drug" else {}
            rows.fact(report, int(concept), day, value, start_minute=int(rng.integers(0, 1439)), **ends)


VALUES = {9: 95.0, 10: 6.4, 11: 900.0, 12: 4.3, 15: 78.0}
_RAW = np.array([2, 2, 1, 1, 1, 0, 0, 2, 2, 14, 4, 6, 14, 10, 6, 16], float)
WEIGHTS = _RAW / _RAW.sum()


def _ordinary_patient(rows: Rows, rng: np.random.Generator, patient: int) -> None:
    age = int(np.clip(rng.normal(62, 17), 1, 97))
    born = dt.date(2024 - age, int(rng.integers(1, 13)), 1)
    dead = dt.date(2024, 3, 2) if rng.random() < 0.05 else None
    _person(rows, patient, "female" if rng.random() < 0.52 else "male", born, dead)
    heart, diabetes, liver = rng.random() < age / 180, rng.random() < 0.28, rng.random() < 0.05
    for _ in range(1 + int(rng.integers(0, 3))):
        start = (dt.date(2018, 1, 1) - EPOCH).days + int(rng.integers(0, 2300))
        stay = rows.stay(
            patient,
            start,
            int(rng.integers(0, 14)),
            "venue" if rng.random() < 0.7 else "emergency",
            int(rng.integers(0, 4)),
        )
        summary = rows.document(patient, start, "pmsi", "RUM", None, stay, 0)
        for has, concept in ((heart, 1), (diabetes, 4), (liver, 6), (rng.random() < 0.4, 7)):
            if has:
                rows.fact(summary, concept, start, role="DAS")
        kind, title, text = TEXTS[0 if heart else 2 if diabetes else 4 if rng.random() < 0.6 else 3]
        rows.document(patient, start + 1, kind, title, text.format(n=2 + patient % 3), stay, 0)
        report = rows.document(patient, start + 1, "laboratory", "Biochimie", None, stay, 0)
        for concept, middle in VALUES.items():
            if concept != 11 or heart:
                rows.fact(report, concept, start + 1, float(np.round(middle * rng.uniform(0.6, 1.7), 1)))
