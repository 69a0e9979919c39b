"""The energy ledger in ClickHouse: each event once, by the site's own days, and always in balance."""

from datetime import UTC, date, datetime
from typing import Any

from chassis.clickhouse import ClickHouse
from chassis.kafka import Record
from contracts.event import Event, SessionId, StationId
from contracts.sessions import Account, EnergyDelivered, EnergyUnattributed, SessionCorrected, SessionQuarantined
from contracts.topics import SESSIONS
from services.analytics.rows import encode, line
from tests.analytics.given import ACME, at, record

LEDGER = "SELECT * EXCEPT tenant FROM energy_ledger ORDER BY site, day"


async def store(db: ClickHouse, *records: Record) -> None:
    token = " ".join(f"{each.topic.name} {each.offset}" for each in records)
    await db.insert_json("events", encode(map(line, records)), token=token)


async def hear(db: ClickHouse, *events: Event) -> None:
    await store(db, *(record(SESSIONS, event, offset=offset) for offset, event in enumerate(events)))


def account(delivered: int = 0, attributed: int = 0, quarantined: int = 0, **more: Any) -> Account:
    return Account(
        delivered_wh=delivered,
        attributed_wh=attributed,
        quarantined_wh=quarantined,
        unattributed_wh=delivered - attributed - quarantined,
        **{"site": "oslo", "time_zone": "Europe/Oslo"} | more,
    )


def moved(entry: Account | None, when: datetime = at(0), energy_wh: int = 1) -> EnergyDelivered:
    of: Any = {"at": when, "tenant": ACME, "station": StationId("ST1"), "session": SessionId("S1")}
    return EnergyDelivered(**of, energy_wh=energy_wh, meter_wh=energy_wh, account=entry)


def of(**more: Any) -> dict[str, Any]:
    return {"at": at(0), "tenant": ACME, "station": StationId("ST1"), "session": SessionId("S1")} | more


async def test_what_is_delivered_is_the_sum_of_the_others(db: ClickHouse) -> None:
    gap = EnergyUnattributed(at=at(0), tenant=ACME, station=StationId("ST1"), evse=1, connector=1, account=account(70))
    stop: dict[str, Any] = {"report": "r", "reason": "Local", "transaction": "9"}
    await hear(
        db,
        moved(account(500, 500)),
        SessionQuarantined(**of(**stop), account=account(300, 0, 300)),
        SessionCorrected(**of(**stop), account=account(0, 100)),
        gap,
        moved(None),
    )
    (row,) = await db.query(LEDGER)
    assert row == {
        "site": "oslo",
        "day": date(2026, 1, 1),
        "delivered_wh": 870,
        "attributed_wh": 600,
        "quarantined_wh": 300,
        "unattributed_wh": -30,
    }


async def test_an_event_counts_once_however_often_it_is_stored(db: ClickHouse) -> None:
    for offset in (1, 2):
        await store(db, record(SESSIONS, moved(account(500, 500)), offset=offset, id="e1"))
    (row,) = await db.query(LEDGER)
    assert row["delivered_wh"] == 500


async def test_days_are_those_of_the_site(db: ClickHouse) -> None:
    late = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    elsewhere: dict[str, Any] = {"site": "here", "time_zone": "nowhere"}
    await hear(db, moved(account(1, 1), late), moved(account(2, 2, **elsewhere), late), moved(account(4, 4, site=None)))
    rows = await db.query(LEDGER)
    assert [(row["site"], row["day"].day, row["delivered_wh"]) for row in rows] == [
        ("", 1, 4),
        ("here", 1, 2),
        ("oslo", 2, 1),
    ]
