"""Subscriptions: what an account agreed, its months, and their names in entries."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("subscription", sa.JSON()))
    op.add_column("ledger_entries", sa.Column("name", sa.Text()))
    op.create_table(
        "subscription_months",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("month_start", INSTANT, nullable=False),
        sa.Column("month_end", INSTANT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("net", sa.Text(), nullable=False),
        sa.Column("gross", sa.Text(), nullable=False),
        sa.Column("allowance_wh", sa.BigInteger()),
        sa.Column("left_wh", sa.BigInteger()),
    )
    op.create_index("subscription_months_by_account", "subscription_months", ["tenant", "account", "month_start"])
