"""Whether a catalogue that somebody else wrote is HealthDCAT-AP, and what of it may be told on.

The shapes under `healthdcat/` are those of the validator of the European health data space (profile "sensitivity",
Apache License 2.0). Nothing is fetched: a graph is looked at as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estran.exchange.dcat import PREFIXES
from estran.model.errors import UsageError

if TYPE_CHECKING:
    from rdflib import Graph

LARGEST = 16_000_000  # bytes of a catalogue that is read
_SHAPES = Path(__file__).with_name("healthdcat") / "shapes.ttl"
_TOLD = 2_000  # characters of a report that are kept


def checked(data: bytes) -> dict[str, str]:
    """The parts of a Turtle file, one for each catalogue in it, as N-Triples under the catalogue's address.

    UsageError with the report when it cannot be read, does not conform to the shapes, or says something of what is not
    under the address of one of its catalogues: nobody speaks for another holder.
    """
    graph = _read(data)
    report = _report(graph)
    if report:
        raise UsageError(f"The catalogue does not conform to HealthDCAT-AP: {report}")
    return _parts(graph)


def _read(data: bytes) -> Graph:
    from rdflib import Graph

    if len(data) > LARGEST:
        raise UsageError("The catalogue is too large to be read.")
    try:
        return Graph().parse(data=data, format="turtle")
    except Exception as error:  # noqa: BLE001 (a parser of somebody else's text raises whatever it likes)
        raise UsageError(f"The catalogue cannot be read ({type(error).__name__}).") from None


def _report(graph: Graph) -> str:
    """What does not conform; "" when all does."""
    from pyshacl import validate

    conforms, _, text = validate(graph, shacl_graph=_shapes(), do_owl_imports=False, inplace=False)
    return "" if conforms else str(text)[:_TOLD]


@cache
def _shapes() -> Graph:
    from rdflib import Graph

    return Graph().parse(_SHAPES, format="turtle")


def _parts(graph: Graph) -> dict[str, str]:
    """Triples by catalogue. A node without a name belongs to the catalogue of the node that names it."""
    from rdflib import RDF, BNode, Graph, URIRef

    catalogues = [str(one) for one in graph.subjects(RDF.type, URIRef(PREFIXES["dcat"] + "Catalog"))]
    bases = sorted({one.partition("#")[0] for one in catalogues}, key=len, reverse=True)
    found = {base: Graph() for base in bases}
    seen: set[BNode] = set()

    def take(base: str, subject: URIRef | BNode) -> None:
        for triple in graph.triples((subject, None, None)):
            found[base].add(triple)
            if isinstance(triple[2], BNode) and triple[2] not in seen:
                seen.add(triple[2])
                take(base, triple[2])

    for subject in set(graph.subjects()):
        if isinstance(subject, URIRef):
            base = str(subject).partition("#")[0]
            if base not in found:
                raise UsageError("The catalogue speaks of what is not under the address of its holder.")
            take(base, subject)
    return {base: part.serialize(format="nt") for base, part in found.items()}


def written(parts: Iterable[str], syntax: str) -> bytes:
    """Parts of catalogues together, as Turtle ("ttl") or JSON-LD ("jsonld")."""
    from rdflib import Graph, URIRef

    graph = Graph()
    for prefix, address in PREFIXES.items():
        graph.bind(prefix, URIRef(address), override=True, replace=True)
    for part in parts:
        graph.parse(data=part, format="nt")
    known: dict[str, Any] = {"context": PREFIXES, "auto_compact": False} if syntax == "jsonld" else {}
    data: bytes = graph.serialize(format={"ttl": "turtle", "jsonld": "json-ld"}[syntax], encoding="utf-8", **known)
    return data
