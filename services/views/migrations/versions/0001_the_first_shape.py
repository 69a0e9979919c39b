"""The first shape."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("newest", INSTANT),
    )
    op.create_table(
        "sites",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Float()),
        sa.Column("longitude", sa.Float()),
    )
    op.create_table(
        "stations",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("declared", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("version", sa.BigInteger()),
        sa.Column("changed_at", INSTANT),
        sa.Column("site", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("tags", sa.JSON()),
        sa.Column("security_profile", sa.BigInteger()),
        sa.Column("pinned_protocol", sa.Text()),
        sa.Column("has_password", sa.Boolean()),
        sa.Column("boot_answer", sa.Text()),
        sa.Column("heartbeat_s", sa.BigInteger()),
        sa.Column("when_undecided", sa.Text()),
        sa.Column("reported", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("online", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("since", INSTANT),
        sa.Column("epoch", sa.BigInteger()),
        sa.Column("gateway", sa.Text()),
        sa.Column("protocol", sa.Text()),
        sa.Column("connection_security_profile", sa.BigInteger()),
        sa.Column("remote_address", sa.Text()),
        sa.Column("close_code", sa.BigInteger()),
        sa.Column("close_reason", sa.Text()),
        sa.Column("close_inferred", sa.Boolean()),
        sa.Column("vendor", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("serial_number", sa.Text()),
        sa.Column("firmware_version", sa.Text()),
        sa.Column("iccid", sa.Text()),
        sa.Column("imsi", sa.Text()),
        sa.Column("meter_type", sa.Text()),
        sa.Column("meter_serial_number", sa.Text()),
        sa.Column("boot_status", sa.Text()),
        sa.Column("last_boot_at", INSTANT),
        sa.Column("status", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("info", sa.Text()),
        sa.Column("vendor_id", sa.Text()),
        sa.Column("vendor_error_code", sa.Text()),
        sa.Column("status_since", INSTANT),
    )
    op.create_index("stations_by_site", "stations", ["tenant", "site"])
    op.create_table(
        "evses",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("declared", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("code", sa.Text()),
        sa.Column("reported", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "connectors",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("evse", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("declared", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("type", sa.Text()),
        sa.Column("max_w", sa.BigInteger()),
        sa.Column("reported", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("status", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("info", sa.Text()),
        sa.Column("vendor_id", sa.Text()),
        sa.Column("vendor_error_code", sa.Text()),
        sa.Column("since", INSTANT),
    )
    op.create_table(
        "tokens",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("uid", sa.Text()),
        sa.Column("masked_uid", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("valid_from", INSTANT),
        sa.Column("valid_until", INSTANT),
        sa.Column("token_group", sa.Text()),
        sa.Column("concurrent", sa.Boolean(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
    )
    op.create_table(
        "unknown_tokens",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("token", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("masked_uid", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
    )
    op.create_index("unknown_tokens_by_age", "unknown_tokens", ["tenant", "seen_at", "part", "place"])
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("site", sa.Text()),
        sa.Column("time_zone", sa.Text()),
        sa.Column("evse", sa.BigInteger()),
        sa.Column("connector", sa.BigInteger()),
        sa.Column("transaction_id", sa.Text()),
        sa.Column("transactions", sa.JSON(), nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("masked_uid", sa.Text()),
        sa.Column("stop_token", sa.Text()),
        sa.Column("stop_masked_uid", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("meter_start_wh", sa.BigInteger()),
        sa.Column("meter_stop_wh", sa.BigInteger()),
        sa.Column("energy_wh", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("reason_said", sa.Text()),
        sa.Column("quarantined_because", sa.Text()),
        sa.Column("authorization_status", sa.Text()),
        sa.Column("stop_authorization_status", sa.Text()),
        sa.Column("reservation", sa.BigInteger()),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
    )
    op.create_index("sessions_by_change", "sessions", ["tenant", "part", "updated_at", "place"])
    op.create_index("sessions_by_site", "sessions", ["tenant", "site", "part", "updated_at", "place"])
    op.create_index("sessions_by_state", "sessions", ["tenant", "state", "part", "updated_at", "place"])
    op.create_index("sessions_by_station", "sessions", ["tenant", "station"])
    op.create_index("sessions_by_token", "sessions", ["tenant", "token"])
    op.create_table(
        "commands",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("task", sa.JSON()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("session", sa.Text()),
        sa.Column("transaction_id", sa.Text()),
        sa.Column("requested_by", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("created_at", INSTANT),
        sa.Column("expires_at", INSTANT),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
    )
    op.create_index("commands_by_station", "commands", ["tenant", "station", "created_at"])
    op.create_table(
        "changes",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("request", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("version", sa.BigInteger()),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
    )
    op.create_index("changes_by_age", "changes", ["part", "decided_at"])
    op.create_table(
        "access_keys",
        sa.Column("tenant", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
    )
    op.create_index("access_keys_by_digest", "access_keys", ["digest"])
