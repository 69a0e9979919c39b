"""What becomes of a start that no tariff fits."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("sites", sa.Column("without_tariff", sa.Text(), nullable=False, server_default="charge"))
