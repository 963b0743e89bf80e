"""Real files, small enough to be changed and read thousands of times: the seeds of `tests.fuzz`."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pydicom.data

from estran.sources.records import Reader
from estran.sources.tabular import Shelf, TabularReader
from tests.spec import site_kit as kit

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
MOST = 60_000  # bytes of a seed
FORMATS = ("hl7v2", "fhir", "omop", "report", "pmsi", "cda", "csv", "dicom", "signal", "vcf")
_DICOM = Path(pydicom.data.__file__).parent / "test_files"
_FOLDERS = {
    "hl7v2": (SHARED / "hl7v2_ans", kit.SAMPLES / "hl7v2"),
    "fhir": (SHARED / "fhir_fr_core", SHARED / "fhir_bulk_smart"),
    "report": (kit.SAMPLES / "e3c_fr",),
    "pmsi": (SHARED / "pmsi_gpmsi_tests",),
    "cda": (SHARED / "cda_ans",),
    "dicom": (_DICOM,),
    "signal": (SHARED / "signals_wfdb",),
    "vcf": (SHARED / "vcf_cyvcf2", SHARED / "vcf_allel"),
}
_NOT = (".txt.md", ".md", ".json.md", ".xsd", ".xz", ".py")


def seeds(format_name: str) -> list[tuple[str, bytes]]:
    """Name and bytes of each seed; gzipped ones opened, long ones cut."""
    made = {"omop": _omop, "csv": _csv, "report": _reports}.get(format_name)
    found = list(made()) if made else []
    for folder in _FOLDERS.get(format_name, ()):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != "SOURCE.txt" and not path.name.endswith(_NOT):
                found.append(_cut(path))
    if not found:
        raise FileNotFoundError(f"no seed for {format_name}")
    return found


def _cut(path: Path) -> tuple[str, bytes]:
    data, name = path.read_bytes(), path.name
    if name.endswith(".gz") and not name.endswith((".vcf.gz", ".bgz")):
        data, name = gzip.decompress(data), name.removesuffix(".gz")
    return name, data if name.endswith(".zip") else data[:MOST]


def _omop() -> Iterable[tuple[str, bytes]]:
    yield "person.csv", b"person_id,gender_concept_id,year_of_birth,month_of_birth,race_concept_id\n1,8507,1950,3,0\n2,8532,1961,,0\n"
    yield "measurement.csv", (
        b"measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id\n"
        b'1,1,3004410,2020-01-02,6.5,8554\n2,2,3004410,2020-01-03,"7,1",8554\n'
    )
    yield "note.csv", b'note_id,person_id,note_date,note_text\n1,1,2020-01-02,"Bonjour\nmonsieur ""X"""\n'
    yield "concept.csv", b"concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_code\n1\tx\tDrug\tATC\tA01\n"


def _reports() -> Iterable[tuple[str, bytes]]:
    yield "r.jsonl", b'{"id": "1", "ipp": "801", "nom": "MARTIN", "date_naissance": "03/02/1950", "texte": "Fibrillation."}\n' * 3
    yield "r.txt", "ipp: 8012345\nnda: V77\ndate: 03/04/2021\nkind: CRH\n\nCher confrère, …\n".encode()
    yield "801_V1_20240101_CRH.html", b"<html><body><h1>Titre</h1><table><tr><td>a</td><td>b</td></tr></table></body></html>"
    yield "801_V1_20240101_CRH.rtf", rb"{\rtf1\ansi\deff0 {\fonttbl {\f0 Arial;}} \pard Bonjour \'e9t\'e9\par}"
    from tests.unit.sources import papers

    for place, made in enumerate((papers.hospital_letter, papers.two_columns, papers.results_table)):
        yield f"801_V{place}_20240101_CRH.pdf", made()
    yield "801_V1_20240101_CRH.docx", papers.word_letter()
    yield "801_V1_20240101_CRH.odt", papers.writer_letter()


def _csv() -> Iterable[tuple[str, bytes]]:
    yield "labs.csv", b"ipp,birth,date,code,value,unit\n1,1950-02-03,2024-01-02 10:00,GLU,5.2,mmol/L\n2,,2024-01-03 10:00,NA,<140,mmol/L\n"


MAPPING = """\
estran: 1
patients: {system: CHU}
tables:
  - name: labs
    files: labs.csv
    patient: {key: ipp, introduces: true, birth_date: birth}
    document: {group: [ipp, date], kind: laboratory, title: Biologie, start: {column: date, format: "%Y-%m-%d %H:%M"}}
    facts:
      - {code: {vocabulary: LOCAL/labo, code: code}, measure: value, unit: unit}
"""


def reader(format_name: str) -> Reader | None:
    """A reader made for the seeds, where the format alone does not say how to read."""
    if format_name != "csv":
        return None
    folder = Path(tempfile.mkdtemp())
    (folder / "labs.yaml").write_text(MAPPING)
    shelf = Shelf(folder / "mappings")
    return TabularReader(shelf, f"csv/{shelf.keep(folder / 'labs.yaml')}", "Europe/Paris", "CHU")
