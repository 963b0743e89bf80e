"""The part of docs/benchmarks.md about the synthetic region: how fast it is made, and how fast it loads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from benchmarks import pyomop_peer
from benchmarks.tables import table

Found = dict[str, Any]
REPORTS_PER_S, DOCUMENTS_PER_S, LEFT, MEMORY_MB = 20_000, 5_000, 600, 6 * 1024
_SUMMED = ("read", "loaded", "superseded", "quarantined", "document", "fact", "text", "bytes", "cpu_s", "wall_s")


def tell(made: Found, regions: Found) -> list[str]:
    """The lines of both; of sizes that are loaded in part, what there is."""
    parts = _generator(made) if made else []
    sizes = sorted((int(n), size) for n, size in regions.get("sizes", {}).items() if size.get("sites"))
    for patients, size in reversed(sizes):
        parts += _size(patients, size)
    if len(sizes) > 1:
        parts += _slopes(sizes[0], sizes[-1])
    return parts + (_peer(regions["peer"], sizes[-1][1]) if sizes and regions.get("peer") else [])


def _generator(made: Found) -> list[str]:
    feed, reports = made["feed"], made["reports"]
    rows = [
        [
            "Raw feeds, documents",
            f"**{feed['documents'] / feed['cpu_s']:,.0f}**",
            f"{DOCUMENTS_PER_S:,}",
            f"{feed['documents']:,.0f}",
            "–",
            "–",
        ],
        *(
            [
                f"Reports, {name}",
                f"**{one['per_s']:,.0f}**",
                f"{REPORTS_PER_S:,}",
                f"{one['reports']:,}",
                f"{one['characters']:,.0f}",
                f"{one['spans']:.1f}",
            ]
            for name, one in reports.items()
        ),
    ]
    return [
        "### Making it\n",
        table(["One core", "per second", "target", "written", "characters", "spans"], rows),
        f"zstd leaves {made['left']:.0f} bytes of 2,000 of hospital reports in one frame (target: at least {LEFT}). Load then: {made['load']}.\n",
    ]


def _sums(feeds: Iterable[Found]) -> Found:
    held = list(feeds)
    return {name: sum(one[name] for one in held) for name in _SUMMED}


def _by_name(size: Found) -> dict[str, Found]:
    """Per feed, the sums over the hospitals that have it."""
    found: dict[str, list[Found]] = {}
    for site in size["sites"].values():
        for feed in site.get("feeds", ()):
            found.setdefault(feed["source"], []).append(feed)
    return {source: _sums(feeds) for source, feeds in found.items()}


def _whole(size: Found) -> Found:
    return _sums(feed for site in size["sites"].values() for feed in site.get("feeds", ()))


def _size(patients: int, size: Found) -> list[str]:
    made, whole = size["made"], _whole(size)
    head = [
        "Source",
        "read",
        "loaded",
        "superseded",
        "quarantined",
        "documents",
        "facts",
        "MB",
        "CPU s",
        "records/s/core",
        "facts/s/core",
        "MB/s/core",
    ]
    named = [*_by_name(size).items(), ("**all**", whole)]
    missing = [name for name, site in size["sites"].items() if not site.get("done")]
    return [
        f"### {patients:,} patients, six hospitals\n",
        f"{made['records']:,} records, {made['bytes'] / 1e6:,.0f} MB of raw feeds, made in {made['seconds']:,.0f} s"
        + (f"; not loaded to the end: {', '.join(missing)}" if missing else "") + ".\n",
        table(head, ([name, *_cells(one)] for name, one in named)),
        _why(size),
        _hospitals(size),
    ]  # fmt: skip


def _cells(one: Found) -> list[str]:
    counts = [f"{one[name]:,}" for name in ("read", "loaded", "superseded", "quarantined", "document", "fact")]
    rates = [one["read"], one["fact"], one["bytes"] / 1e6]
    return [
        *counts,
        f"{one['bytes'] / 1e6:,.1f}",
        f"{one['cpu_s']:,.0f}",
        *(f"{n / one['cpu_s']:,.{1 if n < 1e5 else 0}f}" for n in rates),
    ]


def _why(size: Found) -> str:
    """Why records wait in quarantine, and which files were refused."""
    reasons: dict[str, int] = {}
    for site in size["sites"].values():
        for feed in site.get("feeds", ()):
            for reason, count in {**feed["reasons"], **dict.fromkeys(feed["refused"].values(), 1)}.items():
                reasons[f"{feed['source']}: {reason}"] = reasons.get(f"{feed['source']}: {reason}", 0) + count
    told = "; ".join(f"{reason} ({count:,})" for reason, count in sorted(reasons.items()))
    return (
        f"In quarantine or refused: {told}." if told else "Nothing is in quarantine and no file was refused."
    ) + "\n"


def _hospitals(size: Found) -> str:
    rows = []
    for name, site in size["sites"].items():
        one, stored = _sums(site.get("feeds", ())), site.get("stored", {})
        rows.append([
            name, *(f"{stored.get(n, 0):,}" for n in ("patient", "document", "fact")), f"{one['bytes'] / 1e6:,.0f}",
            f"{site.get('disk_bytes', 0) / 1e6:,.0f}", f"{site.get('cpu_s', 0):,.0f}", f"{site.get('wall_s', 0):,.0f}",
            f"{site.get('memory_mb', 0):,}", site.get("load", "–"),
        ])  # fmt: skip
    peaks = sorted((site.get("memory_mb", 0) for site in size["sites"].values()), reverse=True)[: size["at_once"]]
    whole = _whole(size)
    verdict = "reached" if sum(peaks) < MEMORY_MB else "missed"
    return (
        table(
            ["Hospital", "patients", "documents", "facts", "raw MB", "MB kept", "CPU s", "seconds", "MB held", "load"],
            rows,
        )
        + f"\n{size['at_once']} hospitals at a time held at most {sum(peaks):,} MB together (target: under {MEMORY_MB:,}, {verdict}). A document costs "
        f"{1000 * whole['cpu_s'] / whole['document']:.2f} ms of one core, all feeds together; a record "
        f"{1000 * whole['cpu_s'] / whole['read']:.2f} ms, a fact {1e6 * whole['cpu_s'] / whole['fact']:.0f} µs.\n"
    )


def _slopes(low: tuple[int, Found], high: tuple[int, Found]) -> list[str]:
    """What a document and a record cost at both ends."""
    small, large = _by_name(low[1]), _by_name(high[1])
    rows = [["**all, per document**", *_pair(_whole(low[1]), _whole(high[1]), "document", low[0], high[0])]]
    rows.append(["**all, per record**", *_pair(_whole(low[1]), _whole(high[1]), "read", low[0], high[0])])
    rows += [
        [f"{name}, per record", *_pair(small[name], large[name], "read", low[0], high[0])]
        for name in large
        if name in small
    ]
    return [
        "### What loading costs as the region grows\n",
        table(["CPU ms", f"{low[0]:,} patients", f"{high[0]:,} patients", "ratio", "slope"], rows),
        "A slope of 0 means that a document of the larger region costs as much, below 0 less (log of the ratio of the costs over log of "
        "the ratio of the sizes).\n",
    ]


def _pair(low: Found, high: Found, unit: str, few: int, many: int) -> list[str]:
    costs = [1000 * one["cpu_s"] / max(one[unit], 1) for one in (low, high)]
    ratio = costs[1] / costs[0]
    return [*(f"{cost:.3f}" for cost in costs), f"{ratio:.2f}", f"{math.log(ratio) / math.log(many / few):.2f}"]


def _peer(peer: Found, size: Found) -> list[str]:
    if "skipped" in peer:
        return [f"{peer['skipped']}\n"]
    own = next((f for f in size["sites"].get(pyomop_peer.HOSPITAL, {}).get("feeds", ()) if f["name"] == "fhir"), None)
    if own is None:
        return []
    mine, theirs = own["read"] / own["cpu_s"], peer["resources"] / peer["cpu_s"]
    stored = ", ".join(f"{count:,} in `{name}`" for name, count in peer["rows"].items())
    rows = [
        [
            f"Estran, the FHIR feed of {pyomop_peer.HOSPITAL.capitalize()}",
            f"{own['read']:,}",
            f"{own['cpu_s']:,.1f}",
            f"**{mine:,.0f}**",
        ],
        [f"pyomop {peer['version']}", f"{peer['resources']:,}", f"{peer['cpu_s']:,.1f}", f"{theirs:,.0f}"],
    ]
    return [
        "### The FHIR resources of a hospital by another tool\n",
        table(["", "resources", "CPU s", "per second and core"], rows),
        f"Estran loads {mine / theirs:,.0f} times as many per second and core, down to masked, searchable, versioned facts. pyomop stored {stored}.\n",
    ]
