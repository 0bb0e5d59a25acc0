"""Runs migrations on the connection that `proctor.ledger.migrate` hands over, in its
transaction."""

from alembic import context

from proctor.ledger.tables import metadata

connection = context.config.attributes["connection"]
if connection is None:
    raise RuntimeError("migrations run through proctor.ledger.migrate, which brings a connection")
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: our engine begins transactions itself
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
