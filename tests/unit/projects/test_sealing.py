"""The audit trail against somebody who owns its database: whatever is done to it is found, up to the last checkpoint."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.projects.auditing import SEED, AuditedSite, audited, behind_its_back

from estran.model.errors import CheckFailed, UsageError
from estran.projects.sealing import FILE, PORTAL_KEY, SITE_PUBLIC, Sealing, prove, read_checkpoints
from estran.state.audit import AuditFilter, chain_of
from estran.state.checkpoints import Checkpoint, CheckpointFile, Kind
from estran.state.signing import Signer
from estran.state.verifying import Wrong

LINES = 9
SEALED = 6


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AuditedSite]:
    """Nine lines, the first six sealed with the site's key; the third and the eighth read patients."""
    made = audited(tmp_path)
    made.write(2)
    made.write(1, action="timeline", patients=(7, 3))
    made.write(3)
    made.sealing.seal()
    made.write(1)
    made.write(1, action="patients", patients=(3,))
    made.write(1)
    yield made
    made.state.close()


def recompute(site: AuditedSite, start: int) -> None:
    """Compute the hashes anew from a line on, as the program would."""
    raw = sqlite3.connect(site.database)
    raw.row_factory = sqlite3.Row
    before = raw.execute("SELECT chain FROM audit WHERE id<? ORDER BY id DESC LIMIT 1", [start]).fetchone()
    chain, statements = before["chain"] if before else "0" * 64, []
    for row in raw.execute("SELECT * FROM audit WHERE id>=? ORDER BY id", [start]).fetchall():
        at = dt.datetime.fromisoformat(row["at"]).replace(tzinfo=dt.UTC)
        patients = [
            p for (p,) in raw.execute("SELECT patient_id FROM patient_read WHERE line_id=? ORDER BY 1", [row["id"]])
        ]
        chain = chain_of(chain, dict(row) | {"at": at, "allowed": bool(row["allowed"])}, patients)
        statements.append(f"UPDATE audit SET chain='{chain}' WHERE id={row['id']}")
    raw.close()
    behind_its_back(site, *statements)


def wrongs(site: AuditedSite) -> list[tuple[int, Wrong]]:
    return [(fault.line, fault.wrong) for fault in prove(site).faults]


def test_an_untouched_trail_is_whole(site: AuditedSite) -> None:
    verdict = prove(site)
    assert verdict.whole
    assert (verdict.lines, verdict.first, verdict.last, verdict.cut) == (LINES, 1, LINES, None)
    assert verdict.sealed is not None and verdict.sealed.line == SEALED


COLUMNS = {
    "id": "'100'", "at": "'2020-01-01 00:00:00.000000'", "login": "'eve'", "role": "'owner'", "action": "'search'",
    "allowed": "1 - allowed", "reason": "''", "target": "'x'", "query": "x'00'", "snapshot": "3", "chain": "'0'",
}  # fmt: skip


@pytest.mark.parametrize("line", [1, 4, SEALED, LINES])
@pytest.mark.parametrize("column", COLUMNS)
def test_any_column_of_any_line_altered_is_found(site: AuditedSite, column: str, line: int) -> None:
    behind_its_back(site, f"UPDATE audit SET {column}={COLUMNS[column]} WHERE id={line}")
    first, wrong = wrongs(site)[0]
    if column == "id":
        assert (first, wrong) == (line, Wrong.REMOVED)
    else:
        assert (first, wrong) == (line, Wrong.ALTERED)


@pytest.mark.parametrize("value", ["'yesterday'", "'2026-01-01'", "NULL", "3.5"])
def test_values_that_the_program_never_writes_are_found(site: AuditedSite, value: str) -> None:
    behind_its_back(site, f"UPDATE OR REPLACE audit SET snapshot={value} WHERE id=4")
    assert wrongs(site) == [(4, Wrong.ALTERED)]
    if value != "NULL":
        behind_its_back(site, f"UPDATE audit SET at={value}, snapshot=2 WHERE id=4")
        assert wrongs(site) == [(4, Wrong.ALTERED)]


RENUMBER_DOWN = ["UPDATE audit SET id=-id WHERE id>4", "UPDATE audit SET id=-id-1 WHERE id<0"]
RENUMBER_UP = ["UPDATE audit SET id=-id WHERE id>=4", "UPDATE audit SET id=-id+1 WHERE id<0"]
COPY = "INSERT INTO audit SELECT {number}, at, 'eve', role, action, allowed, reason, target, query, snapshot, chain FROM audit WHERE id={source}"
PATIENTS_DOWN = ["UPDATE patient_read SET line_id=line_id-1 WHERE line_id>4"]
PATIENTS_UP = ["UPDATE patient_read SET line_id=line_id+1 WHERE line_id>=4"]


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["DELETE FROM audit WHERE id=4"], (4, Wrong.REMOVED)),
        (["DELETE FROM audit WHERE id=1"], (1, Wrong.REMOVED)),
        (["DELETE FROM audit WHERE id=4", *RENUMBER_DOWN, *PATIENTS_DOWN], (4, Wrong.REMOVED)),
        (["UPDATE audit SET id=-4 WHERE id=4", "UPDATE audit SET id=4 WHERE id=5", "UPDATE audit SET id=5 WHERE id=-4"], (4, Wrong.REORDERED)),
        (["UPDATE audit SET id=-2 WHERE id=2", "UPDATE audit SET id=2 WHERE id=9", "UPDATE audit SET id=9 WHERE id=-2"], (2, Wrong.REORDERED)),
        ([*RENUMBER_UP, *PATIENTS_UP, COPY.format(number=4, source=3)], (4, Wrong.INSERTED)),
        ([COPY.format(number=-1, source=3)], (-1, Wrong.INSERTED)),
        ([COPY.format(number=0, source=3)], (0, Wrong.INSERTED)),
        ([COPY.format(number=10, source=9)], (10, Wrong.ALTERED)),
        (["DELETE FROM audit WHERE id>5"], (6, Wrong.TRUNCATED)),
        (["DELETE FROM audit", "DELETE FROM patient_read"], (1, Wrong.TRUNCATED)),
        (["UPDATE patient_read SET patient_id=8 WHERE patient_id=7"], (3, Wrong.ALTERED)),
        (["DELETE FROM patient_read WHERE line_id=8"], (8, Wrong.ALTERED)),
        (["INSERT INTO patient_read VALUES (5, 7)"], (5, Wrong.ALTERED)),
        (["INSERT INTO patient_read VALUES (50, 7)"], (50, Wrong.INSERTED)),
    ],
)  # fmt: skip
def test_lines_removed_moved_or_put_in_are_found(
    site: AuditedSite, statements: list[str], found: tuple[int, Wrong]
) -> None:
    behind_its_back(site, *statements)
    assert wrongs(site)[0] == found


@pytest.mark.parametrize("line", [1, 4, SEALED])
def test_a_line_altered_with_all_hashes_made_anew_is_found_by_the_checkpoint(site: AuditedSite, line: int) -> None:
    behind_its_back(site, f"UPDATE audit SET login='eve' WHERE id={line}")
    recompute(site, line)
    assert wrongs(site) == [(1, Wrong.REWRITTEN)]


def test_what_comes_after_the_last_checkpoint_can_be_rewritten(site: AuditedSite) -> None:
    """The hour that is not defended, as decision 9 says; a checkpoint closes it."""
    behind_its_back(site, "UPDATE audit SET login='eve' WHERE id=8")
    recompute(site, 8)
    assert wrongs(site) == []
    behind_its_back(site, "UPDATE audit SET login='anne' WHERE id=8")
    recompute(site, 8)
    site.sealing.seal()
    behind_its_back(site, "UPDATE audit SET login='eve' WHERE id=8")
    recompute(site, 8)
    assert wrongs(site) == [(SEALED + 1, Wrong.REWRITTEN)]


def test_the_tail_cut_with_the_checkpoints_of_the_database_is_found_by_the_file(site: AuditedSite) -> None:
    behind_its_back(
        site,
        "DELETE FROM audit WHERE id>3",
        "DELETE FROM patient_read WHERE line_id>3",
        "DELETE FROM audit_checkpoint",
    )
    assert wrongs(site) == [(4, Wrong.TRUNCATED)]


def test_with_the_file_gone_the_database_still_tells(site: AuditedSite) -> None:
    (site.audit_folder / FILE).unlink()
    behind_its_back(site, "DELETE FROM audit WHERE id>3", "DELETE FROM patient_read WHERE line_id>3")
    assert wrongs(site) == [(4, Wrong.TRUNCATED)]


def test_a_checkpoint_kept_elsewhere_outlives_both(site: AuditedSite, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes((site.audit_folder / FILE).read_bytes())
    (site.audit_folder / FILE).unlink()
    behind_its_back(
        site,
        "DELETE FROM audit WHERE id>3",
        "DELETE FROM patient_read WHERE line_id>3",
        "DELETE FROM audit_checkpoint",
    )
    assert wrongs(site) == []
    assert [f.wrong for f in prove(site, more=read_checkpoints(kept)).faults] == [Wrong.TRUNCATED]
    kept.write_text("nothing of the kind\n")
    with pytest.raises(UsageError, match="not a file of checkpoints"):
        read_checkpoints(kept)


def test_triggers_refuse_and_their_absence_is_found(site: AuditedSite) -> None:
    raw = sqlite3.connect(site.database)
    ours = "SELECT name FROM sqlite_master WHERE type='trigger' AND (tbl_name LIKE 'audit%' OR tbl_name LIKE 'patient_read%')"
    names = [name for (name,) in raw.execute(ours)]
    assert len(names) == 8
    for statement in ("UPDATE audit SET login='x'", "DELETE FROM audit", "UPDATE patient_read SET patient_id=1",
                      "DELETE FROM patient_read", "UPDATE audit_checkpoint SET line=1", "DELETE FROM audit_checkpoint"):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(statement)
    raw.rollback()
    for name in names:
        sql = raw.execute("SELECT sql FROM sqlite_master WHERE name=?", [name]).fetchone()[0]
        raw.execute(f"DROP TRIGGER {name}")
        assert wrongs(site) == [(0, Wrong.UNGUARDED)]
        raw.execute(sql.replace("RAISE(ABORT", "RAISE(IGNORE").replace(", 'the audit trail is append-only'", ""))
        assert wrongs(site) == [(0, Wrong.UNGUARDED)], "a trigger of this name that refuses nothing"
        raw.execute(f"DROP TRIGGER {name}")
        raw.execute(sql)
        raw.commit()
    raw.close()
    assert wrongs(site) == []


def forge(site: AuditedSite, signer: Signer, **fields: object) -> Checkpoint:
    line, chain, count = site.state.audit.end(0)
    return signer.sign(
        dataclasses.replace(Checkpoint(Kind.SEAL, line, chain, count, dt.datetime.now(dt.UTC), "", ""), **fields)
    )  # type: ignore[arg-type]


FORGERIES: list[Callable[[AuditedSite], Checkpoint]] = [
    lambda site: forge(site, Signer(b"x" * 32)),  # a key of their own
    lambda site: forge(site, Signer(b"x" * 32), kind=Kind.KEY, subject=Signer(b"x" * 32).public),
    lambda site: dataclasses.replace(forge(site, Signer(SEED)), line=3),  # a true one altered
    lambda site: forge(site, Sealing.of_portal(site).signer, kind=Kind.CUT, line=3),  # type: ignore[union-attr]
    lambda site: forge(site, Sealing.of_portal(site).signer, kind=Kind.KEY, subject="aa"),  # type: ignore[union-attr]
    lambda site: dataclasses.replace(forge(site, Signer(SEED)), signer="no key"),
]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("where", ["file", "database"])
def test_checkpoints_that_nobody_may_sign_are_found(
    site: AuditedSite, forgery: Callable[[AuditedSite], Checkpoint], where: str
) -> None:
    made = forgery(site)
    if where == "file":
        CheckpointFile(site.audit_folder / FILE).add(made)
    else:
        site.state.checkpoints.keep(made)
    assert wrongs(site) == [(made.line, Wrong.FORGED)]


def test_a_checkpoint_of_the_database_altered_or_unreadable_is_found(site: AuditedSite) -> None:
    behind_its_back(site, "UPDATE audit_checkpoint SET chain='0' WHERE line=6")
    assert wrongs(site) == [(SEALED, Wrong.FORGED)]
    behind_its_back(site, "UPDATE audit_checkpoint SET kind='truce' WHERE line=6")
    assert wrongs(site) == [(0, Wrong.FORGED)]


def test_a_line_of_the_file_that_is_none_is_found_and_closed_by_the_next(site: AuditedSite) -> None:
    with (site.audit_folder / FILE).open("ab") as file:
        file.write(b'{"kind":"se')
    assert wrongs(site) == [(0, Wrong.FORGED)]
    site.sealing.seal()
    assert prove(site).sealed == CheckpointFile(site.audit_folder / FILE).tail()[-1]


def test_first_lines_removed_as_if_by_rule_are_found(site: AuditedSite) -> None:
    """Without a cut that the site's key signed, the trail begins at line 1."""
    cut = forge(site, Signer(b"x" * 32), kind=Kind.CUT, line=3, count=3, chain=site.state.audit.chain_at(3))
    site.state.checkpoints.keep(cut)
    site.state.audit.forget(3)  # the triggers of the database are deceived
    assert wrongs(site) == [(1, Wrong.REMOVED), (3, Wrong.FORGED)]


def test_a_public_key_put_in_place_of_the_sites_is_found_by_whoever_has_the_key(site: AuditedSite) -> None:
    (site.audit_folder / SITE_PUBLIC).write_text(Signer(b"x" * 32).public)
    found = prove(site, public=Signer(SEED).public).faults
    assert [(f.line, f.wrong) for f in found] == [(0, Wrong.FORGED)]


# Making checkpoints


def test_the_portal_has_a_key_once_the_holder_of_the_sites_made_it(tmp_path: Path) -> None:
    site = audited(tmp_path)
    assert Sealing.of_portal(site) is None
    assert site.sealing.signer.public
    portal = Sealing.of_portal(site)
    assert portal is not None and portal.signer.public != Signer(SEED).public
    assert oct((site.audit_folder / PORTAL_KEY).stat().st_mode & 0o777) == "0o600"
    site.write(3)
    made = portal.seal()
    assert made is not None and (made.line, made.count, made.signer) == (3, 3, portal.signer.public)
    verdict = prove(site)
    assert verdict.whole and verdict.sealed == made
    site.state.close()


def test_a_checkpoint_is_due_after_an_hour_or_many_lines(site: AuditedSite) -> None:
    sealing = site.sealing
    assert not sealing.due()
    site.settings = dataclasses.replace(site.settings, audit_checkpoint_lines=LINES - SEALED)
    assert sealing.due()
    assert sealing.seal() is not None
    assert not sealing.due() and sealing.seal() is None
    site.write(1)
    assert not sealing.due()
    site.settings = dataclasses.replace(site.settings, audit_checkpoint_minutes=0)
    assert sealing.due()


def test_the_sites_key_seals_again_what_only_the_portal_sealed(site: AuditedSite) -> None:
    portal = Sealing.of_portal(site)
    assert portal is not None and portal.seal() is not None and portal.seal() is None
    made = site.sealing.seal()
    assert made is not None and (made.line, made.signer) == (LINES, Signer(SEED).public)


@pytest.mark.parametrize("statement", ["UPDATE audit SET login='eve' WHERE id=8", "DELETE FROM audit WHERE id=7",
                                       "UPDATE audit SET chain='x' WHERE id=6", "DELETE FROM audit WHERE id>5"])  # fmt: skip
def test_what_is_broken_is_not_signed(site: AuditedSite, statement: str) -> None:
    behind_its_back(site, statement)
    with pytest.raises(CheckFailed, match="broken"):
        site.sealing.seal()


# Letting go


def aged(site: AuditedSite, lines: int, days: int) -> None:
    """The first lines as if written long ago, with hashes to match."""
    old = (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
    behind_its_back(site, f"UPDATE audit SET at='{old}' WHERE id<={lines}", "DELETE FROM audit_checkpoint")
    (site.audit_folder / FILE).unlink()
    (site.audit_folder / PORTAL_KEY).unlink()
    recompute(site, 1)
    site.sealing.seal()


def test_old_lines_go_behind_a_cut_and_the_trail_stays_provable(site: AuditedSite) -> None:
    aged(site, 4, 400)
    assert site.sealing.cut() == 4
    verdict = prove(site)
    assert verdict.whole
    assert (verdict.first, verdict.last, verdict.lines) == (5, LINES, 5)
    assert verdict.cut is not None and (verdict.cut.line, verdict.cut.count) == (4, 4)
    assert site.state.audit.find(AuditFilter(patients=(7,))) == []
    assert [e.id for e in site.state.audit.find(AuditFilter(patients=(3,)))] == [8]
    assert site.sealing.cut() == 0
    behind_its_back(site, "DELETE FROM audit WHERE id=5")
    assert wrongs(site) == [(5, Wrong.REMOVED)]


def test_a_trail_goes_on_when_every_line_went(site: AuditedSite) -> None:
    aged(site, LINES, 400)
    assert site.sealing.cut() == LINES
    assert prove(site).whole and prove(site).lines == 0
    site.write(2)
    assert [e.id for e in site.state.audit.latest()] == [LINES + 2, LINES + 1]
    assert site.sealing.seal() is not None
    assert prove(site).whole
    behind_its_back(site, "UPDATE audit SET target='x' WHERE id=10")
    assert wrongs(site)[0] == (LINES + 1, Wrong.ALTERED)


def test_nothing_goes_of_a_broken_trail_nor_before_six_months(site: AuditedSite) -> None:
    aged(site, 4, 400)
    behind_its_back(site, "UPDATE audit SET login='eve' WHERE id=2")
    with pytest.raises(CheckFailed, match="altered"):
        site.sealing.cut()
    site.settings = dataclasses.replace(site.settings, audit_months=5)
    with pytest.raises(UsageError, match="6 months"):
        site.sealing.cut()
    assert site.state.audit.last() == LINES


def test_a_cut_that_was_signed_but_not_carried_out_does_no_harm(
    site: AuditedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(site, 4, 400)
    monkeypatch.setattr(type(site.state.audit), "forget", lambda _self, _line: 0)
    site.sealing.cut()
    assert prove(site).whole and prove(site).first == 1
