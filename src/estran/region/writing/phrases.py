"""The phrasebook of reports: every sentence of the content files, compiled once for all hospitals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from estran.region.dice import Dice
from estran.region.grammar import OFTEN, RARELY, SELDOM, Phrasebook, Tables, capitalised
from estran.region.library import drugs, headings, hospitals, reasons, surnames, wards
from estran.region.shelf import toml

CHRONIC = ("E1198", "E6604", "E785", "F412", "I10", "J448")
CHART_DAYS = range(2, 8)
STYLES = 3
TNM = ("pT1cN0", "pT2N0", "pT2N1a", "pT3N1b", "pT1bN0", "pT3N2a", "pT4aN1", "pT2N0M0")
ADICAP = {"sein": "OHGSA7A0", "colon": "OHDCA7A0", "poumon": "BHRBA7A0", "colo": "BHDCA7B2"}
_HISTOLOGY = {
    "sein": "carcinome mammaire infiltrant de type non spécifique", "colon": "adénocarcinome lieberkühnien bien différencié",
    "poumon": "adénocarcinome acinaire", "colo": "adénome tubuleux en dysplasie de bas grade",
}  # fmt: skip
_WAYS = {1: ("le matin", "le soir", "à midi", "une fois par jour", "1/j"), 2: ("matin et soir", "deux fois par jour", "1-0-1", "x2/j"),
         3: ("matin, midi et soir", "1-1-1", "toutes les 8 heures", "x3/j"), 4: ("toutes les 6 heures", "si douleur, max 4/j", "x4/j")}  # fmt: skip
_FOR_LONG = (
    "{, {[3-90] jours|[1-12] semaines}| au long cours|, QSP [1-6] mois|{ jusqu'au| -} [1-28]/[10-12]|, à réévaluer {à J[3-30]|dans [1-8] sem.}| (suite)| si besoin|}"
    "{ - AR [1-5]| ({inchangé|augmenté|repris|introduit} J[0-6])| - {bien toléré|pris à [6-21]h|non substituable|[1-4] boîtes|[10-90] unités}|}"
)
_RENDEZVOUS = (
    "RDV",
    "Cs",
    "Consultation",
    "Rdv cardio",
    "IRM",
    "Scanner",
    "Bio",
    "EFR",
    "Écho",
    "HDJ",
    "Kiné",
    "Cs anesth",
    "Pansement",
    "Holter",
    "Cs chir",
    "TEP",
)
_TITLES = ("Dr",) * 7 + ("Pr", "Pr", "Docteur", "M.", "Mme", "Sec.", "IDE", "Cadre", "Dr.")
_NARRATED = ("story", "signs", "exams", "course", "plan")
_TEAM = "<title><medecin>{ : | | - |  tél | (}<phone>"
_CHART_LINES = 16_384
_PHONES = 1 << 16
_CHARTS = (
    "TA FC T° Sat EVA diurèse apports glyc",
    "Surveillance (PA, pouls, T°, SpO2, EVA, diurèse, apports mL, glycémie)",
    "Cs : TA/FC/T/SpO2/EVA/diurèse/entrées/gly",
)
_LABELS = ("NOM", "PRENOM", "ADRESSE", "VILLE", "IPP", "NDA", "DATE", "DATE_NAISSANCE", "TEL", "HOPITAL", "MAIL")


@dataclass(frozen=True, slots=True)
class Phrases:
    """The compiled tables, and the symbols that fill slots."""

    tables: Tables
    layouts: dict[str, int]  # by kind of report
    motives: dict[str, list[tuple[int, int]]]  # by reason: why somebody came, in the sentence and at its head
    parts: dict[str, dict[str, int]]  # by reason: story, signs, exams, course, plan, operation, histologie, adicap
    past: dict[tuple[frozenset[str], bool], int]  # by chronic diseases; of an adult or a child
    drugs: dict[tuple[str, float], int]
    chart: dict[int, int]  # by number of days
    headings: list[list[int]]  # by style
    doctors: list[tuple[int, int]]  # by hospital: the first of 256, and the draw of one
    hospitals: list[int]
    mails: dict[tuple[int, str], int]
    wards: dict[str, int]
    plain: dict[str, int]


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """Compile everything; seconds, once per process."""
    book = Phrasebook()
    for label in _LABELS:
        book.label(label)
    _numbers(book)
    _shared(book, toml("common.toml"))
    common = toml("common.toml")
    past, chart = _past(book, common["past"]), _chart(book)
    style = [[book.words((name,)) for name in names] for names in headings()]
    doctors, every = [], hospitals(9)
    own: list[str] = toml("names.toml")["doctor"]["family"]
    for hospital in every:
        names = (*own, *surnames()[hospital.place :: 13])
        doctors.append(book.each([names[n % len(names)] for n in range(256)], "NOM"))
    layouts = {kind: book.one(lines) for kind, lines in common["layout"].items()}
    return Phrases(
        layouts=layouts, motives={key: _motives(book, r.name) for key, r in reasons().items()}, parts=_parts(book), past=past,
        drugs=_drugs(book), chart=chart, headings=style, doctors=doctors, hospitals=[book.words((h.name,), "HOPITAL") for h in every],
        mails={(h.place, unit): book.words((f"secretariat.{unit}@{h.mail}",), "MAIL") for h in every for unit in wards()},
        wards={unit: book.words((label,)) for unit, (_, label) in wards().items()}, plain=_plain(book), tables=book.tables(),
    )  # fmt: skip


def _numbers(book: Phrasebook) -> None:
    """Telephones and other numbers without meaning."""
    dice = Dice("numbers")
    drawn = (f"{dice.below(10**8):08d}" for _ in range(_PHONES))
    phone = book.words([f"02 {n[:2]} {n[2:4]} {n[4:6]} {n[6:]}" for n in drawn], "TEL")
    for name in ("phone", "telproche", "telservice"):
        book.rule(name, phone)
    book.rule("six", book.words([f"{dice.below(10**6):06d}" for _ in range(_PHONES)]))
    book.rule("title", book.words([f"{title} " for title in _TITLES]))


def _shared(book: Phrasebook, common: dict[str, Any]) -> None:
    """The sections that do not hang on the reason for coming."""
    book.rule("detail", book.one(common["detail"]["lines"]))
    book.rule(
        "notes",
        book.choice(
            [[symbol for _ in range(n) for symbol in book.sentence(common["notes"]["lines"][0])] for n in (0, 1, 2, 3)]
        ),
    )
    book.rule("opening", book.one([*common["opening"]["letter"], *common["opening"]["header"]]))
    for name, family, use in (
        ("life", "life", "lines"), ("vitals", "vitals", "lines"), ("doubt", "doubt", "lines"), ("closing", "closing", "lines"),
        ("signature", "closing", "signature"), ("consult", "consult", "lines"), ("operation_head", "operative", "lines"),
        ("passage", "emergency", "lines"), ("way_out", "emergency", "out"), ("imaging_head", "imaging", "lines"),
    ):  # fmt: skip
        book.rule(name, book.one(common[family][use]))
    for name, family, use in (
        ("operation_steps", "operative", "steps"), ("imaging_results", "imaging", "results"), ("pathology_head", "pathology", "lines"),
        ("pathology_micro", "pathology", "micro"),
    ):  # fmt: skip
        book.rule(name, _all(book, common[family][use]))
    book.rule("systems", _some(book, common["vitals"]["systems"], 1, 2))
    book.rule("during", _some(book, common["during"]["lines"], 1, 2))
    for joint in ("\n", " ; ", "   "):
        book.rule(
            f"team{len(joint)}",
            book.one([joint.join(["<hopital>", *[_TEAM] * n, "Réf. <six>/<service>"]) for n in (1, 2, 3)]),
        )
    book.rule("letterhead", book.one(["<team1>", "<team3>", "<team3>"]))
    line = "<rendezvous><{day}> [8-18]h[10-59] <medecin> <phone>\n"
    book.rule("rendezvous", book.words([f"{name} " for name in _RENDEZVOUS]))
    book.rule(
        "appointments", book.one(["".join(line.replace("{day}", f"rdv{k}") for k in range(n)) for n in (1, 2, 3)])
    )


def _all(book: Phrasebook, sentences: Sequence[str], ways: int = OFTEN) -> int:
    """Every sentence, on one line or several."""
    held = [[*book.sentence(s, ways), book.slot("detail")] for s in sentences]
    joint = book.words((" ", " ", " ", "\n"))
    return book.choice([_joined(held, joint)])


def _some(book: Phrasebook, sentences: Sequence[str], least: int, most: int) -> int:
    """A few of the sentences, in any order."""
    dice, held = Dice("some", *sentences), [[*book.sentence(s), book.slot("detail")] for s in sentences]
    joint, options = book.words(("\n", "\n", " ")), []
    for _ in range(64):
        left = list(held)
        options.append(_joined([left.pop(dice.below(len(left))) for _ in range(dice.between(least, most))], joint))
    return book.choice(options)


def _joined(sentences: list[list[int]], joint: int) -> list[int]:
    found = list(sentences[0]) if sentences else []
    for sentence in sentences[1:]:
        found += [joint, *sentence]
    return found


def _past(book: Phrasebook, bank: dict[str, list[str]]) -> dict[tuple[frozenset[str], bool], int]:
    """Past history: the chronic diseases of the person, then what anybody may have had."""
    dice, lines = Dice("past"), [[book.slot("puce"), *book.sentence(s), book.words(("\n",))] for s in bank["lines"]]
    child = book.sentence("<puce>Né<e> à terme, vaccinations à jour.\n")
    own = {code: [book.slot("puce"), *book.sentence(bank[code][0]), book.words(("\n",))] for code in CHRONIC}
    found = {}
    for held in (frozenset(some) for count in range(len(CHRONIC) + 1) for some in combinations(CHRONIC, count)):
        known = [symbol for code in CHRONIC if code in held for symbol in own[code]]
        found[held, False] = book.choice([known + child])
        options = []
        for _ in range(16):
            left = list(lines)
            options.append(known + [s for _ in range(dice.between(1, 3)) for s in left.pop(dice.below(len(left)))])
        found[held, True] = book.choice(options)
    return found


def _chart(book: Phrasebook) -> dict[int, int]:
    """Daily measures as a chart gives them, for so many days."""
    dice, lines = Dice("chart"), []
    for _ in range(_CHART_LINES):
        pressure = dice.between(91, 168)
        lines.append(
            f" {pressure}/{pressure // 2 + dice.below(23)} {dice.between(48, 124)} 3{dice.between(6, 8)},{dice.below(10)} {dice.between(90, 100)}% "
            f"{dice.below(9)}/10 {500 + 7 * dice.below(256)} {dice.between(300, 2900)} 0,{dice.between(60, 99)}"
        )
    symbol, end, head = book.words(lines), book.words(("\n",)), book.words([f"{c}\nJ0" for c in _CHARTS])
    marks = [book.words((f" ; J{day}",)) for day in range(1, CHART_DAYS[-1])]
    return {
        days: book.choice([[head, symbol, *(s for mark in marks[: days - 1] for s in (mark, symbol)), end]])
        for days in CHART_DAYS
    }


def _motives(book: Phrasebook, name: str) -> list[tuple[int, int]]:
    """Every way to name a reason, as it stands in a sentence and with a capital."""
    return [(book.choice([book.sentence(m)]), book.choice([book.sentence(capitalised(m))])) for m in ways(name)]


def ways(source: str) -> list[str]:
    """A sentence whose alternatives are not nested, written out."""
    head, brace, rest = source.partition("{")
    if not brace:
        return [source]
    inside, _, tail = rest.partition("}")
    return [f"{head}{option}{more}" for option in inside.split("|") for more in ways(tail)]


def _parts(book: Phrasebook) -> dict[str, dict[str, int]]:
    around = _around(book)
    return {
        key: {
            **{name: _beside(book, getattr(r, name), around[key][name]) for name in _NARRATED}, "operation": _all(book, r.operation, SELDOM),
            "histologie": book.words((_HISTOLOGY.get(key, "lésion inflammatoire sans malignité"),)),
            "adicap": book.words((ADICAP.get(key, "BHOO7000"),)),
        }
        for key, r in reasons().items()
    }  # fmt: skip


def _around(book: Phrasebook) -> dict[str, dict[str, int]]:
    """By reason and section, a sentence of its specialty, or one that suits any adult."""
    found, banks = {}, dict(toml("narratives.toml"))
    shared = banks.pop("tous")
    for bank in banks.values():
        held = {name: book.one(bank[name] + ([] if bank.get("alone") else shared[name]), RARELY) for name in _NARRATED}
        found.update(dict.fromkeys(bank["reasons"], held))
    return found


def _beside(book: Phrasebook, sentences: Sequence[str], around: int) -> int:
    """The sentences of a reason; oftenest one around them, before or after."""
    own, joint = _all(book, sentences, SELDOM), book.words((" ", " ", "\n"))
    return book.choice([[own], [own, joint, around], [own, joint, around], [around, joint, own]])


def _drugs(book: Phrasebook) -> dict[tuple[str, float], int]:
    """A line of prescription per drug and dose."""
    found = {}
    for drug in drugs().values():
        tail = book.sentence(f"{{{'|'.join(_WAYS[drug.times])}}}{_FOR_LONG}\n")
        for dose in drug.doses:
            line = book.words(
                (
                    f"{drug.name} {dose:g} {drug.unit} {drug.route} ",
                    f"{drug.name.capitalize()} {dose:g}{drug.unit} {drug.route} ",
                )
            )
            found[drug.key, float(dose)] = book.choice([[line, *tail]])
    return found


def _plain(book: Phrasebook) -> dict[str, int]:
    """Words that fill slots whatever the reason; `empty` is nothing."""
    return {
        "empty": book.choice([[]]), "e": book.words(("e",)), "ne": book.words(("ne",)), "son": book.words(("son",)),
        "F": book.words(("Madame", "Mme")), "M": book.words(("Monsieur", "M.")),
        "conclusion": book.words(("aspect compatible avec le diagnostic évoqué",)), "germe": book.words(("E. coli",)),
        "proche": book.choice([book.sentence("<parent> <nom_naissance>")]),
        "biology": book.choice([book.sentence("<h6>\n<results>\n")]), "labs": book.choice([book.sentence("<results>\n")]),
        **{bullet: book.words((bullet,)) for bullet in ("- ", "• ", "* ", "")}, **{stage: book.words((stage,)) for stage in TNM},
    }  # fmt: skip
