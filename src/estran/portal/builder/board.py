"""What the tree is drawn with: labels of its codes, units of its values, wards, names of its criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from estran.cohort.language import json as question_json
from estran.cohort.query import Node, codes_of
from estran.model.codes import DocumentKind, StayKind
from estran.portal.builder.draft import CodeStep, Draft, OtherStep, walk
from estran.portal.builder.translate import build
from estran.portal.builder.wording import as_text, names
from estran.portal.words import word

if TYPE_CHECKING:
    from estran.portal.visitor import Visitor


def drawn(who: Visitor, draft: Draft) -> dict[str, Any]:
    """The context of the tree's templates."""
    built = build(draft)
    undoable, redoable = who.desk.draft_reach()
    opened = who.desk.version(draft.opened) if draft.opened is not None else None
    steps = list(walk(draft.root))
    return {
        "root": draft.root, "paths": built.paths, "problems": built.problems, "labels": labels(who, draft),
        "names": names(who, draft), "undoable": undoable, "redoable": redoable,
        "opened": opened[1].number if opened else None, "opened_name": opened[0].name if opened else "",
        "units": {s.id: who.desk.value_units(_pairs(s)) for s in steps if isinstance(s, CodeStep) and s.comparison},
        "others": {s.id: as_text(who, question_json.loads(s.query)) for s in steps if isinstance(s, OtherStep)},
        "wards": list(who.desk.wards()),
        "document_kinds": _choices(who, "document", [k.value for k in DocumentKind]),
        "stay_kinds": _choices(who, "stay", [k.value for k in StayKind]),
    }


def ids(draft: Draft) -> list[str]:
    """Ids of the steps that show a count: all but the events inside a sequence."""
    return [step.id for step in _counted(draft.root)]


def _counted(step: Any) -> list[Any]:
    return [step, *(inner for child in getattr(step, "of", []) for inner in _counted(child))]


def codes(query: Node) -> list[tuple[str, str]]:
    """Vocabulary and code of everything a question names."""
    return [(code.vocabulary, code.code) for code in codes_of(query)]


def labels(who: Visitor, draft: Draft) -> dict[tuple[str, str], str]:
    """Labels of the codes of a draft, in the person's language."""
    pairs = [pair for step in walk(draft.root) if isinstance(step, CodeStep) for pair in _pairs(step)]
    return {pair: concept.label(who.spoken.code) for pair, concept in who.desk.labels(pairs).items()}


def _pairs(step: CodeStep) -> list[tuple[str, str]]:
    return [(c.vocabulary, c.code) for c in step.codes]


def _choices(who: Visitor, kind: str, values: list[str]) -> list[tuple[str, str]]:
    return sorted(((value, word(who.spoken, kind, value)) for value in values), key=lambda pair: pair[1])
