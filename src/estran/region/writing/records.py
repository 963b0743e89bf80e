"""Records made of codes: orders and doses, emergency summaries, pathology, genomics, chemotherapy, teeth."""

from __future__ import annotations

from typing import Any

import orjson

from estran.region.calendar import DAY, fhir_instant, iso
from estran.region.course import Stay, Treatment
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.identities import Identity
from estran.region.library import Hospital, protocols
from estran.region.truth import Truth
from estran.region.writing.documents import Documents
from estran.region.writing.phrases import ADICAP, TNM

_MAX_DOSES, _NOT_GIVEN = 5, 0.03
# Genes of a panel with a variant worth reporting, in HGVS.
_VARIANTS = (
    ("KRAS", "c.35G>A", "p.(Gly12Asp)"), ("EGFR", "c.2573T>G", "p.(Leu858Arg)"), ("BRAF", "c.1799T>A", "p.(Val600Glu)"),
    ("BRCA1", "c.68_69del", "p.(Glu23Valfs*17)"), ("BRCA2", "c.5946del", "p.(Ser1982Argfs*22)"), ("TP53", "c.743G>A", "p.(Arg248Gln)"),
    ("PIK3CA", "c.3140A>G", "p.(His1047Arg)"), ("MECP2", "c.502C>T", "p.(Arg168*)"), ("SCN1A", "c.2134C>T", "p.(Arg712*)"),
)  # fmt: skip
_TEETH = ("18", "28", "38", "48", "36", "46", "16", "26", "11", "21", "75", "85")
_TOOTH_ACTS = (("HBGD043", "avulsion"), ("HBMD038", "restauration"), ("HBGD038", "avulsion de dents de sagesse"))


class Records:
    """The structured records of one hospital for one shard."""

    def __init__(self, hospital: Hospital, dice: Dice, feeds: Feeds, truth: Truth, documents: Documents) -> None:
        self._hospital, self._dice, self._feeds, self._truth = hospital, dice, feeds, truth
        self._documents = documents

    def drugs(self, stay: Stay, identity: Identity) -> None:
        """Orders, then doses given or not, by FHIR or as coded reports."""
        if not stay.treatments:
            return
        given = [(t, minute) for t in stay.treatments for minute in self._times(t)]
        doses = [(t, minute, self._dice.chance() < _NOT_GIVEN) for t, minute in given]
        if self._hospital.orders == "fhir":
            self._fhir_drugs(stay, identity, doses)
        else:
            self._coded_drugs(stay, identity, doses)
        feed = "fhir" if self._hospital.orders == "fhir" else "dossier"
        rows, key = self._truth.table("drugs"), self._hospital.key
        for t in stay.treatments:
            rows.append((key, stay.number, identity.ipp, feed, t.drug.atc, "ordered", float(t.dose), t.drug.unit, t.start))
        for t, minute, is_held in doses:
            if feed == "fhir" or not is_held:
                status = "not given" if is_held else "given"
                rows.append((key, stay.number, identity.ipp, feed, t.drug.atc, status, float(t.dose), t.drug.unit, minute))

    def _times(self, treatment: Treatment) -> list[int]:
        """When doses are due: the first ones of the stay."""
        step = DAY // treatment.drug.times
        last = min(treatment.end, treatment.start + 2 * DAY)
        return list(range(treatment.start, last, step))[:_MAX_DOSES] or [treatment.start]

    def _coded_drugs(self, stay: Stay, identity: Identity, doses: list[tuple[Treatment, int, bool]]) -> None:
        ordered = [_code("ATC", t.drug.atc, t.drug.name, "drug", t.dose, t.drug.unit, t.start, t.drug.route) for t in stay.treatments]
        self._documents.coded("prescription", "Prescription médicamenteuse", stay, identity, stay.treatments[0].start, ordered)
        by_day: dict[int, list[dict[str, Any]]] = {}
        for t, minute, is_held in doses:
            if not is_held:
                by_day.setdefault(minute // DAY, []).append(
                    _code("ATC", t.drug.atc, t.drug.name, "drug", t.dose, t.drug.unit, minute, t.drug.route)
                )
        for day, codes in sorted(by_day.items()):
            minute = max(stay.start, day * DAY + 60)
            self._documents.coded("administration", "Plan d'administration", stay, identity, minute, codes)

    def _fhir_drugs(self, stay: Stay, identity: Identity, doses: list[tuple[Treatment, int, bool]]) -> None:
        about = self._about(stay, identity)
        for t in stay.treatments:
            number = self._documents.number("RX")
            body = {
                "resourceType": "MedicationRequest", "id": number, "status": "completed", "intent": "order",
                "medicationCodeableConcept": _drug(t), "subject": about[0], "encounter": about[1], "authoredOn": fhir_instant(t.start),
                "dosageInstruction": [{
                    "timing": {"repeat": {"frequency": t.drug.times, "period": 1, "periodUnit": "d"}},
                    "route": {"text": t.drug.route}, "doseAndRate": [{"doseQuantity": _quantity(t)}],
                }],
            }  # fmt: skip
            self._resource(body, t.start)
        for t, minute, is_held in doses:
            body = {
                "resourceType": "MedicationAdministration", "id": self._documents.number("AD"),
                "status": "not-done" if is_held else "completed", "medicationCodeableConcept": _drug(t), "subject": about[0],
                "context": about[1], "effectiveDateTime": fhir_instant(minute), "dosage": {"dose": _quantity(t)},
            }  # fmt: skip
            self._resource(body, minute)

    def conditions(self, stay: Stay, identity: Identity) -> None:
        """Diagnoses of the stay as FHIR Conditions, at the hospitals whose server sends them."""
        if self._hospital.orders != "fhir":
            return
        about, rows = self._about(stay, identity), self._truth.table("diagnoses")
        for code, role in stay.diagnoses:
            body = {
                "resourceType": "Condition", "id": self._documents.number("CO"),
                "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
                "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "encounter-diagnosis"}]}],
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]},
                "subject": about[0], "encounter": about[1], "recordedDate": fhir_instant(stay.start + 15),
            }  # fmt: skip
            self._resource(body, stay.start + 15)
            rows.append((self._hospital.key, stay.number, identity.ipp, "fhir", code, role, stay.start // DAY))

    def _about(self, stay: Stay, identity: Identity) -> tuple[dict[str, Any], dict[str, Any]]:
        """References to the patient and the stay, by their numbers."""
        system = self._hospital.authority
        return {"identifier": {"system": system, "value": identity.ipp}}, {"identifier": {"system": system, "value": stay.number}}

    def _resource(self, body: dict[str, Any], minute: int) -> None:
        self._documents.written += 1
        self._feeds.post("fhir", self._feeds.sending(minute), orjson.dumps(body) + b"\n", part=body["resourceType"])

    def emergency(self, stay: Stay, identity: Identity) -> None:
        """The summary of a passage (RPU): severity, course, principal diagnosis, way out."""
        dice = self._dice
        dp = stay.diagnoses[0][0]
        codes = [
            _code("LOCAL/RPU", "CCMU", "Classification clinique", "observation", dice.between(1, 4)),
            _code("LOCAL/RPU", "GEMSA", "Groupe d'étude multicentrique", "observation", dice.between(2, 5)),
            _code("LOCAL/RPU", "ORIENTATION", "Orientation", "observation", "MCO" if stay.kind == "venue" else "DOMICILE"),
            {**_code("CIM10", dp, "", "diagnosis"), "role": "DP"},
        ]  # fmt: skip
        self._documents.coded("emergency", "Résumé de passage aux urgences", stay, identity, stay.start + 5, codes)

    def stage(self) -> str:
        """A TNM stage for a pathology report."""
        return self._dice.pick(TNM)

    def genomics(self, stay: Stay, identity: Identity) -> None:
        """A panel with at most two variants, each with its allele fraction."""
        dice = self._dice
        minute = stay.end + dice.between(20, 60) * DAY
        found = [dice.pick(_VARIANTS) for _ in range(dice.between(0, 2))]
        codes = [
            _code("LOCAL/HGVS", f"{gene}:{change}", f"{gene} {change} {protein}", "observation", round(0.05 + 0.6 * dice.chance(), 2))
            for gene, change, protein in found
        ]  # fmt: skip
        words = "Panel NGS de 48 gènes. " + (
            " ; ".join(f"{g} {c} {p}" for g, c, p in found) if found else "Absence de variant pathogène identifié."
        )
        self._documents.coded("genomics", "Analyse génétique", stay, identity, minute, codes, words)

    def cycle(self, stay: Stay, identity: Identity) -> None:
        """A cycle of chemotherapy: protocol, number, drugs."""
        protocol = protocols()[stay.reason.cancer]
        codes = [
            _code("LOCAL/PROTOCOLE", protocol.key, protocol.name, "procedure"),
            _code("LOCAL/PROTOCOLE", "CURE", "Numéro de cure", "observation", stay.cycle),
        ]  # fmt: skip
        codes += [_code("ATC", t.drug.atc, t.drug.name, "drug", t.dose, t.drug.unit, t.start, t.drug.route) for t in stay.treatments]
        self._documents.coded("chemotherapy", f"{protocol.name}, cure {stay.cycle}", stay, identity, stay.start + 30, codes)
        rows = self._truth.table("drugs")
        for t in stay.treatments:
            rows.append((self._hospital.key, stay.number, identity.ipp, "chemotherapy", t.drug.atc, "given", float(t.dose), t.drug.unit, t.start))

    def teeth(self, stay: Stay, identity: Identity) -> None:
        """Dental acts, each with its tooth in the FDI numbering."""
        dice, codes = self._dice, []
        for _ in range(dice.between(1, 4)):
            act, label = dice.pick(_TOOTH_ACTS)
            codes.append({**_code("CCAM", act, label, "procedure"), "role": "principal"})
            codes.append(_code("LOCAL/FDI", dice.pick(_TEETH), "Dent (numérotation FDI)", "observation"))
        self._documents.coded("odontology", "Soins dentaires", stay, identity, stay.start + 10, codes)


def pathology_codes(stay: Stay, stage: str) -> list[dict[str, Any]]:
    """ADICAP and TNM, as the report says them too."""
    adicap = ADICAP.get(stay.reason.key, "BHOO7000")
    return [_code("ADICAP", adicap, "", "diagnosis"), _code("LOCAL/TNM", stage, f"Stade {stage} (UICC 8e édition)", "observation")]


def _code(
    vocabulary: str, code: str, label: str, kind: str, value: object = None, unit: str = "", minute: int | None = None, role: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = {"vocabulary": vocabulary, "code": code, "label": label, "kind": kind}
    if value is not None:
        found["value"] = value
    if unit:
        found["unit"] = unit
    if minute is not None:
        found["date"] = iso(minute)[:16]
    if role:
        found["role"] = role
    return found


def _drug(treatment: Treatment) -> dict[str, Any]:
    drug = treatment.drug
    return {"coding": [{"system": "http://www.whocc.no/atc", "code": drug.atc, "display": drug.name}], "text": drug.name}


def _quantity(treatment: Treatment) -> dict[str, Any]:
    return {"value": treatment.dose, "unit": treatment.drug.unit}
