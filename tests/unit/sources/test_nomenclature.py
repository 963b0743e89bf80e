"""Nomenclatures that a hospital has as files: labels, hierarchy, and questions that go down it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tests.spec.site_kit import count, findings, load, make, rows, value
from tests.unit.sources.pmsi_lines import FINESS, layout_of, vidhosp, write_file, write_line

from estran.model.errors import InputRefused
from estran.sources.nomenclature import NomenclatureReader


def labels(path: Path) -> tuple[int, int, dict[str, str], bool]:
    """Rows, refused rows, label of each code, and whether there is a hierarchy."""
    (batch,) = NomenclatureReader().read(path, path.name)
    assert batch.vocabulary
    assert batch.vocabulary.concepts is not None
    named = zip(batch.vocabulary.concepts["code"].to_pylist(), batch.vocabulary.concepts["label"].to_pylist(), strict=True)
    return batch.records.num_rows, batch.refused.num_rows, dict(named), batch.vocabulary.ancestors is not None


def test_whole_real_nomenclatures(shared: Path) -> None:
    """CIM-10 as ATIH's file and edsnlp's table have it, CCAM with its chapters: rows, codes, labels."""
    count, refused, of, tree = labels(shared / "pmsi_referentiels" / "cim_libelle.json.gz")
    assert (count, refused, len(of), tree, of["A00"]) == (42897, 0, 43131, True, "Choléra")
    count, refused, of, tree = labels(shared / "terminologies" / "edsnlp_cim10.csv.gz")
    assert (count, refused, tree, of["A000"]) == (42886, 0, True, "Choléra à Vibrio cholerae 01, biovar cholerae")
    count, refused, of, tree = labels(shared / "pmsi_referentiels" / "ccam_pmsi.json.gz")
    assert (count, refused, tree, of["01.02.02"]) == (8726, 0, True, "Actes thérapeutiques sur le cervelet et le tronc cérébral")


@pytest.mark.parametrize(
    ("name", "code", "tree"),
    [
        ("cim_groupe", "A00-A09", False), ("cim_chapitre", "chapitre 1", False), ("ghm_regroupement", "01C031", True),
        ("rghm_regroupement", "01C03", False), ("ghs_public", "0022", False), ("cmd", "01", False), ("ucd_libelle", "9000001", True),
        ("csarr_code", "ALQ+183", True), ("csarr_hierarchie", "00", True),
    ],
)  # fmt: skip
def test_the_first_rows_of_each_real_file(name: str, code: str, tree: bool, shared: Path, tmp_path: Path) -> None:
    rows_ = json.loads(gzip.decompress((shared / "pmsi_referentiels" / f"{name}.json.gz").read_bytes()))[:300]
    count, refused, of, has_tree = labels(small(tmp_path / f"{name}.json.gz", rows_))
    assert (count, refused, has_tree) == (len(rows_), 0, tree)
    assert len(of[code]) > 3


def small(path: Path, rows_: list[dict[str, object]]) -> Path:
    path.write_bytes(gzip.compress(json.dumps(rows_).encode()))
    return path


def test_a_question_goes_down_the_hierarchy(tmp_path: Path) -> None:
    """A nomenclature loaded before or after the RSS: asking for a block finds the codes below it."""
    diagnoses = [
        {"cim_code": "I50", "cim_libelle": "Insuffisance cardiaque", "cim_categorie": "I50", "cim_groupe": "I30-I52", "cim_chapitre": "9"},
        {"cim_code": "I500", "cim_libelle": "Insuffisance cardiaque congestive", "cim_categorie": "I50", "cim_groupe": "I30-I52",
         "cim_chapitre": "9"},
        {"cim_code": "", "cim_libelle": "sans code", "cim_categorie": "", "cim_groupe": "", "cim_chapitre": ""},
    ]  # fmt: skip
    values = {"finess": FINESS, "nda": "9001", "rss": "1", "rum": "1", "naissance": "04031950", "entree": "02012023", "sortie": "09012023", "dp": "I500"}
    rss = write_file(tmp_path / "rss.txt", write_line(layout_of("rum", "122"), values))
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001")), rss)
    assert count(site, "CIM10:I50") == 0
    report = load(site, "terminology", small(tmp_path / "cim.json.gz", diagnoses))
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (3, 2, 1)
    for code in ("I500", "I50", "'I30-I52'", "'chapitre 9'"):
        assert count(site, f"CIM10:{code}") == 1, code
    assert value(site, "select label_fr from concept where code = 'I50.0'") == "Insuffisance cardiaque congestive"
    again = load(site, "terminology", tmp_path / "cim.json.gz")
    assert (again.total("loaded"), again.total("superseded")) == (0, 3)
    assert rows(site, "select count(*) from concept where code = 'I50.0'") == [(1,)]
    assert findings(site) == []


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"[1, 2]", b'{"a": 1}', b"[{]", b"", b"\x1f\x8bdamaged"])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(data)
    with pytest.raises(InputRefused):
        list(NomenclatureReader().read(path, path.name))


def test_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.json", "a.csv.gz", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in NomenclatureReader().files([tmp_path])] == ["a.csv.gz", "b.json"]
    with pytest.raises(InputRefused):
        NomenclatureReader().files([tmp_path / "absent"])
