"""How quick every page of the portal is in Chromium, on the loopback: `python -m tests.browser.quickness [OUT.json]`.

A window that keeps nothing opens each page of `whole_site.PAGES` some times. What the browser itself tells is kept: bytes
on the wire, milliseconds to DOM interactive, to the first contentful paint and to the end of loading (Navigation Timing,
Paint Timing), and the part of long tasks beyond 50 ms each (Long Tasks): the sum of Total Blocking Time.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from tests.browser.serving import ARGUMENTS, chromium, served
from tests.browser.whole_site import PAGES, Opened, Whole, whole

REPEATS = 3
MOST_MS, MOST_BYTES = 1_000, 200_000
MEASURES = ("bytes", "interactive", "painted", "loaded", "blocking")
_WATCH = """(() => {
    window.__tasks = [];
    new PerformanceObserver(list => window.__tasks.push(...list.getEntries())).observe({type: "longtask", buffered: true});
})()"""
_TOLD = """() => {
    const page = performance.getEntriesByType("navigation")[0];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return {interactive: page.domInteractive, loaded: page.loadEventEnd, painted: paint ? paint.startTime : 0,
            blocking: window.__tasks.reduce((sum, task) => sum + Math.max(0, task.duration - 50), 0)};
}"""
Found = dict[str, float]


def measure(browser: Browser, base: str, site: Whole, opened: Opened) -> Found:
    """One page, by somebody whose browser holds nothing but the session."""
    context = browser.new_context(locale="fr-FR", viewport={"width": 1440, "height": 900})
    if opened.login:
        site.enter(context, base, opened.login, "fr", "light")
    page, sizes = context.new_page(), dict[str, float]()
    page.add_init_script(_WATCH)
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: sizes.__setitem__(event["requestId"], event["encodedDataLength"]))
    page.goto(base + site.address(opened), wait_until="networkidle")
    page.wait_for_selector(opened.wait)
    told: Found = page.evaluate(_TOLD)
    context.close()
    return told | {"bytes": sum(sizes.values())}


def run(folder: Path) -> dict[str, Any]:
    """Every page; each measure is the median of its repeats, and `worst` the largest."""
    site = whole(folder)
    found: dict[str, dict[str, Found]] = {}
    with served(site.site) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        load = os.getloadavg()[0]
        for route, opened in PAGES.items():
            times = [measure(browser, base, site, opened) for _ in range(REPEATS)]
            found[route] = {
                name: {"median": statistics.median(one[name] for one in times), "worst": max(one[name] for one in times)}
                for name in MEASURES
            }
        version = browser.version
        browser.close()
    site.site.state.close()
    return {"chromium": version, "load": [round(load, 2), round(os.getloadavg()[0], 2)], "pages": found}


def table(pages: dict[str, dict[str, Found]]) -> str:
    """The middle page, and the worst with its name, for each measure."""
    lines = ["| Measure | median page | worst page | which |", "| --- | ---: | ---: | --- |"]
    for name, unit in zip(MEASURES, ("bytes", "ms", "ms", "ms", "ms"), strict=True):
        medians = {route: one[name]["median"] for route, one in pages.items()}
        worst = max(medians, key=lambda route: medians[route])
        lines.append(f"| {name}, {unit} | {statistics.median(medians.values()):,.0f} | {medians[worst]:,.0f} | `{worst}` |")
    return "\n".join(lines)


def main() -> int:
    """Print the table and the pages beyond a limit; 1 when there is one."""
    with tempfile.TemporaryDirectory() as folder:
        told = run(Path(folder))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(told, indent=1))
    print(f"Chromium {told['chromium']}, load {told['load'][0]} to {told['load'][1]}, {len(told['pages'])} pages, each {REPEATS} times")
    print(table(told["pages"]))
    beyond = [
        f"{route}: {one['bytes']['median']:,.0f} bytes, interactive {one['interactive']['median']:,.0f} ms"
        for route, one in told["pages"].items()
        if one["interactive"]["median"] > MOST_MS or one["bytes"]["median"] > MOST_BYTES
    ]
    print("\n".join(["Beyond a limit:", *beyond] if beyond else ["No page is beyond a limit."]))
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
