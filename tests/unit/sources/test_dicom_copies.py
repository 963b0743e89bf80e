"""De-identified copies: what must go is gone, what must stay is there, and what cannot be told is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from tests.spec.site_kit import load, make, rows

from estran.sources.dicom.copies import copy_images, new_uid
from estran.sources.quiet import quiet

KEY, OTHER = b"k" * 32, b"o" * 32
REAL = Path(pydicom.__file__).parent / "data" / "test_files"
CT = Path(get_testdata_file("CT_small.dcm"))
# Attributes that the Basic Profile (PS3.15 table E.1-1) removes, empties or replaces, of those that real files hold.
IDENTIFYING = frozenset(
    ["PatientBirthDate", "PatientAge", "PatientAddress", "OtherPatientIDs", "OtherPatientNames", "AccessionNumber", "StudyID", "ReferringPhysicianName", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "OperatorsName", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "PatientComments", "AdditionalPatientHistory", "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID", "RequestAttributesSequence", "PerformedProcedureStepStartDate", "ContrastBolusAgent", "MedicalRecordLocator", "PatientWeight", "EthnicGroup"]
)


def flat(dataset: Dataset) -> list[pydicom.DataElement]:
    return list(dataset.iterall())


def test_what_names_somebody_is_gone_and_the_pixels_are_the_same(tmp_path: Path) -> None:
    [made] = copy_images([CT], tmp_path, KEY)
    original, copy = pydicom.dcmread(CT), pydicom.dcmread(made.target or "")
    assert np.array_equal(original.pixel_array, copy.pixel_array)
    assert copy.PatientID == str(copy.PatientName) != original.PatientID and copy.PatientIdentityRemoved == "YES"
    assert copy.StudyInstanceUID == new_uid(original.StudyInstanceUID, KEY) != new_uid(original.StudyInstanceUID, OTHER)
    assert (copy.KVP, copy.ImagePositionPatient, copy.PixelSpacing) == (original.KVP, original.ImagePositionPatient, original.PixelSpacing)
    assert not [e for e in flat(copy) if e.tag.is_private]


def test_no_identifying_value_of_any_real_image_is_left(tmp_path: Path) -> None:
    images = sorted(p for p in REAL.rglob("*") if p.is_file() and p.suffix in (".dcm", ""))
    made = copy_images(images, tmp_path, KEY, trust_pixels=True)
    copied = [one for one in made if one.target]
    assert len(copied) > 50 and all(one.refused for one in made if not one.target)
    for one in copied:
        with quiet():
            original, copy = pydicom.dcmread(one.source, force=True), pydicom.dcmread(one.target or "")
        left = [e.keyword for e in flat(copy) if e.keyword in IDENTIFYING and e.value not in ("", None)]
        assert left == [], one.source.name
        with quiet():
            seen = [e for e in flat(original) if e.value]
        moments = {str(e.value) for e in seen if e.VR in ("DA", "DT")}
        written = {str(e.value) for e in flat(copy)}
        assert not moments & written and str(original.get("PatientName") or "?") not in written
        uids = {str(e.value) for e in seen if e.VR == "UI" and not str(e.value).startswith("1.2.840.10008.")}
        assert not uids & written


def test_a_series_stays_a_series(tmp_path: Path) -> None:
    folder = REAL / "dicomdirtests" / "98892003" / "MR700"
    made = [pydicom.dcmread(c.target or "", stop_before_pixels=True) for c in copy_images(sorted(folder.iterdir()), tmp_path, KEY)
            if c.target]  # fmt: skip
    refused = [c for c in copy_images(sorted(folder.iterdir()), tmp_path, KEY) if c.refused]
    assert len(made) + len(refused) == 7
    assert len({m.SeriesInstanceUID for m in made}) <= 1 and len({m.SOPInstanceUID for m in made}) == len(made)


def test_what_may_show_a_name_is_refused(tmp_path: Path) -> None:
    ultrasound = Path(get_testdata_file("examples_rgb_color.dcm"))
    assert "often burnt" in copy_images([ultrasound], tmp_path, KEY)[0].refused
    assert copy_images([ultrasound], tmp_path, KEY, trust_pixels=True)[0].target
    burnt = pydicom.dcmread(CT)
    burnt.BurnedInAnnotation = "YES"
    burnt.save_as(tmp_path / "burnt")
    label = pydicom.dcmread(CT)
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    label.save_as(tmp_path / "label")
    said = [c.refused for c in copy_images([tmp_path / "burnt", tmp_path / "label", Path(get_testdata_file("test-SR.dcm"))],
                                           tmp_path, KEY, trust_pixels=True)]  # fmt: skip
    assert [s.split()[0] for s in said] == ["The", "Labels", "Only"]


def test_copies_are_made_of_the_documents_asked_for(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from estran.cli import app

    site = make(tmp_path / "site", author_system="CHU")
    images = tmp_path / "images"
    images.mkdir()
    for n in range(3):
        image = pydicom.dcmread(CT)
        image.SOPInstanceUID, image.InstanceNumber = f"{image.SOPInstanceUID}.{n}", n
        image.SeriesInstanceUID = image.SeriesInstanceUID if n < 2 else "1.2.3"
        image.save_as(images / str(n))
    load(site, "dicom", images)
    documents = [d for (d,) in rows(site, "select document_id from document order by 1")]
    assert len(documents) == 2
    ran = CliRunner().invoke(app, ["dicom", "copy", str(site.directory), str(documents[0]), "--out", str(tmp_path / "out"), "--json"])
    assert ran.exit_code == 0 and len(list((tmp_path / "out").rglob("*.dcm"))) in (1, 2)
    ran = CliRunner().invoke(app, ["dicom", "where", str(site.directory), str(documents[0])])
    assert str(images) in ran.output
    assert dt.date.today().isoformat() not in str(list((tmp_path / "out").rglob("*")))
