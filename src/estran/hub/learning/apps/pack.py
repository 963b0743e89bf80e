"""Make the bundle: `python pack.py FILE PLAN [FROM=INTO]…`, in Flower's Python. Prints its SHA-256."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from flwr.cli.build import build_fab_from_files

_PACKAGES = (
    "estran",
    "estran/analysis",
    "estran/analysis/learning",
    "estran/hub",
    "estran/hub/learning",
    "estran/hub/learning/apps",
)
_WHOLE = ("estran/analysis/learning", "estran/hub/learning/apps")
_OUTSIDE = ("pack.py", "node.py", "link.py", "lead.py")
_ABOUT = """[project]
name = "estran-learning"
version = "0.1.0"
description = "Learning over several sites"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "estran"

[tool.flwr.app.components]
serverapp = "estran.hub.learning.apps.server_app:app"
clientapp = "estran.hub.learning.apps.client_app:app"
"""


def bundle(root: Path, plan: str, instead: dict[str, Path]) -> bytes:
    """The bundle of the packages below `root` and a plan; `instead` replaces some of its files."""
    files: dict[str, bytes | Path] = {
        "pyproject.toml": _ABOUT.encode(),
        "estran/hub/learning/apps/plan.json": plan.encode(),
    }
    for package in _PACKAGES:
        found = (root / package).glob("*.py") if package in _WHOLE else [root / package / "__init__.py"]
        files |= {f"{package}/{path.name}": path for path in found if path.name not in _OUTSIDE}
    return bytes(build_fab_from_files(files | instead)[0])


def main() -> None:
    """Write the bundle."""
    instead = dict(one.split("=", 1) for one in sys.argv[3:])
    plan = json.dumps(json.loads(Path(sys.argv[2]).read_text("utf-8")), sort_keys=True)
    made = bundle(Path(__file__).resolve().parents[4], plan, {into: Path(path) for path, into in instead.items()})
    Path(sys.argv[1]).write_bytes(made)
    sys.stdout.write(hashlib.sha256(made).hexdigest())


if __name__ == "__main__":
    main()
