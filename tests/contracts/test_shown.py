from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

from contracts import shown, tables

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(**values: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {column.name: None for column in tables.sessions.columns}
    return blank | {"flags": [], "revision": 1, "updated_at": NOON} | values


def test_every_field_is_a_column() -> None:
    assert set(shown.FIELDS.values()) <= {column.name for column in tables.sessions.columns}


def test_what_is_shown_has_the_fields_in_their_order() -> None:
    said = msgspec.json.decode(shown.session(row(id="s-1", transaction_id="7", final=True)))
    assert list(said) == list(shown.FIELDS)
    assert (said["id"], said["transaction"], said["final"], said["site"]) == ("s-1", "7", True, None)


def test_a_moment_is_shown_as_the_database_gives_it_back() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2)))
    assert shown.session(row(started_at=elsewhere)) == shown.session(row(started_at=NOON))
    assert '"started_at":"2026-01-01T12:00:00Z"' in shown.session(row(started_at=elsewhere))
