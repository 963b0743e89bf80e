"""Notices: who is told, and a real mail server that takes, refuses or is away."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from tests.ports import free_port
from tests.unit.projects.life.play import REASON, Play, today

from estran.model.errors import UsageError
from estran.projects.life.machine import Stage, Step
from estran.projects.life.mail import PASSWORD, send_waiting
from estran.projects.life.notices import remind
from estran.settings import Settings
from estran.state import StateDatabase
from estran.state.schema_life import notice


class Box:
    """A mail server that keeps what it takes; it refuses the address `refused@`."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], str]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address.startswith("refused@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.messages.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


def server(**more: Any) -> Controller:
    return Controller(Box(), hostname="127.0.0.1", port=free_port(), **more)


@pytest.fixture
def mail() -> Iterator[Controller]:
    started = server()
    started.start()
    yield started
    started.stop()


def through(mail: Controller, **more: Any) -> Settings:
    return Settings(
        language="en",
        smtp_host="127.0.0.1",
        smtp_port=mail.port,
        smtp_security="off",
        smtp_from="estran@chu.example",
        **more,
    )


def due_now(state: StateDatabase) -> None:
    """As if the wait were over."""
    with state.engine.begin() as connection:
        connection.execute(notice.update().values(next_try=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)))


def test_those_who_must_act_next_are_told_and_not_the_one_who_acted(play: Play) -> None:
    number = play.to(Stage.SUBMITTED)
    told = {
        (one.account_id, line)
        for one in play.state.notices.waiting()
        for line in one.text.splitlines()
        if number in line
    }
    lea, tom, max_, dan = (play.id[name] for name in ("lea", "tom", "max", "dan"))
    assert (max_, f"Project {number}: the request was submitted.") in told
    assert (dan, f"Project {number}: the request was submitted.") in told
    assert (lea, f"Project {number}: the request was submitted.") not in told
    assert (tom, f"Project {number}: the project was pre-selected, its request may be written.") in told
    assert all("Heart failure" not in one.text + one.subject for one in play.state.notices.waiting()), (
        "no title is told"
    )


def test_a_notice_reaches_a_real_server_in_the_person_s_language(play: Play, mail: Controller) -> None:
    play.state.accounts.change(play.id["max"], language="fr")
    play.settings = through(mail, public_url="https://eds.chu.example/")
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    number = play.propose()
    assert send_waiting(play.state, play.settings) == (1, 0)
    ((to, text),) = mail.handler.messages
    assert to == ["max@chu.example"]
    for line in (
        "From: estran@chu.example",
        f"Subject: [Estran] Projet {number}",
        "Auto-Submitted: auto-generated",
        "Message-ID: <estran-",
    ):
        assert line in text
    assert f"https://eds.chu.example/projects/{number}" in text
    assert send_waiting(play.state, play.settings) == (0, 0), "sent once"
    assert [one.account_id for one in play.state.notices.waiting()] == [play.id["dan"]], "waits for an address"


def test_a_server_that_is_away_loses_nothing(play: Play, mail: Controller) -> None:
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    play.propose()
    play.propose()
    away = dataclasses.replace(through(mail), smtp_port=free_port())
    assert send_waiting(play.state, away) == (0, 1), "the others are not tried: the server is away"
    first = next(one for one in play.state.notices.waiting() if one.tries)
    assert (first.tries, first.problem) == (1, "ConnectionRefusedError")
    assert send_waiting(play.state, through(mail)) == (1, 0), "the first one waits for its time"
    due_now(play.state)
    assert send_waiting(play.state, through(mail)) == (1, 0)
    assert len(mail.handler.messages) == 2


def test_an_address_that_is_refused_keeps_nobody_else_waiting(play: Play, mail: Controller) -> None:
    play.state.notices.write_to(play.id["dan"], "refused@chu.example")
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    play.propose()
    assert send_waiting(play.state, through(mail)) == (1, 1)
    (left,) = play.state.notices.waiting()
    assert left.problem == "SMTPRecipientsRefused" and "@" not in left.problem


def test_one_notice_is_taken_by_one_process(play: Play) -> None:
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    play.propose()
    assert play.state.notices.take() is not None
    assert play.state.notices.take() is None


def test_the_server_s_login_is_used(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    asking = server(authenticator=check, auth_require_tls=False)
    asking.start()
    monkeypatch.setenv(PASSWORD, "sesame")
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    play.propose()
    try:
        assert send_waiting(play.state, through(asking, smtp_user="eds")) == (1, 0)
    finally:
        asking.stop()
    assert seen == [(b"eds", b"sesame")]


def test_nothing_goes_in_clear_when_the_server_offers_no_protection(play: Play, mail: Controller) -> None:
    play.state.notices.write_to(play.id["max"], "max@chu.example")
    play.propose()
    assert send_waiting(play.state, dataclasses.replace(through(mail), smtp_security="starttls")) == (0, 1)
    assert mail.handler.messages == []
    assert send_waiting(play.state, Settings()) == (0, 0), "off by default"


def test_dates_that_come_near_are_told_once_to_those_awaited(play: Play) -> None:
    number = play.to(Stage.SUBMITTED)
    play.take(number, "max", Step.ASK, expert=["eve"], due=today())
    assert remind(play.state, play.settings, today()) == 1
    assert remind(play.state, play.settings, today()) == 0
    last = play.state.notices.waiting()[-1]
    assert last.account_id == play.id["eve"] and f"your opinion as an expert is due on {today()}" in last.text
    play.take(number, "eve", Step.RECUSE, text=REASON)
    assert remind(play.state, play.settings, today()) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "max",
        "max@",
        "@chu.fr",
        "max@chu",
        "a b@chu.fr",
        "max@chu.fr\nBcc: x@y.fr",
        "a@b@c.fr",
        "x@y.fr,z@y.fr",
        "a" * 260 + "@c.fr",
    ],
)
def test_what_is_no_address_is_refused(play: Play, wrong: str) -> None:
    with pytest.raises(UsageError, match="not an e-mail address"):
        play.state.notices.write_to(play.id["max"], wrong)
    play.state.notices.write_to(play.id["max"], " max@chu.example ")
    assert play.state.notices.address(play.id["max"]) == "max@chu.example"
    play.state.notices.write_to(play.id["max"], "")
    assert play.state.notices.address(play.id["max"]) == ""
