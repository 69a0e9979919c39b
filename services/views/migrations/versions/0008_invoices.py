"""Documents with numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.create_table(
        "invoices",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("period_start", INSTANT, nullable=False),
        sa.Column("period_end", INSTANT, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("net", sa.Text(), nullable=False),
        sa.Column("gross", sa.Text(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("refers_to", sa.Text()),
        sa.Column("issued", sa.JSON(), nullable=False),
    )
    op.create_index("invoices_by_age", "invoices", ["tenant", "issued_at", "id"])
    op.create_index("invoices_by_account", "invoices", ["tenant", "account", "issued_at", "id"])
    op.create_table(
        "papers",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("pdf_sha256", sa.Text(), nullable=False),
        sa.Column("xml_sha256", sa.Text(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
    )
