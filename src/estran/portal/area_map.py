"""A tile for each French département, laid out about where it lies: a map without borders, and without any file of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from estran.projects.gate import Shown
from estran.terminology.departments import departments

TILE, GAP = 34, 3
CLASSES = 5
_GRID = """
 ..  ..  ..  ..  ..  ..  62  59  ..  ..  ..  ..  ..
 ..  ..  ..  ..  76  95  80  60  02  08  ..  ..  ..
 ..  ..  50  14  27  92  75  93  51  55  57  ..  ..
 29  22  ..  ..  61  78  94  77  10  54  88  67  ..
 ..  56  35  53  72  28  91  45  89  52  70  68  ..
 ..  ..  44  49  37  41  18  58  21  39  25  90  ..
 ..  ..  85  79  86  36  23  03  71  01  74  ..  ..
 ..  ..  ..  17  16  87  19  63  42  69  73  ..  ..
971  ..  ..  33  24  46  15  43  07  38  05  ..  ..
972  ..  ..  ..  47  82  12  48  30  26  04  ..  ..
973  ..  ..  40  32  31  81  34  13  84  83  06  ..
974  ..  ..  64  65  09  11  ..  ..  ..  ..  ..  2B
976  ..  ..  ..  ..  ..  66  ..  ..  ..  ..  ..  2A
"""


@dataclass(frozen=True)
class Tile:
    """A département: `x`, `y` is its upper left corner; `level` from 1 to CLASSES, 0 when nothing is told or nobody."""

    code: str
    name: str
    x: int
    y: int
    level: int
    shown: Shown | None


@dataclass(frozen=True)
class AreaMap:
    """The tiles, and the least and the most of each level that is used."""

    tiles: tuple[Tile, ...]
    levels: tuple[tuple[int, Shown, Shown], ...]
    width: int
    height: int


def area_map(parts: Mapping[str, Shown | None]) -> AreaMap:
    """The map of counts; equal counts have one colour, and each colour about as many different counts."""
    places = _places()
    told = {code: one for code in places if (one := parts.get(code)) is not None and one.value}
    ranks = {value: place for place, value in enumerate(sorted({one.value for one in told.values()}))}
    level = {code: -(-(ranks[one.value] + 1) * CLASSES // len(ranks)) for code, one in told.items()}
    names = departments()
    tiles = tuple(
        Tile(code, names[code], x, y, level.get(code, 0), parts.get(code)) for code, (x, y) in places.items()
    )
    ordered = sorted(told, key=lambda code: told[code].value)
    used = {number: [told[code] for code in ordered if level[code] == number] for number in sorted(set(level.values()))}
    right, bottom = (max(place[axis] for place in places.values()) + TILE for axis in (0, 1))
    return AreaMap(tiles, tuple((number, found[0], found[-1]) for number, found in used.items()), right, bottom)


def _places() -> dict[str, tuple[int, int]]:
    rows = [line.split() for line in _GRID.strip().splitlines()]
    step = TILE + GAP
    return {code: (column * step, row * step) for row, line in enumerate(rows) for column, code in enumerate(line) if code != ".."}
