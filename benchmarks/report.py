"""docs/benchmarks.md out of the results kept in the work directory; every figure in it was measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import (
    datamart,
    facts_run,
    federated,
    ingest_run,
    learning,
    linkage,
    network,
    questions,
    region,
    region_report,
    region_run,
)
from benchmarks.tables import table

Found = dict[str, Any]
TARGET_BYTES, TARGET_TIMELINE = 20, 20
_ROWS = [
    *((q.name, q.title, q.target_ms) for q in questions.COUNTED),
    ("boolean_other", "The Boolean cohort over fifty concepts that nobody asked about before", None),
    ("breakdown", "Sex × age band of that Boolean cohort, at the date of its first A", None),
    ("everyone", "Sex × age band of all patients", None),
    ("timeline", "All facts of a patient with their labels, another patient each time", TARGET_TIMELINE),
    (
        "page",
        "The portal's timeline of a patient (stays, documents, facts), another patient each time",
        TARGET_TIMELINE,
    ),
    ("reading", "Reading the Boolean question's text", None),
]


def write(work: Path, document: Path) -> None:
    """Write the document anew: a section from its results where there are some, else as the document has it already."""
    written = _sections(document)
    parts = [_HEAD]
    for title, told in _told(work):
        if told is not None:
            parts += [_machine(title, told[0]), *told[1]]
        elif title in written:
            parts.append(written[title])
    document.write_text("\n".join([*parts, _METHOD]))


def _told(work: Path) -> Iterator[tuple[str, tuple[Found, list[str]] | None]]:
    """Each section's title in the document's order, and what the work directory has of it: on which machine, and what."""
    facts, loads, made, regions = (_read(work / m.RESULT) for m in (facts_run, ingest_run, region, region_run))
    yield "Facts", (facts, [*_questions(facts), *_peers(facts), *_slopes(facts), *_storage(facts)]) if facts else None
    yield "Feeds", (loads, [*_feeds(loads), *_profiles(loads)]) if loads else None
    region_found = regions or made
    yield "The synthetic region", (region_found, region_report.tell(made, regions)) if region_found else None
    for title, room in (
        ("A datamart", datamart),
        ("Federated statistics", federated),
        ("Federated learning", learning),
        ("Linking records of several sites", linkage),
        ("A network of thirty sites", network),
    ):
        found = _read(work / room.RESULT)
        yield title, (found, list(room.tell(found))) if found else None


def _sections(document: Path) -> dict[str, str]:
    """The sections of a written document by their title, each with its heading."""
    if not document.exists():
        return {}
    parts = re.split(r"^## (.+)\n", document.read_text(), flags=re.MULTILINE)
    return {title: f"## {title}\n{body.rstrip()}\n" for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _read(path: Path) -> Found:
    found: Found = json.loads(path.read_text()) if path.exists() else {}
    return found


def _ms(times: Found | None, key: str = "median") -> str:
    if not times:
        return "–"
    value = times[key]
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _verdict(value: float, target: float | None, more: bool = False) -> str:
    if target is None:
        return "–"
    return "reached" if (value >= target if more else value <= target) else f"missed, by {_times(value, target, more)}"


def _times(value: float, target: float, more: bool) -> str:
    return f"{target / value if more else value / target:.1f}×"


def _machine(title: str, found: Found) -> str:
    m = found["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in m["libraries"].items())
    return (
        f"## {title}\n\n{m['when']}; {m['cores']} cores ({m['processor']}), {m['memory_gb']:.0f} GB, {m['system']}, "
        f"Python {m['python']}; {libraries}.\n"
    )


def _scales(found: Found) -> list[tuple[int, Found]]:
    return sorted((int(n), scale) for n, scale in found["scales"].items())


def _million(facts: int) -> str:
    return f"{facts // 1_000_000} M"


def _questions(found: Found) -> list[str]:
    facts, scale = _scales(found)[-1]
    own, plain = scale["estran"], scale["duckdb"]
    rows = [
        [
            title, _ms(own["times"].get(name)), _ms(own["times"].get(name), "worst"), _ms(own["times"].get(name), "first"),
            "–" if target is None else f"{target:g}", _verdict(own["times"][name]["median"], target),
            _ms(plain["times"].get(name)), _count(own["counts"].get(name)),
        ]
        for name, title, target in _ROWS
        if name in own["times"]
    ]  # fmt: skip
    head = ["Question", "Estran, median ms", "worst", "first time", "target", "", "plain DuckDB, median ms", "patients"]
    return [
        f"### {_million(facts)} facts, {found['patients']:,} patients, {scale['estran']['buckets']} buckets\n",
        table(head, rows),
        f"Load when measured: Estran {own['load']}, DuckDB {plain['load']}. Estran's process held at most "
        f"{own['memory_mb']:,} MB. `first time` is in a process that has just opened the snapshot, the files being in the "
        "system's cache; for the two rows over different patients, every read but the `first` counts in the median, and none "
        "repeats a patient.\n",
    ]


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _peers(found: Found) -> list[str]:
    loaded = [(facts, s) for facts, s in _scales(found) if "postgres" in s]
    if not loaded:
        return []
    facts, scale = loaded[-1]
    own, plain, server = scale["estran"], scale["duckdb"], scale["postgres"]
    rows = [
        [title, *(_ms(one["times"].get(name)) for one in (own, plain, server))]
        for name, title, _ in _ROWS
        if name in server["times"]
    ]
    return [
        f"### The same questions to PostgreSQL, {_million(facts)} facts\n",
        table(["Question", "Estran, ms", "plain DuckDB, ms", f"PostgreSQL {server['version']}, ms"], rows),
        f"PostgreSQL took {server['copy_s']:.0f} s to copy the facts in and {server['index_s']:.0f} s to index and analyse "
        f"them, and needs {server['bytes_per_fact']:.0f} bytes per fact; plain DuckDB {plain['bytes_per_fact']:.1f}; Estran "
        f"{own['footprint']['total']:.1f}, both orders and all bitmaps included. Load then: {server['load']}.\n",
    ]


def _slopes(found: Found) -> list[str]:
    scales = _scales(found)
    if len(scales) < 2:
        return []
    low, high = scales[0][0], scales[-1][0]
    rows = []
    for name, title, _ in _ROWS:
        values = [scale["estran"]["times"].get(name) for _, scale in scales]
        peer = [scale["duckdb"]["times"].get(name) for _, scale in scales]
        if all(values):
            rows.append([title, *map(_ms, values), _slope(values, low, high), _slope(peer, low, high)])
    return [
        "### Slopes\n",
        table(["Median ms", *(_million(n) for n, _ in scales), "slope", "plain DuckDB's slope"], rows),
        "A slope of 1 means ten times longer for ten times the facts, 0 means no longer at all "
        f"(log of the ratio of the two ends, {_million(low)} and {_million(high)}, over log of the ratio of the facts).\n",
    ]


def _slope(times: list[Found | None], low: int, high: int) -> str:
    if not times[0] or not times[-1]:
        return "–"
    return f"{math.log(times[-1]['median'] / times[0]['median']) / math.log(high / low):.2f}"


def _storage(found: Found) -> list[str]:
    rows = []
    for facts, scale in _scales(found):
        size, build = scale["estran"]["footprint"], scale.get("build", {})
        rows.append([
            _million(facts), f"{size['fact']:.2f}", f"{size['fact_by_concept']:.2f}", f"{size['presence']:.2f}",
            f"**{size['total']:.2f}**", _verdict(size["total"], TARGET_BYTES), f"{size['all']:.2f}",
            f"{scale['duckdb']['bytes_per_fact']:.2f}",
            *(f"{build[key]:,.0f}" if build else "–" for key in ("commits", "writing_s", "compacting_s", "facts_per_s")),
            build.get("load", "–"),
        ])  # fmt: skip
    head = [
        "Facts", "patient order", "concept order", "bitmaps", "total B/fact", f"target {TARGET_BYTES}", "all tables",
        "plain DuckDB", "commits", "writing, s", "compacting, s", "facts/s", "load",
    ]  # fmt: skip
    return ["### Bytes per fact on disk, and the building of the store\n", table(head, rows)]


def _feeds(found: Found) -> list[str]:
    rows = []
    for name, feed in ingest_run.FEEDS.items():
        one = found["feeds"].get(name)
        if one:
            rate = one["records"] / one["cpu_s"]
            rows.append([
                feed.title, f"{one['records']:,}", feed.unit, f"{one.get('fact', 0):,}", f"**{rate:,.0f}**",
                f"{one['records'] / one['slowest_cpu_s']:,.0f}",
                "–" if feed.target is None else f"{feed.target:,}", _verdict(rate, feed.target, more=True),
                f"{one['records'] / one['wall_s']:,.0f}", f"{one['memory_mb']:,}", one["load"],
            ])  # fmt: skip
    head = [
        "Feed",
        "records",
        "",
        "facts",
        "per second and core",
        "slowest run",
        "target",
        "",
        "per second",
        "MB held",
        "load",
    ]
    return ["### From file to committed, searchable snapshot\n", table(head, rows), *_yardsticks(found)]


_PEERS = {
    "duckdb_csv": "DuckDB, the OMOP CSV files to one unsorted Parquet file each, nothing else",
    "json": "orjson, parsing the FHIR Observations, nothing else",
    "hl7": "`hl7` (Python), parsing the same ORU messages, nothing else",
    "fhir": "`fhir.resources` (Python), parsing and validating the same Observations, nothing else",
}


def _yardsticks(found: Found) -> list[str]:
    rows = [
        [title, f"{one['records']:,}", f"{one['records'] / one['cpu_s']:,.0f}"]
        for name, title in _PEERS.items()
        if (one := found.get("peers", {}).get(name))
    ]
    return (
        [
            "Yardsticks of the same run, each doing a part of the work only:\n",
            table(["Peer", "records", "per second and core"], rows),
        ]
        if rows
        else []
    )


def _profiles(found: Found) -> list[str]:
    parts = ["### Where the time goes\n", "Own time of functions (a profile of a feed half as long).\n"]
    for name, feed in ingest_run.FEEDS.items():
        one = found["feeds"].get(name)
        if not one:
            continue
        rate = one["records"] / one["cpu_s"]
        missed = feed.target and rate < feed.target
        parts.append(f"**{feed.title}**" + (f" — {_verdict(rate, feed.target, more=True)}" if missed else "") + "\n")
        rows = [[f"`{_plain(t['function'])}`", f"{t['calls']:,}", f"{t['share']:.0%}"] for t in one["profile"]["top"]]
        parts.append(table(["Function", "calls", "share"], rows))
        rooms = _rooms(one["profile"]["rooms"])
        parts.append("By room: " + ", ".join(f"{room} {share:.0%}" for room, share in rooms[:7]) + ".")
        if missed:
            parts.append(_reason(one, rate, feed))
        parts.append("")
    return parts


def _plain(name: str) -> str:
    return name.replace("|", "/").replace("`", "'")


def _rooms(places: dict[str, float]) -> list[tuple[str, float]]:
    """Files added up to rooms: the first two folders of the sources, the first of the others."""
    found: dict[str, float] = {}
    for place, share in places.items():
        parts = place.split("/")
        room = (
            "libraries (pyarrow, numpy, orjson, DuckDB, SQLite, AES…)"
            if place == "library"
            else "/".join(parts[: 2 if parts[0] == "sources" and len(parts) > 2 else 1])
        )
        found[room] = found.get(room, 0) + share
    return sorted(found.items(), key=lambda item: -item[1])


def _reason(one: Found, rate: float, feed: ingest_run.Feed) -> str:
    """Why a target was missed, in measured terms: what a record costs, and what would be left without its largest parts."""
    spent = 1e6 / rate
    rooms = _rooms(one["profile"]["rooms"])[:3]
    told = ", ".join(f"{share * spent:.1f} µs in {room}" for room, share in rooms)
    top = one["profile"]["top"][0]
    return (
        f"A record costs {spent:.1f} µs where the target allows {1e6 / (feed.target or 1):.1f}: {told}. "
        f"No single function stands out (the largest takes {top['share']:.0%}): the cost is the sum of many small steps "
        f"per record in Python."
        if top["share"] < 0.2
        else f"A record costs {spent:.1f} µs where the target allows {1e6 / (feed.target or 1):.1f}: {told}; "
        f"`{_plain(top['function'])}` alone takes {top['share'] * spent:.1f} µs."
    )


_HEAD = """# Benchmarks

How fast Estran answers and loads, measured by `make bench` (`python -m benchmarks`). This page is written by that program
from its results; nothing in it is typed by hand but the method, at the end.
"""
_METHOD = f"""## Method

**Facts.** The generator (`benchmarks/facts.py`) draws patients with visits, documents of twelve facts, and concepts by a
long-tailed (log-uniform) law over 5,000 concepts: the most frequent one holds 8 % of all facts. The same 400,000 patients in four
buckets at every scale. The store is written by the warehouse's own writer, five commits per bucket, then compacted.
Timings are those of the real engine (`estran.cohort.engines.DuckDBEngine`) on questions read from their text form, every node
counted, with two threads: median of {11} runs after a first one and {2} warm-ups, in a process of its own per scale. The fifty
concepts of the Boolean cohort hold about 5 % of all facts; A and B of the sequence about 1 % each.

**Plain DuckDB** writes the same facts to one Parquet file in (concept, patient, start) order with its default settings and answers
plain SQL, the concept list being a joined table. **PostgreSQL** gets a table with indexes on (concept, patient, start)
and (patient, start), is vacuumed and analysed, with 4 GB of shared buffers, 512 MB of work memory and two workers. Each count,
breakdown and timeline of a peer is compared with Estran's in the same run: the program stops when one differs.

**Feeds.** `benchmarks/feeds.py` writes the files. A load runs in a process of its own, from the file to the committed
snapshot: landing (encrypted copy), reading, identities in the vault, terminology, masking, versions, Parquet in both orders, bitmaps,
text index. Each feed is loaded in three runs: the figures are those of the one that took least CPU time, beside the slowest one's
rate. `per second and core` divides by the CPU time of the process, all its threads included; `per second` by the clock.
Profiles come from a second run, on a smaller feed, and are not part of the timings. `load` is the number of processes that were
running or waiting on the machine when a measurement began: above 1 they shared its cores, and its CPU seconds are then longer than
quiet ones, since two busy threads share a physical core. The peers `hl7` and `fhir.resources` are timed when they are installed.

**The synthetic region.** `estran region` makes the raw feeds, with at most two free texts per patient at every size. Then each of the
six hospitals is loaded by what `estran ingest SITE --all` does, in a process of its own, two at a time, the largest first: the CPU
seconds are those of two busy cores. A feed's figures are those of its own load, which ends with a committed, searchable snapshot;
`MB` are those of its raw files (10^6 bytes), `facts` and `documents` what the snapshot gained. The memory is the most that a process held; the
ceiling adds the two largest. pyomop, in an environment of its own, gets up to 5,000 FHIR resources of Nantes, adapted to what it reads
(references to Patient resources made for it, an onset for each condition), with its defaults: SQLite and no vocabulary.

**Federated statistics.** Every round goes through the masks (X25519, HKDF, ChaCha20, sums modulo 2^128) and the safeguards of a
site; `busiest site` adds up its part of all rounds. Bytes are those of the masked arrays of one site over all rounds. The peer fits
the pooled rows of the same six sites in the same process (statsmodels: GLM to a tolerance of 1e-12, PHReg).

**A network.** Thirty sites, a linkage unit and the hub's door are processes on one machine, the person who asks is another; mutual
TLS over the loopback, state and queues on the machine's one disk. Each site has a link to the same warehouse (a hundred generated facts
per patient) and persons of its own, one in five of whom other sites may know. A question is the Boolean cohort of fifty concepts; `new`:
one that nobody asked before, another each time; `again`: one that the sites answered before. A site's time runs from having the job on
disk to having its answer ready; `slowest` is the largest of a question, in that very run, in which thirty sites share two cores. What the
hub takes after that is all the rest: putting the question, sixty signed messages over TLS, the sites' waits for a core, every answer on
the hub's disk. Tokens follow the counts, in sixty messages more: what they cost is in `with tokens` and in the time until distinct
patients are known. A question follows the one before 0.2 s after its total, while the hub still deletes that one's tokens,
overwritten: part of what is waited for. In `1 s to answer` each site keeps its answer back until a second after it had the job, as if it had a machine of its
own that takes so long: all thirty then answer at the same moment. The first question of a kind is left out of the medians.

To measure again: `make bench`, or `python -m benchmarks facts --facts 1000000` for a small scale; `python -m benchmarks render`
writes this page again from kept results.
"""
