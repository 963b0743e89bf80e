"""Masking: what is known of the patient, rules, and what must be left alone."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.identity.deid import DEID_VERSION, Deidentifier, deidentifier, redact_all
from estran.identity.folding import common_words, fold
from estran.identity.patterns import TAG
from estran.identity.traits import Known

KNOWN = Known(
    family_names=("LE GOFF", "Dupont-Martin", "N'Guyen", "Petit"),
    given_names=("Jean-Pierre", "Rose", "Zoé"),
    relatives=("LE GOFF Yvonne (mère)",),
    birth_dates=(dt.date(1956, 3, 12),),
    addresses=("12 bis rue de la Paix", "Résidence Les Lilas"),
    postcodes=("35000",),
    cities=("Rennes", "Saint-Malo"),
    phones=("06 12 34 56 78", "+33299123456"),
    mails=("jp.legoff@example.org",),
    numbers=("8001234567", "156033512345678", "AB12345", "12"),
)
OF_PATIENT = Deidentifier(KNOWN)
OF_NOBODY = Deidentifier()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("LE GOFF Jean-Pierre", "[NOM] [PRENOM]"),
        ("goff, jean pierre", "[NOM], [PRENOM]"),
        ("Le  Goff", "[NOM]"),
        ("JEANPIERRE legoff", "[PRENOM] [NOM]"),
        ("suivi par M. J. LE GOFF", "suivi par M. [PRENOM] [NOM]"),
        ("J.P. DUPONT", "[PRENOM] [NOM]"),
        ("DUPONT J. est venu", "[NOM] [PRENOM] est venu"),
        ("Dupont\u2011Martin", "[NOM]"),
        ("n'guyen, N’GUYEN, NGUYEN", "[NOM], [NOM], [NOM]"),
        ("ZOE et Zoé", "[PRENOM] et [PRENOM]"),
        ("accompagnée d'Yvonne", "accompagnée d'[NOM]"),
        ("un petit nodule rose", "un petit nodule rose"),
        ("M. PETIT va bien, Rose aussi", "M. [NOM] va bien, [PRENOM] aussi"),
        ("mme petit zoé", "mme [NOM] [PRENOM]"),
        ("dupontel, pétition", "dupontel, pétition"),
        ("née à St Malo, vit à RENNES", "née à [VILLE], vit à [VILLE]"),
        ("habite 12 bis, rue de la Paix, 35000 Rennes", "habite [ADRESSE], [ADRESSE] [VILLE]"),
        ("près de la rue de la paix", "près de la [ADRESSE]"),
        ("en paix avec les lilas", "en paix avec les lilas"),
        ("plaquettes 35000 /mm3", "plaquettes 35000 /mm3"),
        ("écrire à JP.LeGoff@example.org", "écrire à [MAIL]"),
        ("n 8001234567 ou 800 123 4567", "n [NUMERO] ou [NUMERO]"),
        ("1 56 03 35 123 456 78 et 1560335123456", "[NUMERO] et [NUMERO]"),
        ("dossier ab12345", "dossier [NUMERO]"),
        ("12 comprimés", "12 comprimés"),
    ],
)
def test_what_is_known_is_masked(text: str, masked: str) -> None:
    assert OF_PATIENT.redact(text) == masked


@pytest.mark.parametrize(
    "written",
    [
        "12/03/1956", "12-03-56", "12/3/1956", "1956-03-12", "12.03.1956", "19560312", "12031956", "12 / 03 / 1956",
        "1 2 0 3 1 9 5 6", "12|03|1956", "12 mars 1956", "12 MARS 56", "March 12, 1956", "march 12 1956", "douze mars 1956",
        "12 mar. 1956",
    ],
)  # fmt: skip
def test_the_birth_date_is_masked_in_every_form(written: str) -> None:
    assert OF_PATIENT.redact(f"Le {written} à Brest") == "Le [DATE_NAISSANCE] à Brest"


@pytest.mark.parametrize("other", ["13/03/1956", "12/04/1956", "12 avril 1956", "mars 1956", "12,03", "en mars"])
def test_other_dates_stay(other: str) -> None:
    assert OF_PATIENT.redact(f"Le {other} à Brest") == f"Le {other} à Brest"


@pytest.mark.parametrize(
    "written",
    [
        "0612345678",
        "06.12.34.56.78",
        "06 1234 5678",
        "+33 6 12 34 56 78",
        "0033612345678",
        "+33(0)612345678",
        "02 99 12 34 56",
    ],
)
def test_phones_are_masked_in_any_grouping(written: str) -> None:
    assert OF_PATIENT.redact(f"au {written}, merci") == "au [TEL], merci"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Docteur Anne Lefort", "Docteur [PRENOM] [NOM]"),
        ("Dr LEFORT Anne, cardiologue", "Dr [NOM] [PRENOM], cardiologue"),
        ("MME LEFORT EST VENUE", "MME [NOM] EST VENUE"),
        ("mme lefort est venue", "mme [NOM] est venue"),
        ("Pr A. Lefort", "Pr [PRENOM] [NOM]"),
        ("M. de La Tour d'Auvergne", "M. [PRENOM] [NOM]"),
        ("Mr John Smith and Mrs Smith", "Mr [PRENOM] [NOM] and Mrs [NOM]"),
        ("Drs Lefort et Kermarec", "Drs [NOM] et [NOM]"),
        ("Nom : LEFORT\nPrénom : anne", "Nom : [NOM]\nPrénom : [PRENOM]"),
        ("Nom de naissance : Kermarec", "Nom de naissance : [NOM]"),
        ("Mme LEFORT épouse KERMAREC", "Mme [NOM] épouse [NOM]"),
        ("Signé : Anne Lefort", "Signé : [PRENOM] [NOM]"),
        ("Personne à prévenir : Paul Kermarec", "Personne à prévenir : [PRENOM] [NOM]"),
        ("sa mère Jeanne LEFORT", "sa mère [PRENOM] [NOM]"),
        ("son mari Paul Kermarec", "son mari [PRENOM] [NOM]"),
        ("Dr Lefort. Lettre de LEFORT", "Dr [NOM]. Lettre de [NOM]"),
        ("né le 12/03/1956", "né le [DATE_NAISSANCE]"),
        ("née le 1er avril 1956 à terme", "née le [DATE_NAISSANCE] à terme"),
        ("Date de naissance : 1 2 . 0 6 . 1 9 8 1", "Date de naissance : [DATE_NAISSANCE]"),
        ("12 ter, rue des Lilas Blancs 35137 Bédée", "[ADRESSE] [VILLE]"),
        ("4 BD DE LA LIBERTE - 29200 BREST CEDEX 2", "[ADRESSE] - [ADRESSE] [VILLE]"),
        ("BP 1234, 29200 BREST", "[ADRESSE], [ADRESSE] [VILLE]"),
        ("Tél : 02 98 11 22 33 / fax 0298112234", "Tél : [TEL] / fax [TEL]"),
        ("call (617) 555-1234 or 617-555-1234", "call ([TEL] or [TEL]"),
        ("anne.lefort@chu-brest.fr", "[MAIL]"),
        ("voir https://x.fr/?m=a.b@c.fr", "voir [URL]"),
        ("NIR 2 57 03 35 123 456 78", "NIR [NUMERO]"),
        ("IPP : 8001234567, NDA n° 12345678", "IPP : [NUMERO], NDA n° [NUMERO]"),
        ("N° de dossier : 2019-123456", "N° de dossier : [NUMERO]"),
    ],
)
def test_rules_need_no_patient(text: str, masked: str) -> None:
    assert OF_NOBODY.redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Le 12/03/2019, TA 120/80, FC 80 bpm, Hb 12,5 g/dl, plaquettes 150000/mm3.",
        "Maladie de Crohn, syndrome de Gougerot-Sjögren, score de Glasgow à 15.",
        "Mme X, 45 ans, et Mr B.T ont été vus par le docteur traitant.",
        "mise en place d'une voie centrale, au cours du séjour du 12/03/2019 au 15/03/2019",
        "Staphylococcus aureus, E. coli, IRM cérébrale, VIH négatif, Holter ECG",
        "sa mère diabétique, son père HTA, une fille née à terme",
        "La patiente : sans particularité. Nom de code",
        "En 2019, 3 cures de FOLFOX ; 25 mg/m2 J1-J8 ; M. le Professeur",
    ],
)
def test_the_rest_is_left_alone(text: str) -> None:
    assert OF_NOBODY.redact(text) == text


def test_the_numbers_of_a_document_can_be_given() -> None:
    assert (
        OF_NOBODY.redact("séjour 7654321A et 765 4321", also=("7654321A", "7654321")) == "séjour [NUMERO] et [NUMERO]"
    )


def test_names_of_two_letters_count_after_a_title_or_beside_a_name() -> None:
    ly = Deidentifier(Known(family_names=("LY",), given_names=("Sonia",)))
    assert ly.redact("Mme LY a vu LY Sonia ; le ly") == "Mme [NOM] a vu [NOM] [PRENOM] ; le ly"


def test_decomposed_accents_are_read() -> None:
    assert OF_PATIENT.redact("Zoe\u0301 va bien") == "[PRENOM] va bien"


def test_batches_and_nothing() -> None:
    assert redact_all(["Mme Goff", None, "Goff", ""], [KNOWN, KNOWN, None, None]) == ["Mme [NOM]", None, "Goff", ""]
    assert deidentifier(KNOWN) is deidentifier(KNOWN)
    assert DEID_VERSION >= 1


@given(st.text(max_size=80))
def test_folding_keeps_every_place(text: str) -> None:
    assert len(fold(text)) == len(text)


def test_common_words_are_no_names_of_the_patient() -> None:
    assert "petit" in common_words()
    assert "dupont" not in common_words()


WRITTEN = """
Mme M. Dr Docteur Nom : Prénom LE GOFF Goff Jean Pierre Jean-Pierre Rose rose Petit PETIT Dupont-Martin née le né 12/03/1956
12 mars 1956 rue de la Paix 35000 RENNES Rennes 06 12 34 56 78 8001234567 jp.legoff@example.org sa mère Yvonne , . - ( )
[NOM] [VILLE] [ TEL ] IPP n° Tél Patient Service IRM J. P. D' de et 1 5 6 0 3 CEDEX BP 123 (45 ans) 2019 @ Kermarec O. Le
"""
PIECES = st.sampled_from([*WRITTEN.split(), "\n", " "])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(PIECES, st.sampled_from([" ", "", "\n", ", ", "-"])), max_size=25))
def test_masking_twice_is_masking_once(pieces: list[tuple[str, str]]) -> None:
    text = "".join(a + b for a, b in pieces)
    for masker in (OF_PATIENT, OF_NOBODY):
        once = masker.redact(text)
        assert masker.redact(once) == once
        assert len(TAG.findall(once)) >= len(TAG.findall(text))  # a tag is never read as text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PIECES, max_size=12),
    st.sampled_from(["Goff", "GOFF", "goff", "Yvonne", "NGUYEN"]),
    st.lists(PIECES, max_size=12),
)
def test_a_rare_name_never_survives(before: list[str], name: str, after: list[str]) -> None:
    text = " ".join([*before, name, *after])
    assert name.lower() not in OF_PATIENT.redact(text).lower()
