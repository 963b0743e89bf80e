"""Lists of patient numbers: sealed until they are read where the key is, counted, and saved as a cohort."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.unit.opposing import oppose
from typer.testing import CliRunner

from estran.app import Site
from estran.cli import app
from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.identity.boxes import Opener, close
from estran.keeping.lists import ListKeeper, look_up
from estran.model.errors import NotAllowed, UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.lists import Lists, NumberKind, numbers_in
from estran.projects.sign_in import create_account
from estran.state import AuditFilter

INS = "1800675116001"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = kit.make(tmp_path / "site", author_system="CHU", authorities="ANCIEN = CLINIQUE")
    people = [kit.adt("A28", f"202401010800{n:02d}", kit.pid(f"IPP{n}", f"Nom{n}", "P", "19500101", "F")) for n in range(14)]
    elsewhere = [
        kit.adt("A28", "20240102080000", kit.pid("IPP3", "Autre", "Q", "19600101", "M").replace("^CHU^PI", "^CLINIQUE^PI")),
        kit.adt("A28", "20240102080001", kit.pid("IPP13", "Avec", "INS", "19800601", "F").replace(
            "^^^CHU^PI", f"^^^CHU^PI~{INS}^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS")),
    ]  # fmt: skip
    kit.load(site, "hl7v2", kit.write_messages(tmp_path / "in.hl7", *people, *elsewhere))
    for role in (Role.DATA_ENGINEER, Role.RESEARCHER):
        create_account(site.state, KEY_HOLDER, str(role), "marée basse à midi", role)
    return site


def actor(site: Site, role: Role = Role.DATA_ENGINEER) -> Actor:
    account = site.state.accounts.find(str(role))
    assert account
    return Actor.of(account)


def keeper(site: Site) -> ListKeeper:
    return ListKeeper(site, site.key.subkey("lists"), site.vault)


def listed(*numbers: str) -> bytes:
    return "\n".join(["ipp;nom", *(f"{number};x" for number in numbers)]).encode()


def test_each_number_is_found_missing_or_ambiguous(site: Site) -> None:
    numbers = ["IPP0", "IPP0", "IPP3", "IPP99"]
    with site.vault() as vault:
        looked = look_up(site, vault, numbers, NumberKind.NUMBER)
        named = look_up(site, vault, numbers, NumberKind.NUMBER, "CHU")
        ins = look_up(site, vault, [INS, "2800675116001"], NumberKind.INS)
    assert (looked.read, looked.found, looked.missing, looked.ambiguous, len(looked.patients)) == (4, 2, 1, 1, 1)
    assert (named.found, named.ambiguous, set(named.patients)) == (3, 0, {kit.patient_of(site, "IPP0"), kit.patient_of(site, "IPP3")})
    assert (ins.found, ins.missing, set(ins.patients)) == (1, 1, {kit.patient_of(site, "IPP13")})


def test_who_may_not_be_seen_is_missing(site: Site) -> None:
    oppose(site.warehouse, kit.patient_of(site, "IPP0"), "warehouse", site.today())
    with site.vault() as vault:
        assert look_up(site, vault, ["IPP0", "IPP1"], NumberKind.NUMBER).missing == 1


def test_who_is_outside_the_perimeter_of_the_owner_is_missing(site: Site) -> None:
    me, mine = actor(site), tuple(kit.patient_of(site, f"IPP{n}") for n in range(11))
    site.state.perimeters.put(me.account_id or 0, Perimeter(patients=mine), "test")
    look = keeper(site)
    look.look()
    Lists(site, me).hand_in("Mine", "number", "CHU", listed(*(f"IPP{n}" for n in range(14))))
    look._next = 0.0
    assert look.look() == ["patient lists: 1 read"]
    (line,) = Lists(site, me).mine()
    version = site.state.cohorts.cohort(line.asked.cohort_id or 0)
    assert version is not None and set(question_json.loads(version.versions[0].query).ids) == set(mine)  # type: ignore[attr-defined]
    assert line.missing is not None and line.missing.below, "three are not told from none"


def test_a_list_handed_in_is_read_where_the_key_is_and_is_a_criterion(site: Site) -> None:
    lists = Lists(site, actor(site))
    with pytest.raises(UsageError, match="never ran"):
        lists.hand_in("A", "number", "CHU", listed("IPP0"))
    look = keeper(site)
    assert look.look() == []
    lists.hand_in("Trial A", "number", "CHU", listed(*(f"IPP{n}" for n in range(12)), "IPP77"))
    raw = sqlite3.connect(site.directory / "state.sqlite")
    assert not any("IPP" in str(row) for row in raw.execute("SELECT * FROM patient_list"))
    assert keeper(site).look() == ["patient lists: 1 read"]
    assert raw.execute("SELECT sealed FROM patient_list").fetchone() == (None,)
    (line,) = lists.mine()
    assert line.read == 13 and line.found is not None and line.missing is not None
    assert line.found.value >= 10 and line.missing.below == 10
    desk = Desk(ReadingRoom(site), actor(site))
    assert desk.patients(parse("cohorte:'Trial A'"), 50, 0).total == 12
    raw.close()
    for entry in site.state.audit.each(AuditFilter()):
        assert "IPP" not in f"{entry.target}{entry.query}{entry.reason}"


def test_a_short_list_and_one_that_is_nearly_another_are_refused(site: Site) -> None:
    lists, everybody = Lists(site, actor(site)), [f"IPP{n}" for n in range(13)]
    keeper(site).look()
    for name, numbers in (("short", everybody[:3]), ("first", everybody), ("nearly", everybody[:-1]), ("same", everybody)):
        lists.hand_in(name, "number", "CHU", listed(*numbers))
    keeper(site).look()
    problems = {line.asked.name: line.asked.problem for line in lists.mine()}
    assert problems["first"] == problems["same"] == ""
    assert "at least 10" in problems["short"]
    assert "nearly another" in problems["nearly"]
    saved = {cohort.name for cohort in site.state.cohorts.owned_by(actor(site).account_id or 0)}
    assert saved == {"first", "same"}


def test_the_right_is_looked_at_again_when_the_list_is_read(site: Site) -> None:
    lists = Lists(site, actor(site))
    keeper(site).look()
    lists.hand_in("A", "number", "CHU", listed(*(f"IPP{n}" for n in range(12))))
    site.state.accounts.change(actor(site).account_id or 0, role="researcher")
    keeper(site).look()
    (one,) = site.state.patient_lists.of(actor(site).account_id or 0)
    assert "does not include 'import'" in one.problem
    assert one.sealed is None and one.cohort_id is None
    with pytest.raises(NotAllowed):
        Lists(site, actor(site, Role.RESEARCHER)).hand_in("A", "number", "", listed("IPP1"))


@pytest.mark.parametrize("content", [b"", b"ipp\n", b"\n\n;;\n", b"x" * 100, b"9\n" * 10_001], ids=["none", "head", "blank", "long", "many"])
def test_a_file_that_is_no_list_is_refused_without_being_repeated(content: bytes) -> None:
    with pytest.raises(UsageError) as error:
        numbers_in(content)
    assert "xxx" not in f"{error.value.what}{error.value.hint}"


def test_numbers_are_read_as_hospitals_write_them() -> None:
    assert numbers_in('\ufeffINS;Nom\n"1 80 06 75 116 001";Été\n\n42,x\n7\t8\n'.encode()) == ["1800675116001", "42", "7"]
    assert numbers_in("5;Été".encode("latin-1")) == ["5"]


def test_a_box_opens_for_its_key_only() -> None:
    box = close(Opener(bytes(32)).public, b"IPP1")
    assert Opener(bytes(32)).open(box) == b"IPP1"
    assert b"IPP1" not in box
    for wrong in (box[:-1] + bytes([box[-1] ^ 1]), box[:10], b""):
        with pytest.raises(UsageError):
            Opener(bytes(32)).open(wrong)
    with pytest.raises(UsageError):
        Opener(bytes(31) + b"x").open(box)


def test_the_command_says_exact_counts(site: Site, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(listed("IPP0", "IPP1", "IPP99"))
    words = ["import-list", str(site.directory), str(tmp_path / "list.csv"), "--name", "Two", "--authority", "CHU"]
    done = CliRunner().invoke(app, [*words, "--for", "data_engineer", "--json"])
    told = json.loads(done.stdout)
    assert {k: told[k] for k in ("read", "found", "missing", "ambiguous")} == {"read": 3, "found": 2, "missing": 1, "ambiguous": 0}
    refused = CliRunner().invoke(app, [*words, "--for", "researcher"])
    assert isinstance(refused.exception, NotAllowed)
