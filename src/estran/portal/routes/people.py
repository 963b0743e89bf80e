"""Accounts of other people, for those who manage them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import Response

from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.portal import perimeter_form
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor
from estran.projects import bounding, people
from estran.projects.actors import PERSONS, Role
from estran.projects.policy import WITHIN
from estran.projects.sign_in import create_account
from estran.state import Account, LoginTaken

router = APIRouter(prefix="/people")
Field = Annotated[str, Form()]


@router.get("")
def listed(who: Reader) -> Response:
    return _list(who)


@router.post("")
def create(who: Poster, login: Field = "", password: Field = "", role: Field = "") -> Response:
    try:
        made = create_account(who.desk.state, who.desk.actor, login, password, _role(role))
    except LoginTaken:
        return _list(who, 422, "taken", login)
    except UsageError:
        return _list(who, 422, "fit", login)
    return who.go(_address(made))


@router.get("/{login}")
def one(who: Reader, login: str) -> Response:
    found = people.person(who.desk.state, who.desk.actor, who.settings, login)
    if found is None:
        raise HTTPException(404)
    return _shown(who, found, perimeter_form.written(found.perimeter))


@router.post("/{login}/perimeter")
def bound(
    who: Poster, login: str, facilities: Field = "", wards: Field = "", since: Field = "", until: Field = "",
    kinds: Annotated[list[str] | None, Form()] = None, listed: Field = "", patients: Field = "",
) -> Response:  # fmt: skip
    account = _account(who, login)
    given = perimeter_form.Given(facilities, wards, since, until, tuple(kinds or ()), bool(listed), patients)
    try:
        bounding.bound(who.desk.state, who.desk.actor, account, perimeter_form.read(given), [c for c, _ in who.desk.wards()])
    except UsageError as error:
        found = people.person(who.desk.state, who.desk.actor, who.settings, login)
        if found is None:
            raise HTTPException(404) from None
        return _shown(who, found, given, told(who.spoken, error), 422)
    return who.go(_address(account))


@router.post("/{login}/role")
def change_role(who: Poster, login: str, role: Field = "") -> Response:
    account = _account(who, login)
    people.change_role(who.desk.state, who.desk.actor, account, _role(role))
    return who.go(_address(account))


@router.post("/{login}/disable")
def disable(who: Poster, login: str) -> Response:
    account = _account(who, login)
    people.disable(who.desk.state, who.desk.actor, account)
    return who.go(_address(account))


@router.post("/{login}/enable")
def enable(who: Poster, login: str) -> Response:
    account = _account(who, login)
    people.disable(who.desk.state, who.desk.actor, account, disabled=False)
    return who.go(_address(account))


@router.post("/{login}/reset")
def reset(who: Poster, login: str) -> Response:
    account = _account(who, login)
    people.reset_second_factor(who.desk.state, who.desk.actor, account)
    return who.go(_address(account))


@router.post("/{login}/revoke")
def revoke(who: Poster, login: str) -> Response:
    account = _account(who, login)
    people.revoke_sessions(who.desk.state, who.desk.actor, account)
    return who.go(_address(account))


@router.post("/{login}/identity")
def link(who: Poster, login: str, subject: Field = "") -> Response:
    account = _account(who, login)
    people.link_identity(who.desk.state, who.desk.actor, account, who.settings.oidc_issuer, subject.strip())
    return who.go(_address(account))


def _shown(who: Visitor, found: people.Person, given: perimeter_form.Given, said: str = "", status: int = 200) -> Response:
    return who.page(
        "person.html", status, person=found, roles=PERSONS, issuer=who.settings.oidc_issuer, given=given, said=said,
        kinds=list(DocumentKind), units=who.desk.wards(), needs=Role(found.account.role) in WITHIN,
    )  # fmt: skip


def _list(who: Visitor, status: int = 200, refusal: str = "", login: str = "") -> Response:
    found = people.listed(who.desk.state, who.desk.actor, who.settings)
    return who.page("people.html", status, people=found, roles=PERSONS, refusal=refusal, login=login[:120])


def _account(who: Visitor, login: str) -> Account:
    """The account named in the address; those who may not manage accounts learn of none."""
    found = people.person(who.desk.state, who.desk.actor, who.settings, login)
    if found is None:
        raise HTTPException(404)
    who.insist()
    return found.account


def _role(text: str) -> Role:
    if text not in PERSONS:
        raise UsageError("There is no such role.")
    return Role(text)


def _address(account: Account) -> str:
    return f"/people/{quote(account.login, safe='')}"
