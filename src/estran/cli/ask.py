"""Asking: `estran search`, `estran cohort count|run|explain`, `estran patient`.

Whoever holds the key file is the site's owner: counts are exact, and recorded before they run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, problem, table
from estran.cohort.language import json as question_json
from estran.cohort.language.explain import explain as sentences
from estran.cohort.language.parser import parse
from estran.cohort.query import Code, Node
from estran.model.errors import CheckFailed, UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.patients import Event

LangOpt = Annotated[str, typer.Option("--lang", help="fr or en.")]
QuestionArg = Annotated[str, typer.Argument(metavar="FILE|TEXT", help="A JSON file, or the question as text.")]
cohorts = typer.Typer(help="Count, run or explain a cohort.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran search mysite '\"insuffisance cardiaque\" SAUF amylose'")(search)
    app.command(epilog="Example: estran patient mysite 42 --json")(patient)
    cohorts.command(epilog="Example: estran cohort count mysite 'OMOP:192671 ET âge>=65' --json")(count)
    cohorts.command(epilog="Example: estran cohort run mysite question.json --limit 100")(run)
    cohorts.command(epilog="Example: estran cohort explain mysite 'CIM10:I50 SAUF CIM10:E85' --lang en")(explain)
    app.add_typer(cohorts, name="cohort")


def desk_of(site: Path, key: Path | None) -> Desk:
    """The owner's desk: opening the vault proves that the key is the site's."""
    opened = house.open_site(site, key)
    with opened.vault():
        _seal(opened)
        return Desk(ReadingRoom(opened), KEY_HOLDER)


def _seal(opened: house.Site) -> None:
    """A checkpoint of the audit trail when one is due: the key is at hand. A broken trail is told, and stops nobody."""
    try:
        if opened.audit_seal.due():
            opened.audit_seal.seal()
    except CheckFailed as error:
        problem(error)


def question(text: str) -> Node:
    """The question in a JSON file, or written as text."""
    path = Path(text)
    if text.endswith(".json") and not path.is_file():
        raise UsageError("There is no such file.", where=text)
    if path.suffix == ".json":
        return question_json.loads(path.read_bytes())
    return parse(text)


def search(
    site: SiteArg,
    query: Annotated[str, typer.Argument(metavar="QUERY", help='Words, "phrases", prefix*, AND/OR/NOT, ET/OU/SAUF.')],
    limit: Annotated[int, typer.Option(help="Documents shown.", min=1, max=200)] = 10,
    offset: Annotated[int, typer.Option(help="Documents skipped.", min=0)] = 0,
    lang: LangOpt = "fr",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Find documents: ranked, with extracts, and counts of documents and patients."""
    found = desk_of(site, key).search(query, {}, limit, offset)
    if json:
        emit(_found(found))
        return
    for hit in found.hits:
        document = hit.document
        console.print(f"[bold]{document.document_id}[/]  {document.kind}  {document.date or ''}  ", end="")
        console.print(document.title or "", markup=False, highlight=False)
        for extract in document.snippets:
            console.print("   … " + _marked(extract), highlight=False)
    console.print(f"{number(found.documents.value if found.documents else 0)} documents, {number(found.patients.value)} patients")
    for word in found.unknown:
        near = ", ".join(s.word for s in word.suggestions)
        missing = (
            f"Aucun document ne contient « {word.word} »." if lang == "fr" else f"No document holds '{word.word}'."
        )
        console.print(
            missing + (f" {'Voulez-vous dire' if lang == 'fr' else 'Did you mean'}: {near} ?" if near else "")
        )


def _found(found: Any) -> dict[str, Any]:
    return {
        "documents": found.documents.value if found.documents else None,
        "patients": found.patients.value,
        "hits": [
            {
                "document_id": h.document.document_id, "patient_id": h.document.patient_id, "score": h.document.score,
                "kind": h.document.kind, "title": h.document.title, "date": h.document.date,
                "unit": h.document.unit, "snippets": [_marked(s, "<", ">") for s in h.document.snippets],
            }
            for h in found.hits
        ],
        "facets": {
            name: [{"value": f.value, "documents": f.documents.value, "patients": f.patients.value} for f in values]
            for name, values in found.facets.items()
        },
        "unknown": [{"word": w.word, "suggestions": [s.word for s in w.suggestions]} for w in found.unknown],
        "seconds": found.seconds,
    }  # fmt: skip


def _marked(extract: Any, before: str = "[bold yellow]", after: str = "[/]") -> str:
    """The extract with its marks; the text's own brackets are kept as they are."""
    plain = before == "<"
    parts, at = [], 0
    for start, end in extract.marks:
        parts += [_shown(extract.text[at:start], plain), before, _shown(extract.text[start:end], plain), after]
        at = end
    return "".join([*parts, _shown(extract.text[at:], plain)]).replace("\n", " ")


def _shown(text: str, plain: bool) -> str:
    return text if plain else text.replace("[", "\\[")


def count(site: SiteArg, asked: QuestionArg, lang: LangOpt = "fr", key: KeyOpt = None, json: JsonOpt = False) -> None:
    """How many patients answer a question: exact, with each criterion's own count."""
    desk, node = desk_of(site, key), question(asked)
    counted = desk.count(node)
    if json:
        emit(
            {
                "patients": counted.total.value,
                "population": counted.population.value,
                "counts": {path: shown.value for path, shown in counted.counts.items()},
                "attrition": [{"path": s.path, "patients": s.left.value} for s in counted.steps],
                "unknown": counted.unknown,
                "snapshot": counted.version,
                "elapsed_ms": round(counted.elapsed_ms, 2),
            }
        )
        return
    console.print(_said(desk, node, lang), markup=False, highlight=False)
    table("", ("criterion", "patients"), [(path, shown.value) for path, shown in counted.counts.items()], numbers=(1,))
    for code in counted.unknown:
        console.print(f"This site does not know the code {code}.", markup=False)
    console.print(
        f"{number(counted.total.value)} patients of {number(counted.population.value)} ({counted.elapsed_ms:.1f} ms)"
    )


def run(
    site: SiteArg,
    asked: QuestionArg,
    limit: Annotated[int, typer.Option(help="Patients listed.", min=1)] = 50,
    offset: Annotated[int, typer.Option(help="Patients skipped.", min=0)] = 0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List the patients of a cohort by their number in the warehouse."""
    desk, node = desk_of(site, key), question(asked)
    page = desk.patients(node, limit, offset)
    if json:
        emit({"patients": page.total, "listed": [vars(p) for p in page.patients]})
        return
    rows = [
        (str(p.patient_id), p.sex, p.age or "", p.stays, p.documents, p.first or "", p.last or "")
        for p in page.patients
    ]
    table(
        f"{number(page.total)} patients",
        ("patient", "sex", "age", "stays", "documents", "first", "last"),
        rows,
        numbers=(0, 2, 3, 4),
    )


def explain(site: SiteArg, asked: QuestionArg, lang: LangOpt = "fr", key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Say a question again in plain French or English, and as JSON."""
    desk, node = desk_of(site, key), question(asked)
    said = _said(desk, node, lang)
    if json:
        emit({"explanation": said, "question": question_json.to_object(node)})
        return
    console.print(said, markup=False, highlight=False)


def _said(desk: Desk, node: Node, lang: str) -> str:
    if lang not in ("fr", "en"):
        raise UsageError(f"There is no language '{lang}'.", hint="use fr or en")

    def label(code: Code) -> str | None:
        found = desk.labels([(code.vocabulary, code.code)]).get((code.vocabulary, code.code))
        return found.label(lang) if found else None

    return sentences(node, label, "en" if lang == "en" else "fr")


def patient(
    site: SiteArg,
    patient_id: Annotated[int, typer.Argument(metavar="ID", help="patient_id in the warehouse.")],
    limit: Annotated[int, typer.Option(help="Events shown.", min=1)] = 100,
    lang: LangOpt = "fr",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """One patient's timeline."""
    timeline = desk_of(site, key).timeline(patient_id)
    if timeline is None:
        raise UsageError("There is no such patient, or the patient is opposed.", where=str(patient_id))
    if json:
        emit({"patient": vars(timeline.patient), "events": [_event(e, lang) for e in timeline.events]})
        return
    who = timeline.patient
    console.print(f"Patient {who.patient_id}: {who.sex}, {who.age} years, {number(len(timeline.events))} events")
    rows = [(str(e.start.date or ""), e.label[lang == "en"], e.code, _value(e)) for e in timeline.events[:limit]]
    table("", ("date", "event", "code", "value"), rows)


def _value(event: Event) -> str:
    shown = "" if event.value is None else f"{event.value:g} {event.unit}"
    return shown or event.value_text


def _event(event: Event, lang: str) -> dict[str, Any]:
    return {
        "date": event.start.date,
        "label": event.label[lang == "en"],
        "code": event.code,
        "value": event.value,
        "value_text": event.value_text,
        "unit": event.unit,
        "document_id": event.document_id,
    }
