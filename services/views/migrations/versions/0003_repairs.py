"""Repairs of sessions, and where a session's energy was taken from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("energy_source", sa.Text()))
    op.add_column("sessions", sa.Column("attached_to", sa.Text()))
    op.create_table(
        "repairs",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("attached_to", sa.Text()),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("requested_by", sa.Text()),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("energy_before_wh", sa.BigInteger()),
        sa.Column("energy_after_wh", sa.BigInteger()),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
    )
    op.create_index("repairs_by_session", "repairs", ["tenant", "session"])
