"""What is asked for and gathered around acts: orders, samples, imaging studies, alerts, plans, forms."""

from __future__ import annotations

from typing import Any

from estran.model.codes import Context, DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.fhir.clinical import asked, attributes, document, main_code, period
from estran.sources.fhir.elements import Node, Unreadable, each, number, quantity, words
from estran.sources.fhir.references import key
from estran.sources.fhir.setting import Setting, confidential, document_status, erroneous, spoken
from estran.sources.fhir.statements import Document, Fact
from estran.sources.writing import opaque
from estran.terminology.systems import fhir_vocabulary

_ORDER = (
    ("category", "Catégorie"), ("reasonCode", "Motif"), ("bodySite", "Site"), ("performerType", "Spécialité demandée"),
)  # fmt: skip


def order(node: Node, setting: Setting) -> Document:
    """A ServiceRequest: an act asked for; proposals and plans are planned, revoked ones cancelled."""
    code, rare = main_code(node, setting, "code", "procedure")
    start, end = period(node, setting, "occurrence")
    start = start or setting.clock.moment(node.get("authoredOn"), "ServiceRequest.authoredOn")
    context = asked(node)
    status = FactStatus.CANCELLED if node.get("status") == "revoked" else FactStatus.ORDERED
    rare = {**rare, "context": int(context)} if context else rare
    fact = Fact(code, start, status=status, end=end, rare=rare, attributes=attributes(node, setting, _ORDER))
    return document(node, setting, DocumentKind.PRESCRIPTION, (fact,), known="authoredOn")


def specimen(node: Node, setting: Setting) -> Document:
    """A Specimen, at the time it was taken, else received."""
    code, rare = main_code(node, setting, "type", "other")
    taken = {**(node.get("collection") or {}), "resourceType": "Specimen.collection"}
    start, end = period(taken, setting, "collected")
    start = start or setting.clock.moment(node.get("receivedTime"), "Specimen.receivedTime")
    told = attributes(taken, setting, (("bodySite", "Site"), ("method", "Technique")))
    told += attributes(node, setting, (("condition", "État du prélèvement"),))
    return document(
        node, setting, DocumentKind.LABORATORY, (Fact(code, start, end=end, rare=rare, attributes=told),),
        known="receivedTime",
    )  # fmt: skip


def imaging(node: Node, setting: Setting) -> Document:
    """An ImagingStudy: its procedures (else the examination itself), modalities, and where the images are."""
    start = setting.clock.moment(node.get("started"), "ImagingStudy.started")
    series = each(node.get("series"), "ImagingStudy.series")
    shown = {
        "resourceType": "ImagingStudy",
        "modality": [{"coding": [one]} for one in _modalities(node, series)],
        "bodySite": [{"coding": [one["bodySite"]]} for one in series if one.get("bodySite")],
    }
    told = tuple(dict.fromkeys(attributes(shown, setting, (("modality", "Modalité"), ("bodySite", "Site")))))
    codes = [setting.lexicon.concept(one, "procedure", "ImagingStudy.procedureCode", spoken(node))[0]
             for one in each(node.get("procedureCode"), "ImagingStudy.procedureCode")]  # fmt: skip
    acts = [code for code in codes if code] or [setting.lexicon.local("ImagingStudy", "Examen d'imagerie", "procedure")]
    facts = tuple(Fact(code, start, attributes=told) for code in acts)
    made = document(
        node, setting, DocumentKind.IMAGING, facts, text=words(node.get("description"), "ImagingStudy.description")
    )
    return made._replace(media=tuple(_media(series)))


def _modalities(node: Node, series: list[Node]) -> list[Any]:
    listed = each(node.get("modality"), "ImagingStudy.modality")
    listed += [one["modality"] for one in series if one.get("modality")]
    return list({(one.get("system"), one.get("code")): one for one in listed}.values())


def _media(series: list[Node]) -> list[dict[str, Any]]:
    """Each series under the name that the `dicom` reader gives it: UIDs themselves lead back to the patient."""
    found = []
    for one in series:
        uid = words(one.get("uid"), "ImagingStudy.series.uid")
        if uid:
            modality = words((one.get("modality") or {}).get("code"), "ImagingStudy.series.modality")
            found.append({"modality": modality, "uri": opaque("dicom", f"series/{uid.removeprefix('urn:oid:')}")})
    return found


def flag(node: Node, setting: Setting) -> Document:
    """An alert on a patient, for as long as it holds."""
    code, rare = main_code(node, setting, "code", "observation")
    start, end = period({"resourceType": "Flag", "flagPeriod": node.get("period")}, setting, "flag")
    told = attributes(node, setting, (("category", "Catégorie"),))
    return document(node, setting, DocumentKind.OBSERVATION, (Fact(code, start, end=end, rare=rare, attributes=told),))


def plan(node: Node, setting: Setting) -> Document:
    """A CarePlan: its categories and activities, all of them planned; what was done comes in other resources."""
    span = node.get("period") or {}
    start = setting.clock.moment(span.get("start"), "CarePlan.period.start")
    start = start or setting.clock.moment(node.get("created"), "CarePlan.created")
    end = setting.clock.moment(span.get("end"), "CarePlan.period.end")
    facts = _planned(node.get("category"), "CarePlan.category", setting, start, end)
    for one in each(node.get("activity"), "CarePlan.activity"):
        code = (one.get("detail") or {}).get("code")
        facts += _planned([code] if code else [], "CarePlan.activity.detail.code", setting, start, end)
    if not facts:
        raise Unreadable("CarePlan.category", "missing", "The plan names neither a category nor an activity.")
    told = [words(node.get(name), "CarePlan." + name) for name in ("title", "description")]
    text = "\n\n".join(t for t in told if t) or None
    return document(node, setting, DocumentKind.OTHER, tuple(facts), known="created", text=text)


def _planned(concepts: Any, path: str, setting: Setting, start: Moment | None, end: Moment | None) -> list[Fact]:
    found = []
    for one in each(concepts, path):
        code, told = setting.lexicon.concept(one, "procedure", path)
        if code or told:
            rare: dict[str, Any] = {"context": int(Context.PLANNED)} | ({} if code else {"value_text": told})
            found.append(Fact(code or setting.lexicon.local(path, "Soin prévu", "procedure"), start, end=end, rare=rare))
    return found


def answers(node: Node, setting: Setting) -> Document:
    """A QuestionnaireResponse: each answer a fact coded by its question's linkId; the wording goes to the text."""
    start = setting.clock.moment(node.get("authored"), "QuestionnaireResponse.authored")
    form = words(node.get("questionnaire"), "QuestionnaireResponse.questionnaire") or ""
    form = fhir_vocabulary(form.partition("|")[0]) if form else "LOCAL/FHIR/QuestionnaireResponse"
    facts: list[Fact] = []
    lines: list[str] = []
    _items(node.get("item"), form, setting, start, facts, lines, 0)
    if not facts:
        raise Unreadable("QuestionnaireResponse.item", "missing", "The form holds no answer.")
    known = node.get("authored")
    status = document_status(node.get("status")) if node.get("status") != "stopped" else erroneous(None)
    return Document(
        key(node), setting.patient(node), setting.stay(node), DocumentKind.OBSERVATION.value, None, start,
        tuple(facts), "\n".join(lines) or None, status,
        setting.clock.micros(known, "QuestionnaireResponse.authored"), confidential(node), spoken(node),
    )  # fmt: skip


def _items(
    items: Any, form: str, setting: Setting, start: Moment | None, facts: list[Fact], lines: list[str], depth: int
) -> None:
    path = "QuestionnaireResponse.item"
    if depth > 20:
        raise Unreadable(path, "malformed", "The items are nested too deep.")
    for one in each(items, path):
        name, asked = words(one.get("linkId"), path + ".linkId"), words(one.get("text"), path + ".text")
        if name is None:
            raise Unreadable(path + ".linkId", "missing", "An item has no linkId.")
        for answer in each(one.get("answer"), path + ".answer"):
            value, unit, rare = _answered(answer, setting, path + ".answer")
            facts.append(Fact(setting.lexicon.named(form, name), start, value, unit, rare=rare))
            _items(answer.get("item"), form, setting, start, facts, lines, depth + 1)
        if asked:
            lines.append(asked)
        _items(one.get("item"), form, setting, start, facts, lines, depth + 1)


def _answered(answer: Node, setting: Setting, path: str) -> tuple[float | None, str | None, dict[str, Any]]:
    if answer.get("valueQuantity"):
        measured = quantity(answer["valueQuantity"], path + ".valueQuantity")
        return measured.value, measured.unit, {"comparator": measured.comparator} if measured.comparator else {}
    for name in ("valueDecimal", "valueInteger"):
        if name in answer:
            return number(answer[name], f"{path}.{name}"), None, {}
    if type(answer.get("valueBoolean")) is bool:
        return float(answer["valueBoolean"]), None, {}
    if answer.get("valueCoding"):
        code, told = setting.lexicon.concept({"coding": [answer["valueCoding"]]}, "observation", path + ".valueCoding")
        return None, None, {"value_code": code} if code else {"value_text": told} if told else {}
    for name in ("valueString", "valueDate", "valueDateTime", "valueTime", "valueUri"):
        if name in answer:
            told = words(answer[name], f"{path}.{name}")
            return None, None, {"value_text": told} if told else {}
    raise Unreadable(path, "unknown-type", "The answer is of a kind that is not read: an attachment or a reference.")
