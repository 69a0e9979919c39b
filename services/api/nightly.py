"""Reconcile a day: what registers, sessions, CDRs, ledger and payments of all tenants say, from ClickHouse.

Prints a line for each difference that nothing explains, and ends with 1 if there is one; with 0 and one line if everything agrees; with 2
if ClickHouse does not answer.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis import clock
from chassis.clickhouse import ClickHouse, Refused, Unavailable
from chassis.settings import BrokenSetting, describe, load_or_exit
from services.api.backends import archive
from services.api.reconciliation import MOST_SHOWN, Mismatch, Reconciliation, reconciled

AGREE, DIFFER, UNANSWERED = 0, 1, 2

_TENANTS = """
SELECT DISTINCT tenant FROM sessions
WHERE ended_at >= toDateTime64({day:Date}, 6, 'UTC') - INTERVAL 1 DAY AND ended_at < toDateTime64({day:Date}, 6, 'UTC') + INTERVAL 2 DAY
ORDER BY tenant
"""


class Asked(NamedTuple):
    """Whose day is reconciled, and which."""

    day: date
    tenants: Sequence[str]
    """Empty: all who had sessions about then."""


def parsed(arguments: Sequence[str], now: datetime) -> Asked:
    parser = argparse.ArgumentParser(
        prog="python -m services.api reconcile",
        description=__doc__,
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    yesterday = now.date() - timedelta(days=1)
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=yesterday,
        help="YYYY-MM-DD, of each site's own time zone; default: yesterday, which is over everywhere from noon UTC on",
    )
    parser.add_argument("--tenant", action="append", default=[], help="only this one; may be said again")
    said = parser.parse_args(arguments)
    return Asked(said.day, said.tenant)


async def report(db: ClickHouse, asked: Asked, now: datetime) -> tuple[int, list[str]]:
    """Return the exit status and what there is to say."""
    tenants = asked.tenants or [row["tenant"] for row in await db.query(_TENANTS, {"day": asked.day})]
    found = {tenant: await reconciled(db, tenant, asked.day, None, now) for tenant in tenants}
    if lines := [line for tenant, each in found.items() for line in differences(tenant, each)]:
        return DIFFER, lines
    return AGREE, [agreement(asked.day, list(found.values()))]


def differences(tenant: str, found: Reconciliation) -> Iterator[str]:
    """Yield a line for each difference that nothing explains."""
    for each in found.items:
        if not each.explained:
            yield difference(tenant, found.day, each)
    if (more := found.unexplained - MOST_SHOWN) > 0:
        yield f"{found.day} {tenant}: and {more} differences more"


def difference(tenant: str, day: date, each: Mismatch) -> str:
    why = f" ({each.why})" if each.why else ""
    place = f"at {each.station}, site {each.site}" if each.site else f"at {each.station}"
    return f"{day} {tenant}: session {each.session} {place}: {each.kind}{why}: {each.amount} {each.unit}"


def agreement(day: date, found: Sequence[Reconciliation]) -> str:
    sessions = sum(site.sessions for each in found for site in each.sites)
    explained = sum(each.differences for each in found)
    return f"{day}: all agree of {sessions} sessions of {len(found)} tenants; {explained} differences are explained"


async def reconcile(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status."""
    now = clock.now()
    asked = parsed(arguments, now)
    try:
        db = archive(load_or_exit())
    except BrokenSetting as error:
        print(error, file=sys.stderr)
        return UNANSWERED
    try:
        status, lines = await report(db, asked, now)
    except (Unavailable, Refused) as error:
        print(f"ClickHouse (VOLTSTREAM_CLICKHOUSE) does not answer: {error}", file=sys.stderr)
        return UNANSWERED
    finally:
        await db.close()
    print(*lines, sep="\n")
    return status


def main(arguments: Sequence[str]) -> int:
    return asyncio.run(reconcile(arguments))
