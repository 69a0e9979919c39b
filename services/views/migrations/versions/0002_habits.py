"""How stations want to be treated."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("stations", sa.Column("habits", sa.JSON()))
