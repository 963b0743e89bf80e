"""Linking records of four hospitals by tokens: ours, exact tokens, and splink as the judge, over the same records."""

from __future__ import annotations

import hmac
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks import machine
from benchmarks.linkage_people import Rates, Record, hospitals
from benchmarks.tables import table
from estran.identity import french
from estran.identity.matching import MatchingTokens, matching_tokens, run_key
from estran.release.matching.clusters import Pairs, Sites, one_to_one, persons
from estran.release.matching.linking import SURE, link_records

RESULT = "linkage.json"
PEOPLE, HOSPITALS, TUNED, MEASURED = 20_000, 4, (1, 2), (101, 102)
STRICT = 0.98
HARDER = Rates(same_day=0.1)
VERSION = "5.0.0"  # of splink
_KEYS = (("ins",), ("family", "given", "date", "sex"), ("family", "date", "sex", "place"), ("given", "date", "sex", "place"),
         ("used", "given", "date"), ("family_sound", "given_sound", "date", "sex"))  # fmt: skip
_FIVE = ("family", "given", "date", "sex", "place")
Found = dict[str, Any]


def run(work: Path, quiet: Callable[[], None]) -> None:
    """Each seed, each method; the figures stay in `work`."""
    judge = _installed(work / "splink")
    found: Found = {"machine": machine.describe(), "load": machine.load(), "splink": judge is not None, "seeds": {}}
    for seed in MEASURED:
        quiet()
        found["seeds"][str(seed)] = _one(work, seed, judge)
        (work / RESULT).write_text(json.dumps(found, indent=1))


def _one(work: Path, seed: int, judge: Path | None) -> Found:
    written = hospitals(PEOPLE, HOSPITALS, seed)
    records = [record for site in written for record in site]
    who = np.array([record.person for record in records])
    home: Sites = np.repeat(np.arange(HOSPITALS, dtype=np.int16), [len(site) for site in written])
    tokens = _tokens(records)
    found: Found = {"records": len(records), "pairs": _pairs(who), "methods": {}}
    methods: dict[str, Callable[[], np.ndarray]] = {
        "ins": lambda: _grouped(tokens, (("ins",),), len(records)),
        "five": lambda: _grouped(tokens, (_FIVE,), len(records)),
        "any": lambda: _grouped(tokens, _KEYS, len(records)),
    }
    for name, method in methods.items():
        clock = time.process_time()
        found["methods"][name] = _quality(method(), who, home) | {"cpu_s": time.process_time() - clock}
    found |= _ours(seed, written, found["methods"])
    if judge is not None:
        found["methods"] |= _judged(work, judge, tokens, who, home)
    return found


def _ours(seed: int, written: list[list[Record]], into: Found) -> Found:
    """Our linkage with the INS and by traits alone, then over the same people with five times as many namesakes of one day."""
    clock = time.process_time()
    made = _made(written)
    spent = time.process_time() - clock
    for kind, with_ins in (("ours", True), ("traits", False)):
        for sure in (SURE, STRICT):
            into[f"{kind} {sure}"] = _linked(written, made, sure, with_ins=with_ins)
    harder = hospitals(PEOPLE, HOSPITALS, seed, HARDER)
    for kind, with_ins in (("ours", True), ("traits", False)):
        into[f"{kind} harder"] = _linked(harder, _made(harder), SURE, with_ins=with_ins)
    return {"tokens_cpu_s": spent}


def _made(written: list[list[Record]]) -> list[MatchingTokens]:
    key = run_key(bytes(32), "bench")
    return [
        matching_tokens(((n, one.traits) for n, one in enumerate(site)), key, with_ins=True) for site in written
    ]


def _linked(written: list[list[Record]], made: list[MatchingTokens], sure: float, *, with_ins: bool) -> Found:
    """Without the INS its places are zeros, as `matching_tokens` would write them."""
    rows = [one.rows.copy() for one in made]
    for one in rows if not with_ins else ():
        one["ins"] = 0
    truth = [np.array([one.person for one in site])[t.patients] for site, t in zip(written, made, strict=True)]
    home: Sites = np.repeat(np.arange(HOSPITALS, dtype=np.int16), [len(site) for site in written])
    clock = time.process_time()
    linked = link_records(rows, sure)
    spent = time.process_time() - clock
    found = _quality(np.concatenate(linked.persons), np.concatenate(truth), home)
    return found | {"cpu_s": spent, "review": linked.review}


def _tokens(records: list[Record]) -> dict[str, np.ndarray]:
    """One HMAC per trait, "" for none: what the other methods are given."""
    held = [
        {"ins": one.ins or "", "family": french.joined(one.family[0]), "used": french.joined(one.family[-1]),
         "given": french.joined(one.given[0].split()[0]), "date": one.born.isoformat(), "sex": one.sex or "", "place": one.place or "",
         "family_sound": french.sound(french.joined(one.family[0])), "given_sound": french.sound(french.joined(one.given[0].split()[0]))}
        for one in records
    ]  # fmt: skip
    return {
        name: np.array(
            [
                hmac.digest(bytes(32), f"{name}|{one[name]}".encode(), "sha256").hex()[:16] if one[name] else ""
                for one in held
            ]
        )
        for name in held[0]
    }


def _grouped(tokens: dict[str, np.ndarray], keys: tuple[tuple[str, ...], ...], records: int) -> np.ndarray:
    """Records with one of the keys in common are one person."""
    ends: list[np.ndarray] = []
    for key in keys:
        known = np.flatnonzero(np.logical_and.reduce([tokens[name] != "" for name in key]))
        words = np.array(["|".join(row) for row in zip(*(tokens[name][known] for name in key), strict=True)])
        order = np.argsort(words, kind="stable")
        same = words[order][1:] == words[order][:-1]
        ends.append(np.stack([known[order][:-1][same], known[order][1:][same]]))
    first, second = np.concatenate(ends, axis=1)
    ins = tokens["ins"]
    kept = ~((ins[first] != "") & (ins[second] != "") & (ins[first] != ins[second]))
    return _components(first[kept], second[kept], records)


def _components(first: np.ndarray, second: np.ndarray, records: int) -> np.ndarray:
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), (records, records))
    label: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return label


def _pairs(numbers: np.ndarray) -> int:
    _, counts = np.unique(numbers, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _quality(found: np.ndarray, who: np.ndarray, home: Sites) -> Found:
    """Over pairs of records of two sites; nobody has two in one."""
    right = _pairs(found * 10_000_000 + who)
    claimed = _pairs(found) - _pairs(found * 100 + home)
    precision, recall = right / max(1, claimed), right / _pairs(who)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / max(1e-9, precision + recall)}


# The judge


def _installed(folder: Path) -> Path | None:
    """A Python of its own with splink; None when it cannot be had."""
    program = folder / "bin" / "python"
    if not program.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        asked = [str(program), "-m", "pip", "install", "-q", f"splink=={VERSION}"]
        if subprocess.run(asked, check=False, capture_output=True).returncode:
            return None
    return program


def _judged(work: Path, judge: Path, tokens: dict[str, np.ndarray], who: np.ndarray, home: Sites) -> Found:
    source, target = work / "splink-in.parquet", work / "splink-out.parquet"
    columns = {name: pa.array([one or None for one in held.tolist()]) for name, held in tokens.items()}
    pq.write_table(pa.table({"record": np.arange(len(who)), **columns}), source)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = Path(__file__).with_name("linkage_splink.py")
    ended = subprocess.run(
        [str(judge), str(program), str(source), str(target)], check=False, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        (work / "splink.log").write_text(ended.stderr)
        return {}
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = pq.read_table(target, columns=["record_l", "record_r", "match_probability"]).to_pydict()
    pairs = Pairs(*(np.array(rows[name]) for name in ("record_l", "record_r", "match_probability")))
    pairs = one_to_one(pairs.where(home[pairs.first] != home[pairs.second]), home)
    ins = np.array([int(one or "0", 16) for one in tokens["ins"].tolist()], np.uint64)
    return {
        f"splink {sure}": _quality(persons(pairs.where(pairs.chance >= sure), home, ins), who, home) | {"cpu_s": spent}
        for sure in (0.9, STRICT)
    }


_TITLES = {
    "ins": "HMAC of the INS", "five": "HMAC of five exact traits together (birth name, first given name, birth date, sex, place)",
    "any": "any of six HMACs, two INS never one person", f"ours {SURE}": f"Estran, from {SURE}", f"ours {STRICT}": f"Estran, from {STRICT}",
    f"traits {SURE}": f"Estran without INS, from {SURE}", f"traits {STRICT}": f"Estran without INS, from {STRICT}",
    "ours harder": f"Estran, from {SURE}, five times as many namesakes born on one day",
    "traits harder": "the same without INS",
    "splink 0.9": f"splink {VERSION} on one HMAC per trait, from 0.9, then our one-to-one", f"splink {STRICT}": f"splink likewise, from {STRICT}",
}  # fmt: skip


def tell(found: Found) -> list[str]:
    """The part of the document: the mean of the seeds, and the worst."""
    seeds = list(found["seeds"].values())
    rows = []
    for name, title in _TITLES.items():
        held = [one["methods"][name] for one in seeds if name in one["methods"]]
        alone = [seed for seed, one in found["seeds"].items() if name in one["methods"]]
        title += "" if len(alone) == len(seeds) else f" (seed {', '.join(alone)} alone)"
        if held:
            mean = {key: sum(one[key] for one in held) / len(held) for key in ("precision", "recall", "f1", "cpu_s")}
            rows.append([
                title, f"{mean['precision']:.4f}", f"{min(one['precision'] for one in held):.4f}", f"{mean['recall']:.4f}",
                f"{min(one['recall'] for one in held):.4f}", f"{mean['f1']:.4f}", f"{mean['cpu_s']:.2f}",
            ])  # fmt: skip
    head = ["Method", "precision", "worst seed", "recall", "worst seed", "F1", "CPU s"]
    records, pairs = (sum(one[key] for one in seeds) // len(seeds) for key in ("records", "pairs"))
    tokens = sum(one["tokens_cpu_s"] for one in seeds) / len(seeds)
    return [
        f"{PEOPLE:,} invented people at {HOSPITALS} hospitals: {records:,} records, {pairs:,} pairs to be found (means of seeds "
        f"{', '.join(map(str, MEASURED))}; rules were chosen on seeds {' and '.join(map(str, TUNED))}). 6 % of names misspelt, 30 % without INS, "
        "married and changed names, given names in another order, day and month exchanged, places missing, twins, namesakes, sons with "
        f"their father's name: `benchmarks/linkage_people.py`. Target: precision 0.999, recall 0.95 (0.97). Making the tokens took {tokens:.1f} s "
        f"of CPU. Load: {found['load']}; compare CPU.\n",
        table(head, rows),
    ]
