"""Random datasets and random questions about them."""

from __future__ import annotations

import datetime as dt
import random

from hypothesis import strategies as st
from tests.engines.tables import Dataset

from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    DateRange,
    Demographic,
    DocumentCriterion,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    IntRange,
    Kin,
    MediaCriterion,
    MovementCriterion,
    Node,
    Not,
    Occurrence,
    Or,
    PermissionCriterion,
    Rank,
    Same,
    Sequence,
    StayCriterion,
    TextCriterion,
    TimeUnit,
    Unit,
    ValueRange,
    VariantCriterion,
    Washout,
    Window,
)
from estran.model.codes import Context, DocumentKind, FactStatus, Impact, Origin, Precision, Sex, StayKind

CODES = ["V:a", "V:a1", "V:a2", "V:b", "V:c", "LOCAL/x:m", "LOCAL/x:n"]
WORDS = ["insuffisance", "cardiaque", "amylose", "toux", "fièvre", "opérée", "rénales"]
START = dt.date(2020, 3, 20)
KINDS = [DocumentKind.LABORATORY, DocumentKind.LETTER]
STAY_KINDS = [StayKind.VENUE, StayKind.EMERGENCY]


def random_dataset(seed: int, patients: int = 11) -> Dataset:
    """A small hospital: everything may be missing, precise or not, linked or not, opposed or not."""
    chance = random.Random(seed)
    data = Dataset()
    for code in CODES:
        data.concept(code)
    for child in ("V:a1", "V:a2"):
        data.add("concept_ancestor", ancestor_id=data.concept("V:a"), descendant_id=data.concept(child))
    data.add("concept_map", source_id=data.concept("LOCAL/x:m"), target_id=data.concept("V:a1"))
    for number, parent in ((0, None), (1, 0), (2, 0), (3, 2)):
        data.add("unit", unit_id=number, code=f"U{number}", parent=parent)
    for patient in range(patients):
        _patient(data, chance, patient)
    for _ in range(6):
        one, other = chance.sample(range(patients), 2)
        data.add("relation", patient_id=one, other_id=other, kind=chance.choice(list(Kin)))
    for _ in range(4):
        data.add("permission", patient_id=chance.randrange(patients), kind=chance.choice(["opposition", "consent"]),
                 scope=chance.choice(["research", "genetic"]),
                 to_date=chance.choice([None, None, dt.date(2019, 1, 1)]))  # fmt: skip
    return data


def _moment(chance: random.Random) -> dict[str, object]:
    date = START + dt.timedelta(chance.randrange(14))
    precision = chance.choice([Precision.DAY, Precision.DAY, Precision.MINUTE, Precision.HOUR, Precision.MONTH, None])
    if precision is None:
        return {"start_date": None, "start_minute": None, "precision": Precision.UNKNOWN}
    if precision is Precision.MONTH:
        return {"start_date": date.replace(day=1), "start_minute": None, "precision": precision}
    minute = chance.randrange(24) * 60 + (chance.randrange(60) if precision is Precision.MINUTE else 0)
    return {"start_date": date, "start_minute": minute if precision > Precision.DAY else None, "precision": precision}


def _patient(data: Dataset, chance: random.Random, patient: int) -> None:
    some = chance.choice
    data.add(
        "patient", patient_id=patient, sex=some([Sex.FEMALE, Sex.MALE, Sex.UNKNOWN]).value,
        birth_month=some([None, dt.date(1950, 4, 1), dt.date(1985, 4, 1), dt.date(2020, 3, 1)]),
        death_date=some([None, None, dt.date(2020, 4, 2)]), death_source=some([None, None, None, "insee"]),
        last_news=some([None, dt.date(2020, 4, 20)]), residence_area=some([None, "35238", "29019"]),
    )  # fmt: skip
    stays = [patient * 10 + n for n in range(chance.randrange(4))]
    for stay in stays:
        _stay(data, chance, patient, stay)
    for n in range(chance.randrange(5)):
        _document(data, chance, patient, patient * 10 + n, stays)


def _stay(data: Dataset, chance: random.Random, patient: int, stay: int) -> None:
    if chance.random() < 0.85:
        data.add("stay", stay_id=stay, patient_id=patient, kind=chance.choice([*STAY_KINDS, None]), **_span(chance),
                 entry_mode=chance.choice([None, "8"]), exit_mode=chance.choice([None, "9"]),
                 unit_id=chance.choice([None, 0, 1, 2, 3]),
                 status=chance.choice(["finished", "finished", "cancelled"]))  # fmt: skip
    for n in range(chance.randrange(3)):
        data.add("movement", movement_id=chance.randrange(1 << 40) * 10 + n, stay_id=stay, patient_id=patient,
                 identity_id=patient, unit_id=chance.choice([None, 1, 2, 3]), **_span(chance),
                 responsibility=chance.choice([None, "medical", "care"]),
                 status=chance.choice(["active", "active", "cancelled"]))  # fmt: skip


def _span(chance: random.Random) -> dict[str, object]:
    start = _moment(chance)
    ended = start["start_date"] is not None and chance.random() < 0.7
    end = start["start_date"] + dt.timedelta(chance.randrange(6)) if ended else None
    timed = ended and start["start_minute"] is not None
    return start | {"end_date": end, "end_minute": chance.randrange(1440) if timed else None}


def _document(data: Dataset, chance: random.Random, patient: int, document: int, stays: list[int]) -> None:
    stay = chance.choice([*stays, None])
    kind = chance.choice(KINDS)
    data.add("document", document_id=document, patient_id=patient, identity_id=patient, stay_id=stay, kind=kind,
             title=chance.choice([None, "toux"]), unit_id=chance.choice([None, 1, 3]), record_key=document,
             status=chance.choice([0, 0, 0, 0, 2]), **_moment(chance))  # fmt: skip
    if chance.random() < 0.6:
        text = " ".join(chance.choice([*WORDS, "[NOM]"]) for _ in range(chance.randrange(1, 6)))
        data.add("text", document_id=document, patient_id=patient, text=text)
    if chance.random() < 0.3:
        data.add("media", document_id=document, patient_id=patient, modality=chance.choice([None, "CT", "MR"]))
    for _ in range(chance.choice([0, 0, 1, 2])):
        data.add("variant", document_id=document, patient_id=patient, chrom=chance.choice(["13", "X"]), pos=chance.randrange(1, 9),
                 gene=chance.choice([None, "BRCA1", "C9orf72"]), impact=chance.choice([None, "HIGH", "LOW"]))  # fmt: skip
    for fact in range(chance.randrange(7)):
        _fact(data, chance, patient, document, fact, chance.choice([stay, stay, *stays, None]))


def _fact(data: Dataset, chance: random.Random, patient: int, document: int, fact: int, stay: int | None) -> None:
    some = chance.choice
    code = some(CODES)
    local = data.concept("LOCAL/x:m")
    own = data.concept(code)
    data.add(
        "fact", patient_id=patient, document_id=document, fact_no=fact, stay_id=stay,
        concept_id=data.concept("V:a1") if own == local else own, local_concept_id=local if own == local else None,
        parent_fact_no=some([None, None, fact - 1, fact - 2, fact + 9]) if fact > 1 else None,
        value=some([None, 1.0, 2.0, 5.0]), comparator=some([None, None, 0, 1, 2, 3, 4]), unit=some([None, "g", "mg"]),
        value_concept=some([None, data.concept("V:c")]), role=some([None, "DP", "DAS"]),
        status=some([0, 0, 0, 0, 1, 4, 5, 6]), context=some([0, 0, 0, 0, 1, 4, 5]), origin=some([0, 0, 0, 1, 2]),
        **_moment(chance),
    )  # fmt: skip


# Questions


def _maybe(strategy: st.SearchStrategy, default: object = None) -> st.SearchStrategy:
    return st.one_of(st.just(default), st.just(default), st.just(default), strategy)


def int_ranges(low: int, high: int) -> st.SearchStrategy[IntRange]:
    def build(a: int | None, b: int | None) -> IntRange:
        if a is None and b is None:
            return IntRange(low, high)
        return IntRange(a, b) if a is None or b is None or a <= b else IntRange(b, a)

    bound = st.one_of(st.none(), st.integers(low, high))
    return st.builds(build, bound, bound)


def _date_range(first: int, last: int | None) -> DateRange:
    start = START + dt.timedelta(first)
    return DateRange(start, None if last is None else start + dt.timedelta(last))


date_ranges = st.builds(_date_range, st.integers(-2, 14), st.one_of(st.none(), st.integers(0, 8)))


def _value_range(low: float | None, width: int | None, opened: tuple[bool, bool], unit: str | None) -> ValueRange:
    if low is None:
        return ValueRange(high=float(width or 2), high_open=opened[1], unit=unit)
    if width is None:
        return ValueRange(low=low, low_open=opened[0], unit=unit)
    return ValueRange(low, low + width, opened[0] and width > 0, opened[1] and width > 0, unit)


value_ranges = st.builds(
    _value_range,
    st.one_of(st.none(), st.sampled_from([1.0, 2.0, 5.0, -1.5])),
    st.one_of(st.none(), st.integers(0, 4)),
    st.tuples(st.booleans(), st.booleans()),
    _maybe(st.sampled_from(["g", "mg"])),
)


def subset(values: list) -> st.SearchStrategy[tuple]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple)


def _codes(names: list[str], excluded: bool, descendants: bool) -> tuple[Code, ...]:
    found = [Code(*name.split(":"), descendants=descendants) for name in names]
    return (*found, Code("V", "a2", excluded=True)) if excluded else tuple(found)


code_sets = st.builds(
    _codes, st.lists(st.sampled_from([*CODES, "V:none"]), min_size=1, max_size=2, unique=True),
    st.sampled_from([False, False, True]), st.sampled_from([True, True, False]),
)  # fmt: skip
_times = st.one_of(
    st.just((1, None)), st.just((1, None)), st.tuples(st.integers(2, 3), st.none()), st.tuples(st.just(2), st.integers(1, 4))
)


def _criterion(times: tuple[int, int | None], **fields: object) -> CodeCriterion:
    return CodeCriterion(times=times[0], apart=times[1], **fields)


plain_codes = st.builds(CodeCriterion, code_sets)
rich_codes = st.builds(
    _criterion,
    times=_times,
    codes=code_sets,
    value=_maybe(value_ranges),
    values=_maybe(code_sets, ()),
    dates=_maybe(date_ranges),
    age=_maybe(int_ranges(-1, 70)),
    roles=_maybe(subset(["DP", "DAS"]), ()),
    statuses=_maybe(subset(list(FactStatus)), CodeCriterion((Code("V", "a"),)).statuses),
    contexts=_maybe(st.one_of(st.none(), subset([Context(0), Context(1), Context(4), Context(5)])), (Context(0),)),
    origins=_maybe(subset(list(Origin)), (Origin.CODED, Origin.TEXT)),
    precision=_maybe(st.sampled_from(list(Precision))),
    parent=_maybe(code_sets, ()),
)
text_queries = st.sampled_from(
    ["amylose", '"insuffisance cardiaque"', "card*", '"toux amylose"~2', "insuffisances ET toux", "fievre SAUF toux",
     "opere OU renal", "titre:toux", "kind:letter amylose"]
)  # fmt: skip
dated_leaves = st.one_of(
    plain_codes,
    rich_codes,
    rich_codes,
    st.builds(TextCriterion, text_queries, _maybe(subset(KINDS), ()), _maybe(date_ranges)),
    st.builds(
        StayCriterion, _maybe(subset(STAY_KINDS), ()), _maybe(int_ranges(0, 5)), _maybe(st.just(("8",)), ()),
        _maybe(st.just(("9",)), ()), _maybe(subset(["U0", "U2", "U3"]), ()), _maybe(date_ranges), _maybe(int_ranges(0, 70)),
    ),
    st.builds(
        MovementCriterion, _maybe(subset(["U0", "U2", "U3"]), ()), _maybe(subset(["medical", "care"]), ()), _maybe(date_ranges)
    ),
    st.builds(DocumentCriterion, _maybe(subset(KINDS), ()), _maybe(subset(["U0", "U3"]), ()), _maybe(date_ranges)),
    st.builds(MediaCriterion, _maybe(subset(["CT", "MR"]), ()), _maybe(date_ranges)),
    st.builds(VariantCriterion, genes=subset(["BRCA1", "c9orf72"]), impacts=_maybe(subset(list(Impact)), ()), dates=_maybe(date_ranges)),
    st.builds(
        VariantCriterion, genes=_maybe(subset(["BRCA1"]), ()), chrom=st.sampled_from(["13", "chrX"]), low=_maybe(st.integers(1, 4)),
        high=_maybe(st.integers(4, 9)), impacts=_maybe(subset(list(Impact)), ()),
    ),
)  # fmt: skip
undated_leaves = st.one_of(
    st.builds(Demographic, subset(list(Sex)), _maybe(int_ranges(0, 80))),
    st.builds(Demographic, age=int_ranges(0, 80), alive=_maybe(st.booleans())),
    st.builds(Demographic, areas=subset(["35238", "29019"]), born=_maybe(int_ranges(1950, 2020))),
    st.builds(Demographic, alive=st.booleans(), born=_maybe(int_ranges(1950, 2020))),
    st.builds(PermissionCriterion, st.sampled_from(["consent", "opposition"]), st.sampled_from(["research", "genetic"])),
    st.builds(IdList, st.lists(st.integers(0, 12), max_size=6).map(lambda ids: tuple(sorted(set(ids))))),
    st.just(Everyone()),
)


def _delay(draw: st.DrawFn) -> tuple[IntRange, TimeUnit]:
    unit = draw(st.sampled_from([None, TimeUnit.DAY, TimeUnit.HOUR]))
    if unit is None:
        return IntRange(0), TimeUnit.DAY
    return draw(int_ranges(-5, 9) if unit is TimeUnit.DAY else int_ranges(-40, 90)), unit


COMBINATORS = ["and", "or", "not", "at least", "family", "same patient"]
DATED_COMBINATORS = ["same", "same", "window", "sequence", "sequence", "during", "occurrence", "follow-up", "wash-out", "or"]


@st.composite
def questions(draw: st.DrawFn, depth: int = 3, dated: bool = False) -> Node:
    """A question; with `dated`, one that has events."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(dated_leaves if dated or draw(st.integers(0, 3)) else undated_leaves)
    names = DATED_COMBINATORS if dated else COMBINATORS + DATED_COMBINATORS
    return _combined(draw, draw(st.sampled_from(names)), depth - 1, dated)


def _combined(draw: st.DrawFn, name: str, depth: int, dated: bool) -> Node:
    def some(least: int = 2, dated: bool = False) -> tuple[Node, ...]:
        return tuple(one(dated) for _ in range(draw(st.integers(least, 3))))

    def one(dated: bool = False) -> Node:
        return draw(questions(depth, dated))

    if name == "at least":
        children = some(1)
        return AtLeast(draw(st.integers(1, len(children))), children)
    if name == "occurrence":
        rank = draw(st.sampled_from(list(Rank)))
        return Occurrence(one(True), rank, draw(st.integers(1, 3)) if rank is Rank.NTH else 1)
    simple = {
        "and": lambda: And(some()),
        "or": lambda: Or(some(2, dated)),
        "not": lambda: Not(one()),
        "family": lambda: Family(draw(st.sampled_from(list(Kin))), one()),
        "same patient": lambda: Same(Unit.PATIENT, one()),
        "same": lambda: Same(draw(st.sampled_from([u for u in Unit if u is not Unit.PATIENT])), one()),
        "window": lambda: Window(draw(st.integers(0, 6)), some(2, True)),
        "sequence": lambda: Sequence(one(True), one(True), *_delay(draw)),
        "during": lambda: During(one(True), one(True)),
        "follow-up": lambda: FollowUp(one(True), draw(st.integers(1, 20))),
        "wash-out": lambda: Washout(one(True), one(True), draw(st.integers(1, 5))),
    }
    return simple[name]()


queries = questions()
