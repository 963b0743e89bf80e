"""YAML as plain values, with the line of every one of them.

Read from the nodes of the document: no object is ever built from a tag, and text stays text (`no`,
`012` and `2024-01-01` are what they look like). Aliases are refused: a few lines of them can stand
for billions of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

LONGEST = 1 << 20  # characters of a mapping
_DEEPEST = 40
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_WHOLE = re.compile(r"[-+]?(0|[1-9]\d{0,17})$")
_DECIMAL = re.compile(r"[-+]?\d+\.\d+([eE][-+]?\d+)?$")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a document, and where: line from 1, field as a path."""

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, field {self.field}" if self.field else f"line {self.line}"
        return f"{where}: {self.message}"


class NotYaml(Exception):
    """The text is not a document that can be read; `faults` say why."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__("not a mapping")
        self.faults = tuple(faults)


@dataclass
class Marked:
    """A document's value and the lines of its parts."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of the part at `path`, or of the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str) -> Marked:
    """The single document of `text`; NotYaml when it is none."""
    if len(text) > LONGEST:
        raise NotYaml([Fault(1, "", "The mapping is longer than a million characters.")])
    try:
        _refuse_aliases(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml([Fault(mark.line + 1 if mark else 1, "", f"This is not YAML: {error.problem}.")]) from None
    except (yaml.YAMLError, RecursionError):
        raise NotYaml([Fault(1, "", "This is not YAML text.")]) from None
    if node is None:
        raise NotYaml([Fault(1, "", "The mapping is empty.")])
    marked = Marked()
    faults: list[Fault] = []
    marked.value = _value(node, (), marked.lines, faults)
    if faults:
        raise NotYaml(faults)
    return marked


def _refuse_aliases(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise NotYaml([Fault(_line(event), "", "Aliases (*name) are not used in mappings.")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise NotYaml([Fault(_line(event), "", "Lists and groups are nested too deeply.")])


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], faults: list[Fault]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1 if node.start_mark else 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, place), lines, faults) for place, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node)
    found: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.append(Fault(line, shown(path), "A name must be a text."))
            continue
        name = str(key.value)
        if name in found:
            faults.append(Fault(line, shown((*path, name)), "This name is given twice."))
        lines[(*path, name)] = line
        found[name] = _value(item, (*path, name), lines, faults)
    return found


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # quoted, or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.match(text):
        return int(text)
    return float(text) if _DECIMAL.match(text) else text


def shown(path: Path) -> str:
    """A path as people write it: `tables[0].facts[1].code`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
