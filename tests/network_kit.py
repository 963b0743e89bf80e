"""A network in a folder: a hub, small hospitals that share patients, a linkage unit. Nobody in it exists."""

from __future__ import annotations

import datetime as dt
import hashlib
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from estran.hub import house as hubs
from estran.hub.agent.agent import Agent
from estran.hub.agent.counting import keep_linkage_key
from estran.hub.agent.membership import Channel, Local, Membership, join, read
from estran.hub.agent.place import Place
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.keys import Identity
from estran.hub.office import Office, answer_to, utc
from estran.identity.linkage import LinkageTokens
from estran.identity.matching import MatchingTokens, matching_tokens
from estran.identity.traits import Person, Statement, Traits, fold, stated
from estran.projects.desk import ReadingRoom
from estran.projects.network import hub_actor
from tests.browser.small_site import PATIENTS, Site, build

KEY = bytes(range(32))
Clock = Callable[[], dt.datetime]


@dataclass
class Hospital(Site):
    """A small site as an agent finds it. Patients from `first` on are its own; those before, everybody's."""

    first: int = PATIENTS

    @property
    def directory(self) -> Path:
        return self.folder

    def numbers_of(self, patient: int) -> list[int]:
        return [patient, patient + 1] if patient == 50 else [patient]  # one of them is two numbers of before

    def secret(self, purpose: str) -> bytes:
        """The same at every run, wherever the folder of the tests is: the noise of what several sites count comes from it."""
        return hashlib.sha256(f"{purpose} of {self.folder.name}".encode()).digest()

    def linkage_tokens(self, key: bytes, *, with_ins: bool) -> LinkageTokens:
        patients = np.arange(PATIENTS, dtype=np.int32)
        persons = np.where(
            patients < self.first, patients, patients + zlib.crc32(self.folder.name.encode()) % 997 * 1000
        )
        rows = [np.random.default_rng(int(person)).bytes(16) for person in persons]
        traits = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)
        return LinkageTokens(patients, np.zeros_like(traits), traits)

    def matching_tokens(self, key: bytes, patients: Collection[int], *, with_ins: bool) -> MatchingTokens:
        """Of invented traits: those whom all hospitals know bear the same everywhere."""
        everybody = ((one, invented(self.person(one))) for one in sorted(patients))
        return matching_tokens(everybody, key, with_ins=with_ins)

    def person(self, patient: int) -> int:
        """Who a patient of this hospital is in the invented world."""
        away = zlib.crc32(self.folder.name.encode()) % 97
        return patient if patient < self.first else 1000 * (1 + away) + patient


def invented(person: int) -> Traits:
    """The traits of somebody who does not exist; one in fifty is known under a provisional identity."""
    dice = np.random.default_rng(person)
    family, given = ("".join(dice.choice(list(letters), 7)) for letters in ("bdlmnrst", "aeioulmnv"))
    born = dt.date(1930, 1, 1) + dt.timedelta(days=int(dice.integers(0, 30_000)))
    sex, place, ins = ("female", "male")[int(dice.integers(0, 2))], f"29{person % 283:03}", f"2{person:014}"
    said = Person((family,), (given,), born, sex=sex, birth_place=place, provisional=person % 50 == 49)
    traits: Traits = {}
    fold(traits, stated(Statement((("IPP", str(person)),), said, ins, 1, 0)), (1, 0))
    return traits


@dataclass
class Network:
    """What the tests work with; `places` by id of the member."""

    house: hubs.HubHouse
    clock: Clock = utc
    places: dict[str, Place] = field(default_factory=dict)

    @property
    def office(self) -> Office:
        return Office(self.house.book, self.house.identity, self.clock)

    def local(self) -> Local:
        return Local(lambda data: answer_to(self.office, data, None)[1])

    def agent(self, member: str, channel: Channel | None = None, clock: Clock | None = None) -> Agent:
        return Agent(self.places[member], channel or self.local(), clock or self.clock)

    def run(self, *members: str) -> None:
        for member in members or self.places:
            made = self.agent(member)
            made.once()
            made.close()

    def invite(self, name: str, kind: str = "site") -> hubs.Invitation:
        return hubs.invite(self.house.book, self.house.identity.public.certificate, name, kind, self.clock())


def network(folder: Path, url: str = "https://127.0.0.1:1", clock: Clock = utc, name: str = "Essai") -> Network:
    """A hub with its linkage unit, and no site yet."""
    (folder / "hub").mkdir(parents=True)
    made = Network(hubs.create(folder / "hub", name, url, b"hub", "Invented patients."), clock)
    unit = _joined(made, folder / "linkage", "Linkage", "linkage", None)
    made.places[unit[1].member] = Place(unit[1], Identity.open(unit[0] / "keys"), unit[0])
    return made


def add_hospital(
    made: Network,
    folder: Path,
    name: str,
    *,
    first: int = PATIENTS,
    key: bytes | None = KEY,
    rules: Rules | None = None,
    patients: int = PATIENTS,
) -> Hospital:
    """One more hospital in the network; `first` is where its own patients begin."""
    built = build(folder / name, patients=patients)
    site = Hospital(built.folder, built.settings, built.state, built.warehouse, first=first)
    kept, member = _joined(made, folder / name, name, "site", b"site")
    write_rules(kept, rules or Rules())
    if key is not None:
        keep_linkage_key(site, kept, key, member.network)
    actor = hub_actor(site.state, member.network)
    identity = Identity.open(kept / "keys", b"site")
    made.places[member.member] = Place(member, identity, kept, None, ReadingRoom(site), site, actor)
    return site


def add_region(national: Network, folder: Path, name: str, rules: Rules | None = None) -> Network:
    """A hub that is a site of another hub."""
    made = network(folder / name, clock=national.clock, name=name.capitalize())
    built = build(folder / name / "hub")
    site = Hospital(built.folder, built.settings, built.state, built.warehouse)
    kept, member = _joined(national, site.folder, name, "site", b"site")
    write_rules(kept, rules or Rules())
    identity, actor = Identity.open(kept / "keys", b"site"), hub_actor(site.state, member.network)
    national.places[member.member] = Place(member, identity, kept, None, ReadingRoom(site), site, actor)
    return made


def _joined(made: Network, directory: Path, name: str, kind: str, password: bytes | None) -> tuple[Path, Membership]:
    invitation = made.invite(name, kind)
    folder = directory / "networks" / invitation.network
    join(invitation, folder, password, lambda _: made.local(), now=made.clock)
    return folder, read(folder)
