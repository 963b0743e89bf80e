"""`estran demo DIR --hub`: six hospitals, a linkage unit and a hub on one machine."""

from __future__ import annotations

import datetime as dt
import secrets
import subprocess
import sys
import threading
from pathlib import Path

from estran import app as house
from estran.catalog import measuring
from estran.cli.hub import LINKAGE_FOLDER, embed, embedded, opened_house, place_of, serve
from estran.cli.region import demo_region
from estran.cli.show import console
from estran.hub import house as hubs
from estran.hub.agent.counting import keep_linkage_key
from estran.hub.agent.membership import Local, join
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.office import answer_to
from estran.region.plan import Plan
from estran.settings import Settings

NAME = "Ouest DataHub (démonstration)"
_DECISION = "Synthetic region: nobody in it exists."


def demo_network(folder: Path, patients: int, port: int, *, quiet: bool = False) -> Path:
    """The region's six hospitals, each a member of a hub beside them; the folder of the hub. Again opens it."""
    hub = folder / "hub"
    demo_region(folder, patients, 6, quiet=quiet)
    if hubs.is_hub(hub):
        return hub
    house.create_site(hub, Settings(name=NAME))
    opened = hubs.create(hub, NAME, f"https://127.0.0.1:{port}", house.open_site(hub).secret("hub-keys"), _DECISION)
    _member(opened, folder / LINKAGE_FOLDER, "Unité d’appariement", "linkage", b"")
    shared, hospitals = secrets.token_bytes(32), Plan(patients).hospitals
    for hospital in hospitals:
        _member(opened, folder / hospital.key, hospital.name, "site", shared)
    for place in (*(hospital.key for hospital in hospitals), LINKAGE_FOLDER):
        embed(opened, hub, folder / place)
    opened.close()
    return hub


def _member(opened: hubs.HubHouse, directory: Path, name: str, kind: str, linkage_key: bytes) -> None:
    """Invite and join, as the two commands do."""
    invitation = hubs.invite(opened.book, opened.identity.public.certificate, name, kind, dt.datetime.now(dt.UTC))
    site = house.open_site(directory) if kind == "site" else None
    folder = directory / "networks" / invitation.network
    office = opened.office
    join(
        invitation,
        folder,
        site.secret("network-keys") if site else None,
        lambda _: Local(lambda data: answer_to(office, data, None)[1]),
    )
    if site is not None:
        write_rules(folder, Rules())
        keep_linkage_key(site, folder, linkage_key, invitation.network)
        measuring.measure(site.snapshot(), site.state)
        place_of(directory)  # the account of the network is made where nobody waits


def serve_network(hub: Path, port: int) -> list[subprocess.Popen[bytes]]:
    """Open the hub's door, and start the agents of its members; each is a process of its own."""
    threading.Thread(target=serve, args=(hub, "127.0.0.1", port), daemon=True).start()
    places = embedded(opened_house(hub), hub)
    agents = [
        subprocess.Popen([sys.executable, "-m", "estran", "agent", str(place)], stdout=subprocess.DEVNULL)  # noqa: S603 (our own command)
        for place in places
    ]
    for place, agent in zip(places, agents, strict=True):
        console.print(f"Agent of {place.name}: process {agent.pid}", highlight=False, markup=False)
    return agents
