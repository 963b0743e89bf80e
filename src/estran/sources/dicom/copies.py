"""De-identified copies of images (PS3.15 Annex E), made on request: the originals stay where they are.

Stricter than the Basic Profile, and simpler to check: what is kept is listed, everything else goes. Kept are
the pixels, the attributes without which they cannot be shown or measured, and how they were acquired. UIDs
become new ones made with the site's key, the same for the same original, so that a series stays a series.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from estran.sources.dicom.elements import uid, word
from estran.sources.dicom.heads import UNREADABLE, NotRead
from estran.sources.quiet import quiet

# Attributes kept beside groups 0028 (image presentation) and 7FE0 (pixels), by keyword. Nothing here is a name,
# a date, a number of a person, of an order or of a machine, nor free text.
_KEPT = frozenset(
    ["SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "ConversionType", "Manufacturer", "ManufacturerModelName", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "PatientSex", "BodyPartExamined", "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "AngioFlag", "SliceThickness", "KVP", "RepetitionTime", "EchoTime", "InversionTime", "NumberOfAverages", "ImagingFrequency", "ImagedNucleus", "EchoNumbers", "MagneticFieldStrength", "SpacingBetweenSlices", "NumberOfPhaseEncodingSteps", "EchoTrainLength", "PercentSampling", "PercentPhaseFieldOfView", "PixelBandwidth", "ReconstructionDiameter", "DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight", "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "ExposureInuAs", "FilterType", "GeneratorPower", "FocalSpots", "ConvolutionKernel", "PatientPosition", "ViewPosition", "FlipAngle", "SAR", "dBdt", "CTDIvol", "RevolutionTime", "SingleCollimationWidth", "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation", "SpiralPitchFactor", "ImagerPixelSpacing", "Grid", "CompressionForce", "BodyPartThickness", "EntranceDoseInmGy", "OrganDose", "ReceiveCoilName", "FrameTime", "CineRate", "HeartRate", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "PatientOrientation", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "Laterality", "ImageLaterality", "PositionReferenceIndicator", "SliceLocation", "TemporalPositionIndex", "ImagesInAcquisition", "Units", "CountsSource", "SeriesType", "CorrectedImage", "DecayCorrection", "AttenuationCorrectionMethod", "ReconstructionMethod", "FrameReferenceTime", "ActualFrameDuration", "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence", "FrameContentSequence", "DimensionIndexValues", "InStackPositionNumber", "CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "FrameType", "FrameAnatomySequence", "FrameLaterality", "AnatomicRegionSequence", "CodeValue", "CodingSchemeDesignator", "CodeMeaning", "DimensionOrganizationType", "TotalPixelMatrixColumns", "TotalPixelMatrixRows", "ImagedVolumeWidth", "ImagedVolumeHeight", "ObjectiveLensPower", "OpticalPathIdentifier", "ModalityLUTSequence", "VOILUTSequence", "LUTDescriptor", "LUTData", "PresentationLUTShape"]
)
_GROUPS = frozenset((0x0028, 0x7FE0))
_DROPPED = frozenset(("PixelDataProviderURL", "RepresentativeFrameNumber"))
_WORDS = frozenset(("LT", "ST", "UT", "PN", "DA", "TM", "DT", "AS", "AE", "UN", "UR", "UC"))
# Kinds of image in which names are often burnt into the pixels: copied only when the header says they are not.
_OFTEN_BURNT = frozenset(("US", "SC", "OT", "XC", "ES", "GM", "IVUS", "OP", "OPT", "DOC", "RF", "XA", "SM", "PX", "IO"))
_ROOT = "2.25."  # UIDs made from a number (PS3.5 B.2)


@dataclass(frozen=True)
class Copy:
    """What became of one file: `refused` is a sentence, "" when the copy was made."""

    source: Path
    target: Path | None
    refused: str = ""


def copy_images(files: Iterable[Path], out: Path, key: bytes, *, trust_pixels: bool = False) -> list[Copy]:
    """De-identified copies of `files` under `out`, named by their new UIDs.

    `key` (the site's, made for this purpose) decides the new UIDs and pseudonyms. `trust_pixels` copies
    images of kinds in which names are often burnt in although their headers do not say that none is.
    """
    made = []
    for path in files:
        with quiet():
            made.append(_copy_one(path, out, key, trust_pixels=trust_pixels))
    return made


def _copy_one(path: Path, out: Path, key: bytes, *, trust_pixels: bool) -> Copy:
    try:
        original = dcmread(path, force=True)
        reason = why_not(original, trust_pixels=trust_pixels)
        if reason:
            return Copy(path, None, reason)
        copy = deidentified(original, key)
        target = out / uid(copy, "StudyInstanceUID") / uid(copy, "SeriesInstanceUID") / f"{uid(copy, 'SOPInstanceUID')}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        dcmwrite(target, copy, enforce_file_format=True)
    except (*UNREADABLE, NotRead):
        return Copy(path, None, "The file cannot be read as a DICOM image.")
    return Copy(path, target)


def why_not(original: Dataset, *, trust_pixels: bool = False) -> str:
    """Why this object is not copied; "" when it may be."""
    if not any(name in original for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return "Only images are copied: reports, plans and waveforms hold words and names."
    if not all(uid(original, f"{n}InstanceUID") for n in ("Study", "Series", "SOP")):
        return "The image does not name its study, its series and itself."
    burnt = word(original, "BurnedInAnnotation").upper()
    if burnt == "YES":
        return "The header says that annotations are burnt into the pixels."
    if {"LABEL", "OVERVIEW"} & {str(v).upper() for v in original.get("ImageType", [])}:
        return "Labels and overviews of slides show numbers of persons."
    if burnt != "NO" and word(original, "Modality").upper() in _OFTEN_BURNT and not trust_pixels:
        return "Names are often burnt into images of this kind, and the header does not say that none is."
    return ""


def deidentified(original: Dataset, key: bytes) -> Dataset:
    """The copy of an image: kept attributes, new UIDs, a pseudonym in place of the patient."""
    copy = _kept(original, key)
    copy.PatientName = copy.PatientID = pseudonym(key, word(original, "IssuerOfPatientID"), word(original, "PatientID"))
    for empty in ("PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"):
        setattr(copy, empty, "")
    copy.PatientIdentityRemoved = "YES"
    copy.DeidentificationMethod = "Estran: attributes kept by list, PS3.15 Basic Profile and stricter"
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
    method.CodeMeaning = "Basic Application Confidentiality Profile"
    copy.DeidentificationMethodCodeSequence = Sequence([method])
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.set_original_encoding(*original.original_encoding)
    return copy


def _kept(original: Dataset, key: bytes) -> Dataset:
    """The listed attributes of a dataset and of its sequences."""
    copy = Dataset()
    for element in original:
        if not _is_kept(element):
            continue
        if element.VR == "SQ":
            copy.add(DataElement(element.tag, "SQ", Sequence([_kept(item, key) for item in element.value])))
        elif element.VR == "UI":
            copy.add(DataElement(element.tag, "UI", _new_uids(element.value, key)))
        else:
            copy.add(element)
    return copy


def _is_kept(element: DataElement) -> bool:
    if element.tag.is_private or element.VR in _WORDS or element.keyword in _DROPPED:
        return False
    return element.keyword in _KEPT or (element.tag.group in _GROUPS and bool(element.keyword))


def _new_uids(value: object, key: bytes) -> object:
    if isinstance(value, str):
        return new_uid(value, key)
    return [new_uid(str(one), key) for one in value] if isinstance(value, list | tuple) or hasattr(value, "__iter__") else value


def new_uid(value: str, key: bytes) -> str:
    """A UID that the key makes of another; those that DICOM itself defines stay."""
    if not value or value.startswith("1.2.840.10008."):
        return value
    digest = hmac.digest(key, b"uid/" + value.encode(), hashlib.sha256)
    return UID(_ROOT + str(int.from_bytes(digest[:16], "big")))


def pseudonym(key: bytes, issuer: str, number: str) -> str:
    """What stands for a patient in copies."""
    return "E" + hmac.digest(key, f"patient/{issuer}/{number}".encode(), hashlib.sha256)[:8].hex().upper()
