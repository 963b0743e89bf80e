"""A small hospital in which every part of the portal holds something, and the address of every page.

Everything goes in by the doors that people use. `PAGES` names, for each route that answers a page, an address on this
site and somebody who may open it; `test_every_page` compares it with the routes of the application.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext
from tests.browser.review_form import FORM
from tests.browser.small_site import Site
from tests.unit.projects.explored import explored
from tests.unit.projects.life.play import Play

from estran.catalog import measuring
from estran.catalog.official import parse_figures
from estran.cohort.language.text import parse
from estran.hub.book import HubBook
from estran.identity.boxes import Opener
from estran.identity.keys import SiteKey
from estran.model.perimeter import Perimeter
from estran.portal.visitor import COOKIE
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.airlock import Airlock
from estran.projects.charts.manager import Wanted
from estran.projects.datamarts.shelf import Datamarts, Workshop
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.following import run_due
from estran.projects.life.formality import Kind
from estran.projects.life.machine import Step
from estran.projects.officer import Officer
from estran.projects.originals import Originals
from estran.projects.owndata import OwnData
from estran.projects.rights import register
from estran.projects.rights_desk import ask_publicly
from estran.projects.sign_in import opened
from estran.projects.transparency import put
from estran.projects.workspaces.spaces import folders_of, provide
from estran.state import OwnDeclaration, Place, PublicProject

LEAD, MATE, ENGINEER, METHOD = "researcher", "clinician", "data_engineer", "methodologist"
OFFICER, DIM, CHIEF, MEMBER = "data_protection_officer", "dim_physician", "administrator", "committee_member"
ANNE, BRUNO, CHLOE = "anne", "bruno", "chloe"  # reviewers, and the one who settles
QUESTION = "CIM10:I50 âge>=50 SAUF CIM10:K74.6"


@dataclass(frozen=True)
class Opened:
    """An address of a page, who opens it ("" nobody signed in), and what to wait for."""

    address: str
    login: str = ENGINEER
    wait: str = "h1"


PAGES: dict[str, Opened] = {
    "/": Opened("/"),
    "/sign-in": Opened("/sign-in", ""),
    "/transparency": Opened("/transparency", ""),
    "/search": Opened("/search?q=insuffisance+cardiaque"),
    "/cohort": Opened("/cohort", wait="#total"),
    "/cohort/patients": Opened("/cohort/patients"),
    "/cohort/portrait": Opened("/cohort/portrait"),
    "/cohorts": Opened("/cohorts"),
    "/cohorts/compare": Opened("/cohorts/compare?v=1&v=2"),
    "/lists": Opened("/lists"),
    "/notices": Opened("/notices", METHOD),
    "/documents/{document_id}": Opened("/documents/0?q=dyspn%C3%A9e"),
    "/patients/{patient_id}": Opened("/patients/22", wait="patient-timeline[data-painted]"),
    "/documents/{document_id}/original": Opened("/documents/0/original", MATE),
    "/originals/{number}": Opened("/originals/1", MATE),
    "/care": Opened("/care?patient=P22", MATE),
    "/reviews": Opened("/reviews", ANNE),
    "/reviews/new": Opened("/reviews/new", METHOD),
    "/reviews/forms": Opened("/reviews/forms", METHOD),
    "/reviews/{list_id}": Opened("/reviews/1", ANNE),
    "/reviews/{list_id}/patients/{patient}": Opened(
        "/reviews/1/patients/{reviewed}", ANNE, "patient-timeline[data-painted]"
    ),
    "/reviews/{list_id}/documents/{document}": Opened("/reviews/1/documents/{marked}", ANNE),
    "/reviews/{list_id}/settle": Opened("/reviews/1/settle", CHLOE),
    "/reviews/{list_id}/settle/{patient}": Opened(
        "/reviews/1/settle/{disputed}", CHLOE, "patient-timeline[data-painted]"
    ),
    "/reviews/{list_id}/settle-text/{document}": Opened("/reviews/1/settle-text/{marked}", CHLOE),
    "/reviews/{list_id}/figures": Opened("/reviews/1/figures", METHOD),
    "/projects": Opened("/projects", METHOD),
    "/projects/new": Opened("/projects/new", LEAD),
    "/projects/outputs": Opened("/projects/outputs", METHOD),
    "/projects/{number}": Opened("/projects/{asked}", METHOD),
    "/projects/{number}/committee": Opened("/projects/{judged}/committee", MEMBER),
    "/projects/{number}/data": Opened("/projects/{open}/data"),
    "/projects/{number}/datamart": Opened("/projects/{open}/datamart"),
    "/projects/{number}/data/files/{file}": Opened("/projects/{open}/data/files/2"),
    "/datamarts": Opened("/datamarts"),
    "/datamarts/{number}": Opened("/datamarts/1"),
    "/spaces": Opened("/spaces", LEAD),
    "/spaces/{project}": Opened("/spaces/{space}", LEAD),
    "/airlock": Opened("/airlock", METHOD),
    "/airlock/{number}": Opened("/airlock/1", METHOD),
    "/catalogue": Opened("/catalogue", DIM),
    "/catalogue/{kind}/{key:path}": Opened("/catalogue/variable/LOINC:2160-0", DIM),
    "/quality": Opened("/quality", DIM),
    "/quality/curves": Opened("/quality/curves", DIM),
    "/quality/checks/{key}": Opened("/quality/checks/residence-known?rows=1", DIM),
    "/official": Opened("/official", DIM),
    "/steering": Opened("/steering", DIM),
    "/feeds": Opened("/feeds"),
    "/audit": Opened("/audit?patient=P0", OFFICER),
    "/rights": Opened("/rights", OFFICER),
    "/rights/{request_id}": Opened("/rights/1", OFFICER),
    "/registry": Opened("/registry", OFFICER),
    "/people": Opened("/people", CHIEF),
    "/people/{login}": Opened("/people/clinician", CHIEF),
    "/account/security": Opened("/account/security"),
}


@dataclass(frozen=True)
class Whole:
    """The site, and the numbers that were drawn while it was made; of a hub, its book."""

    site: Site
    numbers: dict[str, str]
    hub: HubBook | None = None

    def address(self, page: Opened) -> str:
        """The address of a page, with these numbers in it."""
        return page.address.format(**self.numbers)

    def enter(self, context: BrowserContext, base: str, login: str, language: str, theme: str) -> None:
        """Sign in somebody in this browser, without the form."""
        account = self.site.state.accounts.find(login)
        assert account, login
        self.site.state.accounts.change(account.id, language=language, theme=theme)
        place = Place("127.0.0.1", "Chromium")
        token = opened(self.site.state, account, place, self.site.settings, "password").token
        context.add_cookies([{"name": COOKIE, "value": token, "url": base}])


def whole(folder: Path, language: str = "fr") -> Whole:
    """Make the site in `folder`."""
    site = explored(folder / "site", language, 400)
    for login, role in _MORE.items():
        site.state.accounts.add(login, "-", str(role))
    people = People(site)
    numbers = _projects(people)
    _cohorts(people)
    numbers |= _reviews(people)
    _own_data(people, numbers["open"])
    numbers["space"] = str(_work(people, numbers["open"]))
    _care(people)
    _oversight(people)
    snapshot = site.snapshot()
    measuring.measure(snapshot, site.state)
    measuring.check(snapshot, site.state)
    people.everything(DIM).steward.keep_figures(parse_figures(_figures()))
    return Whole(site, numbers)


_MORE = {ANNE: Role.CLINICIAN, BRUNO: Role.CLINICIAN, CHLOE: Role.CLINICIAN,
         **{f"member{n}": Role.COMMITTEE_MEMBER for n in range(2, 6)}}  # fmt: skip
_CAST = {"lea": LEAD, "tom": MATE, "zoe": "teacher", "max": METHOD, "dan": ENGINEER, "eve": "expert", "dpo": OFFICER,
         "aud": "auditor", "m1": MEMBER, **{f"m{n}": f"member{n}" for n in range(2, 6)}}  # fmt: skip


class People(Play):
    """The people around projects, under the logins of this site."""

    def __init__(self, site: Site) -> None:
        self.site, self.room = site, ReadingRoom(site)
        self.state, self.settings = site.state, site.settings
        self.id = {name: self.account(login).account_id or 0 for name, login in _CAST.items()}

    def account(self, login: str) -> Actor:
        found = self.state.accounts.find(login)
        assert found, login
        return Actor.of(found)

    def actor(self, name: str) -> Actor:
        return self.account(_CAST[name])

    def everything(self, login: str) -> Desk:
        """What somebody may reach."""
        return Desk(self.room, self.account(login))

    def cohort(self, name: str = "lea") -> int:
        return self.everything(_CAST[name]).save("Insuffisance cardiaque", parse("CIM10:I50"), "Faisabilité").cohort_id

    def idea(self, title: str, kind: Kind = Kind.RESEARCH) -> str:
        return self.desk("lea").propose({
            "title": [title], "kind": [kind], "sites": ["CHU de l’Estran"], "members": [str(self.id["tom"])], "call": [""],
        })  # fmt: skip

    def asked(self, title: str) -> str:
        """A project whose request is written, signed and handed in."""
        number = self.idea(title)
        self.take(number, "lea", Step.ATTACH, cohort=self.state.cohorts.owned_by(self.id["lea"])[0].versions[0].id)
        self.take(number, "lea", Step.INTEND, letter="Nous voudrions repérer plus tôt les décompensations évitables.")
        self.take(number, "max", Step.PRESELECT, reason="Question claire, effectif suffisant.")
        self.submit(number, why="Définit la population étudiée", **_REQUEST)
        return number

    def weighed(self, number: str) -> None:
        """Advised, given to an expert, and called before the committee."""
        self.take(number, "max", Step.ADVISE, opinion="favourable", text="Méthode solide, biais discutés.")
        self.take(number, "max", Step.ASK, expert=["eve"], due=_day(20))
        self.take(number, "eve", Step.OPINE, opinion="favourable", text="Utile et faisable.")
        self.take(number, "max", Step.CALL, day=_day(30), members=["m1", "m2", "m3", "m4", "m5"], chair="m1", quorum=3)


_REQUEST: dict[str, Any] = {
    "objectives": "Décrire les décompensations cardiaques évitables, et leurs signes avant-coureurs.",
    "variables_name": ["NT-proBNP", "Créatinine"], "variables_code": ["LOINC:33762-6", "LOINC:2160-0"],
    "variables_why": ["Définit la population étudiée", "Facteur de confusion"],
}  # fmt: skip


def _day(ahead: int) -> str:
    return (dt.date.today() + dt.timedelta(days=ahead)).isoformat()


def _figures() -> str:
    return "month;figure;code;value\n" + "".join(f"2023-{n:02d};stays;;{8 + n % 4}\n" for n in range(1, 13))


# What each part holds


def _projects(people: People) -> dict[str, str]:
    people.cohort()
    people.desk("max").publish(
        "Appel d’offres interrégional 2027",
        dt.date.fromisoformat(_day(60)),
        3,
        2,
        (("Originalité", 10), ("Faisabilité", 10)),
    )
    for title, kind in (("Antibiothérapie aux urgences", Kind.PRACTICE), ("Enseignement du codage", Kind.TEACHING)):
        people.idea(title, kind)
    asked = people.asked("Fonction rénale sous diurétiques")
    people.take(asked, "max", Step.ADVISE, opinion="favourable", text="Méthode solide.")
    judged = people.asked("Diabète et insuffisance cardiaque")
    people.weighed(judged)
    people.take(judged, "m2", Step.DECLARE)
    people.take(judged, "m2", Step.VOTE, vote="accept", reason="Une bonne question, un plan clair.")
    people.take(judged, "m3", Step.DECLARE)
    people.take(judged, "m3", Step.VOTE, vote="accept", reason="D’accord avec l’expert.")
    people.take(judged, "m4", Step.DECLARE, conflict="1", reason="Nous publions ensemble.")
    people.take(judged, "m1", Step.DECLARE)
    opened = people.asked("Décompensations cardiaques évitables")
    people.weighed(opened)
    people.vote(opened, m1="accept", m2="accept", m3="accept")
    people.take(opened, "m1", Step.ACCEPT, reason="Le comité soutient le projet.")
    people.open(opened)
    done = people.asked("Amylose cardiaque : premiers signes")
    people.weighed(done)
    people.vote(done, m1="accept", m2="accept", m3="accept")
    people.take(done, "m1", Step.ACCEPT, reason="Le comité soutient le projet.")
    people.open(done)
    people.take(done, "lea", Step.CLOSE, reason="L’étude est finie.")
    people.take(
        done,
        "lea",
        Step.OUTPUT,
        kind="publication",
        title="Premiers signes de l’amylose cardiaque",
        reference="doi:10.1000/182",
        day="2026-06-01",
    )
    return {"asked": asked, "judged": judged, "open": opened}


def _cohorts(people: People) -> None:
    desk = people.everything(ENGINEER)
    for question, note in (("CIM10:I50", "Première version"), (QUESTION, "Après 50 ans, sans cirrhose")):
        kept = desk.save("Insuffisance cardiaque de l’adulte", parse(question), note)
    desk.every_day.star(kept.cohort_id, True)
    desk.every_day.follow(kept.cohort_id, "daily")
    desk.every_day.share(kept.cohort_id, METHOD, "")
    run_due(people.room)
    lists, me = people.state.patient_lists, people.account(ENGINEER).account_id or 0
    lists.door.put(Opener(bytes(range(32))).public)
    desk.lists.hand_in(
        "Essai de phase III, inclus", "number", "CHU", b"ipp\n" + b"\n".join(b"8%06d" % n for n in range(40))
    )
    lists.note(
        me,
        "Registre des cardiopathies",
        json.dumps({"read": 240, "found": [231], "missing": [0, 10], "ambiguous": [0, 10]}),
        kept.cohort_id,
    )


_READINGS = {ANNE: "iiieeiied", BRUNO: "iiieeiieee"}  # the last ones wait; they differ at the ninth
_VERDICTS = {"i": "include", "e": "exclude", "d": "doubt"}


def _reviews(people: People) -> dict[str, str]:
    manager = people.everything(METHOD)
    version = manager.save("Insuffisance cardiaque codée", parse("CIM10:I50"), "")
    form = manager.reviews.add_form(FORM)
    shares = {ANNE: 1.0, BRUNO: 1.0}
    made = manager.reviews.make(
        Wanted(
            "Relecture des insuffisances cardiaques",
            version.id,
            shares,
            (CHLOE,),
            2,
            True,
            form.id,
            sample=8,
            negatives=4,
            seed=2,
        )
    )
    assert made.id == 1
    listed = [line.patient_id for line in people.everything(ANNE).reviewer.lines(1)[1]]
    for login, verdicts in _READINGS.items():
        for patient, letter in zip(listed, verdicts, strict=False):
            answers = {"failure": ["yes"], "nyha": ["II"]} if letter == "i" else {"failure": ["no"]}
            assert people.everything(login).reviewer.decide(1, patient, _VERDICTS[letter], "", answers) == {}
    marked = people.state.charts.texts(1)[0].document_id
    spans = {ANNE: [(0, 11, "diagnosis")], BRUNO: [(0, 24, "diagnosis"), (26, 33, "sign")]}
    for login, given in spans.items():
        rows = [{"start": a, "end": b, "label": label, "attributes": []} for a, b, label in given]
        people.everything(login).reviewer.mark(1, marked, json.dumps(rows), True)
    return {"reviewed": str(listed[10]), "disputed": str(listed[8]), "marked": str(marked)}


_DATA = "\n".join(
    [
        "ipp;visite;jour;fevg;commentaire",
        *(f"80{n:05d};V{n % 3};2024-02-{n % 27 + 1:02d};{30 + n % 35};stable" for n in range(60)),
    ]
)


def _own_data(people: People, project: str) -> None:
    people.state.own_data.door.put(Opener(bytes(range(32))).public)
    declared = OwnDeclaration(
        "Registre d’échographies", "Équipe de cardiologie, 2019-2024", "MR-003", "2026-17", "Lettre de janvier à chaque patient",
        dt.date.fromisoformat(_day(400)),
    )  # fmt: skip
    number = OwnData(people.site, people.account(LEAD)).declare(project, declared)
    taker = OwnData(people.site, people.account(ENGINEER))
    taker.answer(number, "", accepted=True)
    files = [taker.hand_in(number, "csv", _DATA.encode()) for _ in range(2)]
    people.state.own_data.finish(
        files[0],
        outcome=json.dumps(
            {
                "read": 60,
                "linked": 52,
                "superseded": 0,
                "aside": {"no-patient": 6, "not-a-date": 2},
                "lines": [[7, "data", "jour", "not-a-date"]],
            }
        ),
    )


_SPEC: dict[str, Any] = {
    "name": "decompensations", "cohort": "CIM10:I50", "demographics": ["sex", "age", "died"], "formats": ["parquet", "csv"],
    "variables": [
        {"name": "bnp", "codes": ["LOINC:33762-6"], "aggregate": "max", "window": [-365, None], "justification": "Définit la population étudiée"},
        {"name": "creatinine", "codes": ["LOINC:2160-0"], "window": [-365, 365], "justification": "Facteur de confusion"},
    ],
}  # fmt: skip
_TABLES = {
    "effectifs.csv": "service,n\nCardiologie,40\nDiabétologie,25\nUrgences,85\n",
    "issues.csv": "issue,n\nRetour à domicile,130\nMutation,45\nDécès,15\n",
    "ages.csv": "âge,n\n50-59,35\n60-69,60\n70-79,3\n",
}


def _work(people: People, project: str) -> int:
    """The number of the workspace."""
    site = people.site
    workshop = Workshop(SiteKey("k", bytes(32)), site.folder / "datamarts", site.warehouse.snapshot)
    made = Datamarts(site, KEY_HOLDER, workshop).build(_SPEC | {"project": project}, LEAD, f"Comité, projet {project}")
    space = provide(site, KEY_HOLDER, project, made.row.id).project
    out = folders_of(site, space).out
    for name, text in _TABLES.items():
        (out / name).write_text(text)
    airlock = Airlock(site, people.account(LEAD))
    for name, purpose in (
        ("effectifs.csv", "Tableau 1 de l’article"),
        ("issues.csv", "Tableau 2"),
        ("ages.csv", "Figure 1"),
    ):
        airlock.hand_in(space, [name], purpose)
    Airlock(site, people.account(METHOD)).decide(2, True, "Effectifs arrondis, aucune petite case.")
    return space


def _care(people: People) -> None:
    account = people.account(MATE)
    people.state.perimeters.put(account.account_id or 0, Perimeter(wards=("CARD",), patients=(0,)), "test")
    assert Originals(people.site, account).ask(0, "Bilan avant une chirurgie en urgence, ce soir.")


def _oversight(people: People) -> None:
    site, state = people.site, people.state
    for document in (0, 1, 2):
        people.everything(ENGINEER).document(document)
        people.everything(DIM).document(document)
    moment = dt.datetime.now(dt.UTC)
    Officer(site, KEY_HOLDER).review(moment - dt.timedelta(days=7), moment)
    public = PublicProject(
        "P12", "Décompensations cardiaques évitables", "Repérer plus tôt les patients dont le cœur fatigue.", "MR-004", "open",
        "CHU de l’Estran, cardiologie",
    )  # fmt: skip
    put(state, KEY_HOLDER, public)
    register(state, "datamart P12", "datamart", ["research", "project:P12"], site.snapshot().version)
    said = {
        "name": "Yseult Dupratelle",
        "birth": "1954",
        "contact": "yseult@example.org",
        "message": "Je refuse la réutilisation de mes données.",
    }
    ask_publicly(state, "opposition", "warehouse", said)
