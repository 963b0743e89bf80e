"""One shard of the region: its people live, and every hospital writes what it sees of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from estran.region import planted, samples
from estran.region.calendar import DAY, awake
from estran.region.course import Life, Living, Numbering, Stay, is_readmission
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.growth import Noise
from estran.region.identities import Identity, identify
from estran.region.library import Hospital
from estran.region.people import Person, draw_people
from estran.region.plan import Plan
from estran.region.truth import Truth
from estran.region.writing.deaths import death_line
from estran.region.writing.documents import Documents
from estran.region.writing.files import Samples
from estran.region.writing.movements import Movements
from estran.region.writing.pmsi import Pmsi
from estran.region.writing.records import Records, pathology_codes
from estran.region.writing.results import Results
from estran.region.writing.texts import Asked, Spans, write

_UNREGISTERED = 0.03  # deaths outside of hospital that INSEE's file does not have
_IMAGED, _GENOMIC = 0.35, 0.5
_WITH_RESULTS = frozenset(("discharge", "consultation", "emergency"))


@dataclass
class Made:
    """What one shard made."""

    records: int = 0
    bytes: int = 0
    documents: int = 0
    texts: int = 0
    stays: int = 0
    truth: dict[str, int] = field(default_factory=dict)
    seen: planted.Observed = field(default_factory=planted.Observed)


@dataclass(frozen=True, slots=True)
class _Desk:
    """Everything that writes for one hospital."""

    feeds: Feeds
    movements: Movements
    results: Results
    documents: Documents
    records: Records
    pmsi: Pmsi
    samples: Samples


class Shard:
    """Makes one shard."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan, self._number = plan, number
        self._dice = Dice("region", plan.seed, plan.sites, plan.start, plan.days, number)
        self._truth, self._made = Truth(), Made()
        self._numbers = Numbering(number)
        self._end = plan.end * DAY
        self._desks = {h.key: self._desk(h) for h in plan.hospitals}
        self._deaths: list[tuple[int, str]] = []
        self.asked: list[Asked] = []

    def _desk(self, hospital: Hospital) -> _Desk:
        given = (hospital, self._number, self._dice)
        feeds = Feeds(hospital, self._dice)
        documents = Documents(*given, feeds, self._truth)
        return _Desk(
            feeds, Movements(*given, feeds, self._truth), Results(*given, feeds, self._truth), documents,
            Records(hospital, self._dice, feeds, self._truth, documents), Pmsi(*given, feeds, self._truth),
            Samples(hospital, self._number, self._dice, self._truth),
        )  # fmt: skip

    def make(self, out: Path) -> Made:
        """Write the feeds of every hospital, the truth and the deaths under `out`."""
        people = draw_people(self._plan, self._number, self._dice)
        living = Living(self._plan, self._dice, self._numbers, self._made.seen)
        living.know_births(people)
        for person in people:
            self._tell(living.life(person))
        self._write_texts()
        for desk in self._desks.values():
            desk.feeds.write(out / desk.feeds.hospital.key, self._number)
            desk.samples.write(out / desk.feeds.hospital.key)
        self._write_deaths(out / "insee")
        self._made.truth = self._truth.write(out / "truth", self._number)
        self._add_up()
        return self._made

    def _tell(self, life: Life) -> None:
        """One person: identities, then every stay where it takes place."""
        person = life.person
        self._describe(life)
        held: dict[str, list[Identity]] = {}
        texts = self._plan.texts
        for stay, following in zip(life.stays, [*life.stays[1:], None], strict=True):
            known = held.get(stay.hospital.key)
            if known is None:
                known = held[stay.hospital.key] = self._introduce(person, stay)
            identity = known[-1] if stay is _first(life.stays, stay.hospital) else known[0]
            texts -= self._stay(stay, identity, texts)
            if stay.risk is not None:
                back = is_readmission(stay, following)
                days = (following.start - stay.end) / DAY if following else None
                self._outcome(stay, "readmission", None, stay.risk, back, days)
        self._merge(held, life)
        self._links(person, held)

    def _describe(self, life: Life) -> None:
        p, death = life.person, None if life.death is None else life.death // DAY
        self._truth.table("people").append((
            p.number, p.sex, p.birth, p.birth_name, p.used_name, p.given, p.street, p.commune.postcode, p.commune.name, p.commune.insee,
            p.phone, p.nir, death,
        ))  # fmt: skip
        if p.mother is not None:
            self._truth.table("relations").append((p.number, p.mother, "mother"))
        if p.twin is not None:
            self._truth.table("relations").append((p.number, p.twin, "twin"))
        failure = next((s for s in life.stays if s.reason.key == "ic" and not s.cycle), None)
        if failure is not None:
            exposed = "E1198" in p.chronic
            until = min(life.death or self._end, self._end)
            died = life.death is not None
            self._outcome(failure, "heart failure", exposed, None, died, (until - failure.end) / DAY)
        if death is not None and (life.hospital_death or self._dice.chance() >= _UNREGISTERED):
            self._deaths.append((death, death_line(p, death, self._dice)))

    def _outcome(self, stay: Stay, name: str, exposed: bool | None, risk: float | None, event: bool, days: float | None) -> None:
        self._truth.table("outcomes").append((
            stay.person.number, stay.hospital.key, stay.number, name, exposed, risk, event, days
        ))  # fmt: skip

    def _introduce(self, person: Person, stay: Stay) -> list[Identity]:
        """The hospital meets somebody: one identity, or two by mistake."""
        found = identify(self._dice, self._numbers, person, stay.hospital)
        for identity in found:
            self._desks[stay.hospital.key].movements.introduce(identity, stay.start - self._dice.between(20, 600))
            t = identity.traits
            self._truth.table("identities").append((
                stay.hospital.key, stay.hospital.authority, identity.ipp, person.number, t.birth_name, t.given, t.birth, t.ins or None,
                t.status, t.error or None, identity.merged_into or None,
            ))  # fmt: skip
        return found

    def _merge(self, held: dict[str, list[Identity]], life: Life) -> None:
        """A40 for double identities, days after they were made."""
        for key, known in held.items():
            for double in known[1:]:
                first = next(s for s in life.stays if s.hospital.key == key)
                self._desks[key].movements.merge(double, known[0], first.start + self._dice.between(DAY, 20 * DAY))

    def _links(self, person: Person, held: dict[str, list[Identity]]) -> None:
        keys = list(held)
        if len(keys) > 1:
            self._made.seen.counts["shared"] += 1
        for place, a in enumerate(keys):
            for b in keys[place + 1 :]:
                self._made.seen.counts["links"] += 1
                self._truth.table("links").append((person.number, a, held[a][0].ipp, b, held[b][0].ipp))

    def _stay(self, stay: Stay, identity: Identity, texts: int) -> int:
        """Every feed about one stay; returns how many free texts were written."""
        desk = self._desks[stay.hospital.key]
        self._made.stays += 1
        desk.movements.stay(stay, identity, self._end)
        if stay.is_cancelled:
            return 0
        orders = samples.orders(self._dice, stay)
        desk.results.orders(stay, identity, orders)
        grown = samples.culture(self._dice, stay)
        if grown:
            desk.results.culture(stay, identity, grown)
        if stay.kind == "venue":
            desk.results.nursing(stay, identity)
        desk.records.drugs(stay, identity) if not stay.cycle else desk.records.cycle(stay, identity)
        desk.records.conditions(stay, identity)
        if stay.wards[0].unit == "urg":
            desk.records.emergency(stay, identity)
        if stay.reason.teeth:
            desk.records.teeth(stay, identity)
        if stay.kind in ("venue", "session") and stay.end < self._end:
            desk.pmsi.stay(stay, identity)
        return self._texts(desk, stay, identity, orders, texts)

    def _texts(self, desk: _Desk, stay: Stay, identity: Identity, orders: list[samples.Order], left: int) -> int:
        """The free texts of a stay, `left` at most."""
        dice, reason, before = self._dice, stay.reason, len(self.asked)
        wanted: list[tuple[str, int]] = []
        if stay.kind == "venue":
            wanted.append(("discharge", stay.end))
        elif stay.kind == "consultation":
            wanted.append(("consultation", stay.end))
        elif stay.kind == "emergency":
            wanted.append(("emergency", stay.end))
        if reason.operation and not stay.cycle:
            wanted.append(("operative", awake(stay.start + (stay.end - stay.start) // 3)))
        if stay.kind in ("venue", "emergency") and not reason.planned and dice.chance() < _IMAGED:
            wanted.append(("imaging", awake(stay.start + dice.between(30, 300))))
        is_pathology = reason.key in ("sein", "colon", "poumon", "colo", "appendicite", "vesicule") and not stay.cycle
        for kind, minute in wanted[: max(left, 0)]:
            self.asked.append(Asked(kind, stay, identity, minute, orders if kind in _WITH_RESULTS else ()))
        if is_pathology and len(self.asked) - before < left:
            minute = (stay.start + stay.end) // 2 + DAY
            self.asked.append(Asked("pathology", stay, identity, minute, stage=desk.records.stage()))
        if (reason.key == "genet" or (reason.cancer and not stay.cycle)) and dice.chance() < _GENOMIC:
            desk.records.genomics(stay, identity)
            if self._plan.samples:
                desk.samples.variants(stay, identity, desk.movements)
        if self._plan.samples:
            desk.samples.take(stay, identity, desk.movements)
        return len(self.asked) - before

    def _write_texts(self) -> None:
        """Write and send every report that was asked for; where spans stand goes to the truth."""
        if not self.asked:
            return
        written = write(self.asked, Noise("texts", self._plan.seed, self._plan.sites, self._plan.start, self._plan.days, self._number))
        sent = [self._send(one, words) for one, words in zip(self.asked, written.texts, strict=True)]
        self._made.texts += len(sent)
        numbers, letters = [number for number, _ in sent], [number for _, number in sent]
        self._span("spans", written.identities, numbers)
        self._span("mentions", written.mentions, numbers)
        self._span("letters", written.identities, letters)

    def _send(self, asked: Asked, words: str) -> tuple[str, str]:
        """Hand a report to the feed it takes; its number as a message, or as a file."""
        desk, stay = self._desks[asked.stay.hospital.key], asked.stay
        is_letter = self._plan.samples and asked.kind == "discharge"
        number = desk.samples.letter(words, stay, asked.identity, asked.minute) if is_letter else ""
        if number:
            return "", number
        codes = pathology_codes(stay, asked.stage) if asked.kind == "pathology" else None
        return desk.documents.text(asked.kind, words, stay, asked.identity, asked.minute, codes), ""

    def _span(self, table: str, spans: Spans, numbers: list[str]) -> None:
        """Where spans stand goes to the truth, of texts that have a number; of letters only what they say, since a page
        breaks lines where it likes."""
        owners = pa.array(spans.owners)
        sites = pa.array([one.stay.hospital.key for one in self.asked]).take(owners)
        documents = pa.array(numbers, pa.string()).take(owners)
        last = [spans.words, spans.labels, spans.contexts] if table == "mentions" else [spans.labels, spans.words]
        places = [] if table == "letters" else [pa.array(spans.starts), pa.array(spans.ends)]
        self._truth.add(table, [sites, documents, *places, *last], pc.not_equal(documents, ""))

    def _write_deaths(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [line for _, line in sorted(self._deaths)]
        (folder / f"deces-{self._number:05d}.txt").write_text("".join(lines), "utf-8")

    def _add_up(self) -> None:
        for desk in self._desks.values():
            self._made.records += desk.feeds.records
            self._made.bytes += desk.feeds.bytes + desk.samples.bytes
            self._made.documents += desk.documents.written + desk.results.written + desk.samples.written


def _first(stays: list[Stay], hospital: Hospital) -> Stay | None:
    return next((s for s in stays if s.hospital is hospital), None)
