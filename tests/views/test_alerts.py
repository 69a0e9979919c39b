"""Alerts as rows: what comes again changes nothing, and an end is an end in whatever order it is heard."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from contracts import tables
from contracts.event import Event
from contracts.topics import ALERTS
from services.views.worker import TOPICS, Views
from tests.views.given import at, chunk, cleared, raised


async def alerts_after(engine: AsyncEngine, *batches: list[Event]) -> list[dict[str, Any]]:
    views, first = Views(engine), 0
    await views.positions({(each.name, 0) for each in TOPICS})
    for events in batches:
        await views.apply([chunk(ALERTS, events, first=first)])
        first += len(events)
    async with sql.reading(engine) as connection:
        found = await connection.execute(select(tables.alerts).order_by(tables.alerts.c.tenant, tables.alerts.c.id))
        return [dict(row) for row in found.mappings()]


OPEN: dict[str, Any] = {
    "tenant": "north",
    "id": "a-1",
    "rule": "repeated_faults",
    "station": "st-1",
    "evse": 1,
    "connector": 2,
    "state": "open",
    "raised_at": at(60),
    "since": at(10),
    "count": 3,
    "within_s": 900,
    "detail": "GroundFailure",
    "cleared_at": None,
    "cleared_reason": None,
}
OVER = OPEN | {"state": "cleared", "cleared_at": at(960), "cleared_reason": "quiet"}


async def test_an_alert_is_open_once_it_is_raised(migrated: AsyncEngine) -> None:
    assert await alerts_after(migrated, [raised()]) == [OPEN]


async def test_an_alert_of_a_station_as_a_whole_names_no_connector(migrated: AsyncEngine) -> None:
    [alert] = await alerts_after(migrated, [raised(rule="flapping_connection", evse=None, connector=None)])
    assert (alert["rule"], alert["evse"], alert["connector"]) == ("flapping_connection", None, None)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([raised(), cleared()], id="in order"),
        pytest.param([cleared(), raised()], id="the end first"),
        pytest.param([raised(), raised(), cleared(), cleared()], id="each twice"),
        pytest.param([raised(), cleared(), raised()], id="raised again after the end"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "one by one"])
async def test_an_alert_that_ended_is_over_however_it_is_told(
    migrated: AsyncEngine, events: list[Event], at_once: bool
) -> None:
    batches = [events] if at_once else [[event] for event in events]
    assert await alerts_after(migrated, *batches) == [OVER]


async def test_what_goes_on_after_an_end_is_an_alert_of_its_own(migrated: AsyncEngine) -> None:
    long = cleared(reason="a_day_has_passed")
    alerts = await alerts_after(migrated, [raised(), long], [raised("a-2", 2000), raised(tenant="south")])
    assert [(alert["tenant"], alert["id"], alert["state"], alert["cleared_reason"]) for alert in alerts] == [
        ("north", "a-1", "cleared", "a_day_has_passed"),
        ("north", "a-2", "open", None),
        ("south", "a-1", "open", None),
    ]
