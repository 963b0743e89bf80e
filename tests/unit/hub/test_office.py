"""The hub's door: what is not taken, and why."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.network_kit import Network, network

from estran.hub.agent.membership import open_reply
from estran.hub.office import answer_to, utc
from estran.hub.wire import Message, Refused, seal
from estran.model.errors import UsageError

MINUTES = dt.timedelta(minutes=1)
LINKAGE = "linkage"


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network of a hub and a linkage unit: enough to talk."""
    return network(tmp_path_factory.mktemp("small"))


def message(
    net: Network, sequence: int = 1, *, kind: str = "nextjob", off: dt.timedelta = dt.timedelta(), **more: object
) -> Message:
    now = utc() + off
    return Message(
        kind, net.places[LINKAGE].membership.network, LINKAGE, "hub", sequence, now, now + 10 * MINUTES, dict(more)
    )


def sealed(net: Network, one: Message) -> bytes:
    return seal(one, net.places[LINKAGE].identity.key)


def code(net: Network, data: bytes, certificate: str | None = None) -> str:
    with pytest.raises(Refused) as refused:
        net.office.take(data, certificate)
    return refused.value.code


def test_a_message_is_taken_once(small: Network) -> None:
    data = sealed(small, message(small))
    assert small.office.take(data, None).member == LINKAGE
    assert code(small, data) == "replayed"
    assert (LINKAGE, "replayed", 1) in small.house.book.refusals()


def test_an_older_message_is_not_taken_after_a_later_one(small: Network) -> None:
    early, late = sealed(small, message(small, 1)), sealed(small, message(small, 2))
    small.office.take(late, None)
    assert code(small, early) == "reordered"


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_ten_minutes_off_are_no_matter(small: Network, minutes: int) -> None:
    small.office.take(sealed(small, message(small, off=minutes * MINUTES)), None)


@pytest.mark.parametrize("minutes", [-26, 16, 60 * 24])
def test_too_old_or_too_early_is_told_the_time_of_the_hub(small: Network, minutes: int) -> None:
    one = message(small, off=minutes * MINUTES)
    taken, data = answer_to(small.office, sealed(small, one), None)
    reply = open_reply(data, one, small.places[LINKAGE].membership.hub_key)
    assert not taken and reply.body["code"] == "expired"
    assert abs(reply.issued - utc()) < MINUTES


def test_a_member_comes_with_its_own_certificate(small: Network) -> None:
    own = small.places[LINKAGE].identity.public.fingerprint
    assert code(small, sealed(small, message(small, 1)), "0" * 64) == "certificate"
    assert small.office.take(sealed(small, message(small, 2)), own).member == LINKAGE


def test_forged_astray_unknown(small: Network) -> None:
    assert code(small, seal(message(small), small.house.identity.key)) == "forged"
    astray = Message("nextjob", "another", LINKAGE, "hub", 1, utc(), utc() + MINUTES, {})
    assert code(small, sealed(small, astray)) == "astray"
    stranger = Message("nextjob", "another", "nobody", "hub", 1, utc(), utc() + MINUTES, {})
    assert code(small, sealed(small, stranger)) == "unknown"


def test_a_withdrawn_member_is_not_known_any_more(small: Network) -> None:
    assert small.house.book.withdraw(LINKAGE) and not small.house.book.withdraw(LINKAGE)
    assert code(small, sealed(small, message(small))) == "unknown"


def test_a_kind_that_the_hub_does_not_know_is_said(small: Network) -> None:
    taken, data = answer_to(small.office, sealed(small, message(small, kind="dance")), None)
    reply = (
        open_reply(
            data, Message("dance", *([""] * 3), 0, utc(), utc(), {}, nonce=""), small.places[LINKAGE].membership.hub_key
        )
        if taken
        else None
    )
    assert reply is None and b"dance" in data


def test_an_invitation_is_good_for_one_member(small: Network) -> None:
    small.invite("Brest")
    with pytest.raises(UsageError, match="member already"):
        small.invite("Linkage")


def test_nobody_answers_what_they_were_not_asked(small: Network) -> None:
    one = message(small, kind="result", uuid="no such job", status="ok", queryResult={"count": 3})
    taken, data = answer_to(small.office, sealed(small, one), None)
    assert not taken and b"unasked" in data
