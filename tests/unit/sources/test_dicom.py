"""DICOM: real files through the whole pipeline, and what each kind of object becomes."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from tests.spec.site_kit import digest, findings, found, load, make, rows, value

from estran.app import Site

REAL = Path(pydicom.__file__).parent / "data" / "test_files"
CT, SR, PDF, CDA, DX = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.104.1",
    "1.2.840.10008.5.1.4.1.1.104.2", "1.2.840.10008.5.1.4.1.1.1.1",
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make(tmp_path / "site", author_system="CHU")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def header(sop: str, uid: str, ipp: str = "8001", **more: object) -> Dataset:
    """An object of class `sop` about a patient with traits."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop, uid
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.1", f"{uid}.9"
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = ipp, "MARTIN^LEA", "19700215", "F"
    made.StudyDate, made.StudyTime, made.Modality = "20240310", "101500", "CT"
    for name, given in more.items():
        setattr(made, name, given)
    return made


def save(made: Dataset, path: Path) -> Path:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def facts(site: Site, where: str = "true") -> list[tuple[object, ...]]:
    return rows(
        site,
        f"""select c.vocabulary, c.code, f.value, f.unit, v.code, f.value_text from fact f
        join concept c using (concept_id) left join concept v on v.concept_id = f.value_concept where {where}
        order by f.document_id, f.fact_no""",
    )


def test_every_file_of_pydicom_has_its_account(site: Site) -> None:
    report = load(site, "dicom", REAL)
    assert {f.file: (f.read, f.loaded, f.superseded, f.quarantined) for f in report.files} == {
        "test_files": (85, 31, 22, 32),
        "dicomdirtests": (8, 0, 7, 1),  # seven DICOMDIR say again what the files say
        "CR1": (1, 1, 0, 0), "CR2": (1, 1, 0, 0), "CR3": (1, 1, 0, 0),
        "CT2": (4, 1, 3, 0), "CT2N": (2, 1, 1, 0), "CT5N": (5, 1, 4, 0),  # one document per series of slices
        "MR1": (3, 3, 0, 0), "MR2": (7, 3, 4, 0), "MR700": (7, 1, 6, 0),
        "TINY_ALPHA": (2, 0, 1, 1), "SE000000": (50, 1, 49, 0),
    }  # fmt: skip
    assert report.reasons == {
        "no-patient: The header holds no patient number (0010,0020).": 17,
        "unknown-type: The file is not DICOM.": 10,
        "missing: The object has no SOP Instance UID.": 6,
        "malformed: The DICOM header cannot be read.": 1,
    }
    assert report.total("read") == report.total("loaded") + report.total("superseded") + report.total("quarantined") == 176
    assert findings(site) == []
    again = load(site, "dicom", REAL)
    assert (again.total("loaded"), again.total("quarantined")) == (0, 0)


def test_order_of_arrival_has_no_say(tmp_path: Path) -> None:
    """The same files, in one folder, or one by one from the last to the first."""
    source = REAL / "dicomdirtests"
    together, apart = (make(tmp_path / name, author_system="CHU") for name in ("together", "apart"))
    load(together, "dicom", source)
    files = sorted((p for p in source.rglob("*") if p.is_file() and p.name.isdigit()), reverse=True)
    load(apart, "dicom", *files[::2])
    load(apart, "dicom", *files[1::2])
    load(apart, "dicom", source / "TINY_ALPHA")
    assert digest(together) == digest(apart)


def test_a_series_of_slices_is_one_document_and_any_other_object_its_own(site: Site, tmp_path: Path) -> None:
    for n in range(3):
        save(header(CT, f"1.2.7.{n}", SeriesInstanceUID="1.2.7", InstanceNumber=n, BodyPartExamined="CHEST", KVP=120,
                    Rows=512, Columns=512, ContrastBolusAgent="IOMERON 350", ProtocolName="Thorax injecté"), tmp_path / f"ct/{n}")
    for n in range(2):
        save(header(DX, f"1.2.8.{n}", Modality="DX", ImageLaterality="L", Exposure=5, Rows=8, Columns=9), tmp_path / f"dx/{n}")
    report = load(site, "dicom", tmp_path / "ct", tmp_path / "dx")
    assert (report.total("read"), report.total("loaded"), report.total("superseded")) == (5, 3, 2)
    assert facts(site, "f.value is null or c.code = '113733'")[:4] == [
        ("DCM", "CT", None, None, None, None),
        ("LOCAL/DICOM", "BodyPartExamined", None, None, "816094009", None),
        ("LOCAL/DICOM", "ContrastBolusAgent", None, None, None, "IOMERON 350"),
        ("DCM", "113733", 120.0, "kV", None, None),
    ]
    assert value(site, "select count(*) from fact join concept using (concept_id) where code = 'Exposure' and value = 5") == 2
    assert rows(site, "select shape, checksum is null from media order by 1") == [("512x512", True), ("8x9x1", False), ("8x9x1", False)]
    uris = [uri for (uri,) in rows(site, "select distinct uri from media")]
    assert len(uris) == 3 and all(uri.startswith("urn:estran:dicom:") and uri[-32:].isalpha() for uri in uris)
    assert found(site, "DCM:CT") == {"8001"}


def test_stay_and_aliases_are_named_as_other_feeds_name_them(site: Site, tmp_path: Path) -> None:
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = "77", "CLINIQUE"
    admission = Dataset()
    admission.LocalNamespaceEntityID = "CHU"
    made = header(DX, "1.2.9", AdmissionID="V7", IssuerOfPatientID="CHU", OtherPatientIDsSequence=Sequence([other]),
                  IssuerOfAdmissionIDSequence=Sequence([admission]))  # fmt: skip
    load(site, "dicom", save(made, tmp_path / "one"))
    with site.vault() as vault:
        known = vault.resolve([("CHU", "8001"), ("CLINIQUE", "77")])
        assert known[0] == known[1] >= 0
        stay = int(vault.stays([(int(known[0]), "CHU", "V7")])[0])
    assert value(site, "select stay_id from raw_document") == stay


def test_a_radiation_dose_report_becomes_facts_under_their_events(site: Site, tmp_path: Path) -> None:
    def measured(name: tuple[str, str], amount: float, unit: str) -> Dataset:
        item, held = Dataset(), Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
        item.ConceptNameCodeSequence = Sequence([code(name[0], "DCM", name[1])])
        held.NumericValue, held.MeasurementUnitsCodeSequence = amount, Sequence([code(unit, "UCUM", unit)])
        item.MeasuredValueSequence = Sequence([held])
        return item

    event, subject = Dataset(), Dataset()
    event.RelationshipType, event.ValueType = "CONTAINS", "CONTAINER"
    event.ConceptNameCodeSequence = Sequence([code("113819", "DCM", "CT Acquisition")])
    event.ContentSequence = Sequence([measured(("113830", "Mean CTDIvol"), 7.5, "mGy"), measured(("113838", "DLP"), 310, "mGy.cm")])
    subject.RelationshipType, subject.ValueType, subject.TextValue = "HAS OBS CONTEXT", "TEXT", "8001"
    subject.ConceptNameCodeSequence = Sequence([code("121030", "DCM", "Subject ID")])
    made = header(SR, "1.2.10", Modality="SR", ValueType="CONTAINER", ContentDate="20240310", ContentTime="1030",
                  ConceptNameCodeSequence=Sequence([code("113701", "DCM", "X-Ray Radiation Dose Report")]),
                  ContentSequence=Sequence([subject, event]))  # fmt: skip
    load(site, "dicom", save(made, tmp_path / "dose"))
    assert [row[:4] for row in facts(site)] == [
        ("DCM", "113701", None, None), ("DCM", "113819", None, None), ("DCM", "113830", 7.5, "mGy"),
        ("DCM", "113838", 310.0, "mGy.cm"),
    ]  # fmt: skip
    assert rows(site, "select fact_no, parent_fact_no from fact order by 1") == [(0, None), (1, 0), (2, 1), (3, 1)]
    assert value(site, "select count(*) from text") == 0  # a tree of numbers is no text


def test_real_structured_reports_keep_words_and_codes(site: Site, tmp_path: Path) -> None:
    made = pydicom.dcmread(get_testdata_file("test-SR.dcm"))
    made.PatientID = "8001"
    load(site, "dicom", save(made, tmp_path / "sr"))
    assert value(site, "select count(*) from fact where parent_fact_no is not null") == value(site, "select count(*) from fact") - 1
    assert value(site, "select count(*) from fact where value_text is not null or value_concept is not null or value is not null") == 8
    assert value(site, "select count(*) from text") == 1


def test_an_amended_report_takes_the_place_of_its_predecessor(tmp_path: Path) -> None:
    """Whichever of the two comes first."""
    gone, series, study = Dataset(), Dataset(), Dataset()
    gone.ReferencedSOPClassUID, gone.ReferencedSOPInstanceUID = SR, "1.2.11.1"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.11", Sequence([gone])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.3.1", Sequence([series])
    name = Sequence([code("18748-4", "LN", "Diagnostic imaging report")])
    first = header(SR, "1.2.11.1", ValueType="CONTAINER", ConceptNameCodeSequence=name, ContentDate="20240310", ContentTime="1000")
    second = header(SR, "1.2.11.2", ValueType="CONTAINER", ConceptNameCodeSequence=name, ContentDate="20240311", ContentTime="1000",
                    PredecessorDocumentsSequence=Sequence([study]))  # fmt: skip
    files = [save(first, tmp_path / "first"), save(second, tmp_path / "second")]
    digests = []
    for order in (files, files[::-1]):
        site = make(tmp_path / f"site{len(digests)}", author_system="CHU")
        for file in order:
            load(site, "dicom", file)
        assert value(site, "select count(*) from fact join concept using (concept_id) where vocabulary = 'LOINC'") == 1
        digests.append(digest(site))
    assert digests[0] == digests[1]


def test_encapsulated_documents_give_their_text(site: Site, tmp_path: Path) -> None:
    fpdf = pytest.importorskip("fpdf")
    page = fpdf.FPDF()
    page.add_page()
    page.set_font("helvetica", size=12)
    page.cell(text="Nodule du lobe superieur droit chez Mme MARTIN")
    cda = (b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section><title>Conclusion</title>'
           b"<text>Pas de <content>fracture</content> visible.</text></section></component></structuredBody></component>"
           b"</ClinicalDocument>")  # fmt: skip
    save(header(PDF, "1.2.12", Modality="DOC", EncapsulatedDocument=bytes(page.output()), DocumentTitle="Compte rendu",
                MIMETypeOfEncapsulatedDocument="application/pdf"), tmp_path / "in/pdf")  # fmt: skip
    save(header(CDA, "1.2.13", Modality="DOC", EncapsulatedDocument=cda, DocumentTitle="CDA"), tmp_path / "in/cda")
    load(site, "dicom", tmp_path / "in")
    texts = sorted(text for (text,) in rows(site, "select text from text"))
    assert texts[1].startswith("Nodule du lobe superieur droit") and "MARTIN" not in texts[1]
    assert texts[0] == "Conclusion\nPas de fracture visible."


def test_the_electrocardiogram_of_pydicom_is_a_recording(site: Site) -> None:
    load(site, "dicom", Path(get_testdata_file("waveform_ecg.dcm")))
    assert rows(site, "select kind, title from document")[0][0] == "signal"
    assert found(site, "LOINC:11524-6") == {"642341"}
    rate = value(site, "select value from fact join concept using (concept_id) where code = '8867-4'")
    interval = value(site, "select value from fact join concept using (concept_id) where code = '5.10.2.1-3' and fact.unit = 'ms'")
    assert rate == pytest.approx(60_000 / interval, rel=0.02)  # what we find, and what the device measured


def test_without_traits_an_image_waits_for_its_patient(site: Site, tmp_path: Path) -> None:
    made = header(DX, "1.2.14")
    for trait in ("PatientName", "PatientBirthDate", "PatientSex"):
        delattr(made, trait)
    source = save(made, tmp_path / "folder/one")
    first = load(site, "dicom", tmp_path / "folder")
    assert first.total("quarantined") == 1
    source.unlink()  # what waits is in the landing, not in the folder
    report = load(site, "dicom", save(header(DX, "1.2.15"), tmp_path / "other"))
    assert report.replayed == 1
    assert value(site, "select count(*) from document") == 2


def test_a_folder_holds_headers_only_once_landed(site: Site, tmp_path: Path) -> None:
    """Pixels stay where they are: what is landed of a large image is small."""
    made = header(DX, "1.2.16", Rows=1024, Columns=1024, BitsAllocated=16, BitsStored=16, HighBit=15, SamplesPerPixel=1,
                  PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0, PixelData=bytes(range(256)) * 8192)  # fmt: skip
    load(site, "dicom", save(made, tmp_path / "one"))
    landed = sum(p.stat().st_size for p in (site.directory / "landing").rglob("*") if p.is_file())
    assert (tmp_path / "one").stat().st_size > 2_000_000 and landed < 5_000


def test_a_whole_slide_waits_for_the_list_that_names_its_patient(site: Site, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    import numpy as np

    slide = tmp_path / "slides" / "B24-0117.svs"
    slide.parent.mkdir()
    said = "Aperio Image Library v11.2.1\r\n64x48 [0,0 64x48] (16x16) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(slide) as out:
        for size in ((48, 64), (24, 32)):
            out.write(np.zeros((*size, 3), dtype=np.uint8), tile=(16, 16), description=said, photometric="rgb", metadata=None)
    first = load(site, "dicom", slide.parent)
    assert (first.total("read"), first.total("quarantined")) == (1, 1)
    (slide.parent / "patients.csv").write_text("number;ipp\nB24-0117;8001\n;\n")
    load(site, "dicom", save(header(DX, "1.2.17"), tmp_path / "known"))
    second = load(site, "dicom", slide.parent)
    assert second.total("quarantined") == 1 and list(second.reasons) == ["missing: The line names no number or no patient."]
    assert second.total("loaded") + second.replayed >= 2
    assert found(site, "DCM:SM") == {"8001", "B24-0117"}
    assert value(site, "select value from fact join concept using (concept_id) where code = 'PixelSpacing'") == pytest.approx(0.499)


def test_hostile_files_are_refused_with_a_sentence(site: Site, tmp_path: Path) -> None:
    deflated = Path(get_testdata_file("image_dfl.dcm")).read_bytes()
    meta = pydicom.filereader.read_file_meta_info(get_testdata_file("image_dfl.dcm"))
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    import zlib

    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(b"\0" * (80 << 20)) + packer.flush()
    nested = b"".join(b"\xfe\xff\x00\xe0\xff\xff\xff\xff\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff" for _ in range(5000))
    made = io.BytesIO()
    pydicom.dcmwrite(made, pydicom.dcmread(get_testdata_file("reportsi.dcm")))
    files = {
        "bomb": deflated[:start] + bomb, "empty": b"", "deep": made.getvalue() + b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff" + nested,
        "cut": Path(get_testdata_file("CT_small.dcm")).read_bytes()[:700],
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    report = load(site, "dicom", tmp_path / "in")
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (4, 0, 4)
    assert all("." in reason for reason in report.reasons)
    shutil.rmtree(tmp_path / "in")
