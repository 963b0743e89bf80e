"""PMSI files: grouped RSS (RUM 022, as from 2023) and VID-HOSP (V016), fixed width.

Layouts as ATIH publishes them; the insured person's number (an open right of somebody else at times)
is left blank.
"""

from __future__ import annotations

from estran.region.calendar import DAY, compact_day
from estran.region.course import Stay, Ward
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.identities import Identity
from estran.region.library import Hospital, wards
from estran.region.truth import Truth
from estran.region.writing.movements import exit_mode

_RUM_WIDTH, _VID_WIDTH = 177, 466


class Pmsi:
    """The PMSI files of one hospital for one shard."""

    def __init__(self, hospital: Hospital, shard: int, dice: Dice, feeds: Feeds, truth: Truth) -> None:
        self._hospital, self._dice, self._feeds, self._truth = hospital, dice, feeds, truth
        self._shard, self._rss, self._rum = shard, 0, 0

    def stay(self, stay: Stay, identity: Identity) -> None:
        """One line per ward of the stay, and the line that ties the stay to its patient."""
        self._rss += 1
        sent = stay.end + 20 * DAY
        main = max(range(len(stay.wards)), key=lambda n: stay.wards[n].end - stay.wards[n].start)
        for place, ward in enumerate(stay.wards):
            diagnoses = stay.diagnoses if place == main else [(stay.diagnoses[0][0], "DP")]
            acts = [a for a in stay.acts if ward.start <= a[1] < ward.end or (place == len(stay.wards) - 1 and a[1] >= ward.end)]
            self._feeds.put("pmsi", sent, self._line(stay, identity, ward, place, diagnoses, acts), part="rss")
        self._feeds.put("pmsi", sent, self._identity(stay, identity), part="vidhosp")
        key, day = self._hospital.key, stay.start // DAY
        self._truth.table("diagnoses").extend([
            (key, stay.number, identity.ipp, "pmsi", code, role, day) for code, role in stay.diagnoses
        ])  # fmt: skip
        self._truth.table("acts").extend([
            (key, stay.number, identity.ipp, "pmsi", code, minute // DAY) for code, minute in stay.acts
        ])  # fmt: skip

    def _line(
        self, stay: Stay, identity: Identity, ward: Ward, place: int, diagnoses: list[tuple[str, str]], acts: list[tuple[str, int]]
    ) -> bytes:
        self._rum += 1
        related = next((code for code, role in diagnoses if role == "DR"), "")
        associated = [code for code, role in diagnoses if role == "DAS"]
        last = place == len(stay.wards) - 1
        rum = [" "] * _RUM_WIDTH
        for start, text in (
            (1, self._hospital.finess), (10, "022"), (13, f"{self._shard:05d}{self._rss:07d}"), (33, stay.number),
            (53, f"{self._rum:010d}"), (63, compact_day(identity.traits.birth)), (71, "1" if identity.traits.sex == "M" else "2"),
            (72, wards()[ward.unit][0]), (78, compact_day(ward.start // DAY)), (86, "6" if place else "8"),
            (87, "5" if not place and ward.unit == "urg" else " "), (88, compact_day(ward.end // DAY)),
            (96, exit_mode(stay) if last else "6"), (98, identity.person.commune.postcode), (117, "01" if stay.kind == "session" else "00"),
            (119, f"{len(associated):02d}"), (121, "00"), (123, f"{len(acts):03d}"), (126, diagnoses[0][0].ljust(8)), (134, related.ljust(8)),
        ):  # fmt: skip
            rum[start - 1 : start - 1 + len(text)] = text
        tail = "".join(code.ljust(8) for code in associated) + "".join(_act(code, minute) for code, minute in acts)
        ghm = stay.ghm
        head = f"11{ghm[:2]}{ghm[2]}{ghm[3:5]}{ghm[5]} 122000"
        return f"{head}{''.join(rum)}{tail}\r\n".encode("cp1252")

    def _identity(self, stay: Stay, identity: Identity) -> bytes:
        line = [" "] * _VID_WIDTH
        for start, text in (
            (20, compact_day(identity.traits.birth)), (28, "1" if identity.traits.sex == "M" else "2"), (29, stay.number), (49, "V016"),
            (53, self._hospital.finess), (275, compact_day(stay.start // DAY)), (283, compact_day(stay.end // DAY)), (354, identity.ipp),
        ):  # fmt: skip
            line[start - 1 : start - 1 + len(text)] = text
        return f"{''.join(line)}\r\n".encode("cp1252")


def _act(code: str, minute: int) -> str:
    """29 characters: date, act, PMSI extension, phase, activity, modifiers, times."""
    return f"{compact_day(minute // DAY)}{code.ljust(7)}   01 {' ' * 4}  01"
