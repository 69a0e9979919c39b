import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from contracts.cloudevents import Attributes, to_headers
from contracts.event import Event, RequestId, SiteId, TenantId
from contracts.gateways import GatewayAlive
from contracts.reference import Site
from contracts.requests import ChangeRequested, Delete
from contracts.topics import ALIVE, CHARGING, DIRECTORY, REQUESTS, SITES, STATIONS, Topic
from services.analytics import rows
from services.analytics.rows import encode, line
from tests.analytics.given import CLASSES, NOON, filled, heartbeat, heartbeats, record


def headers(**changed: Any) -> list[tuple[str, bytes]]:
    values: dict[str, Any] = {
        "id": "1",
        "type": "voltstream.X",
        "source": "/voltstream/x",
        "subject": "acme/ST1",
        "time": NOON,
        "recorded_time": NOON,
    }
    return to_headers(Attributes(**values | changed))


@pytest.mark.parametrize(("topic", "cls"), CLASSES, ids=lambda x: getattr(x, "__name__", getattr(x, "name", "")))
def test_every_event_of_the_catalogue_is_a_row_with_its_exact_value(topic: Topic[Event], cls: type[Event]) -> None:
    given = record(topic, filled(cls), partition=3, offset=7)
    row = json.loads(encode([line(given)]))
    assert "unread" not in row
    assert (row["topic"], row["partition"], row["offset"]) == (topic.name, 3, 7)
    assert row["type"] == f"voltstream.{cls.__name__}"
    assert row.get("body", "").encode() == (given.value or b"")
    assert row.get("deleted", False) == (given.value is None)
    assert row["key"].encode() == given.key


def test_a_row_carries_what_the_headers_say() -> None:
    given = record(STATIONS, heartbeat("[]", seconds=5), offset=9, id="e1")
    assert json.loads(encode([line(given)])) == {
        "tenant": "acme",
        "station": "ST1",
        "topic": "stations",
        "partition": 0,
        "offset": 9,
        "key": "acme/ST1",
        "id": "e1",
        "type": "voltstream.HeartbeatReceived",
        "source": "/voltstream/x",
        "time": "2026-01-01T12:00:05Z",
        "recorded_time": "2026-01-01T12:00:09Z",
        "sequence": 9,
        "traceparent": "00-a-b-01",
        "body": (given.value or b"").decode(),
    }


def test_many_records_are_one_line_each() -> None:
    assert [json.loads(each)["offset"] for each in encode(map(line, heartbeats(3))).splitlines()] == [0, 1, 2]


def test_a_station_may_have_slashes_in_its_name() -> None:
    row = line(record(STATIONS, heartbeat("[]", station="hall/7")))
    assert (row.tenant, row.station) == ("acme", "hall/7")


@pytest.mark.parametrize("topic", [REQUESTS, DIRECTORY])
def test_a_change_of_a_station_names_its_tenant_in_its_value_only(topic: Topic[Any]) -> None:
    change = ChangeRequested(
        at=NOON,
        tenant=TenantId("acme"),
        request=RequestId("r"),
        kind="station",
        id="ST1",
        change=Delete(),
        requested_by="k",
    )
    row = line(record(topic, change))
    assert row.key == "station/ST1"
    assert (row.tenant, row.station) == ("acme", "ST1")
    unread = line(record(topic, change, value=b"\xff"))
    assert (unread.tenant, unread.station) == ("", "")


def test_what_is_about_no_station_has_none() -> None:
    site = Site(at=NOON, tenant=TenantId("acme"), version=1, id=SiteId("s"), name="", time_zone="UTC")
    assert (line(record(SITES, site)).tenant, line(record(SITES, site)).station) == ("acme", "")
    assert line(record(CHARGING, filled(CHARGING.classes[1]))).station == ""
    assert (line(record(ALIVE, filled(GatewayAlive))).tenant, line(record(ALIVE, filled(GatewayAlive))).station) == (
        "",
        "",
    )


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T12:00:00Z"),
        (datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC), "2026-01-01T12:00:00.000001Z"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "1900-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14))), "2299-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_shown_in_utc_and_within_what_clickhouse_can_hold(moment: datetime, shown: str) -> None:
    text = moment.isoformat().encode()
    said = [(name, text if name == "ce_time" else value) for name, value in headers()]
    assert line(record(STATIONS, heartbeat("[]"), headers=said)).time == shown


@pytest.mark.parametrize(
    "broken",
    [
        [],
        headers()[1:-1][1:],
        [*headers(), ("ce_time", b"noon")],
        [*headers(), ("ce_recordedtime", b"2026-01-01T12:00:00")],
        [*headers(), ("ce_id", b"")],
        [*headers(), ("ce_id", b"\xff")],
        [*headers(), ("ce_id", None)],
        [*headers(), ("ce_sequence", b"-1")],
        [*headers(), ("ce_sequence", b"99999999999999999999")],
    ],
)
def test_a_record_that_nobody_can_read_is_kept_with_what_is_known(broken: Any) -> None:
    row = line(record(STATIONS, heartbeat("[]"), partition=2, offset=9, headers=broken, value=b"\x00?"))
    assert row.unread
    assert (row.id, row.body, row.tenant, row.station) == ("stations/2/9", "\x00?", "acme", "ST1")
    assert row.time == row.recorded_time == "2026-01-01T12:00:09Z"
    assert set(row.headers) == {name for name, _ in broken}
    assert encode([row])


@pytest.mark.parametrize(("stamp", "year"), [(-1, "1970"), (1 << 62, "2299")])
def test_any_timestamp_of_kafka_is_shown(stamp: int, year: str) -> None:
    row = line(record(STATIONS, heartbeat("[]"), headers=[], timestamp_ms=stamp))
    assert row.recorded_time.startswith(year)


def test_a_key_without_a_tenant_is_kept() -> None:
    row = line(record(STATIONS, heartbeat("[]"), key=b""))
    assert (row.tenant, row.station, row.key) == ("", "", "")


def test_bytes_that_are_no_text_are_escaped_byte_by_byte() -> None:
    encoded = encode([line(record(STATIONS, heartbeat("[]"), value=b'\xff"\\\n\x00e'))])
    assert b'"body":"\xff\\u0022\\u005c\\u000a\\u0000e"' in encoded


def test_no_row_knows_a_uid() -> None:
    assert not {"uid", "masked_uid"} & set(rows.Line.__struct_fields__)
