"""What names a person: headings, shapes of pseudonyms and numbers, and the rules that mask the texts of the site."""

from __future__ import annotations

import re

from estran.identity.deid import Deidentifier
from estran.identity.folding import fold
from estran.release.airlock.findings import Finding, finding

_HEADS = re.compile(
    r"(?:^|[_\W])(ipp|nip|nda|iep|nir|ins|nss|mrn|ssn|(?:patient|person|subject|pat|stay|sejour|visit|encounter)[_ ]?"
    r"(?:id|num|number|key|no)|id[_ ]?patient|pseudonym\w*|(?:last|first|sur|family)[_ ]?name|nom|prenom|adresse|address|"
    r"telephone|phone|e?mail|code[_ ]?postal|postcode|zip)(?:$|[_\W])"
)
_BIRTH = re.compile(r"naiss|birth|\bddn\b|\bdob\b")
# P42 of the pages; 26 letters of base 32 and UUIDs of re-keyed data; long hexadecimal; the 13 to 15 digits of a NIR.
_SHAPES = re.compile(
    r"\bP\d{1,9}\b|\b[A-Z2-7]{26}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-f]{32,}\b"
    r"|\b[12][ ]?\d{2}[ ]?(?:0[1-9]|1[0-2]|[2-9]\d)[ ]?\d{2}[ ]?\d{3}[ ]?\d{3}(?:[ ]?\d{2})?\b"
)
DAY = re.compile(r"\b(?:19|20)\d{2}-\d{2}-\d{2}\b|\b\d{2}/\d{2}/(?:19|20)\d{2}\b")
_RULES = Deidentifier()
MOST_TEXT = 200_000  # characters read by the masking rules, per file


def in_heading(heading: str, file: str, column: int) -> list[Finding]:
    """What a column's heading says of people."""
    plain = fold(heading)
    if _BIRTH.search(plain):
        return [finding("birth", file, 1, column)]
    found = _HEADS.search(plain)
    return [finding("identifier", file, 1, column, what=found[1])] if found else []


def in_text(text: str, file: str, row: int = 0, column: int = 0, part: str = "") -> list[Finding]:
    """Pseudonyms, names, numbers, addresses and birth dates in a text."""
    text = text[:MOST_TEXT]
    if _SHAPES.search(text):
        return [finding("pseudonym", file, row, column, part)]
    masks = _RULES.masks(text)
    if not masks:
        return []
    if masks[0].tag == "[DATE_NAISSANCE]":
        return [finding("birth", file, row, column, part)]
    return [finding("identity", file, row, column, part, what=masks[0].tag)]
