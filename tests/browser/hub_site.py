"""A hub of four small hospitals in which each page of the network holds something, for the pictures. Nobody in it exists.

Questions, statistics and catalogues go over the network as they do between hospitals, in one process; what a network would
wait a day for (an opposition that is late, a hospital that is silent) is written with an older date.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.browser.lesson import Lesson
from tests.browser.small_site import build
from tests.browser.whole_site import DIM, METHOD, OFFICER, Opened, Whole
from tests.network_kit import Network, add_hospital, network
from tests.pool_kit import Pooling, asked, open_project, shelf_of
from tests.unit.hub.test_catalogues import settle

from estran.cohort.language.text import parse
from estran.hub.agent.rules import Rules
from estran.hub.asking import Choices, read_study
from estran.hub.catalogues import shelf_of as catalogues_of
from estran.hub.desk import HubDesk
from estran.hub.governance import Governance
from estran.hub.governance import beside as rules_of
from estran.hub.harvest import Harvest
from estran.hub.linkage_desk import LinkageDesk
from estran.hub.matching import Linkages
from estran.hub.oppositions import beside as oppositions_of
from estran.hub.studies import Studies
from estran.hub.study_desk import StudyDesk
from estran.projects.actors import KEY_HOLDER, Actor

LEAD, OPERATOR = "researcher", "hub_operator"
SITES = {"CHU de l’Estran": 400, "CH du Rivage": 340, "Hôpital des Dunes": 280, "CH de la Falaise": 230}
_RULES = Rules(answer=("count", "catalogue", "statistics", "linkage", "pool"), approve=())
PAGES: dict[str, Opened] = {
    "/network": Opened("/network", LEAD),
    "/network/{question}": Opened("/network/{question}", LEAD, "#answers .badge.good"),
    "/network/statistics": Opened("/network/statistics", LEAD),
    "/network/statistics/{study}": Opened("/network/statistics/{study}", LEAD, "#study table"),
    "/network/linkages": Opened("/network/linkages", OPERATOR),
    "/network/linkages/{run}": Opened("/network/linkages/{linkage}", OPERATOR, "#linkage .figures"),
    "/network/learning": Opened("/network/learning", LEAD),
    "/network/learning/{name}": Opened("/network/learning/{model}", LEAD, "#model svg"),
    "/network/catalogue": Opened("/network/catalogue?q=CIM10", OPERATOR),
    "/network/catalogue/{kind}/{key:path}": Opened("/network/catalogue/code/LOINC:2160-0", OPERATOR),
    "/network/sites/{member}": Opened("/network/sites/chu-de-lestran", OPERATOR),
    "/network/rules": Opened("/network/rules", OPERATOR),
    "/network/audit": Opened("/network/audit", OFFICER),
    "/network/oppositions": Opened("/network/oppositions", OFFICER),
    "/pools": Opened("/pools", LEAD),
    "/pools/{pool}": Opened("/pools/{pool}", LEAD),
    "/transparency/network": Opened("/transparency/network", ""),
}
_SERVICES = """[[service]]
name = "Extraction pour un projet"
unit = "jour"
price = 600

[[service]]
name = "Étude de faisabilité"
price = 0
note = "Pour les équipes du réseau : sans frais."
"""
_CHARTERS = {
    "user": "Je pose mes questions pour la recherche et pour mieux soigner.\nJe ne cherche à reconnaître personne, et je dis à quoi mes réponses ont servi.",
    "producer": "Notre établissement dit chaque jour qui s’est opposé, et répond de la qualité de ce qu’il transmet.",
    "citizen": "Vos données restent à l’hôpital qui vous a soigné. Vous pouvez refuser à tout moment.",
}


def hub_site(folder: Path, hospitals: Mapping[str, int] = SITES) -> Whole:
    """The portal of the hub, and the numbers of its pages; `hospitals` by name, each with how many patients it has."""
    folder.mkdir(exist_ok=True)
    net = network(folder, name="Réseau des Estuaires")
    made = Pooling(net, build(folder / "portal"), {}, {}, "")
    object.__setattr__(made.hub.settings, "name", "Réseau des Estuaires (démonstration)")
    for name, patients in hospitals.items():
        site = add_hospital(net, folder, name, first=150, rules=_RULES, patients=patients)
        member = next(reversed(net.places))
        settle(net, member, name)
        (site.folder / "services.toml").write_text(_SERVICES, "utf-8")
        made.sites[member], made.projects[member] = site, open_project(site)
        made.built[member] = shelf_of(site).build(asked(made.projects[member], name="fonction-renale"), LEAD, "")
    _catalogue(net)
    _govern(made)
    numbers = {"question": _question(made), "study": _study(made), "linkage": _linkage(made), "model": _models(made)}
    numbers["pool"] = _pool(made)  # from here on the last hospital says nothing any more
    numbers["waiting"] = _waiting(made)
    _oppositions(net)
    return Whole(made.hub, numbers, net.house.book)


def _actor(made: Pooling, login: str) -> Actor:
    account = made.hub.state.accounts.find(login)
    assert account, login
    return Actor.of(account)


def _catalogue(net: Network) -> None:
    shelf = catalogues_of(net.house.book)
    harvest = Harvest(net.house.book, shelf)
    harvest.ask()
    net.run()
    harvest.take_in()
    shelf.close()


def _govern(made: Pooling) -> None:
    book = made.net.house.book
    rules = Governance(made.hub.state, book, rules_of(book), KEY_HOLDER)
    for kind, text in _CHARTERS.items():
        rules.publish(kind, text)
    for login, member in zip((LEAD, OPERATOR, METHOD, DIM), made.sites, strict=False):
        rules.seat(login, member)
    for login in (LEAD, OPERATOR):
        desk = Governance(made.hub.state, book, rules_of(book), _actor(made, login))
        desk.sign("user", 1)
        desk.sign("producer", 1)


def _question(made: Pooling) -> str:
    desk = HubDesk(made.hub.state, made.net.house.book, _actor(made, LEAD))
    for text, title in (
        ("CIM10:E11 âge>=50", "Diabète après 50 ans"),
        ("CIM10:I50 SAUF CIM10:K74.6", "Insuffisance cardiaque"),
    ):
        question = desk.ask(parse(text), title)
        for _ in range(3):  # counts, tokens, the linkage unit
            made.net.run(*made.sites)
            desk.stand(question)
            made.net.run("linkage")
    return question


def _study(made: Pooling) -> str:
    studies = Studies(made.net.house.folder)
    desk = StudyDesk(made.hub.state, made.net.house.book, studies, _actor(made, LEAD))
    choices = Choices(event="CIM10:E11", horizon=900, group="sex")
    study = desk.ask(read_study("survival", parse("CIM10:I10"), "sex", choices, "Diabète après une hypertension"))
    for _ in range(60):
        made.net.run(*made.sites)
        seen = desk.stand(study)
        if seen is not None and seen.study.state in ("done", "failed"):
            break
    studies.close()
    return study


def _linkage(made: Pooling) -> str:
    book = made.net.house.book
    runs = Linkages(book, made.net.house.folder)
    desk = LinkageDesk(made.hub.state, book, runs, _actor(made, OPERATOR))
    run = desk.ask("Insuffisance cardiaque et fonction rénale", parse("âge>=0"), list(made.sites))
    for members in (made.sites, ("linkage",), made.sites):
        made.net.run(*members)
        runs.advance(run)
    runs.close()
    return run


def _waiting(made: Pooling) -> str:
    """A linkage that one hospital has not answered, and that may go on without it."""
    book, (*others, _) = made.net.house.book, made.sites
    runs = Linkages(book, made.net.house.folder)
    desk = LinkageDesk(made.hub.state, book, runs, _actor(made, OPERATOR))
    run = desk.ask("Suivi des patients diabétiques", parse("CIM10:E11"), list(made.sites), 0.95, "Autorisation 2026-031")
    made.net.run(*others)
    runs.close()
    return run


def _models(made: Pooling) -> str:
    """One released, one that the hospitals voted down, one that waits for its first round."""
    Lesson(made.net, made.hub, "fragilite", purpose="Revoir plus tôt les patients les plus fragiles").learn([4, 0])
    exposed = {"model": "network", "aggregation": "trimmed", "exposure_accepted": True}
    Lesson(made.net, made.hub, "retour-precoce", **exposed).learn([1, 3])
    Lesson(made.net, made.hub, "chutes")
    return "fragilite"


def _pool(made: Pooling) -> str:
    """One hospital says nothing any more since the day before yesterday."""
    made.project = open_project(
        made.hub, title="Fonction rénale des patients hypertendus", place="Réseau des Estuaires",
        summary="Mieux protéger les reins des personnes traitées pour une tension trop élevée.",
    )  # fmt: skip
    spec: dict[str, Any] = asked(made.project, name="fonction-renale")
    keeper = made.keeper
    pool = keeper.ask(spec, LEAD, made.projects, "")
    made.net.run(*made.sites)
    made.settle(pool, *made.sites)
    for one in made.sites:
        keeper.ask_who_left(pool, one)
    *others, quiet = made.sites
    made.net.run(*others)
    two_days = "at = at - 180000 WHERE member = ?"
    keeper.book.db.write(f"UPDATE part SET {two_days}", (quiet,))
    made.net.house.book.db.write(
        "UPDATE job SET created = created - 170000, answered = answered - 180000 WHERE kind = 'pool-life' AND member = ?",
        (quiet,),
    )
    keeper.gather(pool)
    return pool


def _oppositions(net: Network) -> None:
    shelf, now = oppositions_of(net.house.book), time.time()
    first, second, third = list(net.places)[1:4]
    subjects = [{"project": "2019-001", "id": "k3mq7y2f"}]
    shelf.take(
        first, {"notices": [{"number": 41, "what": "hide", "due": now - 7_200, "subjects": subjects}]}, now - 93_600
    )
    shelf.take(second, {"notices": [{"number": 17, "what": "erase", "due": now + 50_000, "subjects": subjects}]}, now)
    shelf.take(
        third, {"notices": [{"number": 8, "what": "hide", "due": now + 9_000, "subjects": subjects}]}, now - 60_000
    )
    shelf.done([one for one in shelf.waiting() if one.number == 8], "12 lignes retirées du datamart 3")
