"""What past sessions come to by another tariff."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.create_table(
        "re_ratings",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", INSTANT),
        sa.Column("choice", sa.JSON()),
        sa.Column("by", sa.JSON()),
        sa.Column("mode", sa.Text()),
        sa.Column("raises", sa.Boolean()),
        sa.Column("reason", sa.Text()),
        sa.Column("requested_by", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("parts", sa.JSON()),
        sa.Column("sums", sa.JSON()),
        sa.Column("skipped", sa.JSON()),
        sa.Column("applied", sa.BigInteger()),
        sa.Column("unbilled", sa.BigInteger()),
        sa.Column("failed_because", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
