"""Run by Alembic, on the connection that `chassis.sql.migrate` hands over."""

from alembic import context

from contracts.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
