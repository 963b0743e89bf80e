"""Forms: read with their mistakes and lines, shown by their answers, answered, and marks of texts."""

from __future__ import annotations

import json

import pytest

from estran.model.errors import InputRefused, UsageError
from estran.projects.charts.form_file import check_form, read_form
from estran.projects.charts.forms import Fill, Kind, Shown, Take, read_answers, visible
from estran.projects.charts.labels import Mark, Span, read_spans
from estran.projects.charts.split import share_out

FORM = """
name = "Heart failure"
documents = ["discharge", "consultation"]

[[item]]
id = "heart_failure"
label = "Insuffisance cardiaque"
label_en = "Heart failure"
type = "yes_no"
required = true
fill = { concept = "CIM10:I50" }

[[item]]
id = "nyha"
label = "Classe NYHA"
type = "choice"
choices = ["I", "II", "III", "IV"]
required = true
visible_if = { item = "heart_failure", is = ["yes"] }

[[item]]
id = "worse"
label = "Aggravation"
type = "yes_no"
visible_if = { item = "nyha", is = ["III", "IV"] }

[[item]]
id = "creatinine"
label = "Créatinine"
type = "number"
unit = "umol/L"
min = 10
max = 2000
[item.fill]
concept = "LOINC:2160-0"
take = "max"
days = [-30, 30]

[[item]]
id = "seen"
label = "Vu le"
type = "date"

[[item]]
id = "signs"
label = "Signes"
type = "choices"
choices = ["oedema", "dyspnoea"]

[[label]]
id = "diagnosis"
label = "Diagnostic"
key = "d"

[[attribute]]
id = "negated"
label = "Nié"
key = "n"
"""


def test_a_form_is_read() -> None:
    form = read_form(FORM)
    assert [item.id for item in form.items] == ["heart_failure", "nyha", "worse", "creatinine", "seen", "signs"]
    first, nyha, _, creatinine, *_ = form.items
    assert (first.said("en"), first.said("fr"), nyha.said("en")) == (
        "Heart failure",
        "Insuffisance cardiaque",
        "Classe NYHA",
    )
    assert first.fill == Fill("CIM10", "I50", Take.LAST)
    assert nyha.visible_if == Shown("heart_failure", ("yes",))
    assert (creatinine.kind, creatinine.low, creatinine.high) == (Kind.NUMBER, 10, 2000)
    assert creatinine.fill == Fill("LOINC", "2160-0", Take.MAX, (-30, 30))
    assert form.labels == (Mark("diagnosis", "Diagnostic", "", "d"),)
    assert form.documents == ("discharge", "consultation")


def line_of(text: str, after: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if after in line)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ('id = "nyha"', 'id = "NYHA!"', "An id is made of small letters"),
        ('id = "nyha"', 'id = "heart_failure"', "The id 'heart_failure' is there twice."),
        ('type = "choice"', 'type = "menu"', "This is one of: text, integer"),
        ("max = 2000", "max = 5", "The range ends before it begins."),
        ("max = 2000", 'max = "5"', "This is a number."),
        ('choices = ["I", "II", "III", "IV"]', 'choices = ["I", "I"]', "A choice is there twice."),
        ('is = ["III", "IV"]', 'is = ["V"]', "The item that it depends on has no such answer."),
        ('{ item = "nyha"', '{ item = "seen"', "An item depends on one that is written before it."),
        ("days = [-30, 30]", "days = [30, -30]", "Days are two whole numbers"),
        ('take = "max"', 'take = "mean"', "This is one of: first, last, min, max."),
        ('label = "Vu le"', 'labell = "Vu le"', "Nothing is called 'labell' here."),
        ('key = "n"', 'key = "d"', "The key 'd' is there twice."),
        ('key = "d"', 'key = "Dd"', "A key is one small letter or one digit."),
        ('"consultation"]', '"gossip"]', "No kind of document is called 'gossip'."),
        ('name = "Heart failure"', 'name = ""', "A form needs a name"),
        ("required = true", 'required = "true"', "This is true or false."),
        ("days = [-30, 30]", "days = [-30, 30", "The file is not TOML."),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_line(before: str, after: str, what: str) -> None:
    text = FORM.replace(before, after, 1)
    form, faults = check_form(text)
    assert form is None
    fault = next(fault for fault in faults if fault.what.startswith(what))
    assert fault.line == line_of(FORM, before) or fault.what == "The file is not TOML."
    with pytest.raises(InputRefused) as refused:
        read_form(text)
    assert refused.value.where == f"line {faults[0].line}"


def test_all_mistakes_are_told_at_once_in_order() -> None:
    text = FORM.replace("max = 2000", "max = 5").replace('id = "seen"', "").replace('key = "n"', 'key = "??"')
    _, faults = check_form(text)
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)
    assert len(faults) == 3


def test_json_says_the_same_with_lines_of_its_own() -> None:
    item = {"id": "a", "label": "A", "type": "number", "min": 3, "max": 1}
    text = json.dumps({"name": "F", "item": [item]}, indent="\t")
    _, faults = check_form(text)
    assert [(f.line, f.what) for f in faults] == [(line_of(text, '"max"'), "The range ends before it begins.")]
    assert read_form(text.replace('"max": 1', '"max": 9')).items[0].high == 9
    assert check_form('{"name": \n oops}')[1][0].line == 2


@pytest.mark.parametrize(
    "text", ["", "name = 1", '{"name": "x"}', "[[item]]", 'name="x"\nitem=[1]', "{" * 5000, "\x00"]
)
def test_nonsense_is_refused_and_never_breaks(text: str) -> None:
    assert check_form(text)[0] is None


def test_answers_show_and_hide_items_down_the_chain() -> None:
    form = read_form(FORM)

    def shown(**answers: str) -> list[str]:
        return [item.id for item in visible(form, answers)]

    assert shown(heart_failure="yes", nyha="III")[:3] == ["heart_failure", "nyha", "worse"]
    assert "worse" not in shown(heart_failure="yes", nyha="I")
    assert shown(heart_failure="no", nyha="III")[:2] == ["heart_failure", "creatinine"]


def test_answers_are_read_and_what_is_wrong_is_named() -> None:
    form = read_form(FORM)
    answers, wrong = read_answers(
        form, {"heart_failure": ["yes"], "nyha": ["III"], "creatinine": ["1 128,5"], "signs": ["dyspnoea", "oedema"]}
    )
    assert wrong == {}
    assert answers == {"heart_failure": "yes", "nyha": "III", "creatinine": 1128.5, "signs": ["oedema", "dyspnoea"]}
    _, wrong = read_answers(form, {"heart_failure": ["yes"], "creatinine": ["5"], "seen": ["hier"], "signs": ["joy"]})
    assert wrong == {"nyha": "required", "creatinine": "range", "seen": "date", "signs": "choice"}
    hidden, wrong = read_answers(form, {"heart_failure": ["no"], "nyha": ["III"]})
    assert (hidden, wrong) == ({"heart_failure": "no"}, {})
    assert read_answers(form, {"heart_failure": ["no"], "creatinine": ["nan"]})[1] == {"creatinine": "number"}


LABELS, FLAGS = [Mark("d", "D"), Mark("x", "X")], [Mark("negated", "N")]


def test_marks_are_read_in_order_once() -> None:
    body = '[{"start":5,"end":9,"label":"x","attributes":["negated"]},{"start":0,"end":2,"label":"d"},{"start":0,"end":2,"label":"d"}]'
    assert read_spans(body, LABELS, FLAGS, 9) == (Span(0, 2, "d"), Span(5, 9, "x", ("negated",)))


@pytest.mark.parametrize(
    "body",
    [
        "", "{}", "[1]", '[{"start":0}]', '[{"start":0,"end":99,"label":"d"}]', '[{"start":-1,"end":2,"label":"d"}]',
        '[{"start":2,"end":2,"label":"d"}]', '[{"start":0,"end":2,"label":"z"}]',
        '[{"start":0,"end":2,"label":"d","attributes":["family"]}]',
    ],
)  # fmt: skip
def test_marks_that_make_no_sense_are_refused(body: str) -> None:
    if body == "{}":
        assert read_spans(body, LABELS, FLAGS, 9) == ()
        return
    with pytest.raises(UsageError):
        read_spans(body, LABELS, FLAGS, 9)


def test_turns_give_everybody_as_many() -> None:
    shared = share_out(range(10), {7: 1, 8: 1})
    assert [who for (who,) in shared.values()] == [7, 8] * 5


def test_shares_are_kept_all_along_and_double_readings_are_two_people() -> None:
    shared = share_out(range(90), {7: 2, 8: 1})
    assert sum(7 in who for who in shared.values()) == 60
    assert sum(7 in who for patient, who in shared.items() if patient < 9) == 6
    twice = share_out(range(30), {7: 1, 8: 1, 9: 1}, readings=2)
    assert all(len(set(who)) == 2 for who in twice.values())
    assert [sum(one in who for who in twice.values()) for one in (7, 8, 9)] == [20, 20, 20]
    with pytest.raises(UsageError):
        share_out(range(3), {7: 1}, readings=2)
