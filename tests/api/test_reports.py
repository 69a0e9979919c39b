"""Reports over a real ClickHouse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from contracts.event import SessionId, StationId, TenantId
from contracts.sessions import Account, EnergyDelivered, SessionQuarantined
from contracts.topics import SESSIONS
from tests.api.test_history import Archive, archive, client, reader

__all__ = ["archive", "client", "reader"]

LEDGER = "/v1/reports/energy-ledger"
DAYS = {"from": "2026-03-01", "to": "2026-03-31"}


def of(day: int, tenant: str = "default", hour: int = 12) -> dict[str, Any]:
    at = datetime(2026, 3, day, hour, tzinfo=UTC)
    return {"at": at, "tenant": TenantId(tenant), "station": StationId("st-1"), "session": SessionId("s-1")}


def account(delivered: int, attributed: int, quarantined: int = 0, site: str | None = "oslo") -> Any:
    return Account(
        delivered_wh=delivered,
        attributed_wh=attributed,
        quarantined_wh=quarantined,
        unattributed_wh=delivered - attributed - quarantined,
        site=site,  # type: ignore[arg-type]  # a NewType
        time_zone="Europe/Oslo",
    )


@pytest.fixture(autouse=True)
async def ledger(client: AsyncClient, archive: Archive) -> None:
    stop: dict[str, Any] = {"report": "r", "reason": "Local", "transaction": "9"}
    await archive.keeps(
        SESSIONS,
        EnergyDelivered(**of(1), energy_wh=1, meter_wh=1, account=account(500, 450)),
        EnergyDelivered(**of(1, hour=23), energy_wh=1, meter_wh=1, account=account(70, 100)),
        SessionQuarantined(**of(2, hour=9), **stop, account=account(300, 0, 300)),
        EnergyDelivered(**of(3), energy_wh=1, meter_wh=1, account=account(4, 4, site=None)),
        EnergyDelivered(**of(1, tenant="acme"), energy_wh=1, meter_wh=1, account=account(9, 9)),
    )


def row(site: str | None, day: int, *wh: int) -> dict[str, Any]:
    names = ("delivered_wh", "attributed_wh", "quarantined_wh", "unattributed_wh")
    return {"site": site, "day": f"2026-03-{day:02}"} | dict(zip(names, wh, strict=True))


async def test_every_watt_hour_is_somewhere_by_site_and_local_day(reader: AsyncClient) -> None:
    answer = (await reader.get(LEDGER, params=DAYS)).json()
    assert answer["items"] == [
        row(None, 3, 4, 4, 0, 0),
        row("oslo", 1, 500, 450, 0, 50),
        row("oslo", 2, 370, 100, 300, -30),
    ]
    assert answer["total"] == {"delivered_wh": 874, "attributed_wh": 554, "quarantined_wh": 300, "unattributed_wh": 20}
    for each in [*answer["items"], answer["total"]]:
        assert each["delivered_wh"] == each["attributed_wh"] + each["quarantined_wh"] + each["unattributed_wh"]


async def test_the_ledger_is_cut_to_days_and_sites(reader: AsyncClient) -> None:
    one_day = await reader.get(LEDGER, params={"from": "2026-03-02", "to": "2026-03-02"})
    assert [item["delivered_wh"] for item in one_day.json()["items"]] == [370]
    for site, delivered in (("oslo", 870), ("", 4), ("nowhere", 0)):
        answer = await reader.get(LEDGER, params=DAYS | {"site": site})
        assert answer.json()["total"]["delivered_wh"] == delivered


@pytest.mark.parametrize(
    ("zone", "hour"), [("Pacific/Kiritimati", -14), ("Pacific/Kiritimati", 9), ("Etc/GMT+12", 12), ("Etc/GMT+12", 35)]
)
async def test_the_first_and_last_hour_of_a_day_are_in_it_anywhere_on_earth(
    reader: AsyncClient, archive: Archive, zone: str, hour: int
) -> None:
    about = of(1) | {"at": datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=hour)}
    there = Account(delivered_wh=7, attributed_wh=7, time_zone=zone)
    await archive.keeps(SESSIONS, EnergyDelivered(**about, energy_wh=7, meter_wh=7, account=there))
    answer = await reader.get(LEDGER, params={"from": "2026-05-01", "to": "2026-05-01"})
    assert [(item["day"], item["delivered_wh"]) for item in answer.json()["items"]] == [("2026-05-01", 7)]


async def test_the_ledger_comes_as_csv(reader: AsyncClient) -> None:
    answer = await reader.get(LEDGER, params=DAYS | {"format": "csv", "site": "oslo"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines() == [
        "site,day,delivered_wh,attributed_wh,quarantined_wh,unattributed_wh",
        "oslo,2026-03-01,500,450,0,50",
        "oslo,2026-03-02,370,100,300,-30",
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2024-01-01", "to": "2026-03-01"},
        {"from": "0001-01-01"},
        {"to": "9999-12-31"},
        {"from": "yesterday"},
        {"site": "a\u0000"},
        {"format": "xml"},
    ],
)
async def test_days_that_mean_nothing_are_refused(reader: AsyncClient, query: dict[str, str]) -> None:
    assert (await reader.get(LEDGER, params=query)).status_code == 422


async def test_without_dates_the_ledger_is_of_the_last_month(reader: AsyncClient) -> None:
    answer = (await reader.get(LEDGER)).json()
    assert (datetime.fromisoformat(answer["last_day"]) - datetime.fromisoformat(answer["first_day"])).days == 30
