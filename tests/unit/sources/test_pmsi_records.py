"""PMSI: what each kind of record states, which lines are refused, which version wins, what an archive may do."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.spec.site_kit import adt, digest, findings, found, load, make, pid, rows, value, write_messages
from tests.unit.sources.pmsi_lines import FINESS, layout_of, rum, vidhosp, write_file, write_line

from estran.model.errors import InputRefused
from estran.sources.pmsi import PmsiReader
from estran.sources.pmsi.cutting import NO_DAY, days, numbers
from estran.sources.pmsi.members import LONGEST_LINE
from estran.sources.records import Batch


def read(path: Path, wanted: frozenset[int] | None = None, **options: Any) -> list[Batch]:
    return list(PmsiReader(author_system="CHU", **options).read(path, path.name, wanted))


def refused(batches: list[Batch]) -> dict[tuple[str, str], int]:
    """(field, code) of the refusals, counted."""
    said: dict[tuple[str, str], int] = {}
    for batch in batches:
        listed = [(r["field"], r["code"]) for r in batch.refused.to_pylist()] + [(r.field, r.code) for r in batch.refusals]
        for reason in listed:
            said[reason] = said.get(reason, 0) + 1
    return said


# --- kinds of record -----------------------------------------------------------------------------------


def test_drugs_devices_consultations_and_weeks(tmp_path: Path) -> None:
    """FICHCOMP, RSF-ACE and RHS of one stay: their codes are facts of the patient."""
    site = make(tmp_path / "site", author_system="CHU")
    stay = {"finess": FINESS, "site": FINESS, "nda": "9001", "entree_no": "9001"}
    files = [
        write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001")),
        write_file(tmp_path / "fichcomp.txt",
            write_line(layout_of("fichcomp-med", "med"), stay | {"date": "03012023", "ucd": "9261104", "nombre": 2500}),
            write_line(layout_of("fichcomp-med", "med"), stay | {"date": "03012023", "ucd": "9261104", "nombre": 500}),
            write_line(layout_of("fichcomp-dmi", "dmi"), stay | {"debut": "04012023", "code": "3185193", "nombre": 1}),
            write_line(layout_of("fichcomp-po", "po"), stay | {"debut": "04012023", "code": "PO1", "nombre": 1})),
        write_file(tmp_path / "ace.txt",
            write_line(layout_of("rsf-c", "C"), stay | {"date": "05012023", "code": "CS", "quantite": 1, "specialite": "01"}),
            write_line(layout_of("rsf-m", "M"), stay | {"date": "05012023", "ccam": "DEQP003", "activite": "1", "phase": "0", "dents": "1121"}),
            write_line(layout_of("rsf-h", "H"), stay | {"date": "05012023", "ucd": "9261104", "quantite": 1}),
            write_line(layout_of("rsf-p", "P"), stay | {"date": "05012023", "lpp": "3185193", "quantite": 2}),
            write_line(layout_of("rsf-l", "L"), stay | {"date1": "06012023"}) [:66]
            + b"06012023010000" + b"1104" + b"06012023020000" + b"0126"),
        write_file(tmp_path / "rhs.txt", write_line(
            layout_of("rhs", "M1D"), stay | {"semaine": "022023", "um": "77", "finalite": "Z508", "manifestation": "G819", "gme": "0147A1"},
            das=[{"code": "I10"}], csarr=[{"code": "ALQ+183", "nombre": 2, "date": "10012023"}],
            csar=[{"code": "AB001", "nombre": 1, "date": "11012023"}], ccam=[{"code": "DEQP003", "date": "12012023", "nombre": 1}])),
    ]  # fmt: skip
    report = load(site, "pmsi", *files)
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (11, 11, 0)
    codes = rows(site, "select title, vocabulary, code, value, role from fact f join document d using "
                       "(document_id, patient_id) join concept using (concept_id) where vocabulary not like 'LOCAL/PMSI' order by all")  # fmt: skip
    assert codes == [
        ("FICHCOMP dispositif", "LPP", "3185193", 1.0, None),
        ("FICHCOMP médicament", "UCD", "9261104", 0.5, None),
        ("FICHCOMP médicament", "UCD", "9261104", 2.5, None),
        ("FICHCOMP prélèvement d'organes", "LOCAL/PMSI-PO", "PO1", 1.0, None),
        ("RHS", "CCAM", "DEQP003", 1.0, None),
        ("RHS", "CIM10", "G81.9", None, "MMP"),
        ("RHS", "CIM10", "I10", None, "DAS"),
        ("RHS", "CIM10", "Z50.8", None, "FPPC"),
        ("RHS", "CSARR", "ALQ+183", 2.0, None),
        ("RHS", "LOCAL/CSAR", "AB001", 1.0, None),
        ("RHS", "LOCAL/GME", "0147A1", None, None),
        ("RSF-ACE actes", "CCAM", "DEQP003", None, None),
        ("RSF-ACE biologie", "NABM", "0126", 2.0, None),
        ("RSF-ACE biologie", "NABM", "1104", 1.0, None),
        ("RSF-ACE consultation", "LOCAL/NGAP", "CS", 1.0, None),
        ("RSF-ACE dispositif", "LPP", "3185193", 2.0, None),
        ("RSF-ACE médicament", "UCD", "9261104", 1.0, None),
    ]
    assert value(site, "select start_date from document where title = 'RHS'") == dt.date(2023, 1, 9)  # Monday of week 2
    teeth = rows(site, "select v.code from fact_attribute a join concept c on a.attribute_id = c.concept_id "
                       "join concept v on a.value_concept = v.concept_id where c.code = 'dents' order by 1")  # fmt: skip
    assert teeth == [("11",), ("21",)]
    assert found(site, "UCD:9261104") == {"8001"}
    assert findings(site) == []


def test_a_birth_its_weight_and_its_mother(tmp_path: Path) -> None:
    """A newborn: birth weight by LOINC, gestational age, and the mother by the stay that VID-HOSP names."""
    site = make(tmp_path / "site", author_system="CHU")
    born = rum(nda="9002", naissance="02012023", mode_entree="N", dp="Z380", poids=3250, age_gestationnel=39)
    load(site, "pmsi", write_file(tmp_path / "v.txt", vidhosp("9002", "8002", mere="9001", naissance="02012023", entree="02012023")))
    assert value(site, "select count(*) from quarantine") == 1  # the link waits for the mother, the child does not
    load(site, "pmsi", write_file(tmp_path / "rss.txt", born))
    load(site, "pmsi", write_file(tmp_path / "w.txt", vidhosp("9001", "8001")))
    facts = dict(rows(site, "select vocabulary || ':' || code, value from fact join concept using (concept_id) where value is not null"))
    assert (facts["LOINC:8339-4"], facts["LOINC:18185-9"]) == (3250.0, 39.0)
    assert rows(site, "select kind, count(*) from relation group by 1") == [("mother", 1)]
    assert value(site, "select count(*) from quarantine") == 0
    assert findings(site) == []


PSY = {"finess": FINESS, "site": FINESS, "ipp": "8001", "naissance": "04031950", "sexe": "2", "um": "4101", "dp": "F200", "mode_legal": "8"}


@pytest.mark.parametrize(("version", "form"), [("P05", "01"), ("P08", "01"), ("P12", "20S")])
def test_a_sequence_of_psychiatric_care(version: str, form: str, tmp_path: Path) -> None:
    """A RPS names its patient: diagnoses, legal mode, days; the stay is one of psychiatry; acts are counted, not read."""
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001", entree="02012023", sortie="30012023")))
    values = PSY | {"forme": form, "nda": "9001", "entree": "02012023", "sortie": "30012023", "mode_sortie": "8", "debut": "05012023",
                    "fin": "30012023", "presence": 25, "isolement": 2, "habillage": 1, "nb_actes": 1}  # fmt: skip
    line = write_line(layout_of("rps", version), values, das=[{"code": "F101"}, {"code": "Z590"}])
    acts = b"" if version == "P05" else b"06012023AHQP003" + b" " * 8
    report = load(site, "pmsi", write_file(tmp_path / "rps.txt", line + acts))
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (1, 1, 0)
    codes = rows(site, "select role, code from fact join concept using (concept_id) where vocabulary = 'CIM10' order by all")
    assert codes == [("DAS", "F10.1"), ("DAS", "Z59.0"), ("DP", "F20.0")]
    numbers = rows(site, "select code, value from fact join concept using (concept_id) where value is not null and code like 'jours%' order by 1")
    assert numbers == [("jours-isolement", 2.0), ("jours-presence", 25.0)]
    counted = rows(site, "select value from fact join concept using (concept_id) where code = 'actes-ccam'")
    assert counted == ([] if version == "P05" else [(1.0,)])
    legal = rows(site, "select v.code, v.label_fr from fact f join concept c using (concept_id) join concept v on v.concept_id = f.value_concept "
                       "where c.code = 'mode-legal'")  # fmt: skip
    assert legal == [("8", "Soins en cas de péril imminent")]
    assert value(site, "select v.code from fact f join concept c using (concept_id) join concept v on v.concept_id = f.value_concept "
                       "where c.code = 'forme-activite'") == form  # fmt: skip
    assert rows(site, "select kind, start_date, end_date from stay") == [("psy", dt.date(2023, 1, 2), dt.date(2023, 1, 30))]
    assert rows(site, "select start_date, end_date from movement") == [(dt.date(2023, 1, 5), dt.date(2023, 1, 30))]
    assert found(site, "CIM10:F20.0") == {"8001"}
    assert findings(site) == []


@pytest.mark.parametrize("version", ["P09", "P10", "P14"])
def test_ambulatory_psychiatric_acts(version: str, tmp_path: Path) -> None:
    """A RAA names a patient and no stay; two equal lines are two acts; one that names nobody is refused."""
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "hl7v2", write_messages(tmp_path / "adt.hl7", adt("A28", "202301020900", pid("8001", "DOE", "JANE", "19500304", "F"))))
    act = PSY | {"date": "11012023", "nature": "E", "lieu_acte": "L01", "categorie": "I", "intervenants": 2, "forme": "30"}
    layout = layout_of("raa", version)
    lines = [write_line(layout, act, das=[{"code": "Z590"}]), write_line(layout, act, das=[{"code": "Z590"}]), write_line(layout, act | {"ipp": ""})]
    report = load(site, "pmsi", write_file(tmp_path / "raa.txt", *lines))
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (3, 2, 1)
    assert [reason.partition(":")[0] for reason in report.reasons] == ["no-patient"]
    acts = rows(site, "select f.start_date, v.code, v.label_fr from fact f join concept c using (concept_id) "
                      "join concept v on v.concept_id = f.value_concept where c.code = 'acte-ambulatoire'")  # fmt: skip
    assert acts == [(dt.date(2023, 1, 11), "E", "Entretien")] * 2
    told = rows(site, "select c.code, v.code, a.value from fact_attribute a join concept c on a.attribute_id = c.concept_id "
                      "left join concept v on a.value_concept = v.concept_id group by all order by 1")  # fmt: skip
    assert told == [("categorie", "I", None), ("intervenants", None, 2.0), ("lieu_acte", "L01", None)]
    assert rows(site, "select title, stay_id from document") == [("RAA", None)] * 2
    assert found(site, "CIM10:F20.0") == {"8001"}
    assert findings(site) == []


RPU = """<?xml version="1.0" encoding="UTF-8"?><OSCOUR><ETABLISSEMENT><FINESS>910019447</FINESS><EXTRACT>05/03/2023 06:00:00</EXTRACT>
</ETABLISSEMENT><PASSAGES>
<PATIENT><NDA>9001</NDA><CP>35000</CP><NAISSANCE>04/03/1950</NAISSANCE><SEXE>F</SEXE><ENTREE>04/03/2023 21:15</ENTREE><GRAVITE>3</GRAVITE>
<DP>S72.0</DP><LISTE_DA><DA>I10</DA><DA>E11.9</DA></LISTE_DA><LISTE_ACTES><ACTE>NBQK001</ACTE></LISTE_ACTES>
<SORTIE>05/03/2023 02:30</SORTIE><MODE_SORTIE>6</MODE_SORTIE><ORIENT>CHIR</ORIENT></PATIENT>
<PATIENT><ENTREE>04/03/2023 22:00</ENTREE><DP>J18.9</DP></PATIENT>
<PATIENT><NDA>9001</NDA><ENTREE>31/02/2023 22:00</ENTREE></PATIENT>
<PATIENT><NDA>9001</NDA><ENTREE>04/03/2023 23:00</ENTREE><DP>fracture</DP></PATIENT>
</PASSAGES></OSCOUR>"""


def test_emergency_summaries(tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001")))
    (tmp_path / "rpu.xml").write_text(RPU, "utf-8")
    report = load(site, "pmsi", tmp_path / "rpu.xml")
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (4, 1, 3)
    assert sorted(reason.partition(":")[0] for reason in report.reasons) == ["malformed", "malformed", "no-patient"]
    codes = rows(site, "select coalesce(role, ''), code from fact join concept using (concept_id) where vocabulary in ('CIM10', 'CCAM') order by all")
    assert codes == [("", "NBQK001"), ("DAS", "E11.9"), ("DAS", "I10"), ("DP", "S72.0")]
    assert rows(site, "select kind, start_minute from document") == [("emergency", 21 * 60 + 15)]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><OSCOUR><PATIENT><DP>&c;</DP></PATIENT></OSCOUR>',
        '<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><OSCOUR><PATIENT/></OSCOUR>', "<OSCOUR><PATIENT>", "<html></html>", "<" * 5000,
        "<OSCOUR><PATIENT>" + "<DA/>" * 110_000 + "</PATIENT></OSCOUR>", "<a>" * 300 + "</a>" * 300,
    ],
)  # fmt: skip
def test_xml_that_is_no_summary_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rpu.xml").write_text(text, "utf-8")
    with pytest.raises(InputRefused):
        read(tmp_path / "rpu.xml")


def test_damaged_summaries_are_refused_one_by_one_or_as_a_file(tmp_path: Path) -> None:
    """200 damaged XML files: refused with a sentence, or every passage accounted for."""
    chance, path = random.Random(3), tmp_path / "rpu.xml"
    for _ in range(200):
        path.write_bytes(_damaged(chance, RPU.encode()))
        try:
            batches = read(path)
        except InputRefused:
            continue
        for batch in batches:
            bad = {r.record for r in batch.refusals} | set(batch.refused["record"].to_pylist())
            assert bad.isdisjoint(batch.documents["record"].to_pylist())
            assert len(bad) + batch.documents.num_rows == batch.records.num_rows


# --- versions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "turned"),
    [(("rss.20230210.txt", "rss.20230310.txt"), False), (("910019447.2023.1.txt", "910019447.2023.2.txt"), True)],
)
def test_the_last_sending_wins_whatever_the_order(names: tuple[str, str], turned: bool, tmp_path: Path) -> None:
    """A file dated by its name, or else by the latest stay that it tells of."""
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001"), vidhosp("9009", "8009")))
    later = rum(nda="9009", rss="2", sortie="20022023")
    files = [write_file(tmp_path / names[0], rum(dp="I500")), write_file(tmp_path / names[1], rum(dp="I10"), later)]
    for path in reversed(files) if turned else files:
        load(site, "pmsi", path)
    said = "select code from fact join concept using (concept_id) join document using (document_id) where role = 'DP' and title = 'RUM' order by 1"
    assert rows(site, said) == [("I10",), ("I50.0",)]
    assert value(site, "select count(*) from document where title = 'RSS'") == 2
    assert findings(site) == []


def test_a_vault_made_before_finds_stays_too(tmp_path: Path) -> None:
    """The index of stay numbers is made anew where it is missing."""
    site = make(tmp_path / "site", author_system="CHU")
    load(site, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001")))
    with site.vault() as vault:
        vault._store.write("DROP TABLE whose")
    assert load(site, "pmsi", write_file(tmp_path / "rss.txt", rum())).total("loaded") == 1
    with site.vault() as vault:
        assert vault.check() == []


# --- refusals ------------------------------------------------------------------------------------------


def test_each_fault_is_named_and_the_rest_loads(tmp_path: Path) -> None:
    good = rum(das=[{"code": "I10"}], actes=[{"code": "DEQP003", "date": "03012023", "nombre": 1}])
    fifteen = 15  # what the grouping puts before
    at = {n: f.start for n, f in layout_of("rum", "122").fields.items()}

    def with_text(place: int, text: bytes) -> bytes:
        return good[:place] + text + good[place + len(text) :]

    lines = [
        good, good[:120], good[:-30], good + b"99", with_text(at["entree"], b"31022023"), with_text(at["nb_das"], b"xx"),
        with_text(at["igs2"], b"A12"), with_text(at["dp"], b"I5#0"), with_text(at["nda"], b" " * 20), with_text(100, b"\0"),
        with_text(9, b"999"), good + b" " * 40, rum("022"), b"x" * (LONGEST_LINE + 50), good.replace(b"DEQP003", b"DEQP 03"),
        with_text(at["nb_actes"], b"999"), good[: -1 - fifteen],
    ]  # fmt: skip
    batches = read(write_file(tmp_path / "rss.txt", *lines))
    assert sum(batch.records.num_rows for batch in batches) == len(lines)
    assert refused(batches) == {
        ("line", "truncated"): 4, ("line", "malformed"): 1, ("entree", "malformed"): 1, ("counters", "malformed"): 1,
        ("igs2", "malformed"): 1, ("dp", "malformed"): 1, ("nda", "no-patient"): 1, ("line", "encoding"): 1,
        ("line", "unknown-type"): 2, ("actes.code", "malformed"): 1,
    }  # fmt: skip
    for batch in batches:
        assert set(batch.documents["record"].to_pylist()).isdisjoint(batch.refused["record"].to_pylist())


def test_any_damage_leaves_the_account_whole(tmp_path: Path) -> None:
    """30 files of damaged lines: no crash, every line is a record, no fact of a refused one."""
    chance = random.Random(7)
    lines = [
        rum(das=[{"code": "I10"}] * 3, actes=[{"code": "DEQP003", "date": "03012023", "nombre": 1}] * 4), vidhosp("9001", "8001"),
        write_line(layout_of("rsa", "228"), {"finess": FINESS, "index": "1", "sortie": "012023", "dp": "I10"}, rum=[{"dp": "I10"}] * 2,
                   das=[{"code": "I10", "_of": 1}], actes=[{"code": "DEQP003", "_of": 0}]),
        write_line(layout_of("fichcomp-med", "med"), {"finess": FINESS, "nda": "9", "date": "03012023", "ucd": "9261104", "nombre": 1}),
    ]  # fmt: skip
    for number in range(30):
        damaged = [_damaged(chance, chance.choice(lines)) for _ in range(25)]
        path = tmp_path / f"910019447.2023.{number}.txt"
        path.write_bytes(b"\n".join(damaged))
        written = sum(1 for line in path.read_bytes().split(b"\n") if line.strip(b" \r\t\x1a"))
        try:
            batches = read(path)
        except InputRefused:
            continue
        assert sum(b.records.num_rows for b in batches if b.part != "hosp-mere") == written
        for batch in batches:
            assert set(batch.documents["record"].to_pylist()).isdisjoint(batch.refused["record"].to_pylist())
            assert batch.facts.num_rows == 0 or max(batch.facts["document"].to_pylist()) < batch.documents.num_rows


def _damaged(chance: random.Random, line: bytes) -> bytes:
    data = bytearray(line)
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randrange(40)]
            case 2:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(9)))
            case _:
                data[place : place + 3] = b"999"
        data = data or bytearray(b"?")
    return bytes(data)


def test_numbers_and_days_of_a_column() -> None:
    def cut(*words: str) -> np.ndarray[Any, Any]:
        return np.array([list(w.encode()) for w in words], np.uint8)

    found, wrong = numbers(cut("007", " 12", "3  ", "   ", "1 2", "a12"), 1)
    assert np.array_equal(found[:3], [0.7, 1.2, 0.3]) and np.isnan(found[3:]).all()
    assert wrong.tolist() == [False, False, False, False, True, True]
    day, bad = days(cut("29022024", "29022023", "00000000", "        ", "01011700", "0101202 "))
    assert day.tolist() == [(dt.date(2024, 2, 29) - dt.date(1970, 1, 1)).days, NO_DAY, NO_DAY, NO_DAY, NO_DAY, NO_DAY]
    assert bad.tolist() == [False, True, False, False, True, True]
    for year in range(2010, 2030):
        for week in (1, 27, 52):
            (monday,), _ = days(cut(f"{week:02d}{year}"), "w")
            assert dt.date(1970, 1, 1) + dt.timedelta(days=int(monday)) == dt.date.fromisocalendar(year, week, 1)


# --- files ---------------------------------------------------------------------------------------------


def test_resuming_and_replaying_see_the_same_records(tmp_path: Path) -> None:
    """Batches are cut alike at every reading, a wanted record is the same as at first, gzip or not."""
    meds = [write_line(layout_of("fichcomp-med", "med"), {"finess": FINESS, "nda": "9", "date": "03012023", "ucd": "9261104", "nombre": n % 3})
            for n in range(500)]  # fmt: skip
    path = write_file(tmp_path / "med.txt", *meds)
    packed = tmp_path / "med.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    first, again, other = (read(p, batch_records=64) for p in (path, path, packed))
    keys = [b.documents["key"].to_pylist() for b in first]
    assert keys == [b.documents["key"].to_pylist() for b in again] == [b.documents["key"].to_pylist() for b in other]
    assert [len(k) for k in keys] == [64] * 7 + [52]
    whole = dict(zip((n for b in first for n in b.records["record_no"].to_pylist()), (k for b in keys for k in b), strict=True))
    wanted = frozenset((3, 70, 71, 499))
    some = [dict(zip(b.records["record_no"].to_pylist(), b.documents["key"].to_pylist(), strict=True)) for b in read(path, wanted, batch_records=64)]
    assert {n: k for part in some for n, k in part.items()} == {n: whole[n] for n in wanted}


def test_an_archive_cannot_harm(tmp_path: Path) -> None:
    """Names that lead elsewhere are only names; bombs, damage, encryption and crowds are refused."""

    def archive(name: str, **members: bytes) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for place, data in enumerate(members.values()):
                out.writestr(f"../../../etc/passwd{place}", data)
        return path

    report = read(archive("ok.zip", a=rum() + b"\n", b=b"nothing\n", c=b""))
    assert [(b.part, b.records["record_no"].to_pylist()) for b in report] == [("rum", [0]), ("", [1])]
    assert list(tmp_path.parent.glob("**/passwd*")) == []
    with pytest.raises(InputRefused, match="far more than it weighs"):
        read(archive("bomb.zip", a=rum() + b"\n" + b" " * (120 << 20)))
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(archive("whole.zip", a=rum() * 50).read_bytes()[:-40])
    with pytest.raises(InputRefused, match="damaged"):
        read(damaged)
    locked = bytearray((tmp_path / "whole.zip").read_bytes())
    locked[6] |= 1
    locked[locked.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(InputRefused, match="encrypted"):
        read(tmp_path / "locked.zip")
    crowd = io.BytesIO()
    with zipfile.ZipFile(crowd, "w") as out:
        for number in range(2_100):
            out.writestr(str(number), b"x")
    (tmp_path / "crowd.zip").write_bytes(crowd.getvalue())
    with pytest.raises(InputRefused, match="too many members"):
        read(tmp_path / "crowd.zip")
    with zipfile.ZipFile(tmp_path / "nameless.zip", "w") as out:
        out.writestr("a", rum())
    data = bytearray((tmp_path / "nameless.zip").read_bytes())
    head = data.rfind(b"PK\x01\x02")
    data[head + 28], data[head + 30] = 0, 1  # in the list of members its letter is no name but an extra field
    (tmp_path / "nameless.zip").write_bytes(data)
    with pytest.raises(InputRefused, match="without a name"):
        read(tmp_path / "nameless.zip")


def test_a_line_without_end_is_one_refused_record(tmp_path: Path) -> None:
    path = tmp_path / "910019447.2023.1.txt"
    with path.open("wb") as out:
        out.write(rum() + b"\n")
        for _ in range(12):
            out.write(b"7" * (1 << 20))
        out.write(b"\n" + rum(rum="2") + b"\n")
    batches = read(path)
    assert [(b.part, b.records["line"].to_pylist()) for b in batches] == [("", [2]), ("rum", [1, 3])]


def test_order_of_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("rss.txt", "tra.txt", "vidhosp.txt"):
        write_file(tmp_path / name, b"x")
    assert [p.name for p in PmsiReader().files([tmp_path])] == ["vidhosp.txt", "tra.txt", "rss.txt"]
    with pytest.raises(InputRefused):
        PmsiReader().files([tmp_path / "absent"])


def test_two_orders_one_site(tmp_path: Path) -> None:
    """Every file of a month, in two orders: the same digest."""
    stay = {"finess": FINESS, "nda": "9001"}
    files = [
        write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001")), write_file(tmp_path / "rss.txt", rum(), rum(rum="2", entree="05012023")),
        write_file(tmp_path / "910019447.2023.1.tra.txt", write_line(layout_of("tra", "fixe"), {"index": "0000000001", "nda": "9001", "entree": "02012023", "sortie": "09012023"})),
        write_file(tmp_path / "910019447.2023.1.rsa", write_line(layout_of("rsa", "228"), {"finess": FINESS, "index": "0000000001", "sortie": "012023", "dp": "I500", "ghm": "05M092"}, rum=[{"dp": "I500"}])),
        write_file(tmp_path / "med.txt", write_line(layout_of("fichcomp-med", "med"), stay | {"date": "03012023", "ucd": "9261104", "nombre": 1})),
    ]  # fmt: skip
    digests = []
    for name, order in (("a", files), ("b", list(reversed(files)))):
        site = make(tmp_path / name, author_system="CHU")
        for path in order:
            load(site, "pmsi", path)
        assert value(site, "select count(*) from quarantine") == 0
        digests.append(digest(site))
    assert digests[0] == digests[1]
