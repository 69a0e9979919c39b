"""The reconciliation of a day over a real ClickHouse: an injected discrepancy is found, with its amount and its session."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from chassis import metrics
from contracts.bills import BillEvent, CdrIssued
from contracts.event import AccountId, Event, InvoiceId, PaymentId, SiteId, TenantId
from contracts.ledger import (
    AllowanceConsumed,
    AllowanceReturned,
    MoneyReturned,
    MoneyTaken,
    Movement,
    SessionCharged,
    SubscriptionCharged,
    WrittenOff,
)
from contracts.postings import Source
from contracts.sessions import Account, EnergyDelivered, SessionEnded
from contracts.topics import BILLS, LEDGER, SESSIONS
from services.billing.heard import Assigned
from tests.accounts.test_subscriptions import priced, subscribed, taken_back
from tests.api.test_history import Archive, archive, client, reader
from tests.billing.says import at, delivered, ended, started, ticked
from tests.rerating.given import ASSIGNED, bills, renamed

__all__ = ["archive", "client", "reader"]

REPORT = "/v1/reports/reconciliation"
DAY = {"day": "2026-11-23"}
DEFAULT = TenantId("default")
OURS: dict[str, Any] = {"tenant": DEFAULT}


def metered(event: Any, wh: int) -> Any:
    account = Account(delivered_wh=wh, attributed_wh=wh, quarantined_wh=0, unattributed_wh=0, site=SiteId("oslo"),
                      time_zone="Europe/Oslo")  # fmt: skip
    return replace(event, account=account)


class Day:
    """Sessions of a day, each with its energy, its bill, its charge and its payment, which all match at first."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def session(
        self, id: str, *, register_wh: int = 10_000, assigned: Assigned | None = ASSIGNED, account: str = "a-1"
    ) -> list[BillEvent]:
        """Write a session of 10 kWh with what the registers showed, and return its bills."""
        heard = [started(assigned), delivered(20, 5000), ended(60, 10_000), ticked(66)]
        events: list[Any] = [each.event for each in heard[:-1]]
        events = [self._metered(event, register_wh) for event in events]
        await self._keeps(SESSIONS, renamed(events, id, **OURS))
        written = renamed(bills(*heard), id, **OURS, account=AccountId(account), cdr=f"cdr-{id}")
        await self._keeps(BILLS, written)
        return written

    def _metered(self, event: Event, register_wh: int) -> Any:
        match event:
            case EnergyDelivered():
                return metered(event, 5000)
            case SessionEnded():
                return metered(event, register_wh - 5000)
            case _:
                return event

    async def charged(self, written: Sequence[BillEvent], *, less: str = "0") -> None:
        """Enter a session's CDR in the ledger."""
        [cdr] = [event for event in written if isinstance(event, CdrIssued)]
        gross = (cdr.priced.total_incl or Decimal(0)) - Decimal(less)
        entry = SessionCharged(
            **self._entry(str(cdr.account)), source=Source(0, 0), invoice=InvoiceId("i"), period_start=at(0),
            period_end=at(70), movement=Movement("customer", "revenue", gross), balance=-gross,
            cdr=cdr.cdr, session=cdr.session, station=cdr.station, net=cdr.priced.total_excl or Decimal(0),
            gross=gross, energy_wh=cdr.priced.energy_wh, started_at=cdr.started_at, ended_at=cdr.ended_at,
        )  # fmt: skip
        await self._keeps(LEDGER, [entry])

    async def paid(self, account: str, taken: str, returned: str) -> None:
        about = self._entry(account)
        payment: dict[str, Any] = {"payment": PaymentId("p-1"), "operation": "o-1"}
        more, less = Decimal(taken), Decimal(returned)
        took = MoneyTaken(**about, movement=Movement("provider", "customer", more), balance=more, **payment)
        gave = MoneyReturned(**about, movement=Movement("customer", "provider", less), balance=more, **payment)
        await self._keeps(LEDGER, [took, replace(gave, entry=3)])

    async def came_back(self, account: str, *, refund: str, waived: str) -> None:
        """Enter that a refund failed, that something was waived, and that more of it was owed no more."""
        about, part = self._entry(account), Decimal(waived)
        back, lost, half = (
            Movement("provider", "customer", Decimal(refund)),
            Movement("losses", "customer", part),
            Movement("customer", "losses", part * 3 / 2),
        )
        nothing = Decimal(0)
        failed = MoneyReturned(**about, movement=back, balance=nothing, payment=PaymentId("p-1"))
        off = WrittenOff(**about, movement=lost, balance=nothing, reason="too_small")
        on = WrittenOff(**about, movement=half, balance=nothing, reason="owed_no_more")
        numbered = [replace(each, entry=number) for number, each in enumerate((failed, off, on), 4)]
        await self._keeps(LEDGER, numbered)

    def _entry(self, account: str) -> dict[str, Any]:
        return {"at": at(70), "tenant": DEFAULT, "account": AccountId(account), "entry": 1, "currency": "EUR"}

    async def _keeps(self, topic: Any, events: Sequence[Any]) -> None:
        await self._archive.keeps(topic, *events)


@pytest.fixture
def day(archive: Archive) -> Day:
    return Day(archive)


async def report(reader: AsyncClient, **more: str) -> Any:
    answer = await reader.get(REPORT, params=DAY | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_fees_and_allowances_are_money_and_no_sessions_charge(
    archive: Archive, reader: AsyncClient, day: Day
) -> None:
    await day.charged(await day.session("s-1"))
    one = subscribed()
    one.hear(priced(one, "s-1", at=at(70)))
    one.hear(taken_back(one, "s-1", at=at(80)))
    mine = (SubscriptionCharged, AllowanceConsumed, AllowanceReturned)
    await archive.keeps(LEDGER, *[replace(each, tenant=DEFAULT) for each in one.events if isinstance(each, mine)])
    rows = await archive.query(
        "SELECT type, amount, session FROM money FINAL WHERE account = 'driver-1' ORDER BY entry"
    )
    assert [(row["type"], Decimal(str(row["amount"])), row["session"]) for row in rows] == [
        ("SubscriptionCharged", Decimal("9.9"), ""),
        ("AllowanceConsumed", Decimal(-5), "s-1"),
        ("AllowanceReturned", Decimal(5), "s-1"),
    ]
    answer = await report(reader)
    assert (answer["differences"], [each["charged"] for each in answer["sites"]]) == (0, ["5.00"])


def items(answer: Any) -> list[tuple[str, str, str, str]]:
    return [(each["session"], each["kind"], each["amount"], each["unit"]) for each in answer["items"]]


async def test_a_day_on_which_everything_matches_has_no_differences(reader: AsyncClient, day: Day) -> None:
    for id in ("s-1", "s-2"):
        await day.charged(await day.session(id))
    await day.charged(await day.session("s-3", account="adhoc-1"))
    await day.paid("adhoc-1", "6.00", "1.00")
    answer = await report(reader)
    assert (answer["differences"], answer["unexplained"], answer["items"]) == (0, 0, [])
    [oslo] = answer["sites"]
    assert (oslo["sessions"], oslo["cdrs"], oslo["currency"]) == (3, 3, "EUR")
    assert oslo["register_wh"] == oslo["session_wh"] == oslo["cdr_wh"] == 30_000
    assert (oslo["gross"], oslo["charged"], oslo["paid"]) == ("15.00", "15.00", "5.00")
    assert answer["meters"] == [{"site": "oslo", "delivered_wh": 30_000, "quarantined_wh": 0, "unattributed_wh": 0}]
    assert (await report(reader, day="2026-11-22"))["sites"] == []
    assert (await report(reader, site="bergen"))["sites"] == []


async def test_what_came_back_of_a_refund_and_what_was_waived_no_more_are_counted_the_other_way(
    reader: AsyncClient, day: Day
) -> None:
    await day.charged(await day.session("s-1", account="adhoc-1"))
    await day.paid("adhoc-1", "5.50", "1.25")
    await day.came_back("adhoc-1", refund="1.25", waived="0.50")
    answer = await report(reader)
    assert items(answer) == [("s-1", "payment_differs", "0.25", "EUR")]


async def test_an_injected_discrepancy_is_found_with_its_amount_and_its_session(reader: AsyncClient, day: Day) -> None:
    await day.charged(await day.session("right"))
    await day.charged(await day.session("energy", register_wh=9_250))
    await day.charged(await day.session("ledger"), less="0.75")
    await day.session("forgotten")
    await day.charged(await day.session("payment", account="adhoc-2"))
    await day.paid("adhoc-2", "5.00", "0.50")
    answer = await report(reader)
    assert items(answer) == [
        ("energy", "register_differs", "750", "Wh"),
        ("forgotten", "not_charged", "-5.00", "EUR"),
        ("ledger", "charged_differs", "-0.75", "EUR"),
        ("payment", "payment_differs", "-0.50", "EUR"),
    ]
    assert answer["unexplained"] == 4
    assert b"voltstream_reconciliation_unexplained 4.0" in metrics.exposition()


async def test_sessions_without_a_cdr_are_named_with_the_reason(reader: AsyncClient, day: Day) -> None:
    await day.session("none", assigned=None)
    await day.session("free", assigned=Assigned("tenant", None))
    await day.session("nobody's", account="")
    answer = await report(reader)
    assert [(each["session"], each["kind"], each["why"]) for each in answer["items"]] == [
        ("nobody's", "no_account", "no_account"),
        ("none", "no_cdr", "no_tariff"),
    ]
    assert answer["unexplained"] == 0
