"""Every route of a portal that has a network: for nobody, for the nearest role without the right, for a role with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import httpx
import pytest
from tests.browser.hub_site import SITES, hub_site
from tests.browser.serving import served
from tests.browser.whole_site import Whole
from tests.unit.portal.conftest import token
from tests.unit.portal.routes import routes
from tests.unit.portal.test_security import checked

from estran.hub.governance import Sight, beside
from estran.portal.server import create_app
from estran.portal.visitor import COOKIE
from estran.projects.actors import Role
from estran.projects.policy import ALLOWED, Action
from estran.projects.sign_in import opened
from estran.state import Place

HUB = ("/network", "/pools", "/transparency/network")
LEAD, OPERATOR, OFFICER = Role.RESEARCHER, Role.HUB_OPERATOR, Role.DATA_PROTECTION_OFFICER
# Who has a right, and who comes nearest without it.
WHO = {
    Action.ASK_HUB: (LEAD, Role.CLINICIAN), Action.RUN_HUB: (OPERATOR, Role.DATA_ENGINEER), Action.AUDIT: (OFFICER, OPERATOR),
    Action.RIGHTS: (OFFICER, OPERATOR), Action.POOLS: (LEAD, Role.TEACHER), Action.ACCOUNT: (Role.VIEWER, None),
}  # fmt: skip
OPEN, MISSING = "open to everybody", "nosuch"
GETS: dict[str, Action | str] = {
    "/network": Action.ASK_HUB, "/network/{question}": Action.ASK_HUB, "/network/{question}/answers": Action.ASK_HUB,
    "/network/statistics": Action.ASK_HUB, "/network/statistics/{study}": Action.ASK_HUB, "/network/statistics/{study}/now": Action.ASK_HUB,
    "/network/linkages": Action.RUN_HUB, "/network/linkages/{run}": Action.RUN_HUB, "/network/linkages/{run}/now": Action.RUN_HUB,
    "/network/learning": Action.ASK_HUB, "/network/learning/{name}": Action.ASK_HUB, "/network/learning/{name}/now": Action.ASK_HUB,
    "/network/learning/{name}/card.md": Action.ASK_HUB, "/network/learning/{name}/card.json": Action.ASK_HUB,
    "/network/catalogue": Action.ASK_HUB, "/network/catalogue/{kind}/{key:path}": Action.ASK_HUB, "/network/sites/{member}": Action.ASK_HUB,
    "/network/rules": Action.ACCOUNT, "/network/audit": Action.AUDIT, "/network/oppositions": Action.RIGHTS,
    "/pools": Action.POOLS, "/pools/{pool}": Action.POOLS, "/transparency/network": OPEN,
    "/catalogue.ttl": Action.ASK_HUB, "/catalogue.jsonld": Action.ASK_HUB,
}  # fmt: skip
STUDY = {"method": "survival", "text": "CIM10:I10", "variables": "sex", "event": "CIM10:E11", "horizon": "900"}
POSTS: dict[str, tuple[Action, dict[str, str]]] = {
    "/network": (Action.ASK_HUB, {"text": "CIM10:I10"}),
    "/network/statistics": (Action.ASK_HUB, STUDY),
    "/network/statistics/{study}/go-on": (Action.ASK_HUB, {"sure": "yes"}),
    "/network/linkages": (Action.RUN_HUB, {"project": "Essai", "text": "CIM10:I10", "sites": "{member},{other}"}),
    "/network/linkages/{run}/go-on": (Action.RUN_HUB, {}),
    "/network/catalogue/harvest": (Action.RUN_HUB, {"member": "{member}"}),
    "/network/catalogue/period": (Action.RUN_HUB, {"days": "7"}),
    "/network/rules/sight": (Action.RUN_HUB, {"role": "teacher", "sight": "sites"}),
    "/network/rules/seat": (Action.RUN_HUB, {"login": "teacher", "member": "{member}"}),
    "/network/rules/silence": (Action.RUN_HUB, {"hours": "24"}),
    "/network/rules/charter": (Action.RUN_HUB, {"kind": "citizen", "text": "Vos données restent à l’hôpital."}),
    "/network/rules/sign": (Action.ACCOUNT, {"kind": "user", "version": "1"}),
    "/network/oppositions": (Action.RIGHTS, {"member": "chu-de-lestran", "number": "41", "outcome": "fait"}),
}  # fmt: skip
FIGURE = re.compile(r"[≈<±]\s?\d|\d[.,]\d{3}")  # a protected count, its error, a measure of a model


@dataclass
class Doors:
    """A portal with a network, as whoever is named sees it."""

    made: Whole
    base: str
    fills: dict[str, str]

    def as_(self, login: str) -> httpx.Client:
        """Somebody's browser, signed in; of nobody without a name."""
        client = httpx.Client(base_url=self.base, trust_env=False, timeout=30)
        if login:
            account = self.made.site.state.accounts.find(login)
            assert account, login
            place = Place("127.0.0.1", "test")
            client.cookies.set(
                COOKIE, opened(self.made.site.state, account, place, self.made.site.settings, "password").token
            )
        return client

    def at(self, route: str) -> str:
        """A route with what this network has in its places."""
        return re.sub(r"\{(\w+)[^}]*\}", lambda m: self.fills[m[1]], route)

    def posted(self, client: httpx.Client, route: str, csrf: str) -> httpx.Response:
        form: dict[str, str | list[str]] = {name: self.at(value) for name, value in POSTS[route][1].items()}
        if "sites" in form:
            form["sites"] = str(form["sites"]).split(",")
        path = route.replace("{run}", "{waiting}")
        return client.post(self.at(path), data={"csrf": csrf, **form})

    def shown(self, login: str, *routes: str) -> dict[str, str]:
        """The pages that somebody is answered at each of these; of some there may be none for them."""
        with self.as_(login) as client:
            answers = {route: client.get(self.at(route)) for route in routes}
        assert {one.status_code for one in answers.values()} <= {200, 404}
        return {route: unescape(one.text) for route, one in answers.items()}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    made = hub_site(tmp_path_factory.mktemp("hub"), dict.fromkeys(list(SITES)[:3], 60))
    assert made.hub is not None
    made.site.state.accounts.change(_id(made, LEAD), language="fr")
    first, second, *_ = [one.id for one in made.hub.members("site")]
    fills = {
        **made.numbers, "run": made.numbers["linkage"], "name": made.numbers["model"], "kind": "code",
        "key": "LOINC:2160-0", "member": first, "other": second,
    }  # fmt: skip
    with served(made.site, made.hub) as base:
        yield Doors(made, base, fills)
    made.site.state.close()


def _id(made: Whole, login: str) -> int:
    account = made.site.state.accounts.find(login)
    assert account, login
    return account.id


def test_every_route_of_a_hub_is_walked_here(doors: Doors) -> None:
    found = {(method, path) for method, path, _ in routes(create_app(doors.made.site, doors.made.hub)) if path.startswith(HUB)}
    mine = {("GET", path) for path in GETS if path.startswith(HUB)} | {("POST", path) for path in POSTS}
    assert found == mine
    for action, (able, unable) in WHO.items():
        assert action in ALLOWED[able] and (unable is None or action not in ALLOWED[unable]), action


def test_nobody_gets_anything_but_the_public_page(doors: Doors) -> None:
    with doors.as_("") as client:
        for route, needs in GETS.items():
            answer = client.get(doors.at(route))
            assert _headers(answer), route
            if needs == OPEN:
                assert answer.status_code == 200 and not FIGURE.search(_words(answer.text)), route
                continue
            assert (answer.status_code, answer.content) == (303, b""), route
            assert answer.headers["location"].startswith("/sign-in?back=")
        for route in POSTS:
            answer = doors.posted(client, route, "guess")
            assert _headers(answer) and answer.status_code in (303, 403), route
            assert answer.headers.get("location", "/sign-in").startswith("/sign-in")


@pytest.mark.parametrize("action", WHO)
def test_the_policy_opens_and_shuts_every_page(doors: Doors, action: Action) -> None:
    able, unable = WHO[action]
    mine = [route for route, needs in GETS.items() if needs == action]
    with doors.as_(able) as client:
        for route in mine:
            answer = client.get(doors.at(route))
            assert answer.status_code == 200 and _headers(answer), route
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", answer.text), route
            if re.search(r"\{(question|study|run|name|member|pool)\}", route):
                absent = client.get(re.sub(r"\{\w+\}", MISSING, route))
                assert absent.status_code == 404 and _headers(absent), route
    if unable is None:
        return
    names = [one.name for one in doors.made.hub.members("site")] if doors.made.hub else []
    with doors.as_(unable) as client:
        for route in mine:
            answer = client.get(doors.at(route))
            assert answer.status_code == 403, route
            said = _words(answer.text)
            assert _headers(answer) and not FIGURE.search(said), route
            assert not [name for name in names if name in said], "a refusal tells of nothing that is behind it"


@pytest.mark.parametrize("route", POSTS)
def test_nothing_is_done_without_the_token_or_the_right(doors: Doors, route: str) -> None:
    able, unable = WHO[POSTS[route][0]]
    state = doors.made.site.state
    with doors.as_(able) as client:
        csrf, before = _token(client), state.audit.last()
        for guess in ("", "guess"):
            refused = doors.posted(client, route, guess)
            assert refused.status_code == 403 and _headers(refused)
        elsewhere = client.post(
            doors.at(route.replace("{run}", "{waiting}")), headers={"origin": "https://evil.example"},
            data={"csrf": csrf},
        )  # fmt: skip
        assert elsewhere.status_code == 403
        assert state.audit.last() == before, "nothing was even decided"
    if unable is not None:
        with doors.as_(unable) as client:
            refused = doors.posted(client, route, _token(client))
            assert refused.status_code == 403 and _headers(refused)
    with doors.as_(able) as client:
        done = doors.posted(client, route, _token(client))
        assert done.status_code == 303 and _headers(done), _words(done.text)[-300:]
        assert done.headers["location"].startswith("/network")


NUMBERS = ("/network/{question}", "/network/{question}/answers", "/network/catalogue", "/network/catalogue/{kind}/{key:path}",
           "/network/learning/{name}", "/network/learning/{name}/now")  # fmt: skip


def test_who_sees_less_reads_no_other_hospital_s_number_on_any_page(doors: Doors) -> None:
    hub, state = doors.made.hub, doors.made.site.state
    assert hub is not None
    rules, members = beside(hub), {one.id: one.name for one in hub.members("site")}
    own = state.seats.of(_id(doors.made, LEAD))
    site_pages = {member: f"/network/sites/{member}" for member in members}

    def told() -> set[str]:
        """The hospitals of which a figure stands in a row, or on a page, of theirs."""
        pages = doors.shown(LEAD, *NUMBERS)
        rows = [_words(row) for page in pages.values() for row in re.findall(r"<tr\b.*?</tr>", page, re.S)]
        found = {member for member, name in members.items() if any(name in row and FIGURE.search(row) for row in rows)}
        own_pages = doors.shown(LEAD, *site_pages.values())
        return found | {member for member, route in site_pages.items() if FIGURE.search(_words(own_pages[route]))}

    try:
        assert told() == set(members), "everybody sees everything, unless the network decides otherwise"
        rules.set_sight(LEAD, Sight.TOTAL)
        assert told() == set()
        rules.set_sight(LEAD, Sight.OWN)
        assert told() == {own}
        state.seats.put(_id(doors.made, LEAD), "")
        assert told() == set(), "of no hospital, of none the numbers"
    finally:
        rules.set_sight(LEAD, Sight.SITES)
        state.seats.put(_id(doors.made, LEAD), own)


def test_totals_are_told_to_who_may_see_totals_alone(doors: Doors) -> None:
    assert doors.made.hub is not None
    rules = beside(doors.made.hub)
    lead = ("/network/{question}", "/network/statistics/{study}", "/network/learning/{name}", "/network/learning/{name}/card.md")
    runs = ("/network/linkages", "/network/linkages/{run}", "/network/linkages/{run}/now")
    try:
        for sight, there in ((Sight.SITES, True), (Sight.TOTAL, True), (Sight.OWN, False)):
            for role in (LEAD, OPERATOR):
                rules.set_sight(role, sight)
            pages = doors.shown(LEAD, *lead)
            assert ("19 fois sur 20" in pages[lead[0]]) is there
            assert ('class="drawn' in pages[lead[1]]) is there and ("ne vous montrent pas ce résultat" in pages[lead[1]]) is not there
            assert ("0,772" in pages[lead[2]]) is there and ("0.772" in pages[lead[3]]) is there
            counted = doors.shown(OPERATOR, *runs)
            assert all(("≈" in page) is there for page in counted.values())
            shared = "caption id=\"shared\"" in counted[runs[1]]
            assert shared is (sight is Sight.SITES), "what two hospitals share is theirs"
    finally:
        for role in (LEAD, OPERATOR):
            rules.set_sight(role, Sight.SITES)


def test_a_role_that_was_taken_away_ends_what_was_asked_under_it(doors: Doors) -> None:
    """Whoever asked, and may not ask any more, reads no answer: nor does the page that was left open."""
    state, mine = doors.made.site.state, ("/network/{question}", "/network/statistics/{study}")
    parts = (*mine, "/network/{question}/answers", "/network/statistics/{study}/now", "/network/learning/{name}/now")
    with doors.as_(LEAD) as client:
        assert {client.get(doors.at(route)).status_code for route in parts} == {200}
        state.accounts.change(_id(doors.made, LEAD), role=str(Role.VIEWER))
        try:
            assert {route: client.get(doors.at(route)).status_code for route in parts} == dict.fromkeys(parts, 403)
        finally:
            state.accounts.change(_id(doors.made, LEAD), role=str(LEAD))


def test_a_question_of_somebody_else_is_theirs(doors: Doors) -> None:
    """Of one's own role, and of another team: the question, the study and the pool of the researcher stay shut."""
    shut = ("/network/{question}", "/network/{question}/answers", "/network/statistics/{study}", "/network/statistics/{study}/now",
            "/pools/{pool}")  # fmt: skip
    with doors.as_(Role.METHODOLOGIST) as client:
        for route in shut:
            answer = client.get(doors.at(route))
            assert answer.status_code == 403 and not FIGURE.search(_words(answer.text)), route
        listed = _words(client.get("/network").text + client.get("/network/statistics").text + client.get("/pools").text)
        assert "Insuffisance cardiaque" not in listed and "Diabète après" not in listed and "fonction-renale" not in listed


def _token(client: httpx.Client) -> str:
    return token(client.get("/account/security"))


def _headers(answer: httpx.Response) -> bool:
    checked(answer)
    return True


def _words(text: str) -> str:
    """What is read, without what marks it up."""
    return unescape(re.sub(r"<[^>]*>", " ", text))
