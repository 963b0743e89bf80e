"""What the figures were measured on."""

from __future__ import annotations

import datetime as dt
import os
import platform
import resource
import time
from importlib import metadata
from pathlib import Path

LIBRARIES = ("duckdb", "pyarrow", "numpy", "pyroaring", "deltalake", "tantivy", "orjson", "cryptography")


def describe() -> dict[str, object]:
    """Processor, memory, versions, and the load when this was asked."""
    return {
        "when": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def load() -> float:
    """Processes running or waiting, over the last minute."""
    return round(os.getloadavg()[0], 2)


def settle(below: float, minutes: float) -> None:
    """Wait until the load is below a number (0: do not wait), but no longer than so many minutes."""
    until = time.monotonic() + 60 * minutes
    while below and os.getloadavg()[0] > below and time.monotonic() < until:
        time.sleep(2)


def memory_mb() -> int:
    """The most memory that this process held so far; what it was started from counts where /proc tells nothing."""
    told = Path("/proc/self/status")
    lines = told.read_text().splitlines() if told.exists() else []
    peak = next((line for line in lines if line.startswith("VmHWM:")), "")
    return int(peak.split()[1]) // 1024 if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
