"""Images: a series of slices is one document, any other object a document by itself.

The slices of a series come one by one, in any order and over several loads. What they say together (the
series: modality, body part, protocol…) is the document; each further slice says the same again and is
superseded. An object with a meaning of its own (a radiograph, a clip, a plan, a segmentation) is a document
under its own number, with the dose of its exposure.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from estran.model.codes import DocumentKind
from estran.model.moments import Moment, instant
from estran.sources.dicom.elements import ATTRIBUTE, coded, first_code, items, moment, named, number, uid, word
from estran.sources.dicom.tables import BODY_PARTS, DCM_OF, LATERALITY, MODALITIES, OF_A_SERIES, OF_AN_EXPOSURE
from estran.sources.records import Code
from estran.sources.writing import Attribute, Item, Medium, Writing, opaque

# Objects that are slices of a series: CT, MR, PET, single-frame and legacy converted; whole slides.
SLICES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128", "2.2", "4.4", "128.1", "77.1.6", "20.0")
)
_SERIES_DATES = (("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))
_OBJECT_DATES = (("AcquisitionDateTime", ""), ("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"))


def is_slice(header: Dataset) -> bool:
    """Whether the object is one image of a series, and nothing by itself."""
    return uid(header, "SOPClassUID") in SLICES and bool(uid(header, "SeriesInstanceUID"))


def read_image(header: Dataset, zone: str, authority: str, checksum: str) -> Writing:
    """The document of an image."""
    slices = is_slice(header)
    dates = _SERIES_DATES if slices else (*_OBJECT_DATES, *_SERIES_DATES)
    start = moment(header, *dates, zone=zone)
    exam = _exam(header, authority)
    facts = [exam, *_body_part(header, authority), *_procedures(header, authority), *_contrast(header, authority)]
    facts += _quantities(header, OF_A_SERIES if slices else (*OF_A_SERIES, *OF_AN_EXPOSURE))
    facts += _tracer(header)
    key = f"series/{uid(header, 'SeriesInstanceUID')}" if slices else f"object/{uid(header, 'SOPInstanceUID')}"
    medium = Medium(uri_of(header, slices=slices), _modality(header), _shape(header, slices=slices), None, checksum)
    return Writing(
        key, _kind(header), title_of(header), start, tuple(facts), media=(medium,), event_time=event_time(header, start, zone, slices=slices)
    )


def event_time(header: Dataset, start: Moment | None, zone: str, *, slices: bool = False) -> int:
    """When the object was made, for objects; slices share the start of their series."""
    made = None if slices else moment(
        header, ("InstanceCreationDate", "InstanceCreationTime"), ("ContentDate", "ContentTime"), zone=zone
    )  # fmt: skip
    known = made or start
    return instant(known, zone) if known else 0


def uri_of(header: Dataset, *, slices: bool) -> str:
    """The name of a series or an object in the warehouse.

    It says nothing by itself: UIDs lead back to the patient in the PACS, so that only their hash is kept
    (`sources.pipeline.places` finds the files and the address again, for whoever may know them).
    """
    return opaque("dicom", f"series/{uid(header, 'SeriesInstanceUID')}" if slices else f"object/{uid(header, 'SOPInstanceUID')}")


def title_of(header: Dataset) -> str:
    """Study and series as the modality worded them, else the modality."""
    said = dict.fromkeys(filter(None, (word(header, "StudyDescription"), word(header, "SeriesDescription"))))
    modality = _modality(header)
    return " — ".join(said)[:200] or MODALITIES.get(modality, modality)


def _kind(header: Dataset) -> str:
    return DocumentKind.PATHOLOGY if _modality(header) in ("SM", "GM") else DocumentKind.IMAGING


def _modality(header: Dataset) -> str:
    return word(header, "Modality").upper()[:16]


def modality_code(modality: str) -> Code:
    """The modality as a code of DCM; one that DICOM does not define stays the sender's own."""
    if modality in MODALITIES:
        return Code("DCM", modality, MODALITIES[modality], "fr", "procedure")
    return Code(f"{ATTRIBUTE}-Modality", modality or "OT", modality or "Autre modalité", "fr", "procedure")


def _exam(header: Dataset, authority: str) -> Item:
    """The examination itself, with what is said about how it was made."""
    attributes = [
        Attribute(named(keyword, label), word(header, keyword)[:200])
        for keyword, label in (("ProtocolName", "Protocole"), ("ManufacturerModelName", "Modèle de l'appareil"),
                               ("Manufacturer", "Fabricant"), ("PatientPosition", "Position"),
                               ("ViewPosition", "Incidence"))
        if word(header, keyword)
    ]  # fmt: skip
    side = (word(header, "ImageLaterality") or word(header, "Laterality") or _frame_side(header)).upper()
    if side in LATERALITY:
        attributes.append(Attribute(named("Laterality", "Latéralité"), LATERALITY[side]))
    view = first_code(header, "ViewCodeSequence", authority)
    if view:
        attributes.append(Attribute(named("ViewCodeSequence", "Incidence"), value_code=view))
    return Item(modality_code(_modality(header)), attributes=tuple(attributes))


def _frame_side(header: Dataset) -> str:
    for shared in items(header, "SharedFunctionalGroupsSequence"):
        for anatomy in items(shared, "FrameAnatomySequence"):
            return word(anatomy, "FrameLaterality")
    return ""


def _body_part(header: Dataset, authority: str) -> list[Item]:
    region = first_code(header, "AnatomicRegionSequence", authority)
    part = word(header, "BodyPartExamined").upper().replace(" ", "").replace("_", "")
    if region is None and not part:
        return []
    if region is None:
        code, label = BODY_PARTS.get(part, ("", part.capitalize()))
        also = (("SNOMED", code, label),) if code else ()
        region = Code(f"{ATTRIBUTE}-BodyPart", part[:64], label, "fr", "other", also)
    return [Item(named("BodyPartExamined", "Région examinée"), value_code=region)]


def _procedures(header: Dataset, authority: str) -> list[Item]:
    """Acts as the order or the modality coded them."""
    found: dict[Code, None] = {}
    for keyword in ("ProcedureCodeSequence", "PerformedProtocolCodeSequence"):
        found |= dict.fromkeys(filter(None, (coded(item, authority, "procedure") for item in items(header, keyword))))
    for request in items(header, "RequestAttributesSequence"):
        asked = first_code(request, "RequestedProcedureCodeSequence", authority, "procedure")
        if asked:
            found[asked] = None
    return [Item(code) for code in found]


def _contrast(header: Dataset, authority: str) -> list[Item]:
    agent = first_code(header, "ContrastBolusAgentSequence", authority, "drug")
    said = word(header, "ContrastBolusAgent")
    if agent is None and (not said or said.upper() in ("NONE", "NO", "SANS", "AUCUN")):
        return []
    route = word(header, "ContrastBolusRoute")
    attributes = (Attribute(named("ContrastBolusRoute", "Voie d'administration"), route[:200]),) if route else ()
    return [Item(named("ContrastBolusAgent", "Produit de contraste", "drug"), text=said[:200] or None, value_code=agent, attributes=attributes)]


def _quantities(header: Dataset, wanted: tuple[tuple[str, str, str], ...]) -> list[Item]:
    found = []
    for keyword, label, unit in wanted:
        value = number(header, keyword)
        if value is not None:
            also = tuple(("DCM", *DCM_OF[keyword]) for _ in range(keyword in DCM_OF))
            found.append(Item(named(keyword, label, also=also), value, unit))
    return found


def _tracer(header: Dataset) -> list[Item]:
    """Nuclear medicine: the activity given (Bq), with the tracer's name."""
    found = []
    for dose in items(header, "RadiopharmaceuticalInformationSequence"):
        value, name = number(dose, "RadionuclideTotalDose"), word(dose, "Radiopharmaceutical")
        if value is not None or name:
            found.append(Item(named("RadionuclideTotalDose", "Activité administrée", "drug"), value, "Bq", text=name[:200] or None))
    return found


def _shape(header: Dataset, *, slices: bool) -> str:
    """rows x columns x frames; slices of a series have one frame each, and do not say how many they are."""
    rows, columns = number(header, "Rows"), number(header, "Columns")
    if uid(header, "SOPClassUID").endswith(".77.1.6"):  # a slide: the whole matrix, not one level's tile
        rows, columns = number(header, "TotalPixelMatrixRows"), number(header, "TotalPixelMatrixColumns")
        return ""  if rows is None or columns is None else "pyramid"
    if rows is None or columns is None:
        return ""
    frames = number(header, "NumberOfFrames") or 1
    return f"{rows:.0f}x{columns:.0f}" if slices else f"{rows:.0f}x{columns:.0f}x{frames:.0f}"
