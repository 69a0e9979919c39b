"""What was decided of CDRs that were held; who pays, which taxes, and what meters signed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.add_column("costs", sa.Column("account", sa.Text()))
    op.add_column("cdrs", sa.Column("account", sa.Text()))
    op.add_column("cdrs", sa.Column("taxes", sa.JSON()))
    op.add_column("cdrs", sa.Column("signed", sa.JSON()))
    op.add_column("evses", sa.Column("meter_public_key", sa.Text()))
    op.create_table(
        "cdr_reviews",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("refused_because", sa.Text()),
        sa.Column("cdr", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
    )
    op.create_index("cdr_reviews_by_session", "cdr_reviews", ["tenant", "session", "decided_at"])
