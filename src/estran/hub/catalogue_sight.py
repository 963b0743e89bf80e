"""What of the catalogues somebody may see: the rules of the network on who sees which site's numbers, kept before anything is
shown. What is not for somebody is taken out here, so that no page or file can tell it.

Counts of sites are never added up, so a catalogue has no total. Who sees totals alone sees how many sites hold a thing, from
three sites on; who sees the own site alone sees what that one holds. Names, addresses and services of sites, and whether a
catalogue came, are no secret.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from estran.hub.catalogues import INVALID, CatalogueBook, Edition, Found, SiteHoldings, Standing, Thing
from estran.hub.governance import FEWEST, Sight

REFUSED = "The network does not let you see single sites’ numbers, and this file is made of them."


@dataclass(frozen=True)
class View:
    """What somebody sees: `own` is the member that they are of, "" for none."""

    sight: Sight
    own: str = ""

    def sees(self, member: str) -> bool:
        """Whether the numbers of a member may be shown."""
        return self.sight is Sight.SITES or (self.sight is Sight.OWN and self.own != "" and member == self.own)

    def standing(self, one: Standing) -> Standing:
        """A member and its catalogue."""
        return dataclasses.replace(
            one, edition=self._of(one.edition, one.member.id), last=self._of(one.last, one.member.id)
        )

    def edition(self, one: Edition) -> Edition:
        """What came of a harvest: that something came, and when, is no secret."""
        if self.sees(one.member):
            return one
        said = "" if one.state == INVALID else one.said  # a report on what does not conform cites it
        return dataclasses.replace(one, said=said, sites=tuple(map(_named, one.sites)), gained=(), lost=())

    def _of(self, one: Edition | None, member: str) -> Edition | None:
        return None if one is None else self.edition(one)

    def look_up(self, shelf: CatalogueBook, words: str, kind: str, member: str, most: int, offset: int) -> Found:
        """Things that were looked for. Of one site only who sees it finds anything: else the search would tell who holds what."""
        if self.sight is Sight.TOTAL:
            if member:
                return Found((), 0)
            things, total = shelf.look_up(words, kind, "", most, offset, FEWEST)
            return Found(tuple(map(_counted, things)), total)
        wanted = member if self.sight is Sight.SITES else self.own
        if (member or wanted) != wanted or not (wanted or self.sight is Sight.SITES):
            return Found((), 0)
        things, total = shelf.look_up(words, kind, wanted, most, offset)
        return Found(tuple(self._thing(shelf, one) for one in things), total)

    def thing(self, shelf: CatalogueBook, kind: str, key: str) -> Thing | None:
        """One thing; None when no site, or none that may be told of, holds it."""
        found = self._thing(shelf, shelf.thing(kind, key))
        return found if found.cells or found.sites >= FEWEST else None

    def _thing(self, shelf: CatalogueBook, one: Thing) -> Thing:
        if self.sight is Sight.SITES:
            return one
        return _counted(one) if self.sight is Sight.TOTAL else shelf.thing(one.kind, one.key, self.own)

    def coverage(self, shelf: CatalogueBook) -> list[tuple[str, str, str, int]]:
        """(member, site, nature) and how many codes of it the site holds."""
        return [row for row in shelf.coverage() if self.sees(row[0])]

    def parts(self, shelf: CatalogueBook) -> dict[str, str] | None:
        """Triples by address of a catalogue; None when none of them may be seen."""
        if self.sight is Sight.SITES:
            return shelf.parts()
        return shelf.parts(self.own) if self.sight is Sight.OWN and self.own else None


EVERYTHING = View(Sight.SITES)
NAMES_ONLY = View(Sight.OWN)


def _named(one: SiteHoldings) -> SiteHoldings:
    return dataclasses.replace(one, patients=None, records=None, kinds=None, codes=None, first="", last="")


def _counted(one: Thing) -> Thing:
    return dataclasses.replace(one, cells=())
