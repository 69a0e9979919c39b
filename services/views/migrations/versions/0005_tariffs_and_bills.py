"""Tariffs, what charging costs, and its CDRs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "tariffs",
        _key("tenant"),
        _key("id"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("tariff", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tariff_versions",
        _key("tenant"),
        _key("id"),
        sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("tariff", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tariff_assignments",
        _key("tenant"),
        _key("id"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("tariff", sa.Text()),
    )
    op.create_table(
        "costs",
        _key("tenant"),
        _key("session"),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tariff", sa.Text()),
        sa.Column("tariff_version", sa.BigInteger()),
        sa.Column("assignment", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("total_excl", sa.Text()),
        sa.Column("total_incl", sa.Text()),
        sa.Column("energy_wh", sa.BigInteger()),
        sa.Column("due", INSTANT),
        sa.Column("held_because", sa.JSON()),
        sa.Column("cdr", sa.Text()),
        sa.Column("priced", sa.JSON()),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
    op.create_table(
        "cdrs",
        _key("tenant"),
        _key("id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("site", sa.Text()),
        sa.Column("token", sa.Text()),
        sa.Column("number", sa.BigInteger()),
        sa.Column("tariff", sa.Text()),
        sa.Column("tariff_version", sa.BigInteger()),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_excl", sa.Text()),
        sa.Column("total_incl", sa.Text()),
        sa.Column("energy_wh", sa.BigInteger()),
        sa.Column("corrects", sa.Text()),
        sa.Column("credits", sa.Text()),
        sa.Column("credited_by", sa.Text()),
        sa.Column("priced", sa.JSON()),
    )
    op.create_index("cdrs_by_age", "cdrs", ["tenant", "issued_at", "id"])
    op.create_index("cdrs_by_session", "cdrs", ["tenant", "session"])
