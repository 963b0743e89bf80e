"""What happens to somebody: stays one after another, what they are for, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush
from math import exp

from estran.region import planted
from estran.region.calendar import DAY, age, awake
from estran.region.dice import Dice, Weighted
from estran.region.library import Drug, Hospital, Reason, drugs, frequencies, protocols, reasons
from estran.region.people import Person
from estran.region.plan import Plan

_MEAN_STAYS = 1.1  # beyond the first
_CANCELLED, _TRANSFER, _INTENSIVE = 0.012, 0.12, 0.04
_BY_BIRTH = frozenset(("naissance", "accouchement", "cesarienne", "tendon"))  # never drawn by weight alone
_TREATMENTS = {"I10": ("ramipril", "amlodipine"), "E785": ("atorvastatine", "rosuvastatine"), "E1198": ("metformine",),
               "J448": ("budesonide",), "F412": ("sertraline",)}  # fmt: skip
# Chapters whose codes may be found in anybody of a certain age, and codes that may not.
_ANYBODY = ("D5", "E5", "E8", "F4", "I2", "I4", "I8", "J9", "K2", "K5", "M1", "N1", "N4", "R1", "R2", "R3", "R4", "R5", "R6", "Z9")
_NEVER = frozenset(("Z992", "Z992+0", "Z9080", "N185", "R392", "N40", "R53+0"))


@dataclass(frozen=True, slots=True)
class Ward:
    """A stretch in one ward; `number` is the movement's, unique in the hospital."""

    number: str
    unit: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Treatment:
    """A drug taken from `start` to `end`, `dose` in the drug's unit."""

    drug: Drug
    dose: float
    start: int
    end: int


@dataclass(slots=True)
class Stay:
    """One contact with one hospital, in minutes of the wall clock since 1970."""

    person: Person
    hospital: Hospital
    number: str
    reason: Reason
    kind: str
    start: int
    end: int
    wards: list[Ward]
    diagnoses: list[tuple[str, str]]  # code, role (DP, DR, DAS)
    acts: list[tuple[str, int]]
    ghm: str
    treatments: list[Treatment]
    severity: float
    cycle: int = 0  # of chemotherapy, from 1
    is_cancelled: bool = False
    is_death: bool = False
    risk: float | None = None  # of coming back
    earlier: int = 0

    @property
    def days(self) -> float:
        return (self.end - self.start) / DAY

    @property
    def years(self) -> int:
        """Age at admission."""
        return age(self.person.birth, self.start // DAY)


@dataclass(slots=True)
class Life:
    """The stays of somebody, in order, and the minute of death if there is one."""

    person: Person
    stays: list[Stay] = field(default_factory=list)
    death: int | None = None
    hospital_death: bool = False


@dataclass(frozen=True, slots=True)
class _Wish:
    """A stay to come."""

    reason: Reason
    hospital: Hospital
    cycle: int = 0


class Numbering:
    """Numbers of stays and movements: per hospital and shard, so that shards never meet."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._next: dict[tuple[str, str], int] = {}

    def take(self, hospital: Hospital, kind: str) -> str:
        """The next number of a kind (`stay`, `movement`, `ipp`, …)."""
        key = (hospital.key, kind)
        number = self._next[key] = self._next.get(key, 0) + 1
        return f"{self._shard:04d}{number:06d}"


class Living:
    """Makes the lives of a shard."""

    def __init__(self, plan: Plan, dice: Dice, numbers: Numbering, seen: planted.Observed) -> None:
        self._plan, self._dice, self._numbers, self._seen = plan, dice, numbers, seen
        self._queue: list[tuple[int, int, _Wish]] = []
        self._births: dict[int, int] = {}  # mother → minute of the birth

    def know_births(self, people: list[Person]) -> None:
        """Read who is born to whom, before any life is lived."""
        for child in people:
            if child.mother is not None:
                minute = awake(child.birth * DAY + self._dice.between(10, DAY - 90))
                self._births.setdefault(child.mother, minute)

    def life(self, person: Person) -> Life:
        """Everything that happens to a person within the period."""
        self._queue.clear()
        self._wishes(person)
        life, free = Life(person), 0
        while self._queue:
            minute, _, wish = heappop(self._queue)
            minute = max(minute, free)
            if minute >= self._plan.end * DAY or (life.death is not None and minute >= life.death):
                break
            stay = self._stay(life, wish, awake(minute))
            life.stays.append(stay)
            free = stay.end + 60
            if not stay.is_cancelled:
                self._afterwards(life, stay)
        self._count(life)
        return life

    def _wish(self, minute: int, wish: _Wish) -> None:
        heappush(self._queue, (minute, len(self._queue), wish))

    def _wishes(self, person: Person) -> None:
        """First reasons for coming: a birth, then what strikes people of that age and sex."""
        dice, known = self._dice, reasons()
        if person.mother is not None:
            self._wish(self._births[person.mother], _Wish(known["naissance"], person.homes[0]))
        if person.number in self._births:
            key = "cesarienne" if dice.chance() < 0.2 else "accouchement"
            self._wish(self._births[person.number] - dice.between(60, 900), _Wish(known[key], person.homes[0]))
        missing = len(person.homes) - 1 if person.mother is None else -1
        for place in range(max(missing + 1, 0) + dice.poisson(_MEAN_STAYS)):
            first = max(self._plan.start, person.birth + 3)
            years = max(0, age(person.birth, self._plan.start + self._plan.days // 2))
            usual = _usual(person.sex, min(years, 100))
            reason = dice.draw(usual)
            day = max(first, dice.draw(planted.season(self._plan, reason.season)))
            hour = dice.between(7, 9) if reason.planned or reason.kind in ("consultation", "session") else dice.between(0, 23)
            home = person.homes[place] if place < len(person.homes) else person.homes[0]
            self._wish(day * DAY + hour * 60 + dice.below(60), _Wish(reason, home))

    def _stay(self, life: Life, wish: _Wish, start: int) -> Stay:
        dice, reason, person = self._dice, wish.reason, life.person
        end = awake(start + self._minutes(reason))
        severity = max(0.3, 1 + 0.35 * dice.normal())
        stay = Stay(
            person, wish.hospital, self._numbers.take(wish.hospital, "stay"), reason, reason.kind, start, end, [],
            self._diagnoses(person, reason), [], dice.draw(reason.ghm), [], severity, wish.cycle,
            earlier=len(life.stays), is_cancelled=reason.planned and dice.chance() < _CANCELLED,
        )  # fmt: skip
        if wish.cycle:
            stay.kind, stay.ghm = "session", "28Z07Z"
            stay.end = start + dice.between(180, 420)
            stay.diagnoses = [("Z511", "DP"), (reason.dp, "DR")]
        stay.wards = self._wards(stay)
        stay.acts = [(code, dice.between(stay.start, stay.end)) for code, chance in reason.acts if dice.chance() < chance and not wish.cycle]
        stay.treatments = self._treatments(stay)
        return stay

    def _minutes(self, reason: Reason) -> int:
        dice = self._dice
        if reason.kind == "consultation":
            return dice.between(15, 50)
        if reason.los == 0:
            return dice.between(200, 560)
        return max(90, int(reason.los * DAY * exp(0.45 * dice.normal())))

    def _diagnoses(self, person: Person, reason: Reason) -> list[tuple[str, str]]:
        """The principal diagnosis, then the associated ones, each once."""
        dice, found = self._dice, {reason.dp: "DP"}
        years = age(person.birth, self._plan.start)
        for code in sorted(person.chronic):
            if code == "E1198" or dice.chance() < 0.8:
                found.setdefault(code, "DAS")
        for code, chance in reason.das:
            if code not in ("E1198", "I10", "E785") and dice.chance() < chance:
                found.setdefault(code, "DAS")
        if reason.kind == "venue" and years >= 50:
            for _ in range(dice.poisson(0.8)):
                found.setdefault(dice.draw(_others()), "DAS")
        return list(found.items())

    def _wards(self, stay: Stay) -> list[Ward]:
        dice, reason, take = self._dice, stay.reason, self._numbers.take
        unit = "hdjonco" if stay.cycle else reason.unit
        steps = [(unit, stay.start)]
        if stay.kind == "venue":
            length = stay.end - stay.start
            adult = stay.years >= 16 and not reason.birth
            if not reason.planned and adult and unit != "urg" and length > 800:
                steps = [("urg", stay.start), (unit, awake(stay.start + dice.between(90, 480)))]
            if length > 3 * DAY and dice.chance() < _INTENSIVE and adult:
                steps.append(("rea", awake(stay.start + length // 3)))
                steps.append((unit, awake(stay.start + length // 2)))
            elif length > 3 * DAY and dice.chance() < _TRANSFER and adult and unit != "med":
                steps.append(("med", awake(stay.start + length // 2)))
        ends = [*(start for _, start in steps[1:]), stay.end]
        return [Ward(take(stay.hospital, "movement"), u, s, e) for (u, s), e in zip(steps, ends, strict=True)]

    def _treatments(self, stay: Stay) -> list[Treatment]:
        dice, known = self._dice, drugs()
        if stay.cycle:
            keys = list(protocols()[stay.reason.cancer].drugs)
        else:
            keys = [key for key in stay.reason.drugs if dice.chance() < 0.8]
            for code in sorted(stay.person.chronic):
                if code in _TREATMENTS:
                    keys.append(dice.pick(_TREATMENTS[code]))
        found = []
        for key in dict.fromkeys(keys):
            start = awake(stay.start + dice.between(5, max(6, min(300, stay.end - stay.start - 5))))
            found.append(Treatment(known[key], dice.pick(known[key].doses), start, stay.end))
        return found

    def _afterwards(self, life: Life, stay: Stay) -> None:
        """Death, readmission, and what was planted."""
        self._cancer(life, stay)
        self._tendon(stay)
        self._death(life, stay)
        dice = self._dice
        if stay.reason.key == "grippe":
            self._seen.flu(stay.start // DAY)
        if stay.kind == "session" and not stay.cycle and stay.earlier < stay.reason.series[0]:
            self._wish(stay.start + stay.reason.series[1] * DAY, _Wish(stay.reason, stay.hospital))
        if stay.kind == "venue" and not stay.is_death:
            stay.risk = planted.readmission_risk(stay.years, stay.earlier, stay.days)
            if dice.chance() < stay.risk:
                again = stay.reason if dice.chance() < 0.5 and not stay.reason.planned and not stay.reason.birth else None
                reason = again or dice.draw(_usual(life.person.sex, min(stay.years, 100)))
                self._wish(stay.end + dice.between(DAY, 28 * DAY), _Wish(reason, stay.hospital))

    def _cancer(self, life: Life, stay: Stay) -> None:
        """Cycles of chemotherapy after the stay where a cancer was found, at the cancer centre when it is near."""
        if not stay.reason.cancer or stay.cycle or any(s.cycle for s in life.stays):
            return
        protocol, dice = protocols()[stay.reason.cancer], self._dice
        centre = next((h for h in self._plan.hospitals if h.key == "ico"), stay.hospital)
        place = centre if centre in life.person.homes else stay.hospital
        first = stay.end + dice.between(14, 35) * DAY
        for cycle in range(protocol.cycles):
            minute = (first // DAY + cycle * protocol.days) * DAY + dice.between(480, 660)
            self._wish(minute, _Wish(stay.reason, place, cycle + 1))

    def _tendon(self, stay: Stay) -> None:
        if stay.kind not in ("venue", "emergency") or stay.years < 16:
            return
        exposed = any(t.drug.key in planted.QUINOLONES for t in stay.treatments)
        name = "quinolone" if exposed else "no_quinolone"
        self._seen.counts[name] += 1
        if self._dice.chance() < planted.tendon_risk(is_exposed=exposed):
            day = stay.end // DAY + self._dice.between(4, planted.TENDON_DAYS - 10)
            if day < self._plan.end:
                self._seen.counts[f"{name}_tendon"] += 1
                self._wish(day * DAY + self._dice.between(540, 1020), _Wish(reasons()["tendon"], stay.hospital))

    def _death(self, life: Life, stay: Stay) -> None:
        dice, first_failure = self._dice, not any(s.reason.key == "ic" for s in life.stays[:-1])
        under_watch = any(s.reason.key == "ic" for s in life.stays)
        if stay.reason.key == "ic" and first_failure:
            name = "hf_diabetic" if "E1198" in life.person.chronic else "hf_other"
            self._seen.counts[name] += 1
            moment = stay.end + int(planted.days_to_death(dice, is_diabetic=name == "hf_diabetic") * DAY) + 60
            if moment < self._plan.end * DAY:
                self._seen.counts[f"{name}_death"] += 1
                life.death = awake(moment)
        elif not under_watch and life.death is None:
            if stay.kind == "venue" and dice.chance() < 0.0004 * 1.075 ** min(stay.years, 95):
                stay.is_death, life.death, life.hospital_death = True, stay.end, True
            elif dice.chance() < 0.0003 * 1.07 ** min(stay.years, 95):
                life.death = awake(stay.end + dice.between(2 * DAY, 500 * DAY))
                if life.death >= self._plan.end * DAY:
                    life.death = None

    def _count(self, life: Life) -> None:
        """What came of the readmission model: any later stay within 30 days."""
        for stay, following in zip(life.stays, [*life.stays[1:], None], strict=True):
            if stay.risk is not None:
                self._seen.exit(stay.risk, is_readmitted=is_readmission(stay, following))


def is_readmission(stay: Stay, following: Stay | None) -> bool:
    """Whether the next stay begins within 30 days."""
    return following is not None and not following.is_cancelled and following.start - stay.end <= 30 * DAY


@lru_cache(maxsize=512)
def _usual(sex: str, years: int) -> Weighted[Reason]:
    """Reasons of people of that age and sex, weighed by national counts."""
    return Weighted([
        (r, r.weight * 2 * (r.women if sex == "F" else 1 - r.women))
        for r in reasons().values() if r.ages[0] <= years <= r.ages[1] and r.key not in _BY_BIRTH
    ])  # fmt: skip


@lru_cache(maxsize=1)
def _others() -> Weighted[str]:
    """Associated diagnoses that may come with anything, by national frequency."""
    return Weighted([(c, n) for c, n in frequencies()["cim10"].items() if c.startswith(_ANYBODY) and c not in _NEVER])
