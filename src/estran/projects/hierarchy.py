"""Vocabularies as trees: what is directly below a code, each node with its protected number of patients.

Every code of a vocabulary is listed, whether somebody has it or not: leaving out those that nobody has would tell of
the others that somebody does.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from estran.projects.concepts import Concept, ConceptShelf
from estran.projects.rows import fetch
from estran.warehouse import Snapshot

MOST = 100  # nodes listed at once

_BELOW = """
    SELECT c.concept_id FROM concept c JOIN concept_ancestor a ON a.descendant_id = c.concept_id
    WHERE a.distance = 1 AND c.vocabulary = $vocabulary
          AND a.ancestor_id IN (SELECT concept_id FROM concept WHERE vocabulary = $vocabulary AND code = $code)
"""
_TOP = """
    SELECT c.concept_id FROM concept c
    WHERE c.vocabulary = $vocabulary AND $code = '' AND NOT EXISTS (
        SELECT 1 FROM concept_ancestor a JOIN concept p ON p.concept_id = a.ancestor_id
        WHERE a.descendant_id = c.concept_id AND a.distance > 0 AND p.vocabulary = c.vocabulary)
"""


@dataclass(frozen=True)
class Branch:
    """A node: `patients` have the code or one below it; `open` says that there is something below."""

    concept: Concept
    patients: int
    open: bool


@dataclass(frozen=True)
class Branches:
    """The first nodes below a code, by code; `total` is how many there are."""

    nodes: tuple[Branch, ...]
    total: int


def vocabularies(snapshot: Snapshot) -> tuple[tuple[str, int], ...]:
    """The vocabularies of the site with their number of codes, those with a hierarchy first; the others are one level."""
    rows = fetch(
        snapshot,
        """SELECT vocabulary, count(*) AS codes FROM concept GROUP BY vocabulary
           ORDER BY vocabulary NOT IN (
               SELECT DISTINCT c.vocabulary FROM concept_ancestor a JOIN concept c ON c.concept_id = a.ancestor_id
               JOIN concept d ON d.concept_id = a.descendant_id AND d.vocabulary = c.vocabulary WHERE a.distance > 0), vocabulary""",
    )
    return tuple((row["vocabulary"], row["codes"]) for row in rows)


def branches(snapshot: Snapshot, shelf: ConceptShelf, vocabulary: str, code: str = "") -> Branches:
    """What is directly below a code; the top of the vocabulary for "". Nothing for what is not known."""
    values = {"vocabulary": vocabulary, "code": code}
    with snapshot.connect() as connection:
        sql = f"SELECT c.concept_id FROM concept c SEMI JOIN ({_BELOW if code else _TOP}) USING (concept_id) ORDER BY c.code, c.concept_id"
        ids = [row[0] for row in connection.execute(sql, values).fetchall()]
        first = ids[:MOST]
        connection.register("listed", pa.table({"ancestor_id": pa.array(first, pa.int32())}))
        parents = {
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT ancestor_id FROM concept_ancestor SEMI JOIN listed USING (ancestor_id) WHERE distance > 0"
            ).fetchall()
        }
    known = shelf.of_ids(first)
    nodes = (Branch(known[number], shelf.patients(number), number in parents) for number in first if number in known)
    return Branches(tuple(nodes), len(ids))
