"""Walking a question: paths, codes used, cohorts resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from estran.cohort.query.base import Node
from estran.cohort.query.combine import Family, Not
from estran.cohort.query.leaves import Code, CodeCriterion, CohortRef

ROOT = "0"


def walk(node: Node, path: str = ROOT) -> Iterator[tuple[str, Node]]:
    """Every node with its path, parents first. The root is "0", its children "0.0", "0.1"..."""
    yield path, node
    for number, child in enumerate(node.children()):
        yield from walk(child, f"{path}.{number}")


def at(node: Node, path: str) -> Node:
    """The node at a path; KeyError when there is none."""
    for number in path.split(".")[1:]:
        children = node.children()
        if not number.isdigit() or int(number) >= len(children):
            raise KeyError(path)
        node = children[int(number)]
    return node


def rewrite(node: Node, change: Callable[[Node], Node]) -> Node:
    """The question with `change` applied to every node, children first."""
    children = node.children()
    return change(node.with_children(tuple(rewrite(child, change) for child in children)) if children else node)


def resolve(node: Node, cohort: Callable[[str], Node]) -> Node:
    """Replace every CohortRef by what `cohort` gives for its name (an IdList, or a question).

    Errors of `cohort` (an unknown name, a cohort that is not shared) go through.
    """
    return rewrite(node, lambda one: cohort(one.name) if isinstance(one, CohortRef) else one)


def codes_of(node: Node) -> list[Code]:
    """Every code that the question names, in reading order, once."""
    found: dict[Code, None] = {}
    for _, one in walk(node):
        if isinstance(one, CodeCriterion):
            found.update(dict.fromkeys(one.codes + one.values + one.parent))
    return list(found)


def leading(node: Node, path: str = ROOT) -> str | None:
    """The path of the first criterion, in reading order, whose events give the index dates.

    Denied criteria and those of relatives date nothing; None when nothing has a date.
    """
    if node.dated:
        return path
    if isinstance(node, Not | Family):
        return None
    found = (leading(child, f"{path}.{n}") for n, child in enumerate(node.children()))
    return next((one for one in found if one is not None), None)


def own_leaves(node: Node, path: str = ROOT) -> Iterator[tuple[str, Node]]:
    """Criteria without children, with their paths, but for those asked of relatives."""
    if not node.children():
        yield path, node
    elif not isinstance(node, Family):
        for number, child in enumerate(node.children()):
            yield from own_leaves(child, f"{path}.{number}")
