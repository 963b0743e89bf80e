"""The sentences that other rooms write in English and a page shows: reasons of quarantine, errors, ways out.

They are read from the code when the catalogue is made (`estran.portal.catalogue`), so that none is written twice
and none is left without its French. `{1}`, `{2}` stand for the words that a sentence takes in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

HOME = Path(__file__).parent.parent
# Told on the command line, to a sender or to a device: no record is refused and no work of a page ends with them.
_APART = (
    "tabular/mapping.py", "tabular/language.py", "tabular/marks.py", "tabular/shelf.py", "tabular/expressions.py",
    "dicom/copies.py", "signal/window.py", "fhir/export.py", "fhir/requests.py", "mllp/acknowledge.py",
    "mllp/feeder.py", "mllp/frames.py", "mllp/server.py", "mllp/spool.py",
)  # fmt: skip
_ASKED = ("catalog", "cohort", "hub/desk.py", "hub/agent/carrying.py", "hub/agent/pooling.py", "hub/pooling", "identity", "keeping/originals.py", "keeping/work.py", "portal", "projects", "state", "text", "warehouse")
_ERRORS = {
    "UsageError", "LoginTaken", "WrongPassword", "NotAllowed", "InputRefused", "StoreError", "refuse", "_refuse", "error",
    "check_dated", "wrong", "FormFault",
}  # fmt: skip
_DECIDING = ("projects/policy.py", "projects/datamarts/deciding.py")  # their reasons are returned, not raised
_CAUSES = {"UNREAD", "_BECAUSE"}  # tables of what is said after a colon
_SENTENCE = re.compile(r"(?=[^ ]+ )[A-Z{][^\n]{11,}(?:\.|: \{\d\})")


@cache
def sentences() -> frozenset[str]:
    """Every such sentence, as English writes it."""
    apart = {HOME / "sources" / name for name in _APART}
    told = {text for path, tree in _trees("sources") if path not in apart for text in _anywhere(tree)}
    told |= {text for place in _DECIDING for _, tree in _trees(place) for text in _anywhere(tree)}
    return frozenset(told).union(text for place in _ASKED for _, tree in _trees(place) for text in _in_errors(tree))


def _trees(place: str) -> Iterator[tuple[Path, ast.Module]]:
    root = HOME / place
    for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def _anywhere(tree: ast.Module) -> Iterator[str]:
    """Whole sentences wherever they stand but in docstrings, and the causes that end some of them."""
    aside: set[int] = set()
    for node in ast.walk(tree):  # outer nodes come first
        if isinstance(node, ast.JoinedStr):
            aside |= {id(inner) for inner in node.values}
        elif isinstance(node, ast.Expr):
            aside.add(id(node.value))
        elif isinstance(node, ast.Assign) and _name(node.targets[0]) in _CAUSES:
            yield from filter(_is_phrase, map(_text, ast.walk(node.value)))
        text = "" if id(node) in aside else _text(node)
        if _SENTENCE.fullmatch(text):
            yield text


def _in_errors(tree: ast.Module) -> Iterator[str]:
    """What errors and refusals are made with (what happened and the way out, but not the place), and what functions
    called `…refusal` answer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _refuses(node):
            given = [*node.args, *(word.value for word in node.keywords if word.arg != "where")]
            yield from filter(_is_phrase, map(_text, given))
        elif isinstance(node, ast.FunctionDef) and node.name.endswith("refusal"):
            said = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value)
            yield from filter(_is_phrase, map(_text, said))


def _refuses(call: ast.Call) -> bool:
    name = _name(call.func)
    if name == "Decision":
        return isinstance(call.args[0], ast.Constant) and call.args[0].value is False
    return name in _ERRORS and not (isinstance(call.func, ast.Attribute) and _name(call.func.value) == "log")


def _is_phrase(text: str) -> bool:
    return " " in text


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _text(node: ast.AST) -> str:
    """The text of a literal, its gaps numbered; "" when it is none."""
    number = count(1)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{\}", lambda _: f"{{{next(number)}}}", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else f"{{{next(number)}}}" for p in node.values)
    return ""
