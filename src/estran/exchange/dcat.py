"""A HealthDCAT-AP catalogue (release 6, on DCAT-AP 3.0) as JSON-LD or Turtle.

One data set stands for the warehouse of a site: its counts as the gate lets them be told, its vocabularies and codes, and
its tables and columns in CSVW. Terms and authority lists: https://healthdataeu.pages.code.europa.eu/healthdcat-ap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from estran.model.tables import TABLES
from estran.terminology.systems import uri_of

PREFIXES = {
    "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
    "vcard": "http://www.w3.org/2006/vcard/ns#", "dcatap": "http://data.europa.eu/r5r/", "adms": "http://www.w3.org/ns/adms#",
    "healthdcatap": "http://healthdataportal.eu/ns/health#", "dpv": "https://w3id.org/dpv#", "csvw": "http://www.w3.org/ns/csvw#",
    "skos": "http://www.w3.org/2004/02/skos/core#", "xsd": "http://www.w3.org/2001/XMLSchema#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
}  # fmt: skip
EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
_AUTHORITY = "http://publications.europa.eu/resource/authority"
_HEALTH = "http://healthdataportal.eu/resource/authority"
_CSVW = {"int8": "byte", "int16": "short", "int32": "int", "int64": "long", "float": "float", "double": "double", "bool": "boolean",
         "date32[day]": "date"}  # fmt: skip
_APART = ("text", "stay_event", "fact_by_concept", "load", "quarantine")  # not described column by column


@dataclass(frozen=True)
class Told:
    """A count as it may be told: `value` None when fewer than `below` stand behind it."""

    value: int | None
    below: int = 0

    @property
    def words(self) -> str:
        return f"fewer than {self.below}" if self.value is None else f"about {self.value}"


@dataclass(frozen=True)
class Described:
    """A vocabulary's code that the site has facts of."""

    vocabulary: str
    code: str
    label: str


@dataclass(frozen=True)
class Catalogue:
    """Everything that is told. Addresses are IRIs; `first` and `last` are months (YYYY-MM) or "" ."""

    base: str
    name: str
    controller: str
    homepage: str
    mail: str
    hdab: str
    hdab_homepage: str
    hdab_mail: str
    day: str
    version: int
    patients: Told
    records: Told
    bytes: int
    first: str
    last: str
    retention_years: int
    kinds: tuple[tuple[str, Told], ...]
    codes: tuple[Described, ...]


Node = dict[str, Any]


def address_of(homepage: str, name: str) -> str:
    """The address of a site's catalogue, under which all that it tells is."""
    return f"{homepage.rstrip('/')}/{quote(name)}"


def graph(told: Catalogue) -> list[Node]:
    """The catalogue as nodes of JSON-LD, in the prefixes above."""
    site = f"{told.base}#catalogue"
    return [
        {"@id": site, "@type": "dcat:Catalog", "dct:title": _fr(f"Catalogue de {told.name}"),
         "dct:description": _fr(f"Données de santé que {told.name} tient dans son entrepôt."), "dct:publisher": _id(f"{told.base}#holder"),
         "dcatap:applicableLegislation": _id(EHDS), "dcat:dataset": _id(f"{told.base}#warehouse"), "foaf:homepage": _id(told.homepage),
         "dct:language": _id(f"{_AUTHORITY}/language/FRA"), "dct:modified": _typed(told.day, "date")},
        _dataset(told),
        _distribution(told),
        _sample(told),
        *_tables(told),
        *_agents(told),
    ]  # fmt: skip


def _dataset(told: Catalogue) -> Node:
    kinds = "; ".join(f"{kind}: {count.words}" for kind, count in told.kinds)
    found: Node = {
        "@id": f"{told.base}#warehouse", "@type": "dcat:Dataset", "dct:title": _fr(f"Entrepôt de données de santé de {told.name}"),
        "dct:description": [
            _fr("Séjours, documents, diagnostics, actes, biologie, médicaments et textes désidentifiés, sous pseudonyme."),
            {"@value": f"Documents by kind: {kinds}." if kinds else "No document yet.", "@language": "en"},
        ],
        "dct:identifier": _typed(f"{told.base}#warehouse", "anyURI"), "dcat:version": str(told.version),
        "dct:accessRights": _id(f"{_AUTHORITY}/access-right/NON_PUBLIC"), "dcatap:applicableLegislation": _id(EHDS),
        "dct:publisher": _id(f"{told.base}#holder"), "dcat:contactPoint": _id(f"{told.base}#contact"),
        "healthdcatap:hdab": _id(f"{told.base}#hdab"), "dcat:distribution": _id(f"{told.base}#distribution"),
        "adms:sample": _id(f"{told.base}#sample"), "dct:spatial": _id(f"{_AUTHORITY}/country/FRA"),
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "rdfs:label": _fr("Dossiers, laboratoires et PMSI de l’hôpital.")},
        "dcat:keyword": [_fr(word) for word in ("hôpital", "entrepôt de données de santé", *(kind for kind, _ in told.kinds))],
        "dcat:theme": _id(f"{_AUTHORITY}/data-theme/HEAL"), "dct:type": _id(f"{_AUTHORITY}/dataset-type/PERSONAL_DATA"),
        "dpv:hasPurpose": _id("https://w3id.org/dpv#AcademicResearch"), "dct:modified": _typed(told.day, "date"),
        "dct:accrualPeriodicity": _id(f"{_AUTHORITY}/frequency/DAILY"), "dct:language": _id(f"{_AUTHORITY}/language/FRA"),
        "healthdcatap:healthCategory": [_id(f"{_HEALTH}/healthcategories/EHRS"), _id(f"{_HEALTH}/healthcategories/HRAD")],
        "healthdcatap:healthTheme": _id(f"{_HEALTH}/health-theme/HEALTH_SYSTEMS"),
        "healthdcatap:hasCodingSystem": [_id(uri_of(one)) for one in sorted({code.vocabulary for code in told.codes})],
        "healthdcatap:hasCodeValues": [_code(one) for one in told.codes],
        "healthdcatap:retentionPeriod": {"@type": "dct:PeriodOfTime", "rdfs:label": _fr(f"{told.retention_years} ans après le dernier séjour")},
    }  # fmt: skip
    if told.patients.value is not None:
        found["healthdcatap:numberOfUniqueIndividuals"] = _typed(str(told.patients.value), "nonNegativeInteger")
    if told.records.value is not None:
        found["healthdcatap:numberOfRecords"] = _typed(str(told.records.value), "nonNegativeInteger")
    if told.first and told.last:
        found["dct:temporal"] = {"@type": "dct:PeriodOfTime", "dcat:startDate": _typed(told.first, "gYearMonth"),
                                 "dcat:endDate": _typed(told.last, "gYearMonth")}  # fmt: skip
    return found


def _code(one: Described) -> Node:
    label = {"skos:prefLabel": _fr(one.label)} if one.label else {}
    return {"dct:identifier": _typed(f"{uri_of(one.vocabulary)}/{quote(one.code, safe='.-')}", "anyURI"),
            "skos:inScheme": _id(uri_of(one.vocabulary)), "skos:notation": one.code} | label  # fmt: skip


def _distribution(told: Catalogue) -> Node:
    return {
        "@id": f"{told.base}#distribution", "@type": "dcat:Distribution", "dct:title": _fr("OMOP CDM 5.4, pour un projet autorisé"),
        "dcat:accessURL": _id(told.homepage), "dcatap:applicableLegislation": _id(EHDS),
        "dcat:byteSize": _typed(str(told.bytes), "nonNegativeInteger"), "dct:format": _id(f"{_AUTHORITY}/file-type/PARQUET"),
        "dct:conformsTo": _id("https://ohdsi.github.io/CommonDataModel/cdm54.html"), "dct:rights": _rights(),
    }  # fmt: skip


def _sample(told: Catalogue) -> Node:
    return {
        "@id": f"{told.base}#sample", "@type": "dcat:Distribution", "dct:title": _fr("Tables et colonnes, sans donnée"),
        "dcat:accessURL": _id(told.homepage), "dcatap:applicableLegislation": _id(EHDS), "dct:rights": _rights(),
        "dct:format": _id(f"{_AUTHORITY}/file-type/CSV"), "dct:conformsTo": _id("https://www.w3.org/TR/tabular-data-model/"),
    }  # fmt: skip


def _rights() -> Node:
    return {
        "@type": "dct:RightsStatement",
        "rdfs:label": _fr("Accès dans un espace clos, après avis du comité scientifique et éthique."),
    }


def _tables(told: Catalogue) -> Iterator[Node]:
    for name, schema in TABLES.items():
        if name in _APART:
            continue
        columns = [
            {"@type": "csvw:Column", "csvw:name": field.name, "csvw:titles": field.name.replace("_", " "),
             "csvw:datatype": _CSVW.get(str(field.type), "string")}
            for field in schema
        ]  # fmt: skip
        yield {"@id": f"{told.base}#table-{name}", "@type": "csvw:Table", "dct:title": _fr(name),
               "csvw:url": _id(f"{told.homepage.rstrip('/')}/catalogue/table/{name}"), "csvw:column": columns}  # fmt: skip


def _agents(told: Catalogue) -> Iterator[Node]:
    yield {
        "@id": f"{told.base}#holder", "@type": "foaf:Agent", "foaf:name": _fr(told.controller or told.name),
        "foaf:homepage": _id(told.homepage), "foaf:mbox": _id(f"mailto:{told.mail}"),
        "healthdcatap:publisherType": _id(f"{_HEALTH}/publisher-type/healthcareSystem"),
        "healthdcatap:publisherNote": _fr("Hôpital qui tient l’entrepôt et en répond."),
        "healthdcatap:trustedDataHolder": _typed("false", "boolean"),
    }  # fmt: skip
    yield {"@id": f"{told.base}#hdab", "@type": "foaf:Agent", "foaf:name": _fr(told.hdab), "foaf:homepage": _id(told.hdab_homepage),
           "foaf:mbox": _id(f"mailto:{told.hdab_mail}")}  # fmt: skip
    yield {"@id": f"{told.base}#contact", "@type": "vcard:Kind", "vcard:fn": _fr(told.controller or told.name),
           "vcard:hasEmail": _id(f"mailto:{told.mail}"), "vcard:hasURL": _id(told.homepage)}  # fmt: skip


def _id(iri: str) -> Node:
    return {"@id": iri}


def _fr(text: str) -> Node:
    return {"@value": text, "@language": "fr"}


def _typed(text: str, kind: str) -> Node:
    return {"@value": text, "@type": f"xsd:{kind}"}


# Writing


def json_ld(nodes: Sequence[Node]) -> Node:
    """As JSON-LD, with its context."""
    return {"@context": PREFIXES, "@graph": list(nodes)}


def turtle(nodes: Sequence[Node]) -> str:
    """As Turtle."""
    head = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
    return head + "".join(f"\n<{node['@id']}> {_body(node, 1)} .\n" for node in nodes)


def _body(node: Node, depth: int) -> str:
    lines = [f"a {node['@type']}"] if "@type" in node else []
    for name, value in node.items():
        if not name.startswith("@") and value != []:
            values = value if isinstance(value, list) else [value]
            lines.append(f"{name} " + ", ".join(_object(one, depth) for one in values))
    return f" ;\n{'    ' * depth}".join(lines)


def _object(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if "@value" in value:
        tail = f"@{value['@language']}" if "@language" in value else f"^^{value['@type']}"
        return _quoted(value["@value"]) + tail
    if "@id" in value:
        return f"<{value['@id']}>"
    return f"[ {_body(value, depth + 1)} ]"


def _quoted(text: str) -> str:
    swaps = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(swaps.get(char, char) for char in text) + '"'
