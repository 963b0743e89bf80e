"""Every command starts fast: it imports what it needs (SQLAlchemy among it: each writes the audit trail), nothing imports pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from alembic.script import ScriptDirectory
from tests.spec import site_kit as kit

from estran.cli import _PARTS, app
from estran.state import StateDatabase
from estran.state.database import HEAD, MIGRATIONS

_HEAVY = {"pandas", "matplotlib", "scipy", "wfdb", "pydicom", "zarr", "alembic", "estran.portal", "estran.region"}
_PROGRAM = """
import sys
from estran import cli
sys.argv = ["estran", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    code = end.code
print("\\n".join(["", "IMPORTED", *sys.modules]))
sys.exit(code)
"""


def imported(*words: object) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return set(run.stdout.partition("\nIMPORTED\n")[2].split())


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    group = typer.main.get_command(app)
    told = {name: purpose for names in _PARTS.values() for name, purpose in names.items()}
    real = {name: group.get_command(None, name) for name in told}  # type: ignore[attr-defined]
    assert {name: " ".join((command.help or "").split()) for name, command in real.items()} == told


def test_help_imports_no_room() -> None:
    assert not imported("--help") & {"duckdb", "pyarrow", "numpy", "estran.app", "estran.warehouse"}


def test_status_and_a_load_import_what_they_need_only(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    messages = kit.write_messages(tmp_path / "m.hl7", kit.adt("A01", "20240301", kit.pid("1", "DUPRATELLE", "Yseult", "19610704", "F")))
    assert not imported("status", site.directory) & (_HEAVY | {"estran.sources", "estran.identity.vault"})
    assert not imported("ingest", site.directory, "hl7v2", messages, "--source", "adt") & (_HEAVY | {"estran.sources.fhir"})


def test_a_current_database_needs_no_migration_and_is_known_as_such(tmp_path: Path) -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD
    StateDatabase.open(tmp_path / "state.sqlite").close()
    program = f"""
import sys
from pathlib import Path
from estran.state import StateDatabase
StateDatabase.open(Path({str(tmp_path / "state.sqlite")!r})).close()
sys.exit("alembic" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("word", ["statuss", "ingst"])
def test_a_misspelt_command_is_answered_with_the_right_one(word: str) -> None:
    run = subprocess.run([sys.executable, "-m", "estran", word], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 2
    assert {"statuss": "status", "ingst": "ingest"}[word] in run.stderr
