"""What a person should look at."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("evse", sa.BigInteger()),
        sa.Column("connector", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False, server_default="open"),
        sa.Column("raised_at", INSTANT),
        sa.Column("since", INSTANT),
        sa.Column("count", sa.BigInteger()),
        sa.Column("within_s", sa.BigInteger()),
        sa.Column("detail", sa.Text()),
        sa.Column("cleared_at", INSTANT),
        sa.Column("cleared_reason", sa.Text()),
    )
    op.create_index("alerts_by_age", "alerts", ["tenant", "raised_at", "id"])
    op.create_index("alerts_by_state", "alerts", ["tenant", "state", "raised_at", "id"])
    op.create_index("alerts_by_station", "alerts", ["tenant", "station", "raised_at", "id"])
