"""The OMOP reader on the two real sets, with exact figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from estran.model.codes import Comparator, DocumentKind, FactStatus, Origin, Precision
from estran.model.errors import InputRefused
from estran.model.tables import CONCEPT
from estran.sources.omop import OmopReader
from estran.sources.records import Batch, Code
from estran.sources.schemas import ATTRIBUTES, DOCUMENTS, FACTS, MOVEMENTS, RECORDS, REFUSED, STAY_EVENTS
from estran.terminology.book import ConceptBook

SAMPLES = Path(__file__).resolve().parents[3] / "src" / "estran" / "samples"
GIBLEED = SAMPLES / "omop_gibleed" / "eunomia.duckdb.gz"
SYNTHEA = SAMPLES / "omop_synthea27nj" / "Synthea27Nj_5.4.zip"

HEADER_ONLY = [
    "concept_class", "source_to_concept_map", "care_site", "death", "visit_detail", "device_exposure", "specimen",
    "note", "dose_era", "payer_plan_period", "cost", "provider", "location", "drug_strength", "fact_relationship",
    "note_nlp", "cohort", "cohort_attribute", "metadata", "ontime",
]  # fmt: skip


@pytest.fixture(scope="module")
def gibleed() -> list[Batch]:
    return list(OmopReader().read(GIBLEED, "eunomia.duckdb.gz"))


@pytest.fixture(scope="module")
def synthea() -> list[Batch]:
    return list(OmopReader().read(SYNTHEA, "Synthea27Nj_5.4.zip"))


def outcome(batches: list[Batch]) -> dict[str, tuple[int, int]]:
    read, refused = Counter[str](), Counter[str]()
    for batch in batches:
        read[batch.part] += len(batch.records)
        refused[batch.part] += len(batch.refused) + len(batch.refusals)
    return {part: (read[part], refused[part]) for part in read}


def part(batches: list[Batch], name: str) -> Batch:
    (found,) = (b for b in batches if b.part == name)
    return found


def test_every_row_of_gibleed_is_counted(gibleed: list[Batch]) -> None:
    full = {
        "cdm_source": 1, "vocabulary": 125, "domain": 45, "relationship": 480, "concept": 442,
        "concept_ancestor": 65690, "concept_synonym": 1064, "concept_relationship": 8, "person": 2694,
        "visit_occurrence": 1037, "observation_period": 5343, "condition_occurrence": 65332, "drug_exposure": 67707,
        "procedure_occurrence": 37409, "measurement": 44053, "observation": 1477, "condition_era": 65719,
        "drug_era": 52508,
    }  # fmt: skip
    assert outcome(gibleed) == {name: (n, 0) for name, n in full.items()} | dict.fromkeys(HEADER_ONLY, (1, 1))
    for name in HEADER_ONLY:
        (refusal,) = part(gibleed, name).refused.to_pylist()
        assert (refusal["code"], refusal["reason"]) == ("header", "The row repeats the table's header.")


def test_every_row_of_synthea_is_counted(synthea: list[Batch]) -> None:
    assert outcome(synthea) == {
        "cdm_source": (1, 0), "vocabulary": (1, 0), "concept": (2294, 0), "concept_relationship": (266588, 119740),
        "person": (28, 0), "death": (3, 0), "visit_occurrence": (1791, 0), "visit_detail": (1791, 0),
        "observation_period": (28, 0), "condition_occurrence": (470, 0), "drug_exposure": (883, 0),
        "procedure_occurrence": (1649, 0), "measurement": (10040, 0), "observation": (8099, 0),
        "device_exposure": (1, 0), "condition_era": (469, 0), "provider": (67, 67),
    }  # fmt: skip
    reasons = set(part(synthea, "provider").refused["reason"].to_pylist())
    assert reasons == {"Table PROVIDER is not read: a provider is a named professional."}


def test_schemas_and_references(gibleed: list[Batch], synthea: list[Batch]) -> None:
    for batch in gibleed + synthea:
        for name, schema in (
            ("records", RECORDS), ("documents", DOCUMENTS), ("facts", FACTS), ("attributes", ATTRIBUTES),
            ("stay_events", STAY_EVENTS), ("movements", MOVEMENTS), ("refused", REFUSED),
        ):  # fmt: skip
            assert getattr(batch, name).schema.equals(schema), (batch.part, name)
        for table, column, limit in (
            (batch.documents, "patient", len(batch.patients)), (batch.documents, "stay", len(batch.stays)),
            (batch.documents, "record", len(batch.records)), (batch.facts, "code", len(batch.codes)),
            (batch.facts, "value_code", len(batch.codes)), (batch.facts, "document", len(batch.documents)),
            (batch.attributes, "attribute", len(batch.codes)), (batch.attributes, "document", len(batch.documents)),
            (batch.stay_events, "stay", len(batch.stays)), (batch.movements, "stay", len(batch.stays)),
        ):  # fmt: skip
            values = table[column].drop_null().to_numpy()
            assert not len(values) or (values.min() >= 0 and values.max() < limit), (batch.part, column)
        refused = set(batch.refused["record"].to_pylist())
        assert not refused & set(batch.documents["record"].to_pylist()), "a record is loaded or refused, not both"


def test_record_numbers_are_unique_in_a_file_of_many_tables(gibleed: list[Batch]) -> None:
    numbers = np.concatenate([b.records["record_no"].to_numpy() for b in gibleed])
    assert len(np.unique(numbers)) == len(numbers) == 411_154


@pytest.fixture(scope="module")
def persons_by_concept(gibleed: list[Batch]):
    book, next_id, edges = ConceptBook(CONCEPT.empty_table()), 0, []
    for batch in gibleed:
        if batch.vocabulary:
            rows = book.add_vocabulary(batch.vocabulary, next_id)
            next_id = rows.next_id
            edges.append(rows.ancestors)
    found: dict[int, set[str]] = {}
    for batch in gibleed:
        if not len(batch.facts) or batch.facts["origin"][0].as_py() == Origin.DERIVED:
            continue
        resolved = book.resolve(batch.codes, next_id)
        next_id = resolved.next_id
        concepts = resolved.concept_ids[batch.facts["code"].to_numpy()]
        for concept, patient in zip(concepts.tolist(), batch.documents["patient"].to_pylist(), strict=True):
            found.setdefault(concept, set()).add(batch.patients[patient].value)
    ancestors = pa.concat_tables(edges)

    def persons(*codes: tuple[str, str]) -> int:
        resolved = book.resolve([Code(*code) for code in codes], next_id)
        wanted = set(resolved.concept_ids.tolist())
        below = ancestors.filter(pa.compute.is_in(ancestors["ancestor_id"], pa.array(sorted(wanted), pa.int32())))
        wanted |= set(below["descendant_id"].to_pylist())
        return len(set().union(*(found.get(c, set()) for c in wanted)))

    return persons


def test_known_answers_of_gibleed(persons_by_concept) -> None:
    """The counts that OHDSI's own tutorials give for this set."""
    assert persons_by_concept(("OMOP", "1118084")) == 1844  # celecoxib
    assert persons_by_concept(("OMOP", "1124300")) == 850  # diclofenac
    assert persons_by_concept(("OMOP", "192671")) == 479  # gastrointestinal haemorrhage
    assert persons_by_concept(("OMOP", "1118084"), ("OMOP", "1124300")) == 2694


def test_codes_of_the_vocabularies_themselves_find_omop_data(persons_by_concept) -> None:
    assert persons_by_concept(("RXNORM", "140587")) == 1844
    assert persons_by_concept(("SNOMED", "74474003")) == 479


def test_persons(gibleed: list[Batch], synthea: list[Batch]) -> None:
    batch = part(gibleed, "person")
    assert len(batch.identities) == 2694 and {i.introduces for i in batch.identities} == {True}
    first = batch.identities[0]
    assert batch.patients[first.patient] == ("omop", "6")
    assert (first.person.birth_date.isoformat(), first.person.birth_precision, first.person.sex) == (
        "1963-12-31", Precision.DAY, "female",
    )  # fmt: skip
    assert first.person.other_numbers == ("001f4a87-70d0-435c-a4b9-1425f6928d33",)
    deaths = part(synthea, "death")
    assert {i.introduces for i in deaths.identities} == {False}
    assert [i.person.death_date.isoformat() for i in deaths.identities][:2] == ["2019-05-28", "2009-09-14"]
    assert deaths.needs == [(0, 0), (1, 1), (2, 2)]
    assert set(deaths.facts["role"].to_pylist()) == {"cause of death"} and deaths.codes[0].code == "378419"


def test_visits_that_nobody_introduced_are_still_named(gibleed: list[Batch]) -> None:
    """66,970 drug rows name a visit that VISIT_OCCURRENCE does not hold, 520 name none."""
    visits, drugs = part(gibleed, "visit_occurrence"), part(gibleed, "drug_exposure")
    known = {(visits.patients[s.patient], s.value) for s in visits.stays}
    named = [None if s is None else drugs.stays[s] for s in drugs.documents["stay"].to_pylist()]
    assert sum(s is None for s in named) == 520
    assert sum(s is not None and (drugs.patients[s.patient], s.value) not in known for s in named) == 66_970
    assert visits.stay_events["kind"].unique().to_pylist() == ["venue"]
    assert visits.stay_events.slice(0, 1).to_pylist()[0]["start_date"].isoformat() == "1996-08-21"


def test_drugs(gibleed: list[Batch], synthea: list[Batch]) -> None:
    batch = part(gibleed, "drug_exposure")
    status = Counter(batch.facts["status"].to_pylist())
    assert status == {int(FactStatus.DISPENSED): 25_710, int(FactStatus.ORDERED): 41_997}
    supply = next(i for i, c in enumerate(batch.codes) if c[:2] == ("ESTRAN", "days_supply"))
    rows = batch.attributes.filter(pa.compute.equal(batch.attributes["attribute"], supply))
    assert len(rows) == len(batch.attributes) == 34_803
    assert set(part(synthea, "drug_exposure").facts["status"].to_pylist()) == {int(FactStatus.DISPENSED)}


def test_measurements_carry_ucum_units(synthea: list[Batch]) -> None:
    batch = part(synthea, "measurement")
    units = Counter(batch.facts["unit"].to_pylist())
    assert units["mg/dL"] == 1668 and units["mm[Hg]"] == 1452 and units["Cel"] == 37 and units["kU/L"] == 75
    assert units[None] == 901 and sum(units.values()) == 10_040
    row = batch.facts.slice(0, 1).to_pylist()[0]
    assert (row["value"], row["unit"], row["start_date"].isoformat(), row["precision"]) == (
        48.1, "kg", "2013-05-17", Precision.DAY,
    )  # fmt: skip
    assert batch.codes[row["code"]] == Code("OMOP", "3025315", kind="laboratory")


def test_conditions_keep_the_source_concept_as_local_code(gibleed: list[Batch]) -> None:
    batch = part(gibleed, "condition_occurrence")
    bleed = [c for c in batch.codes if c.code == "192671"]
    assert bleed == [Code("OMOP", "192671", kind="diagnosis", also=(("OMOP", "35208414", ""),))]
    assert batch.documents["kind"].unique().to_pylist() == [str(DocumentKind.DIAGNOSIS)]
    assert batch.documents["key"].null_count == 65_332 and batch.documents["key_int"][0].as_py() == 4483


def test_eras_are_derived_and_periods_are_coverage(gibleed: list[Batch]) -> None:
    for name in ("condition_era", "drug_era"):
        assert part(gibleed, name).facts["origin"].unique().to_pylist() == [int(Origin.DERIVED)]
    period = part(gibleed, "observation_period")
    assert period.codes[0][:2] == ("ESTRAN", "observation_period")
    first = period.facts.slice(0, 1).to_pylist()[0]
    assert (first["start_date"].isoformat(), first["end_date"].isoformat()) == ("1963-12-31", "2007-02-06")


def test_movements(synthea: list[Batch]) -> None:
    batch = part(synthea, "visit_detail")
    row = batch.movements.slice(0, 1).to_pylist()[0]
    assert (row["key"], batch.stays[row["stay"]].value, row["start_date"].isoformat()) == (
        "omop:1000021", "21", "2000-12-27",
    )  # fmt: skip
    kinds = Counter(part(synthea, "visit_occurrence").stay_events["kind"].to_pylist())
    assert kinds == {"consultation": 1722, "emergency": 56, "venue": 13}


def test_hierarchy_comes_from_is_a_when_there_is_no_ancestor_table(synthea: list[Batch]) -> None:
    batches = [b for b in synthea if b.part == "concept_relationship" and b.vocabulary and b.vocabulary.ancestors]
    assert [len(b.records) for b in batches] == [0]
    edges = batches[0].vocabulary.ancestors
    assert len(edges) == 19_359 and pa.compute.min_max(edges["distance"]).as_py()["min"] == 1


def test_a_second_reading_is_identical_and_a_replay_reads_only_what_it_wants(synthea: list[Batch]) -> None:
    again = list(OmopReader().read(SYNTHEA, "Synthea27Nj_5.4.zip"))
    assert [b.records.equals(a.records) for a, b in zip(again, synthea, strict=True)] == [True] * len(again)
    assert [b.codes == a.codes for a, b in zip(again, synthea, strict=True)] == [True] * len(again)
    measures = part(synthea, "measurement")
    wanted = frozenset(measures.records["record_no"].to_pylist()[5:7])
    (replayed,) = OmopReader().read(SYNTHEA, "Synthea27Nj_5.4.zip", wanted)
    assert replayed.records.equals(measures.records.slice(5, 2))
    assert replayed.facts["value"].to_pylist() == measures.facts["value"].to_pylist()[5:7]


def test_a_folder_a_zip_and_gz_files_say_the_same(synthea: list[Batch], tmp_path: Path) -> None:
    import gzip
    import zipfile

    with zipfile.ZipFile(SYNTHEA) as archive:
        for name in ("PERSON", "MEASUREMENT", "VISIT_OCCURRENCE"):
            raw = archive.read(f"{name}.csv")
            (tmp_path / f"{name.lower()}.csv.gz").write_bytes(gzip.compress(raw, 1))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._person.csv").write_bytes(b"\x00\x05\x16\x07")
    reader = OmopReader()
    files = reader.files([tmp_path])
    assert [f.name for f in files] == ["person.csv.gz", "visit_occurrence.csv.gz", "measurement.csv.gz"]
    for file in files:
        (batch,) = reader.read(file, file.name)
        other = part(synthea, file.name.split(".")[0])
        assert batch.records["content"].equals(other.records["content"])
        assert batch.facts.equals(other.facts) and batch.stay_events.equals(other.stay_events)
        assert batch.records["line"].to_pylist()[:2] == [2, 3]


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for name, content in (("x.duckdb", b"nothing"), ("x.zip", b"PK\x03\x04"), ("x.csv.gz", b"\x1f\x8b"), ("x.pdf", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputRefused):
            list(OmopReader().read(path, name))
    with pytest.raises(InputRefused):
        OmopReader().files([tmp_path / "absent"])


@pytest.mark.parametrize("first", [b"person\0_id,year_of_birth", b'"' + b"x" * 140_000 + b'",a', b"a," * (1 << 20), b"\r"])
def test_a_first_line_without_column_names_is_refused(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "person.csv"
    path.write_bytes(first + b"\n1,1960\n")
    with pytest.raises(InputRefused, match="no column names"):
        list(OmopReader().read(path, path.name))


def test_a_column_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "person.csv"
    path.write_bytes(b"person_id,gender_concept_id,,year_of_birth,\n7,8507,x,1960,\n8,8532,y,1961,\n")
    (batch,) = OmopReader().read(path, path.name)
    assert len(batch.records) == 2 and not len(batch.refusals)


def test_comparators() -> None:
    from estran.sources.omop.facttables import COMPARATORS

    assert COMPARATORS[4171756] == Comparator.LT and COMPARATORS[4171755] == Comparator.GE
