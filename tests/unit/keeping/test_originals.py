"""Originals: for care, with a reason, to one browser; written down before anything is read."""

from __future__ import annotations

import base64
import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.unit.opposing import oppose
from tests.unit.sources import papers

from estran.app import Site
from estran.keeping.originals import OriginalKeeper
from estran.model.errors import NotAllowed, UsageError
from estran.model.perimeter import WHOLE, Perimeter
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.care import Care
from estran.projects.originals import Originals, reached
from estran.projects.sign_in import create_account
from estran.sources.pipeline.carried import Carrier, carried_pdf
from estran.state import AuditFilter

LETTER = papers.plain_pdf("Lettre de M. LE GALL Yann, suivi en cardiologie.")
OTHER = papers.plain_pdf("Compte rendu d'une autre consultation du patient.")
WHY = "Bilan avant une chirurgie en urgence"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("originals")
    site = kit.make(folder / "site", author_system="CHU")
    person = kit.adt("A28", "20240101080000", kit.pid("IPP1", "LE GALL", "Yann", "19500101", "M"))
    carried = "^".join(["", "AP", "PDF", "Base64", base64.b64encode(OTHER).decode()])
    message = kit.message(
        kit.msh("ORU^R01", "20240110090000", 7), kit.pid("IPP1"),
        "OBR|1||ORD1|CR^Compte rendu|||20240110085900|||||||||||||||20240110090000|||F", f"OBX|1|ED|CR^Compte rendu||{carried}||||||F",
    )  # fmt: skip
    kit.load(site, "hl7v2", kit.write_messages(folder / "in.hl7", person, message))
    letter = folder / "IPP1_N1_20240105_CRC.pdf"
    letter.write_bytes(LETTER)
    plain = folder / "IPP1_N1_20240106_CRC.txt"
    plain.write_text("Un texte, sans PDF.", "utf-8")
    kit.load(site, "report", letter, plain)
    for role in (Role.CLINICIAN, Role.DATA_ENGINEER, Role.OWNER):
        create_account(site.state, KEY_HOLDER, str(role), "marée basse à midi", role)
    bound(site, Perimeter(since=dt.date(2024, 1, 1)))
    return site


def bound(site: Site, perimeter: Perimeter) -> None:
    """Give the clinician a perimeter."""
    account = site.state.accounts.find("clinician")
    assert account
    site.state.perimeters.put(account.id, perimeter, "test")


def desk(site: Site, role: Role = Role.CLINICIAN) -> Originals:
    account = site.state.accounts.find(str(role))
    assert account
    return Originals(site, Actor.of(account))


def documents(site: Site) -> dict[str, Carrier]:
    """The documents by what they were read from."""
    rows = kit.rows(site, "select d.document_id, d.source, file_no, record_no, record_key, t.text from document d join text t using (document_id)")
    return {"plain" if "sans PDF" in text else source: (number, Carrier(source, *rest)) for number, source, *rest, text in rows}


def keeper(site: Site) -> OriginalKeeper:
    return OriginalKeeper(site, site.loading)


def test_each_document_gives_the_bytes_that_it_came_as(site: Site) -> None:
    found = documents(site)
    with site.loading() as parts:
        assert carried_pdf(parts, found["report"][1]) == LETTER
        assert carried_pdf(parts, found["hl7v2"][1]) == OTHER
        with pytest.raises(UsageError, match="did not come as a PDF"):
            carried_pdf(parts, found["plain"][1])


def test_an_original_is_asked_for_looked_up_and_opened_by_who_asked(site: Site) -> None:
    number = documents(site)["report"][0]
    asked = desk(site).ask(number, WHY)
    assert asked
    before = site.state.audit.last()
    assert keeper(site).look() == [f"original {asked[0]}: handed over"]
    ready = desk(site).mine(asked[0])
    assert ready and ready.ready
    assert desk(site).read(*asked) == LETTER
    lines = [line for line in site.state.audit.find(AuditFilter(action="original"), 10, 0) if line.id > before]
    assert [line.target.split()[0] for line in reversed(lines)] == ["look", "read"]
    assert all(line.query == WHY and len(line.patients) == 1 for line in lines)


def test_nothing_at_rest_opens_it(site: Site) -> None:
    asked = desk(site).ask(documents(site)["report"][0], WHY)
    assert asked
    keeper(site).look()
    kept = sqlite3.connect(site.directory / "state.sqlite").execute("select sealed, public from original where id = ?", [asked[0]]).fetchone()
    assert b"%PDF" not in kept[0] and asked[1] not in kept[0] + kept[1]
    with pytest.raises(UsageError, match="another browser"):
        desk(site).read(asked[0], bytes(32))


def test_it_is_for_care_and_for_nobody_else(site: Site) -> None:
    number = documents(site)["report"][0]
    asked = desk(site).ask(number, WHY)
    assert asked
    keeper(site).look()
    with pytest.raises(NotAllowed):
        desk(site, Role.DATA_ENGINEER).ask(number, WHY)
    with pytest.raises(NotAllowed):
        desk(site, Role.DATA_ENGINEER).read(*asked)
    assert desk(site, Role.OWNER).mine(asked[0]) is None and desk(site, Role.OWNER).read(*asked) is None
    for short in ("", "urgent", "aaaaaaaaaaaaaaaaaaaaaaaaa"):
        with pytest.raises(UsageError, match="in a sentence"):
            desk(site).ask(number, short)
    with pytest.raises(NotAllowed, match="within your perimeter"):
        desk(site).ask(999_999, WHY)


def test_outside_of_the_perimeter_the_record_is_opened_for_care_first(site: Site) -> None:
    number, patient = documents(site)["report"][0], kit.patient_of(site, "IPP1")
    asked = desk(site).ask(number, WHY)
    assert asked
    bound(site, Perimeter(since=dt.date(2030, 1, 1)))
    keeper(site).look()
    refused = site.state.originals.find(asked[0])
    assert refused and refused.problem == "Nothing of this number lies within your perimeter."
    with pytest.raises(NotAllowed, match="within your perimeter"):
        desk(site).ask(number, WHY)
    Care(site, desk(site).actor).open(patient, WHY)
    again = desk(site).ask(number, WHY)
    assert again
    keeper(site).look()
    assert desk(site).read(*again) == LETTER
    bound(site, WHOLE)
    with pytest.raises(NotAllowed, match="within a perimeter only"):
        desk(site).read(*again)
    bound(site, Perimeter(since=dt.date(2024, 1, 1)))


def test_a_disabled_account_gets_nothing_and_time_runs_out(site: Site) -> None:
    shelf, account = site.state.originals, site.state.accounts.find("clinician")
    assert account
    asked = desk(site).ask(documents(site)["report"][0], WHY)
    assert asked
    site.state.accounts.change(account.id, disabled=True)
    keeper(site).look()
    site.state.accounts.change(account.id, disabled=False)
    refused = shelf.find(asked[0])
    assert refused and refused.problem == "The document may not be seen any more." and refused.sealed is None
    old = shelf.ask(account.id, 0, 0, WHY, bytes(32), dt.timedelta(seconds=-1))
    shelf.put(old, b"x")
    assert keeper(site).look() == ["originals: 1 expired"]
    gone = shelf.find(old)
    assert gone and gone.sealed is None and gone.expired


def test_an_opposition_closes_what_was_ready(site: Site) -> None:
    asked = desk(site).ask(documents(site)["report"][0], WHY)
    assert asked
    keeper(site).look()
    oppose(site.warehouse, kit.patient_of(site, "IPP1"), "research", site.today())
    with pytest.raises(NotAllowed):
        desk(site).read(*asked)


def test_texts_that_nobody_may_read_are_not_handed_over_as_originals(site: Site, tmp_path: Path) -> None:
    (letter := tmp_path / "IPP2_N2_20240105_CRC.pdf").write_bytes(LETTER)
    kit.load(site, "hl7v2", kit.write_messages(tmp_path / "in.hl7", kit.adt("A28", "20240101080000", kit.pid("IPP2", "LE GALL", "Yann", "19500102", "M"))))
    kit.load(site, "report", letter)
    patient = kit.patient_of(site, "IPP2")
    ((number,),) = kit.rows(site, f"select document_id from document where patient_id = {patient}")
    ready = desk(site).ask(number, WHY)
    keeper(site).look()
    asked = desk(site).ask(number, WHY)
    assert ready and asked and desk(site).read(*ready) == LETTER
    oppose(site.warehouse, patient, "texts", site.today())
    assert site.snapshot().silent(patient) and site.snapshot().sees(patient)
    assert reached(site, KEY_HOLDER, number) == ((), False)
    keeper(site).look()
    refused = site.state.originals.find(asked[0])
    assert refused and refused.problem and refused.sealed is None
    with pytest.raises(NotAllowed, match="within your perimeter"):
        desk(site).read(*ready)
    with pytest.raises(NotAllowed, match="within your perimeter"):
        desk(site).ask(number, WHY)
