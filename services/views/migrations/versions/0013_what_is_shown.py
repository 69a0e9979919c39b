"""What REST shows of a session, as JSON. Rows have it from their next change on, and are shown from their columns until then."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("shown", sa.Text()))
    op.add_column("sessions", sa.Column("shown_revision", sa.BigInteger()))
