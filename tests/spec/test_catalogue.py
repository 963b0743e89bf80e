"""The thirteen kinds of the Grand Ouest's catalogue: a question each, on the region, whose patients are those of the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from tests.spec.region_truth import LOADED, Beside, Region
from tests.spec.site_kit import ENGINES, ask

from estran.app import Site


@dataclass(frozen=True)
class Hospital:
    """A loaded hospital beside its truth."""

    site: Site
    truth: Beside

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.truth.expected(sql)

    def usual(self, sql: str) -> str:
        """What most patients have, of what the truth holds: the question is then about somebody."""
        return str(self.rows(f"select what from ({sql}) group by what order by count(distinct ipp) desc, what limit 1")[0][0])

    def name(self, code: str) -> str:
        """A local code with its vocabulary, as questions write it."""
        sql = f"select distinct vocabulary from concept where code = '{code}' and vocabulary <> 'LOINC'"
        ((vocabulary,),) = self.truth.found(sql)
        return f"'{vocabulary}':'{code}'"

    @cached_property
    def kept(self) -> dict[str, str]:
        """Of double identities, the patient number that was kept."""
        return dict(self.rows("select ipp, coalesce(merged_into, ipp) from {identities}"))

    def patients(self, sql: str) -> set[str]:
        """Patient numbers of the truth."""
        return {self.kept[ipp] for (ipp,) in self.rows(sql)}

    def answer(self, question: str) -> set[str]:
        """Patient numbers who answer; both engines say the same."""
        said = [set(ask(self.site, question, engine)) for engine in ENGINES]
        assert all(patients == said[0] for patients in said), question
        return {self.kept[number] for patient in said[0] for number in self.truth.numbers[patient] if number in self.kept}


Asked = tuple[str, str]  # the question, and the SQL of its patients in the truth
_FINAL = "select d.ipp from {{documents}} d where d.kind = '{kind}' and d.status = 'final'"


def _discharge(_: Hospital) -> Asked:
    return (
        "MÊME SÉJOUR(document(type=discharge, 2024) ET séjour(type=venue, durée>=4))",
        _FINAL.format(kind="discharge") + " and year(d.moment) = 2024 and d.nda in "
        "(select nda from {stays} where kind = 'venue' and datediff('day', start, \"end\") >= 4)",
    )


def _text(kind: str, word: str) -> Asked:
    sql = _FINAL.format(kind=kind) + f" and d.document in (select document from {{mentions}} where text ilike '%{word}%')"
    return f"texte:({word})[type={kind}]", sql


def _consultation(_: Hospital) -> Asked:
    return _text("consultation", "HTA")


def _operative(hospital: Hospital) -> Asked:
    within = "nda in (" + _FINAL.format(kind="operative").replace("d.ipp", "d.nda", 1) + ")"
    act = hospital.usual(f"select code as what, ipp from {{acts}} where {within}")
    return f"MÊME SÉJOUR(type:operative ET acte:{act})", f"select ipp from {{acts}} where code = '{act}' and {within}"


def _drug(kind: str, status: str) -> Callable[[Hospital], Asked]:
    def asked(hospital: Hospital) -> Asked:
        own = f"status = '{status}' and feed in ('dossier', 'fhir')"
        atc = hospital.usual(f"select atc as what, ipp from {{drugs}} where {own} and atc <> 'N02BE01'")
        return f"MÊME DOCUMENT(type:{kind} ET med:{atc})", f"select ipp from {{drugs}} where atc = '{atc}' and {own}"

    return asked


def _emergency(_: Hospital) -> Asked:
    return (
        "MÊME DOCUMENT(type:emergency ET 'LOCAL/RPU':CCMU>=3 ET 'LOCAL/RPU':GEMSA<=3)",
        "select a.ipp from {codes} a join {codes} b using (document) where a.code = 'CCMU' and a.value >= 3 and b.code = 'GEMSA' and b.value <= 3",
    )


def _laboratory(hospital: Hospital) -> Asked:
    ((code, unit),) = hospital.rows("select distinct code, canonical_unit from {labs} where canonical_loinc = '1988-5'")
    assert unit == "mg/L"
    return (
        f"MÊME DOCUMENT(type:laboratory ET {hospital.name(code)}>100)",
        "select ipp from {labs} where canonical_loinc = '1988-5' and status = 'final' and value > 100",
    )


def _antibiogram(hospital: Hospital) -> Asked:
    pair = hospital.usual("select germ || '|' || antibiotic || '|' || result as what, ipp from {susceptibilities}")
    germ, drug, letter = pair.split("|")
    said = hospital.truth.found(f"select distinct vocabulary from concept where code = '{letter}'")
    ((isolate,),) = hospital.truth.found("select distinct vocabulary || '|' || code from concept where code = 'GERME' or code = '634-6' order by 1 limit 1")
    place, _, own = isolate.partition("|")
    values = [vocabulary for (vocabulary,) in said if "0078" in vocabulary or vocabulary.startswith("HL7")] or [said[0][0]]
    return (
        f"MÊME GROUPE('{place}':'{own}'[valeur={hospital.name(germ)}] ET {hospital.name(f'ATB-{drug}')}[valeur='{values[0]}':{letter}])",
        f"select ipp from {{susceptibilities}} where germ = '{germ}' and antibiotic = '{drug}' and result = '{letter}'",
    )


def _nursing(_: Hospital) -> Asked:
    return (
        "MÊME DOCUMENT(type:nursing ET LOINC:38227-5<=12 ET LOINC:38214-3>=4)",
        "select a.ipp from {codes} a join {codes} b using (document) where a.kind = 'nursing' and a.code = '38227-5' and a.value <= 12 "
        "and b.code = '38214-3' and b.value >= 4",
    )


def _pmsi(hospital: Hospital) -> Asked:
    code = hospital.usual("select code as what, ipp from {diagnoses} where feed = 'pmsi' and role = 'DAS'")
    return (
        f"MÊME DOCUMENT(type:pmsi ET dx:{code}[role=DAS, 2024])",
        f"select d.ipp from {{diagnoses}} d join {{stays}} s using (nda) where feed = 'pmsi' and code = '{code}' and role = 'DAS' and year(start) = 2024",
    )


def _coded(kind: str, vocabulary: str, test: str = "", also: str = "") -> Callable[[Hospital], Asked]:
    """A code of a coded record, with a condition on its value, and another one of the same record."""

    def asked(hospital: Hospital) -> Asked:
        final = f"document in (select document from {{documents}} where kind = '{kind}' and status = 'final')"
        code = hospital.usual(f"select code as what, ipp from {{codes}} where vocabulary = '{vocabulary}' and {final}")
        question = f"'{vocabulary}':'{code}'{test}"
        sql = f"select ipp from {{codes}} where vocabulary = '{vocabulary}' and code = '{code}' and {final}"
        if test:
            sql += f" and value {test}"
        if also:
            mine = f"document in ({sql.replace('ipp', 'document', 1)})"
            other = hospital.usual(f"select code as what, ipp from {{codes}} where vocabulary = '{also}' and {mine}")
            question, sql = f"{question} ET '{also}':'{other}'", f"select ipp from {{codes}} where vocabulary = '{also}' and code = '{other}' and {mine}"
        return f"MÊME DOCUMENT(type:{kind} ET {question})", sql

    return asked


def _chemotherapy(_: Hospital) -> Asked:
    return (
        "MÊME DOCUMENT(type:chemotherapy ET 'LOCAL/PROTOCOLE':CURE>=3)",
        "select ipp from {codes} where kind = 'chemotherapy' and code = 'CURE' and value >= 3",
    )


def _imaging(_: Hospital) -> Asked:
    return _text("imaging", "adénopathie")


KINDS: dict[str, Callable[[Hospital], Asked]] = {
    "hospital reports": _discharge, "consultation reports": _consultation, "operative reports": _operative,
    "prescriptions": _drug("prescription", "ordered"), "administrations": _drug("administration", "given"), "emergency record": _emergency,
    "laboratory": _laboratory, "antibiograms": _antibiogram, "nursing record with scores": _nursing, "PMSI": _pmsi,
    "pathology with ADICAP and TNM": _coded("pathology", "ADICAP", also="LOCAL/TNM"), "imaging": _imaging,
    "genomics": _coded("genomics", "LOCAL/HGVS", ">0.05"), "chemotherapy cycles": _chemotherapy,
    "chemotherapy protocols": _coded("chemotherapy", "LOCAL/PROTOCOLE"), "odontology by tooth": _coded("odontology", "LOCAL/FDI", also="CCAM"),
}  # fmt: skip


@pytest.fixture(scope="module")
def hospitals(region: Region) -> list[Hospital]:
    return [Hospital(region.sites[name][0], Beside(region.out, region.sites[name][0])) for name in LOADED]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_finds_the_patients_of_the_truth(hospitals: list[Hospital], kind: str) -> None:
    """In each hospital that has the kind; at least one has somebody to find."""
    total = 0
    for hospital in hospitals:
        try:
            question, sql = KINDS[kind](hospital)
        except IndexError:
            continue  # nothing of the kind happened in this small hospital
        expected = hospital.patients(sql)
        assert hospital.answer(question) == expected, question
        total += len(expected)
    assert total > 0
