"""What de-identification reaches on data that nobody here wrote. The thresholds are the guarantee."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

from estran.identity.deid import Deidentifier

MARKED = re.compile(r"\[([^\[\]]*)\]\(([A-Z_]+)\)")
WORD = re.compile(r"\w+")
KEPT = {"DATE", "HOPITAL"}  # research needs them


def templates(shared: Path) -> list[tuple[str, dict[int, str]]]:
    """Text of each template, with the label of every place in it."""
    made = []
    for block in (shared / "eds_pseudo_templates" / "templates.txt").read_text("utf-8").split("\n\n"):
        text, labels, at = "", {}, 0
        for mark in MARKED.finditer(block):
            text += block[at : mark.start()]
            labels |= dict.fromkeys(range(len(text), len(text) + len(mark[1])), mark[2])
            text, at = text + mark[1], mark.end()
        made.append((text + block[at:], labels))
    return made


def test_recall_on_templates_without_knowing_the_patient(shared: Path) -> None:
    found, there, masked = Counter[str](), Counter[str](), 0
    for text, labels in templates(shared):
        places = {i for m in Deidentifier().masks(text) for i in range(m.start, m.end)}
        for word in WORD.finditer(text):
            label = labels.get(word.start())
            masked += word.start() in places
            if label and label not in KEPT:
                there[label] += 1
                found[label] += word.start() in places
    recall = {label: found[label] / there[label] for label in there}
    assert sum(found.values()) / sum(there.values()) > 0.77
    assert sum(found.values()) / masked > 0.94
    for label, least in (
        ("MAIL", 0.98),
        ("TEL", 0.96),
        ("IPP", 0.96),
        ("ADRESSE", 0.93),
        ("NOM", 0.75),
        ("PRENOM", 0.73),
    ):
        assert recall[label] > least, label


def test_published_cases_stay_almost_untouched(shared: Path) -> None:
    cases = set()
    for name in ("journal_cc_by.jsonl.gz", "layer1_train.jsonl.gz"):
        with gzip.open(shared / "e3c_fr" / name, "rt", encoding="utf-8") as lines:
            cases |= {json.loads(line)["text"] for line in lines}
    masker = Deidentifier()
    words = sum(len(WORD.findall(case)) for case in cases)
    changed = sum(len(WORD.findall(case[m.start : m.end])) for case in cases for m in masker.masks(case))
    assert changed / words < 0.0005
