"""Reports with identities planted in them: eight invented people, forty texts, every usual place.

Each person's names, relatives, birth date, address, phones, mails and numbers are written in the ways
hospitals write them: headers, sentences, signatures, copies, titles, results, comments. Nothing here
is random, so that whatever escapes can be found again.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.spec import site_kit as kit

MONTHS = ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"]


@dataclass(frozen=True)
class Someone:
    """One invented person. Names are rare ones, so that finding one anywhere means something."""

    ipp: str
    ndas: tuple[str, ...]
    family: str
    given: str
    birth: dt.date
    sex: str
    street: str
    postcode: str
    town: str
    phone: str
    mobile: str
    mail: str
    ins: str
    mother: str  # given and birth name
    contact: str  # spouse or child, told by NK1 or in the text
    birth_name: str = ""
    doctor: str = "Gwendoline TREGARANTEC"

    @property
    def names(self) -> list[str]:
        """Every name, the parts of compound ones apart."""
        every = " ".join((self.family, self.given, self.birth_name, self.mother, self.contact, self.doctor))
        return [word for word in every.replace("-", " ").replace("'", " ").split() if len(word) >= 4]

    @property
    def numbers(self) -> list[str]:
        """Every number, in digits (and letters, where it has some)."""
        return [self.ipp, *self.ndas, self.ins, self.phone, self.mobile]

    # Ways of writing

    @property
    def dmy(self) -> str:
        return f"{self.birth:%d/%m/%Y}"

    @property
    def spelt(self) -> str:
        day = "1er" if self.birth.day == 1 else str(self.birth.day)
        return f"{day} {MONTHS[self.birth.month - 1]} {self.birth.year}"

    @property
    def title(self) -> str:
        return "Madame" if self.sex == "F" else "Monsieur"

    @property
    def nee(self) -> str:
        return "née" if self.sex == "F" else "né"

    def spaced(self, number: str, sign: str = " ") -> str:
        return sign.join(number[i : i + 2] for i in range(0, len(number), 2))

    @property
    def ins_spaced(self) -> str:
        n = self.ins
        return f"{n[0]} {n[1:3]} {n[3:5]} {n[5:7]} {n[7:10]} {n[10:13]} {n[13:]}"


PEOPLE = (
    Someone("8009876501", ("240015501", "240015502"), "QUERCITRON", "Wilhelmine", dt.date(1956, 3, 12), "F",
            "12 rue du Puits-Mauger", "35137", "Bédée", "0299554417", "0699887761", "w.quercitron@exemple-sante.fr",
            "256033513712345", "Hermeline VASSELOTTE", "Théodule QUERCITRON", "BELLAMORGUE"),
    Someone("8009876502", ("240015503",), "LE GOFFIC-KERDILES", "Jean-Tanguy", dt.date(1948, 11, 2), "M",
            "47 bis boulevard Anatole Le Braz", "29880", "Plouguerneau", "0298046622", "0678123409",
            "jt.legoffic@exemple-sante.fr", "148112919512386", "Soizicke CADORETTE", "Maëlwenn LE GOFFIC-KERDILES"),
    Someone("8009876503", ("240015504", "240015505"), "VASCONCELOS", "Esmeraldine", dt.date(1937, 8, 29), "F",
            "3 allée des Gravilliers", "44210", "Pornic", "0240821193", "0651470098", "e.vasconcelos@exemple-sante.fr",
            "237084413109827", "Adelaïda FIGUEROLA", "Balthasar D'ALMENARA", "FIGUEROLA"),
    Someone("8009876504", ("240015506",), "OUEDRAOGOLI", "Issoufoundou", dt.date(1969, 5, 30), "M",
            "118 avenue Général Margueritte", "49280", "La Séguinière", "0241567730", "0770113355",
            "issoufoundou.o@exemple-sante.fr", "169059935211063", "Fatoumatine SANKARADO", "Rasmatou OUEDRAOGOLI"),
    Someone("8009876505", ("240015507",), "BOULANGERAY", "Rosemonde", dt.date(1941, 1, 1), "F",
            "Résidence Les Tamaris, 6 chemin de Kerbihan", "56470", "La Trinité-sur-Mer", "0297558214", "0612349870",
            "rosemonde.boulangeray@exemple-sante.fr", "241015625800177", "Philomenne HUCHELOUP", "Ignace BOULANGERAY",
            "CHATEAUGIRONNE"),
    Someone("8009876506", ("24RX015508",), "TREMOUREUXEL", "Barthélémie", dt.date(1992, 2, 29), "F",
            "9 place Sainte-Melaineville", "35000", "Vern-sur-Seiche", "0223401877", "0633221907",
            "bartremou@exemple-sante.fr", "292023523844512", "Clothildine PERRIGAULT", "Anselmin GUYOMARDEC"),
    Someone("8009876507", ("240015509",), "SZCZEPANIAKOWSKI", "Ladislawek", dt.date(1953, 12, 25), "M",
            "21 impasse de la Corderie", "29200", "Guipavas", "0298471360", "0644102938", "l.szcz@exemple-sante.fr",
            "153122907544918", "Bronislawa WOJCIECHOWA", "Krystynka SZCZEPANIAKOWSKI"),
    Someone("8009876508", ("240015510",), "GUIVARCHEREAU", "Enora-Lilwenn", dt.date(2016, 7, 14), "F",
            "2 rue Amiral-Ronarc'hevel", "29000", "Ergué-Gabéric", "0298902245", "0688774410",
            "famille.guivarchereau@exemple-sante.fr", "216072923244071", "Katellig PENNANEACH", "Corentinig GUIVARCHEREAU"),
)  # fmt: skip


@dataclass
class Report:
    """One planted text: where it goes in, for whom, and the text."""

    someone: Someone
    number: int
    text: str
    title: str = "Compte rendu"
    channel: str = "jsonl"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"CR-{self.number:04d}"


def discharge(p: Someone) -> str:
    return f"""CENTRE HOSPITALIER — Service de cardiologie
Patient : {p.family} {p.given}      {p.nee.capitalize()} le {p.dmy}      Sexe : {p.sex}
IPP : {p.ipp}    NDA : {p.ndas[0]}    INS : {p.ins_spaced}
Adresse : {p.street}, {p.postcode} {p.town}
Tél. : {p.spaced(p.phone)} / {p.spaced(p.mobile, '.')}

Compte rendu d'hospitalisation
{p.title} {p.family} {p.given}, {p.nee} le {p.spelt}, a été hospitalisé(e) pour une insuffisance cardiaque aiguë.
À l'entrée : dyspnée de stade III, œdèmes des membres inférieurs, pas de fièvre. Le traitement par furosémide permet
une amélioration rapide. {p.title} {p.family.title()} regagne son domicile avec l'aide de {p.contact}.

Dr {p.doctor}
Copie : Dr {p.doctor.split()[1]}, médecin traitant"""


def letter(p: Someone) -> str:
    return f"""Cher confrère,

J'ai revu en consultation votre patient(e) {p.title} {p.given} {p.family}, demeurant {p.street} à {p.town}
({p.postcode}), pour le suivi de sa fibrillation auriculaire. Sa mère, Madame {p.mother}, était également suivie ici.
Dossier n° {p.ipp}. Vous pouvez joindre la famille au {p.spaced(p.mobile)} ou par courriel : {p.mail}.

Pas de douleur thoracique. L'anticoagulation est poursuivie.

Bien confraternellement,
Docteur {p.doctor}"""


def emergency(p: Someone) -> str:
    return f"""URGENCES ADULTES — passage n° {p.ndas[-1]}
NOM : {p.family}
{'NOM DE NAISSANCE : ' + p.birth_name if p.birth_name else 'NOM DE NAISSANCE : ' + p.family}
PRÉNOM : {p.given}
DATE DE NAISSANCE : {p.birth:%d.%m.%Y}
N° SÉCU : {p.ins}
Personne à prévenir : {p.contact}, tél {p.spaced(p.phone, '-')}

Motif : chute à domicile. {p.family} {p.given} a glissé dans son escalier au {p.street}.
Accompagné(e) par {p.contact}. Examen : hématome du genou gauche, pas de fracture à la radiographie."""


def operative(p: Someone) -> str:
    return f"""COMPTE RENDU OPÉRATOIRE
{p.family.upper()} {p.given.upper()} ({p.birth:%d-%m-%Y}) — IPP {p.spaced(p.ipp)} — séjour {p.ndas[0]}
Opérateur : {p.doctor.split()[1]}
Cholécystectomie sous cœlioscopie. Installation en décubitus dorsal. Dissection du triangle de Calot, section du canal
cystique. Contrôle hémostatique satisfaisant.
Mme/M. {p.family} a été informé(e) ; consentement signé par {p.given} {p.family}."""


def nursing(p: Someone) -> str:
    return f"""Transmission du soir : {p.given} se plaint de céphalées. {p.title} {p.family} a appelé sa famille :
{p.contact} passera demain. Rappeler la famille au {p.phone}. Glycémie 1,12 g/L.
Mail de contact {p.mail.upper()}."""


def social(p: Someone) -> str:
    return f"""SERVICE SOCIAL
{p.title} {p.family}, {p.nee} le {p.dmy} à {p.town}, domicilié(e) {p.street.upper()} {p.postcode} {p.town.upper()}.
{'Son mari' if p.sex == 'F' else 'Sa femme'}, {p.contact}, est joignable au {p.spaced(p.mobile)}.
Numéro de sécurité sociale : {p.ins[:13]} clé {p.ins[13:]}.
Demande d'APA en cours ; retour à domicile envisagé avec passages infirmiers."""


def imaging(p: Someone) -> str:
    return f"""SCANNER THORACO-ABDOMINAL
{p.family} {p.given} {p.birth:%d/%m/%y} {p.ipp}
Indication : altération de l'état général. Technique : acquisition hélicoïdale après injection.
Résultat : pas d'embolie pulmonaire. Nodule du lobe supérieur droit de 8 mm. Épanchement pleural minime.
Conclusion : nodule pulmonaire à surveiller chez {p.title.lower()} {p.family.lower()}.
Compte rendu validé par le Dr {p.doctor}."""


def psychiatry(p: Someone) -> str:
    return f"""Entretien familial en présence de {p.contact} et de la mère, {p.mother}.
{p.given} dit : « je m'appelle {p.given} {p.family}, je suis {p.nee} le {p.spelt} ».
L'humeur est stable, pas d'idée suicidaire. Prochain rendez-vous fixé avec {p.given}.
{p.mother.split()[0]} {p.mother.split()[1]} demande à être rappelée au 0033{p.mobile[1:]} ou +33 {p.mobile[1]} {p.spaced(p.mobile[2:])}."""


WRITERS = (discharge, letter, emergency, operative, nursing, social, imaging, psychiatry)
KINDS = ("crh", "courrier", "urgences", "cro", "nursing", "other", "imagerie", "crc")
TITLES = (
    "Compte rendu d'hospitalisation de {0.family} {0.given}", "Courrier concernant {0.title} {0.family}",
    "URGENCES {0.family} {0.given} {0.dmy}", "CRO {0.ipp}", "Transmissions", "Évaluation sociale {0.given} {0.family}",
    "Scanner {0.ndas[0]}", "Entretien de {0.given}",
)  # fmt: skip


def reports() -> list[Report]:
    """Forty reports by turns through the four ways in: JSON lines, text files, FHIR, HL7 v2."""
    channels = ("jsonl", "txt", "fhir", "hl7")
    found = []
    for n in range(40):
        who, kind = PEOPLE[n % 8], (n // 8 + n) % 8
        text = WRITERS[kind](who)
        channel = channels[(n + 3 * (n // 8)) % 4]
        found.append(Report(who, n, text, TITLES[kind].format(who), channel, {"kind": KINDS[kind]}))
    return found


# Files


def write(folder: Path) -> dict[str, list[Path]]:
    """The planted inputs, per format. Who people are comes by HL7 (ADT), after some of the texts."""
    by_channel: dict[str, list[Report]] = {}
    for report in reports():
        by_channel.setdefault(report.channel, []).append(report)
    lines = kit.write_lines(folder / "report" / "lettres.jsonl", map(_line, by_channel["jsonl"]))
    headed = [_headed(folder / "report", report) for report in by_channel["txt"]]
    fhir = kit.write_lines(folder / "fhir" / "planted.ndjson", _resources(by_channel["fhir"]))
    letters = kit.write_messages(folder / "hl7v2" / "b_results.hl7", *map(_result, by_channel["hl7"]), *_odd_results())
    arrivals = kit.write_messages(folder / "hl7v2" / "c_people.hl7", *map(_arrival, PEOPLE))
    return {"report": [lines, *headed], "fhir": [fhir], "hl7v2": [letters, arrivals]}


def _line(report: Report) -> dict[str, Any]:
    """A report whose every free field holds a name: the reader or the pipeline must see to it."""
    p = report.someone
    return {
        "id": report.key, "ipp": p.ipp, "ipp_system": "CHU", "nda": p.ndas[0], "kind": report.extra["kind"],
        "title": report.title, "date": f"2024-02-{report.number % 28 + 1:02d}T10:30", "text": report.text,
        "auteur": f"Dr {p.doctor}", "statut": "final",
        "codes": [
            {"vocabulary": "CIM10", "code": "I50", "label": "Insuffisance cardiaque", "value": f"vu avec {p.title} {p.contact}"},
            {"vocabulary": "LOCAL/notes", "code": "N1", "label": "Commentaire", "value": f"{p.family} {p.given} {p.dmy}"},
            {"vocabulary": "LOCAL/notes", "code": "N2", "label": "Numéro relevé", "value": int(p.birth.strftime("%Y%m%d"))},
        ],
    }  # fmt: skip


def _headed(folder: Path, report: Report) -> Path:
    p = report.someone
    head = {
        "id": report.key, "ipp": p.ipp, "ipp_system": "CHU", "nda": p.ndas[-1], "nom": p.family, "prenom": p.given,
        "date_naissance": p.dmy, "sexe": p.sex, "type_document": report.extra["kind"], "titre": report.title,
        "date": f"{report.number % 28 + 1:02d}/03/2024", "auteur": f"Dr {p.doctor}",
    }  # fmt: skip
    path = folder / f"{p.family.lower().replace(' ', '_')}_{report.number}.txt"
    path.write_text("".join(f"{k}: {v}\n" for k, v in head.items()) + "\n" + report.text, "utf-8")
    return path


def _resources(found: list[Report]) -> list[dict[str, Any]]:
    who = {report.someone.ipp: report.someone for report in found}
    notes = [make(p) for p in who.values() for make in (_note, _scan)]
    return [*map(_patient, who.values()), *map(_reference, found), *notes]


def _patient(p: Someone) -> dict[str, Any]:
    contact = {"name": {"text": p.contact}, "telecom": [{"system": "phone", "value": p.phone}]}
    return {
        "resourceType": "Patient", "id": f"pat-{p.ipp}", "gender": "female" if p.sex == "F" else "male",
        "identifier": [
            {"system": "CHU", "value": p.ipp, "type": {"coding": [{"code": "PI"}]}},
            {"system": "urn:oid:1.2.250.1.213.1.4.8", "value": p.ins},
        ],
        "name": [{"use": "official", "family": p.birth_name or p.family, "given": [p.given]},
                 {"use": "usual", "family": p.family, "given": [p.given]}],
        "birthDate": p.birth.isoformat(), "contact": [contact],
        "telecom": [{"system": "phone", "value": p.mobile}, {"system": "email", "value": p.mail}],
        "address": [{"line": [p.street], "city": p.town, "postalCode": p.postcode}],
    }  # fmt: skip


def _reference(report: Report) -> dict[str, Any]:
    html = "<p>" + report.text.replace("&", "&amp;").replace("\n", "<br/>") + "</p>"
    body = base64.b64encode(html.encode()).decode()
    return {
        "resourceType": "DocumentReference", "id": report.key, "status": "current",
        "type": {"text": report.title}, "description": report.title,
        "subject": {"reference": f"Patient/pat-{report.someone.ipp}", "display": report.someone.family},
        "date": f"2024-04-{report.number % 28 + 1:02d}T08:00:00+02:00",
        "content": [{"attachment": {"contentType": "text/html; charset=utf-8", "data": body, "title": report.title}}],
    }  # fmt: skip


def _note(p: Someone) -> dict[str, Any]:
    """An observation whose words, in all its places, hold the identity."""
    return {
        "resourceType": "Observation", "id": f"obs-{p.ipp}", "status": "final", "issued": "2024-05-06T07:08:09+02:00",
        "subject": {"reference": f"Patient/pat-{p.ipp}"}, "effectiveDateTime": "2024-05-06T07:00:00+02:00",
        "code": {"text": f"Questionnaire de {p.title} {p.family}"},
        "valueString": f"Répondu par {p.given} {p.family}, {p.nee} le {p.dmy}, IPP {p.ipp}",
        "note": [{"text": f"Relu avec {p.title} {p.contact} au {p.spaced(p.phone)}"}],
        "method": {"text": f"entretien chez {p.title} {p.family}"},
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": "21112-8", "display": "Birth date"}]},
             "valueDateTime": p.birth.isoformat()},
            {"code": {"coding": [{"system": "http://loinc.org", "code": "30525-0", "display": "Age"}]},
             "valueQuantity": {"value": (dt.date(2024, 5, 6) - p.birth).days, "unit": "d", "code": "d",
                               "system": "http://unitsofmeasure.org"}},
        ],
    }  # fmt: skip


def _scan(p: Someone) -> dict[str, Any]:
    """A picture kept elsewhere, under a name that says whose it is."""
    name = f"{p.family}_{p.given}_{p.birth:%Y%m%d}".replace(" ", "_").replace("'", "")
    return {
        "resourceType": "DocumentReference", "id": f"scan-{p.ipp}", "status": "current", "date": "2024-04-02T08:00:00+02:00",
        "subject": {"reference": f"Patient/pat-{p.ipp}"}, "description": "Document numérisé",
        "content": [{"attachment": {"contentType": "application/pdf", "url": f"https://ged.exemple/{p.ipp}/{name}.pdf"}}],
    }


def _pid(p: Someone) -> str:
    names = f"{p.family}^{p.given}^^^^^{'D' if p.birth_name else 'L'}"
    if p.birth_name:
        names = f"{p.birth_name}^{p.given}^^^^^L~{names}"
    numbers = f"{p.ipp}^^^CHU^PI~{p.ins}^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS"
    mother = "^".join(reversed(p.mother.split()))
    home = f"{p.street}^^{p.town}^^{p.postcode}^FRA^H"
    phones = f"{p.phone}^PRN^PH~{p.mobile}^PRN^CP~^NET^Internet^{p.mail}"
    return f"PID|1||{numbers}||{names}|{mother}|{p.birth:%Y%m%d}|{p.sex}|||{home}||{phones}"


def _arrival(p: Someone) -> str:
    """The admission, with the person to warn; it comes after the results that speak of the person."""
    given, _, family = p.contact.partition(" ")
    return kit.adt(
        "A01", "20240201083000", _pid(p), f"NK1|1|{family}^{given}|SPO||{p.phone}", kit.pv1(p.ndas[0], "CARDIO"),
        number=f"ADM{p.ipp}",
    )


def _result(report: Report) -> str:
    p = report.someone
    lines = [f"OBX|{i}|TX|CR^{report.title}^L||{_escaped(line)}||||||F" for i, line in enumerate(report.text.split("\n"), 1)]
    comment = f"NTE|1||Appelé {p.title} {p.contact} au {p.spaced(p.mobile)} : {p.given} {p.family} informé(e)"
    bare = f"PID|1||{p.ipp}^^^CHU^PI"  # names nobody: the ADT comes later
    return kit.oru(
        f"202402{report.number % 28 + 1:02d}1200", bare, report.key, *lines, comment,
        visit=kit.pv1(p.ndas[0]), code="18842-5", label=report.title,
    )


def _escaped(text: str) -> str:
    for sign, code in (("\\", "E"), ("|", "F"), ("^", "S"), ("~", "R"), ("&", "T")):
        text = text.replace(sign, f"\\{code}\\")
    return text


def _odd_results() -> list[str]:
    """Two people whose identity stands where a value should."""
    found = []
    for number, p in enumerate(PEOPLE[:2]):
        rows = (
            f"OBX|1|NM|NAISS^Date de naissance saisie^L||{p.birth:%Y%m%d}||||||F",
            f"OBX|2|NM|CONTACT^Téléphone saisi^L||{int(p.mobile)}||||||F",
            f"OBX|3|ST|QUI^Prélevé chez^L||{p.family} {p.given}||||||F",
            f"OBX|4|DT|NAISS2^Naissance^L||{p.birth:%Y%m%d}||||||F",
            f"OBX|5|NM|IPPV^Identifiant vérifié^L||{p.ipp}||||||F",
            f"NTE|1||Tube étiqueté {p.family.upper()} {p.given.upper()} {p.dmy}, {p.ndas[0]}",
        )
        found.append(kit.oru("202402191200", _pid(p), f"ODD-{number}", *rows, code="BILAN", label=f"Bilan de {p.family}"))
    return found
