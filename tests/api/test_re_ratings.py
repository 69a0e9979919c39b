"""Re-ratings over REST: asked for, followed, cancelled, and their report from a real ClickHouse."""

import csv
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient

from contracts.event import JobId, SessionId, SiteId, StationId, TenantId
from contracts.ratings import (
    ByAssignments,
    ByItsOwn,
    ByTariff,
    Rated,
    ReRatingAsked,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    SessionsRated,
    Span,
    Sum,
)
from contracts.topics import RATED, RATINGS
from tests.analytics.given import at
from tests.api.network import Network
from tests.api.test_history import Archive, archive, client, reader

__all__ = ["archive", "client", "reader"]

JOBS = "/v1/re-ratings"
WISH: dict[str, Any] = {"with": "assigned", "reason": "the night price was missing"}
TARIFF = {"id": "X", "currency": "NOK", "elements": [{"price_components": [{"type": "ENERGY", "price": "4.00"}]}]}


def written(network: Network) -> ReRatingAsked:
    asked = network.written[-1]
    assert isinstance(asked, ReRatingAsked)
    return asked


def about(job: str) -> dict[str, Any]:
    return {"at": at(0), "tenant": TenantId("default"), "job": JobId(job)}


def sums(sessions: int, before: str, after: str, site: str | None = "oslo") -> Sum:
    amounts = (Decimal(before), Decimal(after), Decimal(before), Decimal(after))
    return Sum("NOK", "AC", None if site is None else SiteId(site), sessions, 1, *amounts)


def piece(job: str, first: int, after: int, *sums: Sum, **more: Any) -> ReRatingProgressed:
    return ReRatingProgressed(**about(job), part=0, first=first, after=after, resume=first, sums=sums, **more)


async def test_a_re_rating_is_asked_for_and_followed_to_its_end(admin: AsyncClient, network: Network) -> None:
    answer = await admin.post(JOBS, json=WISH | {"from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00+01:00"})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["state"], job["progress"], job["sums"], job["mode"]) == ("asked", 0, [], "dry_run")
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert (written(network).by, written(network).requested_by) == (ByAssignments(), "admin")
    spans = (Span(0, 10, 50), Span(1, 0, 60))
    await network.says(RATINGS, ReRatingBegun(**about(job["id"]), spans=spans))
    first = piece(job["id"], 10, 35, sums(2, "8.00", "9.00"), skipped={"free": 1}, applied=1)
    await network.says(RATINGS, first, first)
    job = (await admin.get(f"{JOBS}/{job['id']}")).json()
    assert (job["state"], job["progress"], job["sessions"], job["applied"]) == ("running", 0.25, 2, 1)
    more = piece(job["id"], 35, 50, sums(1, "4.00", "4.50"), sums(3, "1", "1", None), skipped={"free": 1}, unbilled=4)
    await network.says(RATINGS, more, ReRatingFinished(**about(job["id"])), more)
    job = (await admin.get(f"{JOBS}/{job['id']}")).json()
    assert (job["state"], job["sessions"], job["skipped"], job["unbilled"]) == ("finished", 6, {"free": 2}, 4)
    assert [(each["site"], each["sessions"], each["gross_before"], each["gross_after"]) for each in job["sums"]] == [
        (None, 3, "1", "1"),
        ("oslo", 3, "12.00", "13.50"),
    ]


async def test_a_repetition_asks_once(admin: AsyncClient, network: Network) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await admin.post(JOBS, json=WISH, headers=key)
    again = await admin.post(JOBS, json=WISH, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert sum(isinstance(event, ReRatingAsked) for event in network.written) == 1
    other = await admin.post(JOBS, json=WISH | {"mode": "apply"}, headers=key)
    assert other.json()["type"] == "/problems/idempotency_key_reused"


async def test_sessions_are_rated_by_a_version_an_inline_tariff_or_their_own(
    admin: AsyncClient, network: Network
) -> None:
    await admin.put("/v1/tariffs/X", json={"tariff": TARIFF, "policy": {"idle_grace_s": 60}})
    await admin.post(JOBS, json=WISH | {"with": {"tariff": "X", "version": 1}})
    by = written(network).by
    assert isinstance(by, ByTariff)
    assert (by.version, by.policy.idle_grace_s, by.tariff.currency) == (1, 60, "NOK")
    await admin.post(JOBS, json=WISH | {"with": {"inline": TARIFF}, "mode": "apply", "raises": True})
    inline = written(network)
    assert (inline.by, inline.mode, inline.raises) == (ByTariff(by.tariff), "apply", True)
    await admin.post(JOBS, json=WISH | {"with": "own", "station": "CP-1", "site": "oslo", "tariff": "X"})
    asked = written(network)
    assert (asked.by, asked.choice.station, asked.choice.site, asked.choice.tariff) == (ByItsOwn(), "CP-1", "oslo", "X")


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"with": {"tariff": "none", "version": 1}}, 404),
        ({"with": {"inline": {"id": "X"}}}, 422),
        ({"with": {"inline": TARIFF | {"currency": "XXX"}}}, 422),
        ({"with": {"inline": TARIFF, "policy": {"idle_grace_s": "long"}}}, 422),
        ({"with": "something"}, 422),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, 422),
        ({"from": "2026-03-01T00:00:00"}, 422),
        ({"reason": ""}, 422),
    ],
)
async def test_what_cannot_be_rated_is_refused(
    admin: AsyncClient, network: Network, wish: dict[str, Any], status: int
) -> None:
    assert (await admin.post(JOBS, json=WISH | wish)).status_code == status
    assert not any(isinstance(event, ReRatingAsked) for event in network.written)


async def test_a_re_rating_can_be_cancelled_and_one_that_is_over_stays(admin: AsyncClient, network: Network) -> None:
    job = (await admin.post(JOBS, json=WISH)).json()["id"]
    assert (await admin.delete(f"{JOBS}/{job}")).json()["state"] == "cancelled"
    assert isinstance(network.written[-1], ReRatingCancelled)
    await network.says(RATINGS, ReRatingFinished(**about(job)))
    assert (await admin.delete(f"{JOBS}/{job}")).json()["state"] == "cancelled"
    assert sum(isinstance(event, ReRatingCancelled) for event in network.written) == 1
    failed = (await admin.post(JOBS, json=WISH)).json()["id"]
    await network.says(RATINGS, ReRatingFailed(**about(failed), reason="log_expired", detail="gone"))
    shown = (await admin.get(f"{JOBS}/{failed}")).json()
    assert (shown["state"], shown["failed_because"], shown["detail"]) == ("failed", "log_expired", "gone")


async def test_a_re_rating_is_its_tenants_and_asked_for_by_administrators(
    admin: AsyncClient, acme: AsyncClient, reader: AsyncClient, client: AsyncClient
) -> None:
    job = (await admin.post(JOBS, json=WISH)).json()["id"]
    assert (await acme.get(f"{JOBS}/{job}")).status_code == 404
    assert (await acme.delete(f"{JOBS}/{job}")).status_code == 404
    assert (await reader.post(JOBS, json=WISH)).status_code == 403
    assert (await client.get(f"{JOBS}/{job}")).status_code == 200


def row(session: str, station: str = "CP-1", **more: Any) -> Rated:
    said: dict[str, Any] = {
        "session": SessionId(session), "station": StationId(station), "site": SiteId("oslo"), "started_at": at(0),
        "ended_at": at(60), "energy_wh": 10, "cdr": f"cdr-{session}", "tariff": "AC", "tariff_version": 1,
        "new_tariff": "X", "new_version": 0, "currency": "NOK", "net_before": Decimal("4.00"),
        "net_after": Decimal("3.50"), "gross_before": Decimal("5.00"), "gross_after": None, "state": "differs",
    }  # fmt: skip
    return Rated(**said | more)


async def test_the_report_has_a_row_for_each_session_in_order(
    client: AsyncClient, network: Network, archive: Archive
) -> None:
    job = (await client.post(JOBS, json=WISH)).json()["id"]
    assert (await client.get(f"{JOBS}/{job}/report.csv")).json()["type"] == "/problems/re_rating_goes_on"
    await network.says(RATINGS, ReRatingBegun(**about(job), spans=(Span(0, 0, 20),)))
    pieces = [piece(job, 0, 9, sums(2, "8.00", "7.00")), piece(job, 9, 20, sums(1, "4.00", "3.50"))]
    await network.says(RATINGS, *pieces, ReRatingFinished(**about(job)))
    second = SessionsRated(**about(job), part=0, first=9, rows=(row("s-3"),))
    await archive.keeps(RATED, second)
    assert (await client.get(f"{JOBS}/{job}/report.csv")).status_code == 503
    await archive.keeps(RATED, SessionsRated(**about(job), part=0, first=0, rows=(row("s-1"), row("s-2", "=1+1"))))
    await archive.keeps(RATED, second)
    answer = await client.get(f"{JOBS}/{job}/report.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(answer.text.splitlines())
    assert [each[0] for each in rows] == ["s-1", "s-2", "s-3"]
    assert header[11:] == ["currency", "net_before", "net_after", "gross_before", "gross_after", "state"]
    assert rows[0][11:] == ["NOK", "4.00", "3.50", "5.00", "", "differs"]
    assert rows[1][1] == "'=1+1"
