"""What the database itself refuses: a line of the audit trail changed, or removed before its time.

Whoever owns the database can drop these triggers; `verify` then says so.
"""

from __future__ import annotations

import sqlalchemy as sa

_CUT = "(SELECT coalesce(max(line), 0) FROM audit_checkpoint WHERE kind = 'cut')"
_RULES = {  # name -> what, on which table, under which condition it is refused ("" = always)
    "audit_no_update": ("UPDATE", "audit", ""),
    "audit_no_delete": ("DELETE", "audit", f"OLD.id > {_CUT}"),
    "patient_read_no_update": ("UPDATE", "patient_read", ""),
    "patient_read_no_delete": ("DELETE", "patient_read", f"OLD.line_id > {_CUT}"),
    "audit_checkpoint_no_update": ("UPDATE", "audit_checkpoint", ""),
    "audit_checkpoint_no_delete": ("DELETE", "audit_checkpoint", ""),
    "audit_review_no_update": ("UPDATE", "audit_review", "OLD.acknowledged IS NOT NULL"),
    "audit_review_no_delete": ("DELETE", "audit_review", ""),
}
_REFUSAL = "the audit trail is append-only"
_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$;
CREATE OR REPLACE FUNCTION audit_refuse_unless_cut() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE number bigint := (to_jsonb(OLD) ->> TG_ARGV[0])::bigint;
BEGIN
  IF number > {_CUT} THEN RAISE EXCEPTION '{_REFUSAL}'; END IF;
  RETURN OLD;
END $$;
"""


def statements(dialect: str) -> list[str]:
    """SQL that makes the triggers."""
    if dialect == "sqlite":
        return [_sqlite(name) for name in _RULES]
    truncated = [
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_refuse()"
        for table in sorted({table for _, table, _ in _RULES.values()})
    ]
    return [_FUNCTIONS, *(_postgres(name) for name in _RULES), *truncated]


def missing(connection: sa.Connection) -> list[str]:
    """Names of the triggers that are gone, off, or (SQLite) not what they were."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        found = {row.name: row.sql for row in rows}
        return [name for name in _RULES if found.get(name) != _sqlite(name)]
    known = set(connection.scalars(sa.text("SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'")))
    return [name for name in _RULES if name not in known]


def _sqlite(name: str) -> str:
    verb, table, condition = _RULES[name]
    when = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {verb} ON {table}{when} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"


def _postgres(name: str) -> str:
    verb, table, condition = _RULES[name]
    head = f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW"
    if _CUT in condition:
        column = condition.split(" ", 1)[0].removeprefix("OLD.")
        return f"{head} EXECUTE FUNCTION audit_refuse_unless_cut('{column}')"
    return f"{head} {f'WHEN ({condition}) ' if condition else ''}EXECUTE FUNCTION audit_refuse()"
