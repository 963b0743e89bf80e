"""Linking records of four hospitals: by our tokens, by exact tokens, and by splink on tokens and in the clear, in one run."""

from __future__ import annotations

import hmac
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
PEER_S, PEER_GB = 180, 4  # what one run of it may take
_KEYS = (("ins",), ("family", "given", "date", "sex"), ("family", "date", "sex", "place"), ("given", "date", "sex", "place"),
         ("used", "given", "date"), ("family_sound", "given_sound", "date", "sex"))  # fmt: skip
_FIVE = ("family", "given", "date", "sex", "place")
Found = dict[str, Any]
Measured = Iterator[tuple[str, Found]]


@dataclass(frozen=True)
class Trial:
    """The people of one seed as the hospitals wrote them, and what every method is given of them."""

    seed: int
    written: list[list[Record]]
    who: np.ndarray
    home: Sites
    clear: dict[str, np.ndarray]
    tokens: dict[str, np.ndarray]
    made: list[MatchingTokens]
    made_s: float


def run(work: Path, quiet: Callable[[], None]) -> None:
    """Each method on each seed, the peer last; `work` has the figures of a method as soon as it ended."""
    judge = _installed(work / "splink")
    trials = [_trial(seed) for seed in MEASURED]
    seeds: Found = {
        str(one.seed): {"records": len(one.who), "pairs": _pairs(one.who), "tokens_cpu_s": one.made_s, "methods": {}}
        for one in trials
    }
    found: Found = {"machine": machine.describe(), "load": machine.load(), "splink": judge is not None, "seeds": seeds}
    kinds: list[Callable[[Trial], Measured]] = [_exact, _ours, *([partial(_judged, work, judge)] if judge else [])]
    for methods in kinds:
        for trial in trials:
            quiet()
            for name, figures in methods(trial):
                seeds[str(trial.seed)]["methods"][name] = figures
                _keep(work / RESULT, found)


def _keep(path: Path, found: Found) -> None:
    """At no moment half written: a run may be ended at any."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1))
    part.replace(path)


def _trial(seed: int) -> Trial:
    written = hospitals(PEOPLE, HOSPITALS, seed)
    records = [record for site in written for record in site]
    who = np.array([record.person for record in records])
    clear = _clear(records)
    clock = time.process_time()
    made = _made(written)
    spent = time.process_time() - clock
    return Trial(seed, written, who, _home(written), clear, _tokens(clear), made, spent)


def _home(written: list[list[Record]]) -> Sites:
    return np.repeat(np.arange(HOSPITALS, dtype=np.int16), [len(site) for site in written])


def _exact(trial: Trial) -> Measured:
    """Whole tokens that agree, alone and together."""
    records = len(trial.who)
    alone = trial.tokens | {"ins": np.full(records, "")}
    for name, tokens, keys in (
        ("ins", trial.tokens, (("ins",),)), ("five", trial.tokens, (_FIVE,)), ("any", trial.tokens, _KEYS), ("any traits", alone, _KEYS[1:]),
    ):  # fmt: skip
        clock = time.process_time()
        label = _grouped(tokens, keys, records)
        yield name, _quality(label, trial.who, trial.home) | {"cpu_s": time.process_time() - clock}


def _ours(trial: Trial) -> Measured:
    """Our linkage with the INS and by traits alone, then over the same people with five times as many namesakes of one day."""
    for kind, with_ins in (("ours", True), ("traits", False)):
        for sure in (SURE, STRICT):
            yield f"{kind} {sure}", _linked(trial.written, trial.made, sure, with_ins=with_ins)
    harder = hospitals(PEOPLE, HOSPITALS, trial.seed, HARDER)
    made = _made(harder)
    for kind, with_ins in (("ours", True), ("traits", False)):
        yield f"{kind} harder", _linked(harder, made, SURE, with_ins=with_ins)


def _made(written: list[list[Record]]) -> list[MatchingTokens]:
    key = run_key(bytes(32), "bench")
    return [matching_tokens(((n, one.traits) for n, one in enumerate(site)), key, with_ins=True) for site in written]


def _linked(written: list[list[Record]], made: list[MatchingTokens], sure: float, *, with_ins: bool) -> Found:
    """Without the INS its places are zeros, as `matching_tokens` would write them."""
    rows = [one.rows.copy() for one in made]
    for one in rows if not with_ins else ():
        one["ins"] = 0
    truth = [np.array([one.person for one in site])[t.patients] for site, t in zip(written, made, strict=True)]
    clock = time.process_time()
    linked = link_records(rows, sure)
    spent = time.process_time() - clock
    found = _quality(np.concatenate(linked.persons), np.concatenate(truth), _home(written))
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
    if not any(folder.glob(f"lib/python*/site-packages/splink-{VERSION}.dist-info")):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        asked = [str(program), "-m", "pip", "install", "-q", f"splink=={VERSION}"]
        ended = subprocess.run(asked, check=False, capture_output=True, text=True)
        if ended.returncode:
            shutil.rmtree(folder)
            print(f"splink cannot be installed, and is left out: {ended.stderr.strip()[-300:]}", file=sys.stderr)
            return None
    return program


def _judged(work: Path, judge: Path, trial: Trial) -> Measured:
    """With and without INS: its own clusters of both kinds, and its pairs by our one-to-one."""
    for kind, held in (("tokens", trial.tokens), ("clear", trial.clear)):
        for keys in ("ins", "traits"):
            folder = _given(work / "splink-run", held, trial.home)
            why = _run_splink(judge, folder, kind, keys)
            ins = held["ins"] if keys == "ins" else np.full(len(trial.who), "")
            for name, figures in _answers(folder, trial, ins):
                yield f"splink {kind} {keys} {name}", figures or {"stopped": why}
            shutil.rmtree(folder)


def _given(folder: Path, held: dict[str, np.ndarray], home: Sites) -> Path:
    """A folder of nothing but the records: no answer of an earlier run can be taken for one of this."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    columns = {name: pa.array([one or None for one in values.tolist()]) for name, values in held.items()}
    site = pa.array([f"site{one}" for one in home.tolist()])
    pq.write_table(pa.table({"record": np.arange(len(home)), "site": site, **columns}), folder / "records.parquet")
    return folder


def _run_splink(judge: Path, folder: Path, kind: str, keys: str) -> str:
    """Why it did not come to its end, in the words of the table, and its own words kept beside the folder; "" when it did."""
    program = Path(__file__).with_name("linkage_splink.py").resolve()
    asked = [str(judge), str(program), str(folder), kind, keys, str(PEER_GB)]
    try:
        ended = subprocess.run(asked, check=False, capture_output=True, text=True, cwd=folder, timeout=PEER_S)
    except subprocess.TimeoutExpired:
        return f"not within {PEER_S} s"
    if not ended.returncode:
        return ""
    folder.with_name("splink.log").write_text(ended.stderr)
    return f"more than {PEER_GB} GB" if "Out of Memory" in ended.stderr else "ended with an error"


def _answers(folder: Path, trial: Trial, ins: np.ndarray) -> Iterator[tuple[str, Found | None]]:
    """What each way of making persons of its pairs found; None for one that it did not come to."""
    noted = folder / "cpu.json"
    spent: dict[str, float] = json.loads(noted.read_text()) if noted.exists() else {}
    for how, sure in ((how, sure) for how in ("best", "joined", "ours") for sure in (SURE, STRICT)):
        clock = time.process_time()
        if how == "ours" and "pairs" in spent:
            label, cpu = _one_to_one(folder, sure, trial.home, ins), spent["pairs"] + time.process_time() - clock
        elif how != "ours" and f"{how}-{sure}" in spent:
            label, cpu = _clusters(folder / f"{how}-{sure}.parquet", len(ins)), spent["pairs"] + spent[f"{how}-{sure}"]
        else:
            yield f"{how} {sure}", None
            continue
        yield f"{how} {sure}", _quality(label, trial.who, trial.home) | {"cpu_s": cpu}


def _clusters(path: Path, records: int) -> np.ndarray:
    own = pq.read_table(path, columns=["record", "cluster_id"]).to_pydict()
    label = np.empty(records, np.int64)
    label[np.array(own["record"])] = np.unique(np.array(own["cluster_id"]), return_inverse=True)[1]
    return label


def _one_to_one(folder: Path, sure: float, home: Sites, ins: np.ndarray) -> np.ndarray:
    names = ["record_l", "record_r", "match_probability"]
    rows = pq.read_table(folder / "pairs.parquet", columns=names).to_pydict()
    pairs = one_to_one(Pairs(*(np.array(rows[name]) for name in names)), home)
    words = np.array([int(_hmac(one), 16) if one else 0 for one in ins.tolist()], np.uint64)
    return persons(pairs.where(pairs.chance >= sure), home, words)


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
    for how, by in (("best", "its single best links"), ("joined", "its connected components"), ("ours", "our one-to-one"))
    for sure in (SURE, STRICT)
}  # fmt: skip


_PEER = f"""Splink runs in a Python of its own (`python -m venv DIR/splink`, then `DIR/splink/bin/pip install splink=={VERSION}`; the program does
it in its work folder when it is not there): `link_only` over the four hospitals, trained by itself (u from random pairs, m by EM). Its
`single best links` keep to one record of each hospital, its `connected components` do not; `our one-to-one` takes its pairs and our
clusters, where two INS are two persons. On tokens every trait agrees or does not, names with term frequencies. In the clear it has names by
Jaro-Winkler, second names and names in use, birth dates by its own comparison: what no linkage unit of ours is given. Its CPU is that of
reading, training, comparing and this one clustering. Each of its runs (a seed, tokens or clear, with INS or without) has {PEER_S} s and
{PEER_GB} GB of memory (DuckDB's), and as much on disk; what it did not come to is told in its line. DuckDB would begin the single best links
by joining every record with every other, beyond those limits; its reordering of joins is off for that step, which changes no result.
"""


def tell(found: Found) -> list[str]:
    """The part of the document: the mean of the seeds, and the worst."""
    seeds = list(found["seeds"].values())
    rows = [row for name, title in _TITLES.items() if (row := _row(title, found["seeds"], name))]
    head = ["Method", "precision", "worst seed", "recall", "worst seed", "F1", "CPU s"]
    records, pairs = (sum(one[key] for one in seeds) // len(seeds) for key in ("records", "pairs"))
    tokens = sum(one["tokens_cpu_s"] for one in seeds) / len(seeds)
    return [
        f"{PEOPLE:,} invented people at {HOSPITALS} hospitals: {records:,} records, {pairs:,} pairs to be found (means of "
        f"seeds {' and '.join(found['seeds'])}; rules were chosen on seeds {' and '.join(map(str, TUNED))}). 6 % of names misspelt, 30 % without INS, "
        "married and changed names, given names in another order, day and month exchanged, places missing, twins, namesakes, sons with "
        f"their father's name: `benchmarks/linkage_people.py`. Target: precision 0.999, recall 0.95 (0.97). Making the tokens took {tokens:.1f} s "
        f"of CPU. Load: {found['load']}; compare CPU. Tokens lie in an order drawn anew at each run, which moves Estran's figures by a few pairs.\n",
        table(head, rows),
        *([_PEER] if found["splink"] else []),
    ]


def _row(title: str, seeds: Found, name: str) -> list[str]:
    """A line of the table, none for a method that was not come to; it says which seeds it lacks, and why."""
    measured = {seed: one["methods"][name] for seed, one in seeds.items() if name in one["methods"]}
    held = {seed: one for seed, one in measured.items() if "stopped" not in one}
    title += "".join(f" (seed {seed}: {one['stopped']})" for seed, one in measured.items() if "stopped" in one)
    if not held:
        return [title, *["–"] * 6] if measured else []
    title += "" if len(measured) == len(seeds) else f" (seed {', '.join(measured)} alone)"
    mean = {key: sum(one[key] for one in held.values()) / len(held) for key in ("precision", "recall", "f1", "cpu_s")}
    worst = {key: min(one[key] for one in held.values()) for key in ("precision", "recall")}
    return [
        title, f"{mean['precision']:.4f}", f"{worst['precision']:.4f}", f"{mean['recall']:.4f}", f"{worst['recall']:.4f}",
        f"{mean['f1']:.4f}", f"{mean['cpu_s']:.2f}",
    ]  # fmt: skip
