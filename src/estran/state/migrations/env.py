"""Runs the migrations on the connection that `StateDatabase.open` hands over."""

from alembic import context

from estran.state import schema_catalog, schema_network, schema_owndata  # noqa: F401 (their tables join the metadata)
from estran.state.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
