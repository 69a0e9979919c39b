"""The views, and every query of docs/analytics.md, against a real ClickHouse."""

import base64
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chassis.clickhouse import ClickHouse
from chassis.kafka import Record
from contracts.authorizations import TokenInfo
from contracts.event import CommandId, Event, GatewayId, RepairId, SessionId, SiteId, StationId, TokenId, TransactionId
from contracts.sessions import (
    EnergyDelivered,
    OfSession,
    ReadingsTaken,
    SessionAuthorized,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRepaired,
    SessionStarted,
)
from contracts.stations import CallFailed, CallSent, ConnectionClosed, Frame, Reading, Sample, Violation
from contracts.topics import READINGS, SESSIONS, STATIONS, Topic
from services.analytics.rows import encode, line
from tests.analytics.given import ACME, at, filled, heartbeat, record, taken

DOCS = Path(__file__).parents[2] / "docs" / "analytics.md"
QUERIES = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)
FRAMES, READINGS_OF_SESSION = QUERIES[0], QUERIES[1]
LATE = at(10_000)


async def store(db: ClickHouse, *records: Record) -> None:
    token = " ".join(each.topic.name + str(each.offset) for each in records)
    await db.insert_json("events", encode(map(line, records)), token=token)


async def hear(db: ClickHouse, topic: Topic[Any], events: Iterable[Event]) -> None:
    await store(db, *(record(topic, event, offset=offset) for offset, event in enumerate(events)))


# Frames


async def frames(db: ClickHouse, before: datetime = LATE, before_id: str = "", station: str = "ST1") -> list[Any]:
    values = {"tenant": ACME, "station": station, "before": before, "before_id": before_id}
    return await db.query(FRAMES, values)


def of_station(**more: Any) -> dict[str, Any]:
    return {
        "at": at(0),
        "tenant": ACME,
        "station": StationId("ST1"),
        "gateway": GatewayId("g"),
        "reply_to": 0,
        "epoch": 1,
    } | more


async def test_frames_come_newest_first_page_by_page(db: ClickHouse) -> None:
    said = [heartbeat(f'[2,"{n}","Heartbeat",{{}}]') for n in range(120)]
    await hear(db, STATIONS, [*said, heartbeat("[]", station="ST2")])
    pages: list[list[Any]] = [await frames(db)]
    while pages[-1]:
        pages.append(await frames(db, pages[-1][-1]["recorded_time"], pages[-1][-1]["id"]))
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    assert [row["text"] for page in pages for row in page] == [each.frame.text for each in reversed(said)]


async def test_a_frame_is_listed_once_however_often_it_is_stored(db: ClickHouse) -> None:
    for offset in (1, 2):  # the same event, recorded twice
        await store(db, record(STATIONS, heartbeat("[]"), offset=offset, id="e1"))
    assert [row["id"] for row in await frames(db)] == ["e1"]


@pytest.mark.parametrize(
    "frame",
    ["", "[]", '[2,"1","Heartbeat",{}]', "\x00\n\t\"\\'\x7f", "žluťoučký \U0001f600", "[[[[" * 5000, '{"a":"\\ud800"}'],
)
async def test_a_frame_is_recovered_byte_by_byte(db: ClickHouse, frame: str) -> None:
    await hear(db, STATIONS, [heartbeat(frame)])
    assert await db.query("SELECT hex(frame) AS frame FROM frames") == [{"frame": frame.encode().hex().upper()}]
    assert [(row["text"], row["is_text"]) for row in await frames(db)] == [(frame, 1)]


async def test_a_frame_that_is_no_text_is_recovered_byte_by_byte(db: ClickHouse) -> None:
    data = bytes(range(256))
    await hear(db, STATIONS, [heartbeat(Frame(base64=data))])
    assert await db.query("SELECT hex(frame) AS frame FROM frames") == [{"frame": data.hex().upper()}]
    (row,) = await frames(db)
    assert (row["is_text"], base64.b64decode(row["text"])) == (0, data)


async def test_a_frame_has_its_direction_type_action_and_violations(db: ClickHouse) -> None:
    sent = CallSent(**of_station(command=CommandId("c"), message_id="1", frame=Frame('[2,"1","Reset",{}]')))
    failed = CallFailed(**of_station(command=CommandId("c"), reason="CallError", frame=Frame('[4,"1","E","",{}]')))
    silent = CallFailed(**of_station(command=CommandId("c"), reason="TimedOut"))
    heard = heartbeat('[2,"1","Heartbeat",{}]', violations=(Violation("T-44", "why"),))
    await hear(db, STATIONS, [heard, sent, failed, silent, ConnectionClosed(**of_station(code=1000)), heartbeat("?")])
    found = [(r["direction"], r["message_type"], r["action"], r["violations"]) for r in reversed(await frames(db))]
    assert found == [
        ("from_station", 2, "Heartbeat", [{"rule": "T-44", "detail": "why"}]),
        ("to_station", 2, "Reset", []),
        ("from_station", 4, "", []),
        ("from_station", 0, "", []),
    ]


async def test_a_page_of_frames_is_read_in_order_and_not_sorted(db: ClickHouse) -> None:
    values = {"tenant": ACME, "station": "ST1", "before": LATE, "before_id": ""}
    await hear(db, STATIONS, [heartbeat("[]")])
    plan = "\n".join(str(next(iter(row.values()))) for row in await db.query(f"EXPLAIN actions = 1 {FRAMES}", values))
    assert "Prefix sort description" in plan, plan
    assert "InReverseOrder" in plan, plan


# Readings


async def readings(db: ClickHouse, session: str = "S1") -> list[dict[str, Any]]:
    return await db.query(READINGS_OF_SESSION, {"tenant": ACME, "station": "ST1", "session": session})


async def test_readings_of_a_session_come_in_order(db: ClickHouse) -> None:
    late, early, other = taken("5", "6", seconds=60), taken("3", "4"), taken("9", session=None)
    await hear(db, READINGS, [late, early, other])
    assert [row["value"] for row in await readings(db)] == [3, 4, 5, 6]
    assert [row["value"] for row in await readings(db, "")] == [9]
    assert [row["at"] for row in await readings(db)] == [at(0), at(0), at(60), at(60)]


async def test_what_an_event_leaves_out_has_the_contracts_default(db: ClickHouse) -> None:
    await hear(db, READINGS, [taken("1")])
    (row,) = await readings(db)
    assert (row["measurand"], row["context"], row["location"], row["unit"], row["phase"], row["signed"]) == (
        Sample("").measurand,
        Sample("").context,
        Sample("").location,
        Sample("").unit,
        "",
        False,
    )


async def test_a_sample_keeps_all_it_says(db: ClickHouse) -> None:
    sample = Sample("-1.5", "Voltage", "V", "L1-N", "Transaction.End", "Inlet")
    signed = Sample("12", signed=True)
    event = ReadingsTaken(
        at=at(0),
        tenant=ACME,
        station=StationId("ST1"),
        report="r",
        evse=3,
        connector=4,
        session=SessionId("S1"),
        readings=(Reading(at(0), (sample,)), Reading(at(1)), Reading(at(2), (signed,))),
    )
    await hear(db, READINGS, [event])
    first, second = await readings(db)
    assert first == {
        "at": at(0),
        "measurand": "Voltage",
        "phase": "L1-N",
        "context": "Transaction.End",
        "location": "Inlet",
        "unit": "V",
        "value": Decimal("-1.5"),
        "said": "-1.5",
        "signed": False,
    }
    assert (second["value"], second["said"], second["signed"]) == (None, "12", True)
    assert await db.query("SELECT DISTINCT evse, connector, station, event FROM readings") == [
        {"evse": 3, "connector": 4, "station": "ST1", "event": "readings-0-0"}
    ]


@pytest.mark.parametrize(
    ("said", "value"),
    [("0.1", Decimal("0.1")), ("1e3", 1000), ("", None), ("NaN", None), ("1" * 40, None), ("12 kWh", None)],
)
async def test_a_value_is_a_number_or_none_and_always_as_said(db: ClickHouse, said: str, value: Decimal | None) -> None:
    await hear(db, READINGS, [taken(said)])
    assert [(row["said"], row["value"]) for row in await readings(db)] == [(said, value)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"\xff",
        b'{"readings":5}',
        b'{"readings":[{"at":7,"samples":[{"value":{}}]}]}',
        b'{"evse":"a","readings":[{"at":"9999-99-99","samples":[{"value":"1"}]}]}',
        b'{"evse":1,"readings":[{"at":"0001-01-01T00:00:00Z","samples":[{"value":"1"}]}]}',
        b'{"evse":1,"readings":[{"at":"9999-12-31T23:59:59.999999Z","samples":[{"value":"1"}]}]}',
        None,
    ],
)
async def test_no_readings_keep_their_event_from_being_stored(db: ClickHouse, body: bytes | None) -> None:
    await store(db, record(READINGS, taken("1"), value=body))
    assert await db.query("SELECT count() AS n FROM events") == [{"n": 1}]
    await db.query("SELECT * FROM readings")


# Sessions


def of(session: str = "S1", seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {"at": at(seconds), "tenant": ACME, "station": StationId("ST1"), "session": SessionId(session)} | more


def started(session: str = "S1", seconds: float = 0, **more: Any) -> SessionStarted:
    values = {
        "report": "r",
        "transaction": TransactionId("7"),
        "evse": 1,
        "connector": 1,
        "token": TokenId("t"),
        "meter_wh": 100,
        "site": SiteId("site"),
        "time_zone": "Europe/Oslo",
    }
    return SessionStarted(**of(session, seconds, **values | more))


def ended(session: str = "S1", seconds: float = 60, **more: Any) -> SessionEnded:
    return SessionEnded(**of(session, seconds, report="r", reason="Local") | {"meter_wh": 600, "energy_wh": 500} | more)


def delivered(energy_wh: int) -> EnergyDelivered:
    return EnergyDelivered(**of(energy_wh=energy_wh, meter_wh=100 + energy_wh))


AUTHORIZED = SessionAuthorized(**of(), info=TokenInfo("Accepted"))
PRESUMED = SessionPresumedEnded(**of(seconds=50), reason="superseded", energy_wh=400)
CORRECTED = SessionCorrected(**of(seconds=60), report="r", reason="EVDisconnected", meter_wh=700, energy_wh=600)
QUARANTINED = SessionQuarantined(**of(), report="r", transaction=TransactionId("9"), reason="Local", meter_wh=9)


def repaired(**more: Any) -> SessionRepaired:
    return SessionRepaired(**of(seconds=90), repair=RepairId("p"), reason="a test", requested_by="k", **more)


@pytest.mark.parametrize(
    ("history", "state", "energy_wh", "final"),
    [
        ([started()], "pending", None, False),
        ([started(), AUTHORIZED], "charging", None, False),
        ([started(), delivered(7)], "charging", 7, False),
        ([started(), AUTHORIZED, delivered(7), delivered(9)], "charging", 9, False),
        ([started(), delivered(7), ended()], "ended", 500, True),
        ([started(), delivered(7), ended(energy_wh=None)], "ended", 7, False),
        ([started(), ended(), delivered(7)], "ended", 500, True),
        ([started(), delivered(7), PRESUMED], "presumed_ended", 400, False),
        ([started(), PRESUMED, CORRECTED], "ended", 600, True),
        ([QUARANTINED], "quarantined", None, False),
        ([QUARANTINED, started(), ended()], "ended", 500, True),
        ([QUARANTINED, repaired(action="attach", to="S2")], "attached", None, False),
        ([started(), ended(), repaired(action="discard", energy_before_wh=500)], "discarded", 0, False),
        ([started(), repaired(action="end"), ended()], "ended", 500, True),
    ],
)
async def test_a_session_is_what_its_events_leave(
    db: ClickHouse, history: list[OfSession], state: str, energy_wh: int | None, *, final: bool
) -> None:
    await hear(db, SESSIONS, history)
    (row,) = await db.query("SELECT * FROM sessions")
    assert (row["state"], row["energy_wh"], bool(row["final"])) == (state, energy_wh, final)
    assert row["events"] == len(history)


async def test_a_session_can_be_known_to_have_begun_at_another_time(db: ClickHouse) -> None:
    await hear(db, SESSIONS, [started(), ended(started_at=at(-60))])
    (row,) = await db.query("SELECT started_at FROM sessions")
    assert row["started_at"] == at(-60)


async def test_a_session_says_where_when_and_how_it_was(db: ClickHouse) -> None:
    await hear(db, SESSIONS, [started(), AUTHORIZED, ended(meter_wh=None)])
    (row,) = await db.query("SELECT * EXCEPT (events, final, state) FROM sessions")
    assert row == {
        "tenant": "acme",
        "session": "S1",
        "station": "ST1",
        "site": "site",
        "time_zone": "Europe/Oslo",
        "evse": 1,
        "connector": 1,
        "token": "t",
        "transaction": "7",
        "started_at": at(0),
        "ended_at": at(60),
        "meter_start_wh": 100,
        "meter_stop_wh": None,
        "energy_wh": 500,
        "reason": "Local",
        "authorization": "Accepted",
        "updated_at": at(2),
    }


async def test_energy_is_summed_by_the_day_of_the_site(db: ClickHouse) -> None:
    night = 11.5 * 3600  # 23:30 in London, 00:30 in Oslo
    stories = [
        [started("A"), ended("A")],
        [started("B"), ended("B", night)],
        [started("C"), ended("C", night, energy_wh=None)],
        [started("D", time_zone="Nowhere/Else", site=SiteId("other")), ended("D", night)],
        [started("E"), AUTHORIZED],
    ]
    await hear(db, SESSIONS, [event for story in stories for event in story])
    found = await db.query("SELECT * FROM energy_by_day ORDER BY site, day")
    assert [tuple(row.values()) for row in found] == [
        ("acme", "other", date(2026, 1, 1), 1, 500, 0),
        ("acme", "site", date(2026, 1, 1), 1, 500, 0),
        ("acme", "site", date(2026, 1, 2), 2, 500, 1),
    ]


# The documentation


async def test_every_query_of_the_documentation_runs(db: ClickHouse) -> None:
    await hear(db, SESSIONS, [started(), filled(EnergyDelivered), ended()])
    values = {
        "tenant": "acme",
        "station": "ST1",
        "session": "S1",
        "site": "site",
        "id": "sessions-0-0",
        "traceparent": "00-a-b-01",
        "from": "2026-01-01",
        "before": LATE,
        "before_id": "",
        "topic": "stations",
        "partition": 0,
    }
    assert len(QUERIES) == 8
    found = []
    for sql in QUERIES:
        if sql.startswith("SELECT"):
            found.append(await db.query(sql, values))
        else:
            await db.command(sql, values)
    assert [len(rows) for rows in found] == [0, 0, 2, 1, 1, 1, 0]
