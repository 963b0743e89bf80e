"""House names of vocabularies: what FHIR, HL7 v2 and OMOP call the same thing has one name here.

A vocabulary that nobody recognises keeps a name of its own, `LOCAL/<short stable form>`, so that
its codes are kept and counted, and can be mapped later.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

# Vocabularies that a code may be compared in across sources, preferred first when a source gives
# several codings of one thing. Everything else is a site's own list.
STANDARD = (
    "LOINC", "SNOMED", "RXNORM", "CIM10", "CCAM", "ATC", "CVX", "OMOP", "ICD10CM", "ICD10PCS", "ICD9CM", "CPT4",
    "HCPCS", "NDC", "UCD", "CIP", "LPP", "HPO", "ORPHA", "CIMO3", "ADICAP", "NABM", "CSARR", "GHM", "GHS", "MESH",
    "MEDDRA", "UCUM", "MVX", "NCIT", "RXNORMEXT", "OMOPEXT", "FHIR", "ESTRAN", "DCM", "MDC",
)  # fmt: skip
RANK = {name: place for place, name in enumerate(STANDARD)}
LOCAL = "LOCAL/"

_URLS = {
    "loinc.org": "LOINC",
    "snomed.info/sct": "SNOMED",
    "www.nlm.nih.gov/research/umls/rxnorm": "RXNORM",
    "hl7.org/fhir/sid/cvx": "CVX",
    "dicom.nema.org/resources/ontology/dcm": "DCM",
    "iso.org/iso11073-10101": "MDC",
    "hl7.org/fhir/sid/mvx": "MVX",
    "hl7.org/fhir/sid/ndc": "NDC",
    "hl7.org/fhir/sid/icd-10": "CIM10",
    "hl7.org/fhir/sid/icd-10-fr": "CIM10",
    "hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "www.cms.gov/medicare/coding/icd10": "ICD10PCS",
    "hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "hl7.org/fhir/sid/icd-9": "ICD9CM",
    "www.ama-assn.org/go/cpt": "CPT4",
    "terminology.hl7.org/codesystem/icd-o-3": "CIMO3",
    "www.whocc.no/atc": "ATC",
    "unitsofmeasure.org": "UCUM",
    "human-phenotype-ontology.org": "HPO",
    "purl.obolibrary.org/obo/hp.owl": "HPO",
    "www.orpha.net": "ORPHA",
    "ncithesaurus-stage.nci.nih.gov": "NCIT",
    "ncicb.nci.nih.gov/xml/owl/evs/thesaurus.owl": "NCIT",
    "fhir-terminology.ohdsi.org": "OMOP",
    "athena.ohdsi.org": "OMOP",
    "www.nlm.nih.gov/mesh": "MESH",
    "id.nlm.nih.gov/mesh": "MESH",
    "www.meddra.org": "MEDDRA",
    "terminology.hl7.org/codesystem/meddra": "MEDDRA",
    "www.atih.sante.fr/cim-10": "CIM10",
    "terminologie-cim-10.esante.gouv.fr": "CIM10",
    "smt.esante.gouv.fr/terminologie-cim-10": "CIM10",
    "smt.esante.gouv.fr/terminologie-ccam": "CCAM",
    "smt.esante.gouv.fr/terminologie-atc": "ATC",
    "smt.esante.gouv.fr/terminologie-adicap": "ADICAP",
    "interopsante.org/fhir/codesystem/ccam": "CCAM",
    "www.ameli.fr/ccam": "CCAM",
    "ccam": "CCAM",
    "smt.esante.gouv.fr/terminologie-ghm": "GHM",
    "data.esante.gouv.fr/ansm/medicament/ucd": "UCD",  # HL7 France's medication guide
    "phast.fr/fhir/valueset/pharmacy/ciodc/siph-cio_ucd": "UCD",
    "smt.esante.gouv.fr/fhir/codesystem/csarr": "CSARR",
}
_OIDS = {
    "2.16.840.1.113883.6.1": "LOINC",
    "1.2.840.10008.2.16.4": "DCM",
    "2.16.840.1.113883.6.24": "MDC",
    "2.16.840.1.113883.6.96": "SNOMED",
    "2.16.840.1.113883.6.88": "RXNORM",
    "2.16.840.1.113883.12.292": "CVX",
    "2.16.840.1.113883.6.59": "CVX",
    "2.16.840.1.113883.12.227": "MVX",
    "2.16.840.1.113883.6.69": "NDC",
    "2.16.840.1.113883.6.3": "CIM10",
    "2.16.840.1.113883.6.3.2": "CIM10",
    "2.16.840.1.113883.6.90": "ICD10CM",
    "2.16.840.1.113883.6.4": "ICD10PCS",
    "2.16.840.1.113883.6.103": "ICD9CM",
    "2.16.840.1.113883.6.104": "ICD9CM",
    "2.16.840.1.113883.6.42": "ICD9CM",
    "2.16.840.1.113883.6.12": "CPT4",
    "2.16.840.1.113883.6.285": "HCPCS",
    "2.16.840.1.113883.6.73": "ATC",
    "2.16.840.1.113883.6.8": "UCUM",
    "2.16.840.1.113883.6.43.1": "CIMO3",
    "2.16.840.1.113883.6.339": "HPO",
    "2.16.840.1.113883.6.163": "MEDDRA",
    "2.16.840.1.113883.6.177": "MESH",
    "2.16.840.1.113883.3.26.1.1": "NCIT",
    "1.2.250.1.213.2.5": "CCAM",
    "1.2.250.1.213.2.11": "ADICAP",
    "1.2.250.1.213.2.3.1": "LOCAL/CIS",
    "1.2.250.1.213.2.3.2": "CIP",
    "1.2.250.1.213.2.7": "NABM",
    "1.2.250.1.215.300.1": "CCAM",
    "1.2.250.1.215.200.2.1": "LPP",
    "1.2.250.1.213.2.69": "LPP",
    "1.3.6.1.4.1.12559.11.10.1.3.1.44.5": "ORPHA",
}
_HL7 = {
    "LN": "LOINC",
    "DCM": "DCM",
    "MDC": "MDC",
    "SRT": "LOCAL/SNOMED-RT",
    "LOINC": "LOINC",
    "SCT": "SNOMED",
    "SCT2": "SNOMED",
    "SNM": "SNOMED",
    "SNM3": "SNOMED",
    "SNMCT": "SNOMED",
    "SNOMED": "SNOMED",
    "SNOMED-CT": "SNOMED",
    "RXNORM": "RXNORM",
    "RXNO": "RXNORM",
    "CVX": "CVX",
    "MVX": "MVX",
    "NDC": "NDC",
    "I10": "CIM10",
    "ICD10": "CIM10",
    "ICD-10": "CIM10",
    "ICD10-FR": "CIM10",
    "CIM10": "CIM10",
    "CIM-10": "CIM10",
    "I10C": "ICD10CM",
    "ICD10CM": "ICD10CM",
    "ICD-10-CM": "ICD10CM",
    "I10P": "ICD10PCS",
    "ICD10PCS": "ICD10PCS",
    "I9": "ICD9CM",
    "I9C": "ICD9CM",
    "I9CDX": "ICD9CM",
    "I9CP": "ICD9CM",
    "ICD9": "ICD9CM",
    "ICD-9": "ICD9CM",
    "ICD9CM": "ICD9CM",
    "ICD-9-CM": "ICD9CM",
    "C4": "CPT4",
    "CPT": "CPT4",
    "CPT4": "CPT4",
    "HCPCS": "HCPCS",
    "HPC": "HCPCS",
    "ATC": "ATC",
    "WC": "ATC",
    "UCUM": "UCUM",
    "ISO+": "UCUM",
    "CCAM": "CCAM",
    "CAM": "CCAM",
    "UCD": "UCD",
    "CIP": "CIP",
    "CIP7": "CIP",
    "CIP13": "CIP",
    "LPP": "LPP",
    "NABM": "NABM",
    "ADICAP": "ADICAP",
    "CSARR": "CSARR",
    "HPO": "HPO",
    "ORPHA": "ORPHA",
    "ICDO3": "CIMO3",
    "MSH": "MESH",
    "MEDR": "MEDDRA",
    "NCIT": "NCIT",
}
_OMOP = {
    "RXNORM": "RXNORM",
    "RXNORM EXTENSION": "RXNORMEXT",
    "OMOP EXTENSION": "OMOPEXT",
    "SNOMED": "SNOMED",
    "LOINC": "LOINC",
    "CVX": "CVX",
    "NDC": "NDC",
    "ATC": "ATC",
    "UCUM": "UCUM",
    "ICD10": "CIM10",
    "CIM10": "CIM10",
    "ICD10CM": "ICD10CM",
    "ICD10PCS": "ICD10PCS",
    "ICD9CM": "ICD9CM",
    "ICD9PROC": "ICD9CM",
    "CPT4": "CPT4",
    "HCPCS": "HCPCS",
    "CCAM": "CCAM",
    "HPO": "HPO",
    "ICDO3": "CIMO3",
    "MESH": "MESH",
    "MEDDRA": "MEDDRA",
    "NCIT": "NCIT",
    "OMOP": "OMOP",
}
_HL7_TABLE = re.compile(r"^HL7-?(\d{4})$")
_HL7_CODE_SYSTEM = re.compile(r"^terminology\.hl7\.org/codesystem/(.+)$")
_FHIR_CODE_SYSTEM = re.compile(r"^hl7\.org/fhir/([a-z0-9-]+)$")
_MAX_LOCAL = 48


@lru_cache(maxsize=4096)
def fhir_vocabulary(url: str) -> str:
    """House name of a FHIR `Coding.system` (a URL, `urn:oid:` or bare OID)."""
    text = url.strip()
    oid = text.removeprefix("urn:oid:")
    if oid in _OIDS:
        return _OIDS[oid]
    bare = re.sub(r"^https?://", "", text.partition("|")[0].lower()).rstrip("/")
    if bare in _URLS:
        return _URLS[bare]
    if bare.startswith("snomed.info/sct/"):  # an edition or a version of SNOMED CT
        return "SNOMED"
    table = _HL7_CODE_SYSTEM.match(bare) or _FHIR_CODE_SYSTEM.match(bare)
    return local_vocabulary(table.group(1) if table else re.sub(r"^(https?://|urn:oid:|urn:)", "", text))


@lru_cache(maxsize=4096)
def hl7_vocabulary(system_id: str, authority: str) -> str:
    """House name of an HL7 v2 coding system (CWE-3); `authority` names the sender of local codes.

    Empty, `L` and `99…` systems belong to the sender: `LOCAL/<authority>`.
    """
    text = system_id.strip()
    name = text.upper()
    if name in _HL7:
        return _HL7[name]
    if text.removeprefix("urn:oid:") in _OIDS:
        return _OIDS[text.removeprefix("urn:oid:")]
    if table := _HL7_TABLE.match(name):
        return f"{LOCAL}HL7-{table.group(1)}"
    if not name or name == "L" or name.startswith("99"):
        return local_vocabulary(authority)
    return local_vocabulary(text)


@lru_cache(maxsize=1024)
def omop_vocabulary(vocabulary_id: str) -> str:
    """House name of an OMOP `vocabulary_id`; one that an export of ours wrote, the house's own name, is itself."""
    name = vocabulary_id.strip()
    if name.startswith(LOCAL) or name in RANK:
        return name
    return _OMOP.get(name.upper()) or local_vocabulary(vocabulary_id)


def local_vocabulary(name: str) -> str:
    """`LOCAL/<name>`, the name made of letters, digits, dots and dashes, at most 48 characters.

    A longer name keeps its end and a hash of the whole, so that two names never become one.
    """
    slug = re.sub(r"[^\w.-]+", "-", name.strip()).strip("-") or "unknown"
    if len(slug) > _MAX_LOCAL:
        slug = f"{slug[-(_MAX_LOCAL - 9):].strip('-')}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
    return LOCAL + slug


def is_standard(vocabulary: str) -> bool:
    """Whether codes of this vocabulary mean the same thing in every source."""
    return vocabulary in RANK


# CIM-10 is written with a dot (I50.0) by most and without (I500) by PMSI files: one code, one way to write it.
DOTTED = ("CIM10", "ICD10CM")
UNDOTTED = r"^([A-Z][0-9][0-9A-Z])([0-9A-Z+][^.-]*)$"
_UNDOTTED = re.compile(UNDOTTED)


def canonical(vocabulary: str, code: str) -> str:
    """The code as the house writes it, whatever way its source did."""
    if vocabulary not in DOTTED:
        return code
    return _UNDOTTED.sub(r"\1.\2", code)


@lru_cache(maxsize=1024)
def uri_of(vocabulary: str) -> str:
    """The FHIR system of a house name: the first that reads back to it, `urn:estran:` and the name for one's own lists."""
    bare = next((bare for bare, name in _URLS.items() if name == vocabulary), None)
    oid = next((oid for oid, name in _OIDS.items() if name == vocabulary), None)
    if bare is not None and bare != vocabulary:
        return f"http://{bare}"
    return f"urn:oid:{oid}" if oid else f"urn:estran:{vocabulary.lower().replace('/', ':')}"
