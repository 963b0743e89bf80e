"""Linking records of four hospitals: by our tokens, by exact tokens, and by splink on tokens and in the clear, in one run."""

from __future__ import annotations

import hmac
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
from estran.model.errors import StoreError
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
    clear = _clear(records)
    tokens = _tokens(clear)
    found: Found = {"records": len(records), "pairs": _pairs(who), "methods": {}}
    alone = tokens | {"ins": np.full(len(records), "")}
    methods: dict[str, Callable[[], np.ndarray]] = {
        "ins": lambda: _grouped(tokens, (("ins",),), len(records)),
        "five": lambda: _grouped(tokens, (_FIVE,), len(records)),
        "any": lambda: _grouped(tokens, _KEYS, len(records)),
        "any traits": lambda: _grouped(alone, _KEYS[1:], len(records)),
    }
    for name, method in methods.items():
        clock = time.process_time()
        found["methods"][name] = _quality(method(), who, home) | {"cpu_s": time.process_time() - clock}
    found |= _ours(seed, written, found["methods"])
    for kind, held in (("tokens", tokens), ("clear", clear)) if judge is not None else ():
        found["methods"] |= _judged(work, judge, kind, held, who, home)
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
    return [matching_tokens(((n, one.traits) for n, one in enumerate(site)), key, with_ins=True) for site in written]


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


def _clear(records: list[Record]) -> dict[str, np.ndarray]:
    """Traits as they were written, in small letters without accents; "" for none."""
    held = [
        {"ins": one.ins or "", "family": french.joined(one.family[0]), "used": french.joined(one.family[-1]),
         "given": french.joined(given[0]), "second": french.joined(given[1]) if len(given) > 1 else "",
         "date": one.born.isoformat(), "sex": one.sex or "", "place": one.place or ""}
        for one in records if (given := " ".join(one.given).split())
    ]  # fmt: skip
    return {name: np.array([one[name] for one in held]) for name in held[0]}


def _tokens(clear: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One HMAC per trait, "" for none: what the other methods are given."""
    sounds = {
        f"{name}_sound": np.array([french.sound(one) for one in clear[name].tolist()]) for name in ("family", "given")
    }
    return {
        name: np.array([_hmac(f"{name}|{one}") if one else "" for one in held.tolist()])
        for name, held in (clear | sounds).items()
        if name != "second"
    }


def _hmac(text: str) -> str:
    return hmac.digest(bytes(32), text.encode(), "sha256").hex()[:16]


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


# The peer


def _installed(folder: Path) -> Path | None:
    """A Python of its own with splink; None, and said why, when it cannot be had."""
    program = folder / "bin" / "python"
    if not program.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        asked = [str(program), "-m", "pip", "install", "-q", f"splink=={VERSION}"]
        ended = subprocess.run(asked, check=False, capture_output=True, text=True)
        if ended.returncode:
            shutil.rmtree(folder)
            print(f"splink cannot be installed, and is left out: {ended.stderr.strip()[-300:]}", file=sys.stderr)
            return None
    return program


def _judged(work: Path, judge: Path, kind: str, held: dict[str, np.ndarray], who: np.ndarray, home: Sites) -> Found:
    """With and without INS: its own clusters, and its pairs by our one-to-one."""
    source = work / f"splink-{kind}.parquet"
    columns = {name: pa.array([one or None for one in values.tolist()]) for name, values in held.items()}
    site = pa.array([f"site{one}" for one in home.tolist()])
    pq.write_table(pa.table({"record": np.arange(len(who)), "site": site, **columns}), source)
    found: Found = {}
    for keys in ("ins", "traits"):
        spent = _run_splink(judge, source, work / "splink-out.parquet", kind, keys)
        ins = held["ins"] if keys == "ins" else np.full(len(who), "")
        for sure in (SURE, STRICT):
            for how, persons_found in _answers(work / "splink-out.parquet", sure, home, ins):
                found[f"splink {kind} {keys} {how} {sure}"] = _quality(persons_found, who, home) | {"cpu_s": spent}
    return found


def _run_splink(judge: Path, source: Path, target: Path, kind: str, keys: str) -> float:
    """CPU seconds of the whole process; StoreError when it fails, its words kept beside the files."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = Path(__file__).with_name("linkage_splink.py")
    asked = [str(judge), str(program), str(source), str(target), kind, keys]
    ended = subprocess.run(asked, check=False, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        log = source.with_name("splink.log")
        log.write_text(ended.stderr)
        raise StoreError("The peer ended with an error.", where=str(log))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _answers(target: Path, sure: float, home: Sites, ins: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """A number for each record: by splink's clusters, and by ours over its pairs."""
    own = pq.read_table(f"{target}-{sure}.parquet", columns=["record", "cluster_id"]).to_pydict()
    label = np.empty(len(home), np.int64)
    label[np.array(own["record"])] = np.unique(np.array(own["cluster_id"]), return_inverse=True)[1]
    yield "own", label
    rows = pq.read_table(target, columns=["record_l", "record_r", "match_probability"]).to_pydict()
    pairs = one_to_one(Pairs(*(np.array(rows[name]) for name in ("record_l", "record_r", "match_probability"))), home)
    words = np.array([int(_hmac(one), 16) if one else 0 for one in ins.tolist()], np.uint64)
    yield "ours", persons(pairs.where(pairs.chance >= sure), home, words)


_TITLES = {
    "ins": "HMAC of the INS", "five": "HMAC of five exact traits together (birth name, first given name, birth date, sex, place)",
    "any": "any of six HMACs, two INS never one person", "any traits": "any of the five HMACs without INS",
    f"ours {SURE}": f"**Estran**, from {SURE}", f"ours {STRICT}": f"Estran, from {STRICT}",
    f"traits {SURE}": f"**Estran without INS**, from {SURE}", f"traits {STRICT}": f"Estran without INS, from {STRICT}",
    "ours harder": f"Estran, from {SURE}, five times as many namesakes born on one day",
    "traits harder": "the same without INS",
} | {
    f"splink {kind} {keys} {how} {sure}": f"splink {VERSION} {on}{without}, {by}, from {sure}"
    for kind, on in (("tokens", "on one HMAC per trait"), ("clear", "in the clear"))
    for keys, without in (("ins", ""), ("traits", ", without INS"))
    for how, by in (("own", "its own clusters"), ("ours", "our one-to-one"))
    for sure in (SURE, STRICT)
}  # fmt: skip


_PEER = """Splink runs in a Python of its own (`python -m venv DIR/splink`, then `DIR/splink/bin/pip install splink`; the program does it in
its work folder when it is not there): `link_only` over the four hospitals, trained by itself (u from random pairs, m by EM), with its single
best links as `its own clusters`; `our one-to-one` takes its pairs and our clusters, where two INS are two persons. On tokens every trait agrees
or does not, names with term frequencies. In the clear it has names by Jaro-Winkler, second names and names in use, birth dates by its own
comparison: what no linkage unit of ours is given. Its CPU is that of the whole process, training and both thresholds included.
"""


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
        f"{PEOPLE:,} invented people at {HOSPITALS} hospitals: {records:,} records, {pairs:,} pairs to be found (seed "
        f"{' and '.join(found['seeds'])}; rules were chosen on seeds {' and '.join(map(str, TUNED))}). 6 % of names misspelt, 30 % without INS, "
        "married and changed names, given names in another order, day and month exchanged, places missing, twins, namesakes, sons with "
        f"their father's name: `benchmarks/linkage_people.py`. Target: precision 0.999, recall 0.95 (0.97). Making the tokens took {tokens:.1f} s "
        f"of CPU. Load: {found['load']}; compare CPU.\n",
        table(head, rows),
        *([_PEER] if found["splink"] else []),
    ]
