"""The application's database: a real SQLite file, or a PostgreSQL server named by ESTRAN_TEST_POSTGRES."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from estran.model.errors import StoreError, UsageError
from estran.state import Account, AuditLine, StateDatabase
from estran.state.database import MIGRATIONS
from estran.state.schema import audit, metadata, session
from estran.state.transactions import writing
from estran.state.verifying import Wrong, verify

POSTGRES = os.environ.get("ESTRAN_TEST_POSTGRES", "")


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRES else [])])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateDatabase]:
    if request.param == "postgresql":
        engine = sa.create_engine(POSTGRES)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        engine.dispose()
    database = StateDatabase.open(tmp_path / "state.sqlite" if request.param == "sqlite" else POSTGRES)
    yield database
    database.close()


@pytest.fixture
def anne(state: StateDatabase) -> Account:
    return state.accounts.add("Anne@chu.example", "hash", "researcher")


def test_migrations_build_the_tables_that_the_code_uses(state: StateDatabase) -> None:
    inspector = sa.inspect(state.engine)
    for table in metadata.sorted_tables:
        found = {c["name"]: c["nullable"] for c in inspector.get_columns(table.name)}
        assert found == {c.name: c.nullable for c in table.columns}, table.name


def test_migrations_go_back_and_forth(state: StateDatabase) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    tables = set(sa.inspect(state.engine).get_table_names())
    for turn, to in ((command.downgrade, "0010"), (command.upgrade, "head")):
        with writing(state.engine) as connection:
            config.attributes["connection"] = connection
            turn(config, to)
        left = set(sa.inspect(state.engine).get_table_names())
        assert left < tables if to == "0010" else left == tables


def test_opening_again_keeps_what_was_written(tmp_path: Path) -> None:
    first = StateDatabase.open(tmp_path / "s.sqlite")
    first.accounts.add("a", "h", "owner")
    first.close()
    again = StateDatabase.open(tmp_path / "s.sqlite")
    assert [a.login for a in again.accounts.all()] == ["a"]
    again.close()


def test_a_database_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        StateDatabase.open(tmp_path / "missing" / "s.sqlite")


def test_logins_are_unique_whatever_their_case(state: StateDatabase, anne: Account) -> None:
    assert state.accounts.find("ANNE@chu.example") == anne
    with pytest.raises(UsageError, match="taken"):
        state.accounts.add("ANNE@CHU.EXAMPLE", "other", "viewer")


def test_change_sets_what_is_given_only(state: StateDatabase, anne: Account) -> None:
    state.accounts.change(anne.id, theme="dark")
    changed = state.accounts.by_id(anne.id)
    assert changed is not None
    assert (changed.theme, changed.role, changed.language) == ("dark", "researcher", "")


def test_a_session_is_found_by_its_token_until_revoked(state: StateDatabase, anne: Account) -> None:
    token = state.sessions.start(anne.id)
    found = state.sessions.find(token)
    assert found is not None
    assert found.account_id == anne.id
    assert state.sessions.find(token + "x") is None
    state.sessions.revoke(found.id)
    assert state.sessions.find(token) is None


def test_the_token_itself_is_not_stored(state: StateDatabase, anne: Account) -> None:
    token = state.sessions.start(anne.id)
    with state.engine.begin() as connection:
        row = connection.execute(session.select()).one()
    assert token not in [str(v) for v in row]


@pytest.mark.parametrize("column", ["expires", "seen"])
def test_old_and_idle_sessions_end(state: StateDatabase, anne: Account, column: str) -> None:
    token = state.sessions.start(anne.id)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=3)
    with state.engine.begin() as connection:
        connection.execute(session.update().values({column: past}))
    assert state.sessions.find(token) is None


def test_revoking_all_ends_every_session(state: StateDatabase, anne: Account) -> None:
    tokens = [state.sessions.start(anne.id) for _ in range(2)]
    state.sessions.revoke_all(anne.id)
    assert [state.sessions.find(t) for t in tokens] == [None, None]


def test_failures_lock_and_a_success_forgets(state: StateDatabase) -> None:
    for _ in range(2):
        state.lockouts.fail("login:a", allowed=3)
    assert state.lockouts.locked_until(["login:a"]) is None
    state.lockouts.fail("login:a", allowed=3)
    assert state.lockouts.locked_until(["login:b", "login:a"]) is not None
    state.lockouts.clear("login:a")
    assert state.lockouts.locked_until(["login:a"]) is None


def test_versions_of_a_cohort_are_numbered_and_never_lost(state: StateDatabase, anne: Account) -> None:
    state.cohorts.save(anne.id, "I50", '{"a":1}', "first", 3, 12)
    second = state.cohorts.save(anne.id, "I50", '{"a":2}', "", 4, 15)
    assert (second.number, second.author, second.total) == (2, anne.login, 15)
    (cohort,) = state.cohorts.owned_by(anne.id)
    assert [v.query for v in cohort.versions] == ['{"a":2}', '{"a":1}']
    state.cohorts.archive(cohort.id)
    assert state.cohorts.owned_by(anne.id) == []
    assert state.cohorts.version(second.id) == second


def test_a_draft_can_be_undone_and_redone(state: StateDatabase, anne: Account) -> None:
    drafts = state.drafts
    assert drafts.current(anne.id) is None
    for text in ("one", "two", "two", "three"):
        drafts.put(anne.id, text)
    assert drafts.reach(anne.id) == (2, 0)
    assert [drafts.move(anne.id, -1) for _ in range(4)] == ["two", "one", "one", "one"]
    assert drafts.move(anne.id, 1) == "two"
    drafts.put(anne.id, "four")
    assert drafts.reach(anne.id) == (2, 0)


def _line(action: str = "count") -> AuditLine:
    return AuditLine("anne", "researcher", action, True, "rôle", query='{"é":1}', snapshot=2)


def test_the_audit_trail_is_append_only(state: StateDatabase) -> None:
    state.audit.append(_line())
    for statement in (audit.update().values(login="x"), audit.delete()):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), state.engine.begin() as connection:
            connection.execute(statement)


def test_the_audit_trail_lists_latest_first_and_is_whole(state: StateDatabase) -> None:
    for action in ("sign-in", "count", "search"):
        state.audit.append(_line(action))
    assert [e.action for e in state.audit.latest(2)] == ["search", "count"]
    assert state.audit.latest(login="nobody") == []
    assert verify(state.engine, []).whole


def test_a_line_altered_behind_the_trail_is_found(tmp_path: Path) -> None:
    database = StateDatabase.open(tmp_path / "s.sqlite")
    numbers = [database.audit.append(_line()) for _ in range(3)]
    raw = sqlite3.connect(tmp_path / "s.sqlite")
    raw.executescript("DROP TRIGGER audit_no_UPDATE; UPDATE audit SET login='eve' WHERE id=2;")
    raw.close()
    faults = verify(database.engine, []).faults
    assert [(f.line, f.wrong) for f in faults] == [(numbers[1], Wrong.ALTERED), (0, Wrong.UNGUARDED)]
    database.close()
