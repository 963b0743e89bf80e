"""The phrases that `explain` is made of, in French and in English."""

from __future__ import annotations

from estran.cohort.language.words import Lang
from estran.cohort.query import Kin, Unit
from estran.model.codes import Sex

MONTHS: dict[Lang, tuple[str, ...]] = {
    "fr": ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
           "décembre"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December"),
}  # fmt: skip
SEXES = {Sex.FEMALE: "female", Sex.MALE: "male", Sex.OTHER: "other sex", Sex.UNKNOWN: "unknown sex"}
KINSHIP = {Kin.MOTHER: "mothers", Kin.CHILD: "children", Kin.TWIN: "twins"}
UNIT_NOUNS = {
    Unit.STAY: "stay", Unit.DOCUMENT: "document", Unit.MOVEMENT: "movement", Unit.GROUP: "group", Unit.PATIENT: "patient",
}  # fmt: skip


_FRENCH = {
    "final": "définitif", "preliminary": "provisoire", "ordered": "prescrit", "dispensed": "dispensé",
    "given": "administré", "not_given": "non administré", "cancelled": "annulé",
    "affirmed": "affirmé", "negated": "nié", "hypothetical": "hypothétique", "family": "familial",
    "history": "antécédent", "reported": "rapporté", "planned": "prévu",
    "HIGH": "fort", "MODERATE": "modéré", "LOW": "faible", "MODIFIER": "modificateur",
    "coded": "codée", "text": "texte", "derived": "calculée",
    "minute": "de la minute", "hour": "de l'heure", "day": "du jour", "month": "du mois", "unknown": "inconnue",
    "dossier": "dossier", "venue": "venue", "consultation": "consultation", "emergency": "urgences",
    "session": "séance", "had": "HAD", "smr": "SMR", "psy": "psychiatrie",
    "discharge": "compte rendu d'hospitalisation", "operative": "compte rendu opératoire", "letter": "courrier",
    "case": "cas", "laboratory": "biologie", "pathology": "anatomopathologie", "imaging": "imagerie",
    "nursing": "soins infirmiers", "prescription": "prescription", "administration": "administration", "pmsi": "PMSI",
    "chemotherapy": "chimiothérapie", "genomics": "génomique", "odontology": "odontologie", "procedure": "acte",
    "diagnosis": "diagnostic", "allergy": "allergie", "immunization": "vaccination", "device": "dispositif",
    "measurement": "mesure", "observation": "observation", "coverage": "couverture", "signal": "enregistrement", "other": "autre",
}  # fmt: skip


def choice(name: str, lang: Lang) -> str:
    """A word of a closed list; several joined by + are told one after the other."""
    words = [_FRENCH[one] if lang == "fr" else one.replace("_", " ").lower() for one in name.split("+")]
    return (" et " if lang == "fr" else " and ").join(words)


def phrase(name: str, lang: Lang) -> str:
    """A phrase, with places for its values between braces."""
    return _PHRASES[name][0 if lang == "fr" else 1]


_PHRASES = {
    "patients": ("Patients", "Patients"),
    "patient": ("patient", "patient"),
    "and": ("et", "and"),
    "or": ("ou", "or"),
    "day": ("jours", "days"),
    "hour": ("heures", "hours"),
    "and title": ("qui remplissent toutes ces conditions :", "who meet all of these conditions:"),
    "or title": ("qui remplissent au moins une de ces conditions :", "who meet at least one of these conditions:"),
    "at_least title": (
        "qui remplissent au moins {n} de ces conditions :", "who meet at least {n} of these conditions:",
    ),
    "not title": ("à l'exclusion de ceux {title}", "except those {title}"),
    "with": ("avec un {noun}", "with a {noun}"),
    "with several": ("avec au moins {n} {noun}", "with at least {n} {noun}"),
    "without": ("sans aucun {noun}", "without any {noun}"),
    "with fewer": ("avec moins de {n} {noun}", "with fewer than {n} {noun}"),
    "not": ("pour qui il n'est pas vrai : {condition}", "for whom it is not true: {condition}"),
    "female": ("de sexe féminin", "female"),
    "male": ("de sexe masculin", "male"),
    "other sex": ("d'un autre sexe", "of another sex"),
    "unknown sex": ("de sexe inconnu", "of unknown sex"),
    "aged least": ("âgés de {low} ans ou plus", "aged {low} or over"),
    "aged most": ("âgés de {high} ans ou moins", "aged {high} or under"),
    "aged between": ("âgés de {low} à {high} ans", "aged {low} to {high}"),
    "aged exactly": ("âgés de {low} ans", "aged {low}"),
    "age then least": ("à {low} ans ou plus", "at age {low} or over"),
    "age then most": ("à {high} ans ou moins", "at age {high} or under"),
    "age then between": ("entre {low} et {high} ans", "at age {low} to {high}"),
    "age then exactly": ("à {low} ans", "at age {low}"),
    "born least": ("nés en {low} ou après", "born in {low} or later"),
    "born most": ("nés en {high} ou avant", "born in {high} or earlier"),
    "born between": ("nés entre {low} et {high}", "born from {low} to {high}"),
    "born exactly": ("nés en {low}", "born in {low}"),
    "lasting least": ("de {low} jours ou plus", "of {low} days or more"),
    "lasting most": ("de {high} jours ou moins", "of {high} days or less"),
    "lasting between": ("de {low} à {high} jours", "of {low} to {high} days"),
    "lasting exactly": ("de {low} jours", "of {low} days"),
    "alive": ("vivants", "alive"),
    "dead": ("décédés", "dead"),
    "living in": ("résidant en {areas}", "living in {areas}"),
    "fact": ("fait {codes}", "fact {codes}"),
    "facts": ("faits {codes}", "facts {codes}"),
    "quoted": ("« {label} » ({code})", "“{label}” ({code})"),
    "alone": ("{code} sans ses descendants", "{code} without its descendants"),
    "but not": ("{kept} (sauf {gone})", "{kept} (but not {gone})"),
    "value": ("de valeur {told}", "valued {told}"),
    "value exactly": ("de valeur égale à {value}", "valued exactly {value}"),
    "above": ("supérieure à {value}", "above {value}"),
    "at least": ("d'au moins {value}", "at least {value}"),
    "below": ("inférieure à {value}", "below {value}"),
    "at most": ("d'au plus {value}", "at most {value}"),
    "result": ("de résultat {codes}", "with result {codes}"),
    "role": ("de rôle {roles}", "with role {roles}"),
    "hanging": ("rattaché à un fait {codes}", "hanging from a fact {codes}"),
    "apart": ("espacés d'au moins {n} jours", "at least {n} days apart"),
    "status": ("de statut {values}", "with status {values}"),
    "context": ("de contexte {values}", "in context {values}"),
    "any context": ("dans tout contexte", "in any context"),
    "origin": ("d'origine {values}", "of origin {values}"),
    "precision": ("daté à la précision {value}", "dated to the {value}"),
    "in units": ("dans l'unité {units}", "in unit {units}"),
    "of kind": ("de type {kinds}", "of kind {kinds}"),
    "since": ("à partir du {date}", "from {date} on"),
    "until": ("jusqu'au {date}", "until {date}"),
    "on": ("le {date}", "on {date}"),
    "from to": ("du {start} au {end}", "from {start} to {end}"),
    "text": ("document où l'on trouve {query}", "document that contains {query}"),
    "stay": ("séjour", "stay"),
    "entry": ("de mode d'entrée {values}", "with entry mode {values}"),
    "exit": ("de mode de sortie {values}", "with exit mode {values}"),
    "movement": ("passage dans une unité", "movement through a unit"),
    "responsibility": ("de responsabilité {values}", "with responsibility {values}"),
    "document": ("document", "document"),
    "group": ("groupe de faits", "group of facts"),
    "media": ("document avec image ou signal", "document with images or signals"),
    "variant": ("variant génétique", "genetic variant"),
    "variant of": ("variant du gène {genes}", "variant of gene {genes}"),
    "chromosome": ("sur le chromosome {chrom}", "on chromosome {chrom}"),
    "position": ("sur le chromosome {chrom} à la position {low}", "on chromosome {chrom} at position {low}"),
    "region": ("sur le chromosome {chrom} de {low} à {high}", "on chromosome {chrom} from {low} to {high}"),
    "region on": ("sur le chromosome {chrom} à partir de {low}", "on chromosome {chrom} from {low} on"),
    "impact": ("d'impact {values}", "of {values} impact"),
    "then": ("{first}, suivi {delay} d'un {then}", "{first}, followed {delay} by a {then}"),
    "delay": ("{low} à {high} {unit} après", "{low} to {high} {unit} later"),
    "delay within": ("dans les {high} {unit}", "within {high} {unit}"),
    "delay from": ("au moins {low} {unit} après", "at least {low} {unit} later"),
    "delay up to": ("au plus {high} {unit} après", "at most {high} {unit} later"),
    "first": ("premier {noun}", "first {noun}"),
    "last": ("dernier {noun}", "last {noun}"),
    "nth": ("{noun} (occurrence n° {n})", "{noun} (occurrence no. {n})"),
    "meeting": ("même {unit} {condition}", "single {unit} {condition}"),
    "window": ("groupe d'événements en {n} jours au plus ({nouns})", "group of events within {n} days ({nouns})"),
    "during": ("{noun}, pendant un {within}", "{noun}, during a {within}"),
    "during stay": ("{noun}, pendant le séjour d'un {within}", "{noun}, during the stay of a {within}"),
    "follow-up": ("{noun}, suivi d'au moins {n} jours d'observation", "{noun}, followed by at least {n} days of observation"),
    "wash-out": (
        "{noun}, sans aucun {without} dans les {n} jours d'avant", "{noun}, without any {without} in the {n} days before",
    ),
    "relative": ("{kin} d'un patient {condition}", "{kin} of a patient {condition}"),
    "mothers": ("mères", "mothers"),
    "children": ("enfants", "children"),
    "twins": ("jumeaux", "twins"),
    "same patient": ("(tout séjour confondu) {condition}", "(in any stay) {condition}"),
    "permission": ("avec une autorisation « {kind} » pour {scope}", "with permission “{kind}” for {scope}"),
    "cohort": ("de la cohorte « {called} »", "of cohort “{called}”"),
    "list": ("d'une liste de {n} numéros", "of a list of {n} numbers"),
    "everyone": ("sans condition", "without condition"),
}  # fmt: skip
