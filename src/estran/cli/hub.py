"""Networks of sites: `estran hub init|invite|join|status|ask|approve|withdraw|linkage-key`, `estran agent`."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli import hub_catalogue, hub_govern, hub_oppositions, hub_pool
from estran.cli.ask import QuestionArg, question
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, errors, number, table
from estran.hub import house as hubs
from estran.hub.agent.agent import Agent, AtWork
from estran.hub.agent.counting import keep_linkage_key
from estran.hub.agent.ledger import Ledger
from estran.hub.agent.link import Link
from estran.hub.agent.membership import Invitation, Local, Membership, folder_of, join, read
from estran.hub.agent.place import Place
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.desk import HubDesk
from estran.hub.gathering import Gathered, advance
from estran.hub.keys import Identity
from estran.hub.office import Office, answer_to
from estran.hub.pooling.routes import FOR
from estran.model.errors import EstranError, UsageError
from estran.projects.actions import Action
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import ReadingRoom
from estran.projects.gate import Shown
from estran.projects.network import hub_actor
from estran.settings import Settings

group = typer.Typer(help="Networks of sites: one question to many, answers protected at each.", no_args_is_help=True)
HubArg = Annotated[Path, typer.Argument(metavar="HUB", help="Directory of the hub.", show_default=False)]
NetworkOpt = Annotated[str, typer.Option("--network", help="Which network, when the site is in several.")]
LINKAGE_FOLDER = "linkage"
_LOOK_EVERY = 0.05


def register(app: typer.Typer) -> None:
    group.command(epilog="Example: estran hub init ouest --name 'Ouest DataHub' --url https://hub.example.org:8443")(
        init
    )
    group.command(epilog="Example: estran hub invite ouest 'CHU d’Angers' --out angers.invitation")(invite)
    group.command("join", epilog="Example: estran hub join mysite angers.invitation --linkage-key ouest.linkage")(
        join_network
    )
    group.command(epilog="Example: estran hub status ouest")(status)
    group.command(epilog="Example: estran hub ask ouest 'CIM10:I50' --json")(ask)
    group.command(epilog="Example: estran hub jobs mysite")(jobs)
    group.command(epilog="Example: estran hub approve mysite 3f0c…")(approve)
    group.command(epilog="Example: estran hub withdraw ouest chu-d-angers")(withdraw)
    group.command("linkage-key", epilog="Example: estran hub linkage-key ouest.linkage")(linkage_key)
    group.command("agent", epilog="Example: estran hub agent mysite --once")(agent)
    for part in (hub_catalogue, hub_govern, hub_oppositions, hub_pool):
        part.register(group)
    from estran.cli import hub_door, hub_learning, hub_linkage, hub_statistics  # they take the group from here

    hub_door.register()
    hub_statistics.register()
    hub_learning.register()
    hub_linkage.register()
    app.add_typer(group, name="hub")
    app.command("agent", epilog="Example: estran agent mysite --once")(agent)


# The hub's side


def init(
    hub: HubArg,
    name: Annotated[str, typer.Option(help="Name of the network.")] = "Estran",
    url: Annotated[
        str, typer.Option(help="Address under which sites reach `estran hub serve`.")
    ] = "https://localhost:8443",
    ins_decision: Annotated[
        str, typer.Option(help="Decision that allows the INS to recognise patients; strict traits alone without.")
    ] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Make a hub: a site of its own, if there is none yet, and the keys of the network."""
    site = (
        house.open_site(hub, key)
        if (hub / "estran.toml").is_file()
        else house.create_site(hub, Settings(name=name), key)
    )
    made = hubs.create(hub, name, url, site.secret("hub-keys"), ins_decision)
    told = {
        "network": made.book.meta("network"),
        "name": name,
        "url": url,
        "fingerprint": made.identity.public.fingerprint,
    }
    made.close()
    if json:
        emit(told)
        return
    console.print(f"Network {told['network']}, sites come to {url}.", highlight=False, markup=False)
    console.print(f"Certificate: {told['fingerprint']}", highlight=False)


def invite(
    hub: HubArg,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the hospital, or of the linkage unit.")],
    out: Annotated[Path | None, typer.Option(help="File to write: it is a secret, hand it over as one.")] = None,
    kind: Annotated[str, typer.Option(help="site or linkage.")] = "site",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Invite a member: a file, good once and for two weeks. Invite the linkage unit first."""
    opened = opened_house(hub, key)
    recorded(house.open_site(hub, key), Action.RUN_HUB, f"invitation of {name[:80]}")
    invitation = hubs.invite(opened.book, opened.identity.public.certificate, name, kind, dt.datetime.now(dt.UTC))
    path = out or Path(f"{name}.invitation".replace("/", "-"))
    invitation.write(path)
    if json:
        emit({"invitation": str(path), "expires": dt.datetime.fromtimestamp(invitation.expires, dt.UTC)})
        return
    console.print(f"Invitation of {name} in {path}.", highlight=False, markup=False)


def status(hub: HubArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Who is in the network, when each came last, what was refused."""
    opened = opened_house(hub, key)
    desk = HubDesk(house.open_site(hub, key).state, opened.book, KEY_HOLDER)
    rows = [
        {"member": one.member.id, "name": one.member.name, "kind": one.member.kind, "state": one.member.state,
         "seconds_away": None if one.away is None else round(one.away), "release": one.member.release,
         "kinds": one.member.kinds, "certificate": one.member.public.fingerprint if one.member.public else "",
         "box": one.member.public.box_fingerprint if one.member.public else ""} for one in desk.members()
    ]  # fmt: skip
    refused = [{"member": member, "why": code, "messages": times} for member, code, times in desk.refusals()]
    if json:
        emit(
            {
                "network": opened.book.meta("network"),
                "name": opened.book.meta("name"),
                "members": rows,
                "refused": refused,
                "oppositions": hub_oppositions.owed(opened.book),
            }
        )
        return
    columns = ("member", "name", "kind", "state", "seconds_away", "release")
    table(
        opened.book.meta("name"),
        columns,
        [["–" if row[c] is None else row[c] for c in columns] for row in rows],
        numbers=(4,),
    )
    hub_oppositions.say_owed(hub_oppositions.owed(opened.book))
    for row in refused:
        console.print(
            f"{row['messages']} messages not taken of {row['member'] or 'nobody known'}: {row['why']}", highlight=False
        )


def ask(
    hub: HubArg,
    asked: QuestionArg,
    title: Annotated[str, typer.Option(help="What the question is called.")] = "",
    site: Annotated[list[str] | None, typer.Option(help="Ask this member only; again for several.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for answers.", min=0)] = 10.0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Put a question to the sites, and show what they answered. On an embedded hub each site's agent runs once."""
    opened, me = opened_house(hub, key), house.open_site(hub, key)
    desk = HubDesk(me.state, opened.book, KEY_HOLDER)
    number_of = desk.ask(question(asked), title, site or ())
    _run_embedded(opened, hub, number_of)
    found, end = desk.stand(number_of), time.monotonic() + wait
    while not _enough(found) and time.monotonic() < end:
        time.sleep(_LOOK_EVERY)
        found = desk.stand(number_of)
    if json:
        emit({"question": number_of, **as_object(found)})
    else:
        _show(found)


def _enough(found: Gathered) -> bool:
    """Whether nothing that comes by itself is still to come: who is down or must be asked is not waited for."""
    total = found.total.method != "bounds" or not any(site.has or site.owes for site in found.sites)
    return total and not any(site.state in ("waiting", "late") for site in found.sites)


def as_object(found: Gathered) -> dict[str, Any]:
    """A question's answers as JSON: `sites`, and `patients`, the distinct total with its error."""
    total = found.total
    return {
        "sites": [
            {"site": one.member, "name": one.name, "state": one.state, "count": _count(one.shown), "seconds": one.seconds and round(one.seconds, 3),
             "message": one.said, "unknown": one.unknown, "entities": one.entities} for one in found.sites
        ],
        "patients": {
            "method": total.method, "value": total.shown.value if total.shown and not total.shown.below else None,
            "below": total.shown.below if total.shown else 0, "low": total.low, "high": total.high, "confidence": 0.95,
            "sites": total.covers, "answered": found.answered, "asked": len(found.sites),
        },
    }  # fmt: skip


def _count(shown: Shown | None) -> dict[str, int] | None:
    return None if shown is None else {"value": shown.value, "below": shown.below, "margin": shown.margin}


def _show(found: Gathered) -> None:
    rows = [
        (one.name, one.state, _said(one.shown), f"{one.seconds:.2f} s" if one.seconds is not None else "", one.said)
        for one in found.sites
    ]
    table("", ("site", "state", "patients", "time", ""), rows, numbers=(2, 3))
    total, asked = found.total, len(found.sites)
    if total.method == "none":
        console.print("No site has answered yet.")
        return
    said = (
        f"between {number(total.low)} and {number(total.high)}"
        if total.shown is None or total.method == "bounds"
        else _said(total.shown)
    )
    console.print(
        f"Distinct patients: {said} ({total.method}; {number(total.low)} to {number(total.high)} with 95 % confidence), "
        f"of {found.answered} of {asked} sites.", highlight=False,
    )  # fmt: skip


def _said(shown: Shown | None) -> str:
    if shown is None:
        return "–"
    return f"< {shown.below}" if shown.below else f"{number(shown.value)} ± {shown.margin}"


def withdraw(
    hub: HubArg,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="Id of the member.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take a member out of the network: nothing of it is taken from now on."""
    opened = opened_house(hub, key)
    HubDesk(house.open_site(hub, key).state, opened.book, KEY_HOLDER).withdraw(member)
    _told({"withdrawn": member}, f"{member} is out of the network.", json=json)


def _told(value: dict[str, Any], sentence: str, *, json: bool) -> None:
    if json:
        emit(value)
    else:
        console.print(sentence, highlight=False, markup=False)


def opened_house(hub: Path, key: Path | None = None) -> hubs.HubHouse:
    """The hub with its keys; UsageError when there is none."""
    if not hubs.is_hub(hub):
        raise UsageError("This directory is no hub.", where=str(hub), hint=f"estran hub init {hub}")
    return hubs.open_house(hub, house.open_site(hub, key).secret("hub-keys"))


# The sites' side


def join_network(
    site: Annotated[
        Path, typer.Argument(metavar="SITE", help="Directory of the site, or a new one for a linkage unit.")
    ],
    invitation: Annotated[Path, typer.Argument(metavar="INVITATION", help="The file that the hub handed over.")],
    linkage_key_file: Annotated[
        Path | None, typer.Option("--linkage-key", help="Key that the sites of the network share.")
    ] = None,
    entity: Annotated[list[str] | None, typer.Option(help="Legal entity of the site; again for several.")] = None,
    light: Annotated[
        bool, typer.Option("--light", help="For a small hospital: no sketch, an agent run by the clock.")
    ] = False,
    hub: Annotated[
        Path | None,
        typer.Option(help="Directory of the hub, when it is on this machine: `hub ask` then runs this member's agent."),
    ] = None,
    proxy: Annotated[str, typer.Option(help="HOST:PORT of the proxy to the outside.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Join a network: make this member's keys, tell the hub, write the rules to be read and changed."""
    asked = Invitation.read(invitation)
    opened = house.open_site(site, key) if asked.kind == "site" else None
    if opened is not None:
        recorded(opened, Action.RUN_HUB, f"join network:{asked.network}")
    folder = site / "networks" / asked.network
    office = opened_house(hub).office if hub else None

    def way(guest: Identity) -> Local | Link:
        if office is not None:
            return Local(lambda data: answer_to(office, data, None)[1])
        return Link(asked.url, asked.certificate, guest, proxy)

    password = opened.secret("network-keys") if opened else None
    member = join(asked, folder, password, way, profile="light" if light else "", entities=tuple(entity or ()))
    if opened is not None:
        write_rules(folder, Rules(sketches=not light))
        if linkage_key_file is not None:
            keep_linkage_key(opened, folder, _linkage_key(linkage_key_file), asked.network)
    if hub:
        embed(opened_house(hub), hub, site)
    rules = str(folder / "rules.toml")
    told = {"network": member.network, "member": member.member, "rules": rules}
    _told(told, f"{member.member} has joined {member.hub}. Its rules: {rules}", json=json)


def linkage_key(out: Annotated[Path, typer.Argument(metavar="FILE", help="New file.")], json: JsonOpt = False) -> None:
    """Make the key by which sites recognise common patients. Run it at a hospital, never at the hub; hand the file
    from site to site, and destroy it once all have joined."""
    out.touch(mode=0o600, exist_ok=False)
    out.write_text(f"estran-linkage 1\n{secrets.token_hex(32)}\n", "ascii")
    _told({"linkage_key": str(out)}, f"Linkage key in {out}: the hub must never have it.", json=json)


def _linkage_key(path: Path) -> bytes:
    try:
        head, value = path.read_text("ascii").split()[-3:-1], path.read_text("ascii").split()[-1]
        found = bytes.fromhex(value)
    except (OSError, ValueError, IndexError):
        head, found = [], b""
    if head != ["estran-linkage", "1"] or len(found) != 32:
        raise UsageError("This file is no linkage key.", where=str(path), hint="estran hub linkage-key FILE makes one")
    return found


def agent(
    site: SiteArg,
    once: Annotated[
        bool, typer.Option("--once", help="Do what waits and end; for a small hospital, by the clock.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="With --once: seconds between two runs of the clock, told to the hub.", min=0)
    ] = 0.0,
    network: NetworkOpt = "",
    proxy: Annotated[str, typer.Option(help="HOST:PORT of the proxy to the outside.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Answer a network's questions: the agent goes to the hub, nothing comes in."""
    place = place_of(site, network, key)
    made = Agent(place, Link(place.membership.url, place.membership.certificate, place.identity, proxy), every=every)
    if not once:
        console.print(
            f"{place.membership.member} is with {place.membership.hub}  (Ctrl+C ends it)", highlight=False, markup=False
        )
        made.run(threading.Event())
        return
    try:
        told = made.once()
    except ConnectionError as error:
        raise UsageError(str(error), hint="what was answered is kept; run it again later") from None
    if json:
        emit({"member": place.membership.member, "answered": told})
        return
    console.print(f"{number(told)} answers handed in.")


def place_of(site: Path, network: str = "", key: Path | None = None) -> Place:
    """What the agent of a site, or of a linkage unit, works with."""
    folder = folder_of(site, network)
    member: Membership = read(folder)
    if member.kind != "site":
        return Place(member, Identity.open(folder / "keys"), folder)
    opened = house.open_site(site, key)
    identity = Identity.open(folder / "keys", opened.secret("network-keys"))
    actor = hub_actor(opened.state, member.network)
    return Place(member, identity, folder, None, ReadingRoom(opened), opened, actor)


def jobs(site: SiteArg, network: NetworkOpt = "", json: JsonOpt = False) -> None:
    """What the network asked of this site, and what was answered."""
    ledger = Ledger(folder_of(site, network))
    every = ledger.held()
    held = [
        {"job": one.job.id, "kind": one.job.kind, "for": one.job.body.get(FOR, ""), "state": one.state, "said": one.said} for one in every
    ]  # fmt: skip
    if json:
        emit({"jobs": [{**row, "task": one.job.body} for row, one in zip(held, every, strict=True)]})
        return
    table("", ("job", "kind", "for", "state", ""), [tuple(row.values()) for row in held])


def approve(
    site: SiteArg,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its id: estran hub jobs SITE.")],
    refuse: Annotated[str, typer.Option(help="Say no, and why.")] = "",
    network: NetworkOpt = "",
    json: JsonOpt = False,
) -> None:
    """Say yes, or no, to a job that waits for it; the agent does the rest."""
    if (site / "estran.toml").is_file():  # a linkage unit has no trail: it holds nothing of anybody
        recorded(house.open_site(site), Action.RUN_HUB, f"{'no' if refuse else 'yes'} to network job:{job[:80]}")
    if not Ledger(folder_of(site, network)).decide(job, yes=not refuse, said=refuse[:500]):
        raise UsageError("No job of this id waits for a word.", hint="estran hub jobs SITE")
    said = "Refused." if refuse else "Approved: the agent answers at its next round."
    _told({"job": job, "approved": not refuse}, said, json=json)


# Everything on one machine


def embed(opened: hubs.HubHouse, hub: Path, site: Path) -> None:
    """Note that a member lies on the hub's own machine: `hub ask` runs its agent."""
    places = [*_places(opened), os.path.relpath(site.resolve(), hub.resolve())]
    opened.book.set_meta({"embedded": "\n".join(dict.fromkeys(places))})


def _places(opened: hubs.HubHouse) -> list[str]:
    """Folders of the members on this machine, from the hub's."""
    return [place for place in opened.book.meta("embedded").split("\n") if place]


def embedded(opened: hubs.HubHouse, hub: Path) -> list[Path]:
    """Folders of the members on this machine."""
    return [(hub / place).resolve() for place in _places(opened)]


def _run_embedded(opened: hubs.HubHouse, hub: Path, asked: str) -> None:
    """Run each agent of an embedded hub once, the linkage unit last; those at work by themselves are left alone."""
    for path in run_members(opened, hub):
        advance(opened.book, asked, patient=False)
        run_once(opened.office, path)


def run_members(opened: hubs.HubHouse, hub: Path) -> list[Path]:
    """Run each site's agent of an embedded hub once; the folders of its linkage units."""
    folders = embedded(opened, hub)
    units = [path for path in folders if not (path / "estran.toml").is_file()]
    for path in folders:
        if path not in units:
            run_once(opened.office, path)
    return units


def run_sites(hub: Path, key: Path | None = None) -> None:
    """Run the agent of each site on the hub's own machine once."""
    opened = opened_house(hub, key)
    for path in embedded(opened, hub):
        if (path / "estran.toml").is_file():
            run_once(opened.office, path)
    opened.close()


def run_once(office: Office, path: Path) -> None:
    """One agent, without a network; what it cannot do is told, and shows in the answers."""
    try:
        made = Agent(place_of(path), Local(lambda data: answer_to(office, data, None)[1]))
        try:
            made.once()
        finally:
            made.close()
    except AtWork:
        return  # it answers by itself
    except EstranError as error:
        errors.print(f"{path.name}: {error.what}", highlight=False, markup=False)
