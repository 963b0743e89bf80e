"""Every command that reads or changes data is recorded before; the others are named here, with the reason."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from estran.app import open_site
from estran.cli import _PARTS, app

# What writes a line: the trail itself, the desks, and the acts on accounts.
_RECORDS = {
    "recorded",
    "permit",
    "desk_of",
    "_officer",
    "create_account",
    "shut",
    "reset_second_factor",
    "bound",
    "create_site",
    "Officer",
    "Datamarts",
    "HubDesk", "StudyDesk", "LearningDesk", "CatalogueDesk", "Governance", "Oversight", "Oppositions", "hand_over", "taken_back", "write_holdings",
    "Desk",
    "ProjectsDesk",
    "Steward",
    "RightsDesk",
    "Workspaces",
    "provide",
    "screened",
    "names.hand_over",
    "opposition.declare",
    "opposition.erase",
    "rights.standing",
    "rights.register",
    "rights.acknowledge",
    "letters_of_care.write_list",
    "letters_of_care.sent",
    "public.put",
    "registry.sheet",
}
NOTHING = {
    "version": "reads nothing",
    "init": "makes an empty site",
    "policy": "shows the rules", "project policy": "shows the rules",
    "mapping check": "reads a mapping and files that are not the site's", "mapping keep": "keeps a mapping, without any data",
    "fhir-export": "fetches files that no site holds yet",
    "region": "invents people",
    "ingest": "takes data in: each load is a line of the table of loads", "listen": "takes data in, as ingest",
    "listen-dicom": "takes data in, as ingest", "run": "takes data in, as ingest; does jobs that were recorded when asked for",
    "unpack": "reads a package that is not the site's",
    "agent": "each job is recorded before it is done", "hub agent": "each job is recorded before it is done",
    "hub init": "makes an empty hub", "hub serve": "carries signed messages, shows nothing", "hub linkage-key": "makes a random key",
    "hub link": "recorded by Linkages.start before a site is asked",
    "hub jobs": "lists what the network asks, and no data",
    "serve": "the portal records what each person does", "demo": "a site of samples",
    "backups": "lists encrypted files", "restore": "makes a site anew from encrypted files, whose trail comes with it",
    "upgrade": "changes the form of the files, shows nothing",
    "project machine": "shows the rules", "quality rules": "shows the rules",
    "airlock check": "reads files that are not the site's",
    "audit verify": "reads the trail's hashes alone", "audit checkpoint": "signs the trail", "audit cut": "writes its own line when it cuts",
}  # fmt: skip


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def commands() -> Iterator[tuple[str, ast.Module, str]]:
    """Name, module and function of every command."""
    for part in _PARTS:
        module = importlib.import_module(f"estran.cli.{part}")
        own = typer.Typer()
        module.register(own)
        tree = _tree(module)
        for info in own.registered_commands:
            assert info.callback
            yield info.name or info.callback.__name__.replace("_", "-"), tree, info.callback.__name__
        for group in own.registered_groups:
            assert group.typer_instance
            for info in group.typer_instance.registered_commands:
                assert info.callback
                home = sys.modules[info.callback.__module__]  # a large group lies in several modules
                yield f"{group.name} {info.name or info.callback.__name__}", _tree(home), info.callback.__name__


def _calls(tree: ast.Module, name: str, seen: set[str]) -> set[str]:
    """What a function calls, through the functions of its module."""
    if name in seen:
        return set()
    seen.add(name)
    body = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    functions = [n.func for n in ast.walk(body) if isinstance(n, ast.Call)] if body else []
    called = {ast.unparse(f) for f in functions if isinstance(f, ast.Name | ast.Attribute)}
    return called.union(*(_calls(tree, one, seen) for one in called))


@pytest.mark.parametrize(("name", "tree", "function"), list(commands()), ids=lambda x: x if isinstance(x, str) else "")
def test_a_command_is_recorded_or_named_as_needing_no_line(name: str, tree: ast.Module, function: str) -> None:
    records = bool(_calls(tree, function, set()) & _RECORDS)
    assert records or name in NOTHING, f"'{name}' reads data and writes no line"
    assert not (records and name in NOTHING) or name in ("init", "demo", "audit cut", "audit checkpoint"), (
        f"'{name}' is recorded: take it off the list"
    )


def test_every_command_that_is_offered_was_looked_at() -> None:
    walked = {name.split(" ")[0] for name, _, _ in commands()} | {"version"}
    assert walked == {name for names in _PARTS.values() for name in names} | {"version"}
    assert set(NOTHING) <= {name for name, _, _ in commands()} | {"version"}


@pytest.mark.parametrize(("command", "action", "target"), [
    (["status"], "holdings", "status"), (["check"], "holdings", "check"), (["quarantine"], "feeds", "quarantine"),
    (["feeds"], "feeds", "feeds"), (["loads"], "feeds", "loads source:"), (["deaths", "--review"], "identity", "deaths: doubtful pairs with their names"),
    (["dicom", "where", "7"], "document", "document:7 images"), (["user", "list"], "accounts", "list"), (["compact"], "operate", "compact"),
    (["patient", "3"], "timeline", "patient:3"), (["search", "fièvre"], "snippets", "results:0-10"), (["cohort", "count", "CIM10:I50"], "count", ""),
])  # fmt: skip
def test_the_line_is_there_before_the_command_answers(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], action: str, target: str
) -> None:
    site = _empty(tmp_path_factory)
    words = (
        [*command[:2], str(site), *command[2:]]
        if command[0] in ("dicom", "user", "cohort")
        else [command[0], str(site), *command[1:]]
    )
    CliRunner().invoke(app, words)
    line = open_site(site).state.audit.latest(1)[0]
    assert (line.action, line.target, line.allowed) == (action, target, True)


_made: list[Path] = []


def _empty(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        _made.append(factory.mktemp("commands") / "site")
        assert CliRunner().invoke(app, ["init", str(_made[0])]).exit_code == 0
    return _made[0]
