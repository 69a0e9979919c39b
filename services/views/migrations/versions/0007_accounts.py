"""Accounts, what they have, their payments, and whether they may charge."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.add_column("tokens", sa.Column("account", sa.Text()))
    op.create_table(
        "accounts",
        _key("tenant"),
        _key("id"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("credit_limit", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("address", sa.JSON(), nullable=False),
        sa.Column("vat_id", sa.Text(), nullable=False),
        sa.Column("mandate", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "balances",
        _key("tenant"),
        _key("account"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("balance", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
    op.create_table(
        "ledger_entries",
        _key("tenant"),
        _key("account"),
        sa.Column("entry", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("balance", sa.Text(), nullable=False),
        sa.Column("place", sa.Text()),
        sa.Column("cdr", sa.Text()),
        sa.Column("credits", sa.Text()),
        sa.Column("session", sa.Text()),
        sa.Column("station", sa.Text()),
        sa.Column("site", sa.Text()),
        sa.Column("energy_wh", sa.BigInteger()),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("net", sa.Text()),
        sa.Column("gross", sa.Text()),
        sa.Column("taxes", sa.JSON()),
        sa.Column("invoice", sa.Text()),
        sa.Column("payment", sa.Text()),
        sa.Column("request", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("requested_by", sa.Text()),
    )
    op.create_index("ledger_entries_by_invoice", "ledger_entries", ["tenant", "invoice"])
    op.create_index("ledger_entries_by_cdr", "ledger_entries", ["tenant", "cdr"])
    op.create_table(
        "payments",
        _key("tenant"),
        _key("id"),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("held", sa.Text()),
        sa.Column("taken", sa.Text()),
        sa.Column("returned", sa.Text()),
        sa.Column("url", sa.Text()),
        sa.Column("reference", sa.Text()),
        sa.Column("station", sa.Text()),
        sa.Column("evse", sa.BigInteger()),
        sa.Column("token", sa.Text()),
        sa.Column("session", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("requested_by", sa.Text()),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("until", INSTANT),
        sa.Column("capture_before", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
    op.create_index("payments_by_account", "payments", ["tenant", "account", "created_at", "id"])
    op.create_index("payments_by_age", "payments", ["tenant", "created_at", "id"])
    op.create_index("payments_by_reference", "payments", ["tenant", "reference"])
    op.create_table(
        "posting_outcomes",
        _key("tenant"),
        _key("id"),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("entry", sa.BigInteger()),
        sa.Column("invoice", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
    )
    op.create_table(
        "standings",
        _key("tenant"),
        _key("account"),
        sa.Column("may_charge", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
    )
