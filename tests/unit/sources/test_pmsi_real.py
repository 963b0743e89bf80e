"""PMSI on real files (github hkara2/gpmsi, Apache-2.0), through the whole pipeline."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from tests.spec.site_kit import adt, digest, findings, load, make, pid, pv1, rows, value, write_messages
from tests.unit.sources.pmsi_lines import vidhosp, write_file

from estran.app import Site
from estran.model.errors import InputRefused
from estran.sources.pipeline.run import Report
from estran.sources.pmsi import PmsiReader
from estran.sources.records import Batch

WAITS = "no-patient: The patient is not known yet: no record has said whose stay this is."
MEMBER = "unknown-type: A member of the archive is not a PMSI file that is read."
NO_TRANSMISSION = (
    "missing: The name of the file does not say which transmission it is of (FINESS.year.month)."
)
RSS_2017 = "rsa01__910019447.2017.0.rss-cut.txt"
RSA_2017, TRA_2017 = "rsa01__910019447.2017.0-cut.rsa", "rsa01__910019447.2017.0.tra-cut.txt"


@pytest.fixture
def files(shared: Path) -> Path:
    return shared / "pmsi_gpmsi_tests"


def account(report: Report) -> tuple[int, int, int, int]:
    """read, loaded, superseded, quarantined; they must add up in every line."""
    for line in report.files:
        assert line.read == line.loaded + line.superseded + line.quarantined
    totals = [report.total(name) for name in ("read", "loaded", "superseded", "quarantined")]
    return totals[0], totals[1], totals[2], totals[3]


def stays_of(files: Path, name: str) -> list[str]:
    """The stay numbers of a real grouped RSS file."""
    lines = (files / name).read_bytes().splitlines()
    return list(dict.fromkeys(line[47:67].decode().strip() for line in lines))


def tied(site: Site, files: Path, tmp_path: Path) -> list[str]:
    """VID-HOSP lines that say whose the stays of the RSS are."""
    numbers = stays_of(files, RSS_2017)
    lines = [vidhosp(number, f"80{place:05d}") for place, number in enumerate(numbers)]
    report = load(site, "pmsi", write_file(tmp_path / "910019447.2017.0.vidhosp.txt", *lines))
    assert account(report)[:2] == (len(numbers), len(numbers))
    return numbers


def test_every_real_file_has_a_complete_account(files: Path, tmp_path: Path) -> None:
    """13 files: 12 read, one (a table of units, not a PMSI file) refused as a whole. A record that waits for its patient
    and comes again in a later sending waits twice: once let in, the later one has to stand."""
    site = make(tmp_path / "site", author_system="CHU")
    report = load(site, "pmsi", *(p for p in sorted(files.iterdir()) if p.suffix in (".txt", ".rsa", ".zip") and p.name != "SOURCE.txt"))
    assert account(report) == (147, 52, 0, 95)
    assert set(report.refused_files) == {"rsa01__ufr_cdp_pour_db_pmsi01-cut.txt"}
    assert report.reasons == {WAITS: 75, MEMBER: 10, NO_TRANSMISSION: 10}
    assert value(site, "select count(*) from quarantine where waits_for is not null") == 75
    assert findings(site) == []


def test_diagnoses_and_acts_of_2017_are_all_codes_of_the_nomenclatures(files: Path, shared: Path, tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    tied(site, files, tmp_path)
    report = load(site, "pmsi", files / RSS_2017)
    assert account(report) == (12, 12, 0, 0)
    known = nomenclatures(shared)
    counts = {}
    for vocabulary, role, code in rows(
        site, "select vocabulary, role, code from fact join concept using (concept_id) where vocabulary in ('CIM10', 'CCAM')"
    ):
        assert code.replace(".", "") in known[vocabulary], "a code of the nomenclature"
        counts[vocabulary, role] = counts.get((vocabulary, role), 0) + 1
    assert counts == {("CIM10", "DP"): 12, ("CIM10", "DAS"): 82, ("CCAM", None): 490}
    # 12 RUM and the RSS that they make up, each of its stay
    assert rows(site, "select title, count(*), count(stay_id) from document group by 1 order by 1") == [("RSS", 5, 5), ("RUM", 12, 12)]
    assert value(site, "select count(*) from movement where responsibility = 'medical'") == 12
    assert value(site, "select count(distinct code) from fact join concept using (concept_id) where vocabulary = 'GHM'") == 5
    phases = rows(site, "select distinct v.code from fact_attribute a join concept c on a.attribute_id = c.concept_id "
                        "join concept v on a.value_concept = v.concept_id where c.code = 'activite' order by 1")  # fmt: skip
    assert phases == [("1",), ("4",)]
    assert findings(site) == []


def nomenclatures(shared: Path) -> dict[str, set[str]]:
    folder = shared / "pmsi_referentiels"
    diagnoses = json.loads(gzip.decompress((folder / "cim_libelle.json.gz").read_bytes()))
    acts = gzip.decompress((shared / "pmsi_gpmsi_tests" / "ccam_utf8.csv.gz").read_bytes()).decode()
    table = list(csv.reader(io.StringIO(acts), delimiter=";"))
    return {
        "CIM10": {str(v) for row in diagnoses for v in row.values() if isinstance(v, str) and len(v) < 9},
        "CCAM": {cell[:7] for row in table for cell in row if len(cell) in (7, 10)},
    }


def test_rss_waits_for_its_stay_and_comes_back_by_itself(files: Path, tmp_path: Path) -> None:
    """Loaded first, the RSS waits; VID-HOSP sets it free. The other way round gives the same site."""
    first, other = make(tmp_path / "first", author_system="CHU"), make(tmp_path / "other", author_system="CHU")
    assert load(first, "pmsi", files / RSS_2017).reasons == {WAITS: 12}
    tied(first, files, tmp_path)
    assert value(first, "select count(*) from quarantine") == 0
    tied(other, files, tmp_path)
    load(other, "pmsi", files / RSS_2017)
    assert digest(first) == digest(other)
    assert account(load(first, "pmsi", files / RSS_2017)) == (12, 0, 12, 0)  # the same file again says nothing new


def test_a_stay_known_from_admissions_alone_is_enough(files: Path, tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    assert load(site, "pmsi", files / RSS_2017).total("loaded") == 0
    messages = [
        adt("A01", f"201611{place + 1:02d}0900", pid(f"80{place:05d}", "DOE", "JANE", "19500304", "F"), pv1(number), number=place)
        for place, number in enumerate(stays_of(files, RSS_2017))
    ]
    report = load(site, "hl7v2", write_messages(tmp_path / "adt.hl7", *messages))
    assert report.replayed == 12
    assert rows(site, "select count(*), count(stay_id), count(distinct patient_id) from document where title = 'RUM'") == [(12, 12, 5)]
    # the moment of admission that ADT gave is not blurred by PMSI's days
    assert value(site, "select count(*) from stay where start_minute is not null") == 5


def test_rsa_is_tied_by_the_tra_of_its_transmission(files: Path, tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    assert load(site, "pmsi", files / RSA_2017).reasons == {WAITS: 5}
    tied(site, files, tmp_path)
    report = load(site, "pmsi", files / TRA_2017)
    assert account(report) == (5, 5, 0, 0)
    assert report.replayed == 5
    assert rows(site, "select role, count(*) from fact join document using (document_id) where title = 'RSA' and role is not null "
                      "group by 1 order by 1") == [("DAS", 82), ("DP", 5)]  # fmt: skip
    acts = "select count(*) from fact join concept using (concept_id) where vocabulary = 'CCAM'"
    assert value(site, acts) == 490
    assert value(site, "select count(*) from fact join concept using (concept_id) where vocabulary = 'GHS'") == 5
    assert account(load(site, "pmsi", files / TRA_2017)) == (5, 0, 5, 0)


def test_the_insured_person_is_nowhere(files: Path, tmp_path: Path) -> None:
    """The social security numbers of VID-HOSP lines reach no batch: neither text, nor key, nor trait."""
    path = write_file(tmp_path / "vidhosp.txt", vidhosp("17688058", "8000001"))
    for source in (path, files / "in__t01vhV011.txt", files / "inout__VIDHOSP_test.txt"):
        numbers = {line[start : start + 13] for line in source.read_bytes().splitlines() for start in (0, 61)}
        said = " ".join(_words(batch) for batch in PmsiReader(author_system="CHU").read(source, source.name))
        assert said
        assert not [number for number in numbers if number.strip() and number.decode() in said]


def _words(batch: Batch) -> str:
    tables = (batch.documents, batch.facts, batch.attributes, batch.refused, batch.stay_events, batch.movements)
    return repr((batch.patients, batch.stays, batch.units, batch.codes, batch.identities, [t.to_pylist() for t in tables]))


def test_a_file_that_is_not_pmsi_is_refused(files: Path) -> None:
    path = files / "rsa01__ufr_cdp_pour_db_pmsi01-cut.txt"
    with pytest.raises(InputRefused, match="None of the first lines"):
        list(PmsiReader().read(path, path.name))
