"""The nightly reconciliation, as the process that Kubernetes starts, over a real ClickHouse."""

import asyncio
import os
import sys
from datetime import UTC, date, datetime

import pytest

from services.api.nightly import difference, differences, parsed
from services.api.reconciliation import MOST_SHOWN, Mismatch, Reconciliation
from tests.api.test_history import Archive, archive
from tests.api.test_reconciliation import Day, day

__all__ = ["archive", "day"]

DAY = ["--day", "2026-11-23"]
MISMATCH = Mismatch(
    session="s-1", station="CP-1", site=None, kind="no_cdr", amount="10", unit="Wh", why="overdue", explained=False
)


@pytest.fixture
def url(clickhouse: str, database: str) -> str:
    return f"{clickhouse.rstrip('/')}/{database}"


async def reconcile(url: str, *arguments: str) -> tuple[int | None, list[str], list[str]]:
    """Return the process's exit status, and the lines that it prints and complains with."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api", "reconcile", *arguments,
        env=known | {"VOLTSTREAM_CLICKHOUSE": url}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await process.communicate()
    return process.returncode, said.decode().splitlines(), complaint.decode().splitlines()


async def test_a_day_on_which_everything_agrees_is_one_line(url: str, archive: Archive, day: Day) -> None:
    await day.charged(await day.session("right"))
    await day.session("nobody's", account="")
    said = "2026-11-23: all agree of 2 sessions of 1 tenants; 1 differences are explained"
    assert await reconcile(url, *DAY) == (0, [said], [])
    assert (await reconcile(url, *DAY, "--tenant", "other"))[1] == [
        "2026-11-23: all agree of 0 sessions of 1 tenants; 0 differences are explained"
    ]


async def test_every_injected_discrepancy_is_a_line_with_its_amount(url: str, archive: Archive, day: Day) -> None:
    await day.charged(await day.session("right"))
    await day.session("nobody's", account="")
    await day.charged(await day.session("energy", register_wh=9_250))
    await day.charged(await day.session("ledger"), less="0.75")
    await day.session("forgotten")
    await day.charged(await day.session("payment", account="adhoc-2"))
    await day.paid("adhoc-2", "5.00", "0.50")
    status, lines, complaint = await reconcile(url, *DAY)
    assert (status, complaint) == (1, [])
    assert lines == [
        "2026-11-23 default: session energy at CP-1, site oslo: register_differs: 750 Wh",
        "2026-11-23 default: session forgotten at CP-1, site oslo: not_charged: -5.00 EUR",
        "2026-11-23 default: session ledger at CP-1, site oslo: charged_differs: -0.75 EUR",
        "2026-11-23 default: session payment at CP-1, site oslo: payment_differs: -0.50 EUR",
    ]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/voltstream", "clickhouse://u:s3cret@h/d"])
async def test_without_clickhouse_it_says_so_and_ends_otherwise(url: str) -> None:
    status, lines, complaint = await reconcile(url, *DAY)
    assert (status, lines, len(complaint)) == (2, [], 1)
    assert "VOLTSTREAM_CLICKHOUSE" in complaint[0]
    assert "s3cret" not in complaint[0]


async def test_it_says_what_it_does_and_what_it_does_not_know() -> None:
    status, lines, _ = await reconcile("", "--help")
    assert (status, lines[0].split(" [")[0]) == (0, "usage: python -m services.api reconcile")
    assert any("VOLTSTREAM_CLICKHOUSE" in line for line in lines)
    assert (await reconcile("", "--day", "yesterday"))[0] == 2


def test_yesterday_is_meant_where_nobody_says_a_day() -> None:
    assert parsed([], datetime(2026, 3, 1, 12, 30, tzinfo=UTC)) == (date(2026, 2, 28), [])


def test_a_difference_says_why_and_where_as_far_as_that_is_known() -> None:
    assert difference("t", date(2026, 3, 1), MISMATCH) == "2026-03-01 t: session s-1 at CP-1: no_cdr (overdue): 10 Wh"


def test_of_very_many_differences_the_rest_is_counted() -> None:
    found = Reconciliation(
        day=date(2026, 3, 1),
        sites=[],
        meters=[],
        unexplained=MOST_SHOWN + 7,
        differences=0,
        items=[MISMATCH] * MOST_SHOWN,
    )
    lines = list(differences("t", found))
    assert (len(lines), lines[-1]) == (MOST_SHOWN + 1, "2026-03-01 t: and 7 differences more")
