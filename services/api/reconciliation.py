"""The reconciliation of a day: what the registers showed, what sessions and CDRs say, what was charged and paid. From ClickHouse."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from chassis import clock, metrics
from chassis.clickhouse import ClickHouse
from services.api import analytic_examples as examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.problems import answers
from services.api.reconciling import Difference, Kind, differences, sums
from services.api.reports import EARLIEST, LATEST
from services.api.revenue import OfSite, money

router = APIRouter(prefix="/v1/reports", tags=["reports"], responses=answers(400, 401, 403, 422, 503))

Decimals = str
MOST_SHOWN = 1000
"""Differences that an answer names, those without an explanation first."""

_SESSIONS = """
WITH ended AS (
    SELECT session, station, site, energy_wh
    FROM sessions AS one
    WHERE tenant = {tenant:String} AND state IN ('ended', 'presumed_ended') AND ended_at IS NOT NULL
        AND ended_at >= toDateTime64({day:Date}, 6, 'UTC') - INTERVAL 1 DAY
        AND ended_at < toDateTime64({day:Date}, 6, 'UTC') + INTERVAL 2 DAY
        AND toDate(toString(assumeNotNull(ended_at), if(time_zone IN (SELECT time_zone FROM system.time_zones), time_zone, 'UTC')))
            = {day:Date}
        AND (NOT {one:Bool} OR site = {site:String})
)
SELECT
    ended.session AS session, ended.station AS station, ended.site AS site, ended.energy_wh AS session_wh,
    registers.wh AS register_wh, bills.counting AS cdrs, if(bills.counting > 0, bills.wh, 0) AS cdr_wh, bills.gross AS gross,
    bills.currency AS currency, bills.account AS account, ledger.charged AS charged, ledger.entries AS entries,
    payments.paid AS paid, splitByChar('.', heard.said)[2] AS said, parseDateTime64BestEffortOrNull(heard.due, 6, 'UTC') AS due
FROM ended
LEFT JOIN (
    SELECT session, sum(attributed_wh) AS wh FROM energy_accounts FINAL
    WHERE tenant = {tenant:String} AND session IN (SELECT session FROM ended)
    GROUP BY session
) AS registers ON registers.session = ended.session
LEFT JOIN (
    SELECT
        session, countIf(credits = '') - countIf(credits != '') AS counting, argMaxIf(energy_wh, number, credits = '') AS wh,
        sum(document.gross) AS gross, any(document.currency) AS currency, argMaxIf(document.account, number, credits = '') AS account
    FROM documents AS document FINAL
    WHERE tenant = {tenant:String} AND session IN (SELECT session FROM ended)
    GROUP BY session
) AS bills ON bills.session = ended.session
LEFT JOIN (
    SELECT session, sum(amount) AS charged, count() AS entries FROM money FINAL
    WHERE tenant = {tenant:String} AND type IN ('SessionCharged', 'SessionCredited') AND session IN (SELECT session FROM ended)
    GROUP BY session
) AS ledger ON ledger.session = ended.session
LEFT JOIN (
    SELECT account, sum(amount) AS paid FROM money FINAL
    WHERE tenant = {tenant:String} AND type IN ('MoneyTaken', 'MoneyReturned', 'WrittenOff') AND startsWith(account, 'adhoc-')
    GROUP BY account
) AS payments ON payments.account = bills.account
LEFT JOIN (
    SELECT session, argMax(type, offset) AS said, JSONExtractString(argMax(body, offset), 'due') AS due FROM events
    WHERE tenant = {tenant:String} AND topic = 'bills' AND session IN (SELECT session FROM ended)
    GROUP BY session
) AS heard ON heard.session = ended.session
ORDER BY site, session
SETTINGS allow_nonconst_timezone_arguments = 1
"""
_LEDGER = """
SELECT site, delivered_wh, quarantined_wh, unattributed_wh FROM energy_ledger
WHERE tenant = {tenant:String} AND day = {day:Date} AND (NOT {one:Bool} OR site = {site:String})
ORDER BY site
"""


class Reconciled(BaseModel):
    """What of a site's sessions that ended on the day adds up."""

    site: str | None
    currency: str | None = Field(description="null: of sessions without a CDR")
    sessions: int
    cdrs: int
    register_wh: int = Field(description="what the registers showed during these sessions")
    session_wh: int
    cdr_wh: int
    gross: Decimals = Field(description="of the CDRs, credits subtracted")
    charged: Decimals = Field(description="in the ledgers of accounts")
    paid: Decimals = Field(description="of what is paid for alone (ad hoc), less what was given back")


class Delivered(BaseModel):
    """What a site's meters showed on the day itself, whichever session it belongs to."""

    site: str | None
    delivered_wh: int
    quarantined_wh: int
    unattributed_wh: int


class Mismatch(BaseModel):
    """Something of a session that does not match."""

    session: str
    station: str
    site: str | None
    kind: Kind
    amount: Decimals = Field(
        description="what the later has beyond the earlier: the session beyond the register, and so on"
    )
    unit: str = Field(description="Wh, or the currency")
    why: str | None = Field(
        description="of no_cdr: no_tariff, free, discarded, held, waived, due; overdue and unknown explain nothing"
    )
    explained: bool


class Reconciliation(BaseModel):
    """A day, three ways and more: registers, sessions, CDRs, ledger and payments."""

    model_config = like(examples.RECONCILIATION)

    day: date
    sites: list[Reconciled]
    meters: list[Delivered]
    unexplained: int = Field(description="how many differences nothing explains: 0 is what it should be")
    differences: int
    items: list[Mismatch] = Field(description=f"at most {MOST_SHOWN}, those that nothing explains first")


@router.get("/reconciliation", operation_id="reconciliation")
async def reconciliation(
    caller: Reader,
    behind: Behind,
    day: Annotated[
        date | None, Query(ge=EARLIEST, le=LATEST, description="in the site's time zone; default: yesterday")
    ] = None,
    site: OfSite = None,
) -> Reconciliation:
    """Compare, of the sessions that ended on a day, register, session, CDR, ledger and payment, and name what does not match."""
    now = clock.now()
    return await reconciled(behind.clickhouse, caller.tenant, day or now.date() - timedelta(days=1), site, now)


async def reconciled(db: ClickHouse, tenant: str, day: date, site: str | None, now: datetime) -> Reconciliation:
    """Return what matches of a tenant's day, and what does not; of one site only, if it is named."""
    asked = {"tenant": tenant, "day": day, "one": site is not None, "site": site or ""}
    return shown(day, await db.query(_SESSIONS, asked), await db.query(_LEDGER, asked), now)


def shown(day: date, rows: list[dict[str, Any]], meters: list[dict[str, Any]], now: datetime) -> Reconciliation:
    """Return the answer; how much of it nothing explains is a metric too."""
    found = differences(rows, now)
    unexplained = sum(not each.explained for each in found)
    metrics.RECONCILIATION.set(unexplained)
    return Reconciliation(
        day=day,
        sites=[_reconciled(site, currency, total) for (site, currency), total in sums(rows).items()],
        meters=[Delivered(**row | {"site": row["site"] or None}) for row in meters],
        unexplained=unexplained,
        differences=len(found),
        items=[_mismatch(each) for each in sorted(found, key=lambda each: each.explained)[:MOST_SHOWN]],
    )


def _reconciled(site: str, currency: str, total: dict[str, Any]) -> Reconciled:
    amounts = {name: money(total[name], currency) for name in ("gross", "charged", "paid")}
    return Reconciled(**total | amounts, site=site or None, currency=currency or None)


def _mismatch(found: Difference) -> Mismatch:
    amount = f"{found.amount:f}" if found.unit == "Wh" else money(found.amount, found.unit)
    said = found._asdict() | {"amount": amount, "site": found.site or None, "why": found.why or None}
    return Mismatch(**said)
