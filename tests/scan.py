"""`python -m tests.scan WAPITI [OUT [LOGIN...]]`: the demonstration portal under an outside scanner, wapiti (`pip install wapiti3`).

Serves a small site on the loopback, signs in as the clinical data centre and as a researcher, and lets the scanner
follow every link and send every form. Ends with 1 when something of level 2 (medium) or more was found. Not part of
`make test`: it takes minutes, and the scanner is a program of its own, kept out of the product's environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.browser.serving import served
from tests.browser.small_site import build
from tests.unit.portal.conftest import sign_in

MODULES = "backup,cookieflags,crlf,csp,csrf,exec,file,http_headers,https_redirect,methods,permanentxss,redirect,sql,upload,xss"
LEFT_ALONE = ("/sign-out", "/account/security", "/people")  # they would end the session of the scanner
SECONDS = 240


def main(wapiti: str, out: Path, people: tuple[str, ...] = ("data_engineer", "researcher")) -> int:
    """Scan as each of these people; 1 when something of medium level or more was found."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        site = build(Path(folder), language="en", patients=40)
        with served(site) as base:
            found = {login: _scan(wapiti, base, login, out) for login in people}
        site.state.close()
    for login, report in found.items():
        print(f"{login}: {report['pages']} addresses, {dict(report['levels'])}")
        for name, level, path, info in report["findings"]:
            print(f"  level {level} {name}: {path}: {info}")
    return int(any(level >= 2 for report in found.values() for _, level, _, _ in report["findings"]))


def _scan(wapiti: str, base: str, login: str, out: Path) -> dict[str, Any]:
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as person:
        sign_in(person, login)
        session = person.cookies["estran_session"]
    report = out / f"{login}.json"
    excluded = [word for path in LEFT_ALONE for word in ("-x", f"{base}{path}*")]
    command = [
        wapiti, "-u", f"{base}/", "--scope", "folder", "-m", MODULES, "-H", f"Cookie: estran_session={session}", *excluded, "-f", "json",
        "-o", str(report), "--max-scan-time", str(SECONDS), "--max-attack-time", "60", "--flush-session", "--no-bugreport", "--tasks", "4",
        "--store-session", str(out), "--store-config", str(out), "-v", "0",
    ]  # fmt: skip
    subprocess.run(command, check=False, timeout=SECONDS * 10, stdout=subprocess.DEVNULL)
    alive = (
        httpx.get(f"{base}/", headers={"cookie": f"estran_session={session}"}, trust_env=False, timeout=30).status_code
        == 200
    )
    said = json.loads(report.read_text("utf-8"))
    kinds = ("vulnerabilities", "anomalies")
    findings: list[tuple[str, int, str, str]] = [
        (name, one["level"], one["path"], one["info"])
        for kind in kinds
        for name, several in said[kind].items()
        for one in several
    ]
    if not alive:
        findings.append(("The scanner lost its session", 2, "/", "what it found after that is of strangers' pages"))
    return {
        "pages": said["infos"]["crawled_pages_nbr"],
        "findings": findings,
        "levels": Counter(level for _, level, _, _ in findings),
    }


if __name__ == "__main__":
    where = Path(sys.argv[2] if len(sys.argv) > 2 else "scan-report")
    sys.exit(main(sys.argv[1], where, tuple(sys.argv[3:]) or ("data_engineer", "researcher")))
