"""Revenue over a real ClickHouse, against the bills that billing's own rules wrote, corrections among them."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from httpx import AsyncClient

from contracts.bills import BillEvent, CdrCredited, CdrIssued
from contracts.event import SiteId, TenantId
from contracts.reference import Site
from contracts.topics import BILLS, SITES
from services.billing.heard import Assigned
from tests.api.test_history import Archive, archive, client, reader
from tests.billing.says import corrected, delivered, discarded, ended, started, ticked, version
from tests.rerating.given import ASSIGNED, bills, renamed, session

__all__ = ["archive", "client", "reader"]

REVENUE = "/v1/reports/revenue"
DAYS = {"from": "2026-11-01", "to": "2026-11-30"}
DEFAULT = TenantId("default")


def site(id: str, zone: str) -> Site:
    at = version().at
    return Site(at=at, tenant=DEFAULT, version=1, id=SiteId(id), name=id, time_zone=zone)


def moved(events: Sequence[BillEvent], id: str, site: str) -> list[BillEvent]:
    """Return bills as those of another session at another site."""
    others = renamed(events, id, tenant=DEFAULT, site=SiteId(site))
    names: dict[str, str] = {}
    found = []
    for event in others:
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        for name in {"cdr", "credits", "corrects"} & set(fields):
            fields[name] = fields[name] and names.setdefault(fields[name], f"{id}-{fields[name]}")
        found.append(type(event)(**fields))
    return found


HISTORIES: dict[str, list[BillEvent]] = {
    "plain": bills(*session()),
    "corrected": bills(*session(), corrected(60, 12_000, recorded=70), ticked(76)),
    "lowered": bills(*session(wh=20_000), corrected(60, 3_000, recorded=70), ticked(76)),
    "discarded": bills(*session(), discarded(90)),
    "at night": bills(started(ASSIGNED), delivered(20, 500), ended(700, 1000), ticked(710)),
    "other": bills(*session(Assigned("tenant", version(number=2)), wh=7_777)),
}


@pytest.fixture
async def kept(client: AsyncClient, archive: Archive) -> list[BillEvent]:
    written = [
        event
        for number, (name, events) in enumerate(HISTORIES.items())
        for event in moved(events, name, "oslo" if number % 2 else "tokyo")
    ]
    await archive.keeps(SITES, site("oslo", "Europe/Oslo"), site("tokyo", "Asia/Tokyo"))
    await archive.keeps(BILLS, *written, *renamed(HISTORIES["plain"], "theirs"))
    return written


def expected(events: Sequence[BillEvent]) -> dict[tuple[str, str], tuple[int, int, Decimal, Decimal]]:
    """Return sessions, energy, net and gross by day and site: of the CDRs that nobody credited."""
    credited = {event.credits for event in events if isinstance(event, CdrCredited)}
    found: dict[tuple[str, str], Any] = defaultdict(lambda: (0, 0, Decimal(0), Decimal(0)))
    for event in events:
        if isinstance(event, CdrIssued) and event.cdr not in credited:
            zone = ZoneInfo("Europe/Oslo" if event.site == "oslo" else "Asia/Tokyo")
            key = (event.ended_at.astimezone(zone).date().isoformat(), str(event.site))
            priced = event.priced
            more = (1, priced.energy_wh, priced.total_excl, priced.total_incl)
            found[key] = tuple(a + b for a, b in zip(found[key], more, strict=True))
    return dict(found)


async def test_revenue_is_what_counts_of_the_bills(reader: AsyncClient, kept: list[BillEvent]) -> None:
    answer = (await reader.get(REVENUE, params=DAYS | {"by": "day,site"})).json()
    found = {
        (row["day"], row["site"]): (row["sessions"], row["energy_wh"], Decimal(row["net"]), Decimal(row["gross"]))
        for row in answer["items"]
        if row["sessions"]
    }
    assert found == expected(kept)
    assert len({day for day, _ in found}) == 2, "a session ended on another day in Tokyo"


async def test_credits_are_taken_from_what_they_take_back(reader: AsyncClient, kept: list[BillEvent]) -> None:
    [row] = (await reader.get(REVENUE, params=DAYS | {"by": ""})).json()["items"]
    credits = [event.total_incl for event in kept if isinstance(event, CdrCredited) and event.total_incl is not None]
    assert (row["day"], row["site"], row["tariff"]) == (None, None, None)
    assert Decimal(row["credited"]) == sum(credits) < 0
    assert (row["sessions"], row["without_total"], row["currency"]) == (5, 0, "EUR")


@pytest.mark.usefixtures("kept")
async def test_revenue_can_be_divided_and_cut(reader: AsyncClient) -> None:
    by_tariff = (await reader.get(REVENUE, params=DAYS | {"by": "tariff"})).json()
    assert [(row["tariff"], row["sessions"]) for row in by_tariff["items"]] == [("AC", 5)]
    oslo = (await reader.get(REVENUE, params=DAYS | {"by": "site", "site": "oslo"})).json()
    assert [row["site"] for row in oslo["items"]] == ["oslo"]
    text = (await reader.get(REVENUE, params=DAYS | {"by": "site", "site": "oslo", "format": "csv"})).text
    assert text.splitlines()[0] == "site,currency,sessions,energy_wh,net,gross,credited,without_total"
    assert text.splitlines()[1].startswith("oslo,EUR,")
    assert (await reader.get(REVENUE, params=DAYS | {"by": "week"})).status_code == 422
