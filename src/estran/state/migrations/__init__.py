"""Alembic migrations, run by `StateDatabase.open`."""
