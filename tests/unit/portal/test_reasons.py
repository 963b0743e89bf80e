"""What other rooms say in English reaches a French reader in French."""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.unit.portal.conftest import sign_in, token

from estran.model.errors import UsageError
from estran.portal import catalogue
from estran.portal.language import language
from estran.portal.pages import render
from estran.portal.reasons import OUTCOMES, reason, told
from estran.portal.sentences import HOME, sentences
from estran.projects.feeds import Refused
from estran.state import Account, Job

FR, EN = language("fr"), language("en")
CODES = {"malformed", "truncated", "encoding", "missing", "unknown-type", "no-patient", "derived", "header"}
NOW = dt.datetime(2026, 3, 1, 8, 30, tzinfo=dt.UTC)


def gaps(text: str) -> list[str]:
    return sorted(set(re.findall(r"\{\d\}", text)))


def test_every_sentence_has_its_french_with_the_same_gaps() -> None:
    french = {str(m.id): str(m.string) for m in catalogue.french() if m.id}
    told = sentences() | set(OUTCOMES)
    assert len(told) > 600
    assert sorted(told - {text for text, said in french.items() if said}) == []
    assert [text for text in told if gaps(french[text]) != gaps(text)] == []


def test_french_is_written_as_the_house_writes_it() -> None:
    ours = sentences()
    french = [str(m.string) for m in catalogue.french() if m.id in ours]
    assert [said for said in french if re.search(r"\w'\w|[^\s]»|«[^\s]|\w[;!?]( |$)", said)] == []


def refusals(tree: ast.Module) -> Iterator[ast.expr]:
    """What stands beside a code of refusal in a call: what is said, and what it is said of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            known = [isinstance(a, ast.Constant) and a.value in CODES for a in node.args]
            if any(known):
                yield from node.args[known.index(True) + 1 :]


def written(node: ast.AST) -> str:
    """The text of a literal with `{}` for what it takes in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def reasons_of(path: Path) -> set[str]:
    """Reasons that a file gives beside a code, by a literal or the name of a constant, found in another way."""
    tree = ast.parse(path.read_text("utf-8"))
    named = {
        n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
    }
    said = [named.get(a.id, a) if isinstance(a, ast.Name) else a for a in refusals(tree)]
    return {text for a in said for text in [written(a)] if " " in text}


def test_no_reason_given_beside_a_code_escapes_the_catalogue() -> None:
    known = {re.sub(r"\{\d\}", "{}", text) for text in sentences()}
    found = {text for path in (HOME / "sources").rglob("*.py") for text in reasons_of(path)}
    assert len(found) > 150
    assert sorted(found - known) == []


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("The document is locked by a password.", "Le document est verrouillé par un mot de passe."),
        ("Message type SIU^S12 is not read yet.", "Le type de message SIU^S12 n’est pas encore pris en charge."),
        ("3 of 12 pages hold images only.", "3 des 12 pages ne contiennent que des images."),
        ("The dose is not a whole number.", "Le champ dose n’est pas un nombre entier."),
        ("The naissance is not a date written as %d/%m/%Y.", "Le champ naissance n’est pas une date écrite %d/%m/%Y."),
        ("Table COST is not read: costs have no place in the warehouse.",
         "La table COST n’est pas lue : les coûts n’ont pas de place dans l’entrepôt."),
        ("A file of the ZIP could not be read: The file is not JSON.",
         "Un fichier du ZIP n’a pas pu être lu : Le fichier n’est pas du JSON."),
        ("replayed 3, quarantined 0", "rejoués : 3, en quarantaine : 0"),
    ],
)  # fmt: skip
def test_a_reason_is_said_in_french_with_its_words(english: str, french: str) -> None:
    assert reason(FR, english) == french
    assert reason(EN, english) == english


@pytest.mark.parametrize("text", ["", "Nobody has ever said this.", "The row has ", "{1}"])
def test_what_is_not_known_stays_as_it_came(text: str) -> None:
    assert reason(FR, text) == text


def test_the_name_of_a_column_is_never_translated() -> None:
    assert FR.text("final") == "définitif"
    assert reason(FR, "The row has no final.") == "Il manque à la ligne : final."
    assert reason(FR, "The {1} is not a number.") == "Le champ {1} n’est pas un nombre."


def test_an_error_is_told_with_its_way_out() -> None:
    error = UsageError("This quote is never closed.", where="character 3", hint="end it with '")
    assert told(FR, error) == "Ce guillemet n’est jamais fermé. Terminez-le par '"
    assert told(EN, UsageError("This event cannot be changed.")) == "This event cannot be changed."


def feeds_page(code: str) -> str:
    refused = Refused("adt", "", "PV1-44", "malformed", "PV1-44 is not a timestamp.", 3, 0, ((1, 5, 4),))
    odd = Refused("omop", "", "<b>", "missing", "The row has no <b>.", 1, 0, ((2, None, 1),))
    done = Job(1, "retry", "adt", "anne", NOW, NOW, NOW, False, "replayed 3, quarantined 1")
    failed = Job(2, "unload", "9", "anne", NOW, NOW, NOW, True, "There is no load 9.")
    return render(
        "feeds.html",
        language(code),
        me=Account(1, "anne", "", "data_engineer", code, "auto", NOW, False),
        csrf="",
        theme="auto",
        allowed={"feeds"},
        site="CHU",
        path="/feeds",
        partial=False,
        feeds=[],
        refused=[refused, odd],
        loads=[],
        jobs=[done, failed],
    )


def test_the_page_of_feeds_gives_reasons_and_outcomes_in_the_reader_s_language() -> None:
    french, english = feeds_page("fr"), feeds_page("en")
    for said in (
        "PV1-44 n’est pas un horodatage.",
        "Il manque à la ligne : &lt;b&gt;.",
        "rejoués : 3, en quarantaine : 1",
        "Il n’y a pas de chargement 9.",
    ):
        assert said in french
    assert "timestamp" not in french
    for said in ("PV1-44 is not a timestamp.", "replayed 3, quarantined 1", "There is no load 9."):
        assert said in english


@pytest.fixture
def french_reader(signed_in: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody who chose French; the account is given back as it was."""
    csrf = token(signed_in.get("/cohort"))
    signed_in.post("/account", data={"csrf": csrf, "language": "fr"})
    yield signed_in
    signed_in.post("/account", data={"csrf": csrf, "language": "en"})


def test_errors_and_refusals_of_a_portal_are_french_for_a_french_reader(french_reader: httpx.Client) -> None:
    assert "Choisissez exactement deux versions à comparer." in french_reader.get("/cohorts/compare?v=1").text
    assert "Un guillemet est seul." in french_reader.get("/search", params={"q": '"toux'}).text
    csrf = token(french_reader.get("/cohort"))
    wrong = french_reader.post("/cohort/text", data={"csrf": csrf, "text": "(toux"}).text
    assert "Il manque « ) » ici. Fermez par « ) » ce qui a été ouvert avant" in wrong


def test_a_refusal_by_the_policy_is_french_too(client: httpx.Client) -> None:
    client.headers["accept-language"] = "fr"
    sign_in(client, "viewer")
    answer = client.get("/feeds")
    assert answer.status_code == 403
    assert "Le rôle viewer ne comprend pas « feeds »." in answer.text
