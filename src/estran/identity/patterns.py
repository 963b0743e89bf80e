"""The written forms that betray a person: cues, stop words and shapes, apart from the logic.

Cues are folded (see `folding`): lower case, no accent. Shapes are read on the text itself, at the
place a cue or a digit has led to.
"""

from __future__ import annotations

import re

# What replaces an identity. Append only: stored texts hold them.
NOM, PRENOM, BIRTH, TEL, MAIL = "[NOM]", "[PRENOM]", "[DATE_NAISSANCE]", "[TEL]", "[MAIL]"
ADDRESS, TOWN, NUMBER, URL = "[ADRESSE]", "[VILLE]", "[NUMERO]", "[URL]"
TAG = re.compile(r"\[(?:NOM|PRENOM|DATE_NAISSANCE|TEL|MAIL|ADRESSE|VILLE|NUMERO|URL)\]")

TITLES = (
    "m.", "mm.", "mm", "mr", "mr.", "mrs", "mrs.", "ms", "ms.", "mme", "mme.", "mmes", "mlle", "mlle.", "monsieur",
    "messieurs", "madame", "mesdames", "mademoiselle", "dr", "dr.", "drs", "docteur", "docteurs", "pr", "pr.",
    "professeur", "professeurs", "prof", "prof.",
)  # fmt: skip
PLURAL_TITLES = frozenset(("mm.", "mm", "mmes", "messieurs", "mesdames", "drs", "docteurs", "professeurs"))

# A label is followed by a colon.
LABELS = (
    "nom", "noms", "prenom", "prenoms", "nom de naissance", "nom d'usage", "nom usuel", "nom marital",
    "nom de jeune fille", "nom patronymique", "nom de famille", "nom et prenom", "nom prenom", "nom, prenom",
    "nom/prenom", "nom du patient", "nom de la patiente", "patient", "patiente", "signe", "signature", "valide par",
    "redige par", "dicte par", "saisi par", "vu par", "imprime par", "personne a prevenir", "personne de confiance",
    "medecin traitant", "medecin", "medecins", "interne", "internes", "externe", "externes", "chirurgien",
    "chirurgiens", "operateur", "operateurs", "anesthesiste", "infirmiere", "correspondant", "prescripteur",
    "assure", "assuree", "psychologue", "contact", "investigateur principal",
    "destinataire", "dossier medical pour", "last name", "first name", "name", "surname",
)  # fmt: skip
GIVEN_LABELS = frozenset(("prenom", "prenoms", "first name"))
# A binder is followed by the name at once, with or without a colon.
BINDERS = (
    "signe par", "valide par", "redige par", "dicte par", "saisi par", "imprime par", "analyse par", "epouse", "veuve",
    "nee", "nomme", "nommee", "prenomme", "prenommee", "dossier medical pour", "patient", "patiente", "interne",
)  # fmt: skip

RELATIVES = (
    "mere", "pere", "mari", "femme", "fils", "fille", "frere", "soeur", "sour", "epouse", "epoux", "conjoint",
    "conjointe", "compagnon", "compagne", "concubin", "concubine", "tante", "oncle", "cousin", "cousine", "neveu",
    "niece", "grand-mere", "grand-pere", "ami", "amie", "voisin", "voisine", "tuteur", "tutrice", "curateur",
    "curatrice",
)  # fmt: skip

BIRTH_CUES = (
    "ne le", "nee le", "ne(e) le", "ne (e) le", "nee) le", "nes le", "date de naissance",
    "date naissance", "date de nais", "date nais", "naissance", "naiss", "ddn", "d.d.n", "ne(e) :", "nee :", "ne :",
    "born on", "date of birth", "dob", "mise au monde",
)  # fmt: skip
TOWN_CUES = (
    "habite a", "habitent a", "habitant a", "residant a", "reside a", "domicilie a", "domiciliee a", "demeurant a",
    "ville de", "ne a", "nee a", "ne(e) a", "lieu de naissance", "natif de", "native de",
)  # fmt: skip

NUMBER_CUES = (
    "ipp", "nip", "nda", "iep", "ins", "ins-c", "nir", "nss", "n° ss", "dossier", "identifiant", "identification",
    "matricule", "securite sociale", "secu", "n° secu", "immatriculation", "n° patient", "id patient", "patient id",
    "n°id", "n° id", "n°", "nº", "numero", "rpps", "adeli", "mrn", "ssn", "venue", "sejour", "episode", "passeport",
)  # fmt: skip
PHONE_CUES = (
    "tel", "tel.", "telephone", "telephones", "portable", "mobile", "gsm", "fax", "faxer",
    "telecopie", "joignable", "joignables", "standard", "secretariat", "phone", "appeler", "dect",
)  # fmt: skip

WAYS = (
    "rue", "r.", "avenue", "av.", "av", "ave", "avn", "boulevard", "bd", "bld", "blvd", "boul.", "place", "pl.",
    "allee", "allees", "chemin", "impasse", "quai", "cours", "square", "route", "rte", "faubourg", "passage",
    "residence", "lotissement", "lieu-dit", "lieu dit", "villa", "hameau", "esplanade", "promenade", "cite", "voie",
)  # fmt: skip
STRONG_WAYS = frozenset(("rue", "avenue", "boulevard", "bd", "impasse", "allee"))
BOXES = ("bp", "b.p.", "cs", "c.s.", "boite postale")

_PARTICLES = """
abd abdel ait al ben bin bou d da de den der des di dos du el ibn l la le les saint sainte st ste van von
"""
PARTICLES = frozenset(_PARTICLES.split())

# Words that follow a title, a label or a name without being one, even with a capital.
_STOP_WORDS = """
a abord age agee ages allergie allergies an and ans antecedents aout apres assistant assistante assiste at attache
au aucun aucune aussi autre aux avec avril biologiste bonjour c ca cabinet cancerologue cardiologie cardiologue cc
ce cedex centre ces cet cette ch chambre chef cher chere chers chez chirurgical chirurgicaux chirurgie chirurgien
chirurgienne chru chu clinique compte conclusion confrere consoeur consultation correspondant cr dans date dates de
decembre dermatologue des diagnostic dimanche directeur directrice docteur docteurs dont dossier dr du e elle email
en entree est et ete examen externe fait fax femme fevrier fille fils france gastro generaliste genre geriatre
gynecologue had has he hematologue her his histoire homme hopital hopitaux hospitalier hospitaliere hospitalisation
hospitalise hospitalisee ide il ils in indication infirmier infirmiere interne internes ipp irm is janvier je jeudi
juillet juin kinesitherapeute l la laboratoire le les leur lieu lundi m madame mademoiselle mai mail mais mardi mars
masseur me medecin medecins medical medicale medicaux merci mercredi mesdames messieurs mlle mme mmes mode monsieur
motif mr mutuelle n nda ne nee neurologue ni nip nom noms non nous novembre octobre of on oncologue ophtalmologue ou
oui par pas patient patiente pediatre ph pharmacien pharmacienne phc pneumologue poids pole portable pour pr
praticien praticienne prenom prenoms prescripteur prof professeur psychiatre psychologue psychotherapeute qualite
que qui radiologue rapport recherche rendez resultat resultats rpps rue sa samedi sans scanner se secretaire
secretariat selon septembre service services ses sexe she si signe soins son sont sortie sous specialiste standard
suite suivi sur taille tdm technique tel telephone tension the traitant traitante traitement tres un une unite
urgences urologue va valide vendredi veuve vie vit vous vu was y
"""
STOPS = frozenset(_STOP_WORDS.split())

# Capitals that are no surname, beside a word with a capital.
_ACRONYMS = """
abl abvd adn alat ana anca anrs arn asat avc avk bcr bpco chc chop chr chru chu clinic cmv covid crp ct ctc cvx dci
dfg doi doppler ebv ecbu ecg echo eeg ehpad elisa emg enmg fid fish fogd folfiri folfox fov fufol gb gcs gds gr
grade had hb hba hbpm hcg hiv hla holter hpv hsd hsv hta ide iec iga igg igm imc inr iot irm iso isrs ivg jak lal
lam lcr ldh lmc mayo mopp mrsa nfs nyha oap oms orl pcr pet pft pmid pnn psa pubmed rcp rea samu sars scanner score
smur ssr stade tdm tep tnm toeic tsh type ufr uicc usa usc usi vhb vhc vih vs vzv who
"""
ACRONYMS = frozenset(_ACRONYMS.split())

MONTHS = {
    "janvier": 1, "janv": 1, "jan": 1, "january": 1, "fevrier": 2, "fevr": 2, "fev": 2, "feb": 2, "february": 2,
    "mars": 3, "mar": 3, "march": 3, "avril": 4, "avr": 4, "apr": 4, "april": 4, "mai": 5, "may": 5, "juin": 6,
    "jun": 6, "june": 6, "juillet": 7, "juil": 7, "jul": 7, "july": 7, "aout": 8, "aug": 8, "august": 8,
    "septembre": 9, "sept": 9, "sep": 9, "september": 9, "octobre": 10, "oct": 10, "october": 10, "novembre": 11,
    "nov": 11, "november": 11, "decembre": 12, "dec": 12, "december": 12,
}  # fmt: skip
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))

# Digits parted by at most three separators: phone, number, date, or a line of results.
DIGITS = re.compile(r"[0-9](?:[ .\-/|()\u00a0\u202f]{0,3}[0-9]){3,}")
DATE_WORDS = re.compile(  # on the folded text
    rf"(?:(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche),?\s+)?(?:"
    rf"[0-9]{{1,2}}(?:er|st|nd|rd|th)?[\s\-.]{{0,2}}(?:{_MONTH})\b\.?,?[\s\-]{{0,2}}(?:[0-9]{{4}}|[0-9]{{2}})\b"
    rf"|(?:{_MONTH})\b\.?\s{{1,2}}[0-9]{{1,2}}(?:st|nd|rd|th)?,?\s{{1,2}}[0-9]{{4}}\b)"
)
DATE_DIGITS = re.compile(
    r"[0-9](?:[ .]{1,3}[0-9]){7}(?![ ]?[0-9])|[0-9]{8}(?![0-9])"
    r"|[0-9]{1,4}\s?[/.\-|\\ ]\s?[0-9]{1,2}\s?[/.\-|\\ ]\s?[0-9]{1,4}(?![0-9])"
)
_NUMERALS = """
premier un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize vingt vingts trente
quarante cinquante soixante cent cents mille mil milles et
"""
_ONE_OF = "|".join(_NUMERALS.split())
_NUMBER_WORDS = rf"(?:(?:{_ONE_OF})[\s\-]+)"
DATE_SPELT = re.compile(rf"{_NUMBER_WORDS}{{1,4}}(?:{_MONTH})\s+{_NUMBER_WORDS}{{0,8}}(?:{_ONE_OF})\b")
BIRTH_GAP = re.compile(r"(?:\s|[:.(=)|]|\ble\b|\bthe\b|\bon\b){0,8}")
# One separator throughout: columns of results are not telephones.
PHONES = tuple(
    re.compile(shape)
    for shape in (
        r"(?<![0-9.,])0[1-9]([ .\-/]{0,3})[0-9]{2}(?:\1[0-9]{2}){3}(?![0-9])",
        r"(?<![0-9.,])0[1-9][ .\-]?(?:[0-9]{4}|[0-9]{2}[ .][0-9]{2})[ .\-][0-9]{4}(?![0-9])",
        r"(?<![0-9.,])33\)?[ .]?0?[1-9]([ .\-/]?)[0-9]{2}(?:\1[0-9]{2}){3}(?![0-9])",
        r"(?<![0-9.,])00[1-9][0-9]{0,2}(?:[ .\-]{0,2}[0-9]{1,4}){3,6}(?![0-9])",
        r"(?<![0-9.,])[0-9]{3}([\-.])[0-9]{3}\1[0-9]{4}(?![0-9])",
        r"(?<![0-9])[0-9]{3}\)[ \-]{0,2}[0-9]{3}-[0-9]{4}(?![0-9])",
    )
)
PHONE_ABROAD = re.compile(r"\+ ?\(?[1-9][0-9]{0,2}\)?(?:[ .\-]?\(0\))?(?:[ .\-]{0,2}[0-9]{1,4}){3,6}(?![0-9])")
AFTER_PHONE_CUE = re.compile(
    r"[^\S\n]{0,3}(?:\((?:[^()0-9\n]{1,20})\))?"
    r"(?:[^\S\n]|[.:°n]|portable|mobile|fixe|bureau|fax|au|le|du|\bn°|/){0,8}"
    r"(\+?\(?[0-9](?:[ .\-/()]{0,3}[0-9]){3,16})"
)
MAIL_SHAPE = re.compile(r"[\w.+\-]+[ \t]?@[ \t]?[\w\-]+(?:[ \t]?\.(?:[\w\-]+|[ \t][a-z0-9\-]+))+", re.ASCII)
MAIL_LOOSE = re.compile(r"[^\s@<>\[\]:;,()]+@[^\s@<>\[\]:;,()]{4,}")
URL_SHAPE = re.compile(r"(?:https?://|mailto:|www\.)[^\s\[\]<>]*@[^\s\[\]<>]*", re.IGNORECASE)
AFTER_NUMBER_CUE = re.compile(
    r"(?:[^\S\n]|[:.°=#\-()/]|[nN](?:°|º|o\b)|[a-zéèA-Zû'’]{1,14}\b){0,9}?"
    r"(?<![^\W_])([A-Za-z]{0,4}[\-]?[0-9](?:[ .\-/]?[0-9A-Z]){3,24}|[0-9]{1,4}[A-Za-z]{1,4}[0-9]{3,})(?![^\W_])"
)
NIR = re.compile(r"[1-478][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])[0-9]{8,11}")
NIR_SPACED = re.compile(r"(?<![0-9])(?<![0-9] )[1-478](?: [0-9]){12,14}(?! ?[0-9])")
LAW = re.compile(r"(?:19|20)[0-9]{2}[\-/][0-9]{1,4}")
AGE_AFTER = re.compile(r"[0-9]{1,2}[/.\-][0-9]{1,2}[/.\-](?:[0-9]{4}|[0-9]{2})(?=[ ]?\([0-9]{1,3}[ ]?ans\))")

TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
INITIAL = re.compile(
    r"(?!(?:M|MM|Mr|Dr|Pr|Me|Ms|Mme)\.?\s)(?:[A-ZÀ-Þ][a-zç]?(?:\.?-[A-ZÀ-Þ]|\.[ ]?[A-ZÀ-Þ](?![^\W\d_]))*\.-?"
    r"|[A-ZÀ-Þ](?:-[A-ZÀ-Þ])?(?=[ ]+[A-ZÀ-Þ][^\W\d_]))"
)
SIGNED = re.compile(r"[A-ZÀ-Þ]\.[ ]?-?(?:[A-ZÀ-Þ]\.[ ]?-?){0,2}(?=[A-ZÀ-Þ][^\W\d_]{2})")
BY_CASE = re.compile(
    r"[A-ZÀ-Þ](?:[A-ZÀ-Þ]{2,}(?:[\-'’][A-ZÀ-Þ]+)*[ ]{1,2}[A-ZÀ-Þ][a-zß-ÿ]{2,}(?:-[A-ZÀ-Þ][a-zß-ÿ]+)?"
    r"|[a-zß-ÿ]{2,}(?:-[A-ZÀ-Þ][a-zß-ÿ]+)?[ ]{1,2}[A-ZÀ-Þ]{3,}(?:[\-'’][A-ZÀ-Þ]+)*)(?![\w'’\-])"
)
HOUSE_NUMBER = re.compile(
    r"(?<![0-9])[0-9]{1,4}(?:[ ]?[\-/][ ]?[0-9]{1,4})?[ ]?(?:bis|ter|quater|[a-dA-D])?[ ]?,?[ ]?$",
    re.IGNORECASE,
)
AFTER_ADDRESS = re.compile(
    r"(?:[ \t]?,?[ \t]?-?[ \t]?"
    r"(?:appt|apt|appartement|bat|bât|bâtiment|esc|escalier|étage|porte|cs|bp)[. ]{0,2}[0-9A-Z]{1,6}\b){1,3}",
    re.IGNORECASE,
)
HOUSE_NUMBER_SPELT = re.compile(r"\b(?:deux|trois|quatre|cinq|six|sept|huit|neuf|dix) $")
POSTCODE_TOWN = re.compile(
    r"(?:0[1-9]|[1-8][0-9]|9[0-8])[0-9]{3}(?P<gap>[ \t]{1,2}|[ \t]?\n)(?P<town>[^\W\d_][^\W\d_]+)"
)
AFTER_WAY = re.compile(
    r"[ \t]{0,2},?[ \t]{0,2}-?[ \t]{0,2}\n?[ \t]{0,2}(?P<code>(?:F-)?[0-9]{2} ?[0-9]{3})(?![0-9])"
    r"(?:[ \t]{0,2},?[ \t]{0,2}\n?[ \t]{0,2}(?P<town>[A-ZÀ-Þ][^\W\d_]+))?"
    r"|(?:, ?| à\s{1,2}| à l[ae] )(?P<near>[A-ZÀ-Þ][^\W\d_]+)"
)
TOWN_MORE = re.compile(
    r"-\n?[^\W\d_]+|[ ](?i:cedex)(?:[ ][0-9]{1,2}\b)?|[\n ](?:sur|sous|lès)[ ][A-ZÀ-Þ][^\W\d_]+"
    r"|[ ](?:en|le|la|les|de|du|l|d)(?=[ '’][A-ZÀ-Þ])"
    r"|[ '’](?P<next>[A-ZÀ-Þ][^\W\d_]*)"
)
FIVE_DIGITS = re.compile(r"[0-9]{5}(?=\s)")
POSTCODE_ONLY = re.compile(r"[0-9]{5}(?![0-9])")
