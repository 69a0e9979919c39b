"""Accounts' money, as rows."""

from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from contracts import money_tables as tables
from contracts.event import Event
from contracts.ledger import Standing, SubscriptionCharged
from contracts.reference import CustomerAccount, CustomerAccountForgotten
from contracts.topics import ACCOUNTS, LEDGER, STANDINGS, Topic
from services.accounts.state import MONTHS
from services.views.worker import TOPICS, Views
from tests.accounts.says import DRIVER, Ledger, ad_hoc, at, postpaid, prepaid
from tests.accounts.test_subscriptions import priced, subscribed, taken_back
from tests.views.given import chunk

ALL = (
    tables.accounts,
    tables.balances,
    tables.ledger_entries,
    tables.payments,
    tables.posting_outcomes,
    tables.standings,
    tables.subscription_months,
)


async def rows_after(engine: AsyncEngine, *events: Event) -> dict[str, list[dict[str, Any]]]:
    """Return every row after these events, each topic's in their order."""
    views = Views(engine)
    await views.positions({(each.name, 0) for each in TOPICS})
    topic: Topic[Any]
    for topic in (ACCOUNTS, LEDGER, STANDINGS):
        if said := [each for each in events if isinstance(each, topic.classes)]:
            await views.apply([chunk(topic, said)])
    async with sql.reading(engine) as connection:
        return {table.name: [dict(row._mapping) for row in await connection.execute(_all(table))] for table in ALL}


def _all(table: Table) -> Any:
    return select(table).order_by(*table.primary_key.columns)


async def test_an_account_is_there_as_long_as_the_directory_knows_it(migrated: AsyncEngine) -> None:
    [row] = (await rows_after(migrated, postpaid(name="Fleet Ltd")))["accounts"]
    assert (row["id"], row["kind"], row["name"], row["credit_limit"]) == (DRIVER, "postpaid", "Fleet Ltd", None)
    assert row["address"] == {}


async def test_an_account_that_is_forgotten_is_gone(migrated: AsyncEngine) -> None:
    account = prepaid()
    gone = CustomerAccountForgotten(at=account.at, tenant=account.tenant, id=account.id)
    assert isinstance(account, CustomerAccount)
    assert (await rows_after(migrated, account, gone))["accounts"] == []


async def test_an_ad_hoc_payment_is_shown_from_its_hold_to_its_capture(migrated: AsyncEngine) -> None:
    one = ad_hoc().held("50.00")
    one.hear(one.cost("0"))
    one.hear(one.cdr("12.40"))
    one.hear(one.answer("done", "12.40", 61))
    rows = await rows_after(migrated, *one.events)
    [payment] = rows["payments"]
    assert (payment["state"], payment["held"], payment["taken"], payment["session"]) == (
        "captured",
        "50.00",
        "12.40",
        "s1",
    )
    assert (payment["reference"], payment["until"], payment["updated_at"]) == ("pi_1", at(16), at(61))
    entries = [(each["entry"], each["kind"], each["amount"], each["place"]) for each in rows["ledger_entries"]]
    assert entries == [(1, "session", "-12.40", "revenue"), (2, "money_in", "12.40", "provider")]
    [balance] = rows["balances"]
    assert (balance["balance"], balance["entry"], balance["currency"]) == ("0.00", 2, "EUR")
    [standing] = rows["standings"]
    assert (standing["may_charge"], standing["why"]) == (False, "no_hold")
    [outcome] = rows["posting_outcomes"]
    assert (outcome["id"], outcome["done"], outcome["fingerprint"]) == ("p1", True, "f")


async def test_what_a_payer_has_to_do_is_shown(migrated: AsyncEngine) -> None:
    one = ad_hoc()
    one.hear(one.hold())
    one.hear(one.answer("action_required", url="https://pay.example/1"))
    [payment] = (await rows_after(migrated, *one.events))["payments"]
    assert (payment["state"], payment["url"]) == ("action_required", "https://pay.example/1")
    one.hear(one.answer("declined", reason="no_funds"))


async def test_credits_adjustments_and_what_is_given_back_are_entries(migrated: AsyncEngine) -> None:
    one = Ledger(DRIVER, postpaid())
    one.hear(one.cdr("0"))
    one.hear(one.cdr("10", session="s2"))
    one.hear(one.credit("10", session="s2"))
    one.hear(one.adjustment("-2.50"))
    rows = await rows_after(migrated, *one.events)
    kinds = [(each["kind"], each["amount"], each["reason"]) for each in rows["ledger_entries"]]
    assert kinds == [
        ("session", "0", None),
        ("session", "-10.00", None),
        ("credit", "10.00", None),
        ("adjustment", "-2.50", "a gift"),
    ]
    assert rows["ledger_entries"][2]["credits"] == "cdr-s2"
    [outcome] = rows["posting_outcomes"]
    assert (outcome["id"], outcome["entry"]) == ("r1", 4)


async def test_a_subscription_is_shown_month_by_month_with_what_is_left_of_each(migrated: AsyncEngine) -> None:
    one = subscribed()
    one.until(SubscriptionCharged)
    one.hear(priced(one))
    one.hear(priced(one, "s2", wh=4000, started_at=one.state.months[-1].start))
    one.hear(taken_back(one))
    assert one.customer is not None
    rows = await rows_after(migrated, one.customer, *one.events)
    [account] = rows["accounts"]
    assert account["subscription"] == {
        "name": "Plus", "monthly_fee": "9.90", "tax_included": "YES", "vat": "25", "allowance_wh": 25_000,
    }  # fmt: skip
    months = sorted(rows["subscription_months"], key=lambda row: row["month_start"])
    assert [(each["name"], each["gross"], each["allowance_wh"], each["left_wh"]) for each in months] == [
        ("Plus", "9.90", 25_000, 25_000),
        ("Plus", "9.90", 25_000, 21_000),
    ]
    entries = [(each["kind"], each["amount"], each["cdr"], each["energy_wh"]) for each in rows["ledger_entries"]]
    assert entries == [
        ("subscription", "-9.90", None, None),
        ("subscription", "-9.90", None, None),
        ("session", "-5.00", "cdr-s1", 10_000),
        ("allowance", "5.00", "cdr-s1", 10_000),
        ("session", "-5.00", "cdr-s2", 4000),
        ("allowance", "5.00", "cdr-s2", 4000),
        ("credit", "5.00", rows["ledger_entries"][6]["cdr"], None),
        ("allowance_returned", "-5.00", rows["ledger_entries"][6]["cdr"], 10_000),
    ]
    assert (rows["ledger_entries"][0]["name"], rows["ledger_entries"][0]["place"]) == ("Plus", "revenue")
    assert rows["ledger_entries"][7]["credits"] == "cdr-s1"


async def test_a_month_that_nobody_counts_any_more_stays_as_it_was(migrated: AsyncEngine) -> None:
    one = subscribed()
    one.hear(priced(one))
    for _ in range(MONTHS):
        one.until(SubscriptionCharged)
    one.hear(taken_back(one))
    rows = (await rows_after(migrated, *one.events))["subscription_months"]
    assert sorted(each["left_wh"] for each in rows) == [15_000] + [25_000] * MONTHS


async def test_a_refusal_says_why_and_takes_nothing_back(migrated: AsyncEngine) -> None:
    one = Ledger(DRIVER, postpaid())
    one.hear(one.adjustment("2"))
    one.hear(one.adjustment("3", fingerprint="other"))
    one.hear(one.adjustment("3", request="r2", currency="NOK"))
    outcomes = (await rows_after(migrated, *one.events))["posting_outcomes"]
    assert [(each["id"], each["done"], each["reason"]) for each in outcomes] == [
        ("r1", True, None),
        ("r2", False, "wrong_currency"),
    ]


async def test_an_invoice_that_was_asked_for_is_its_requests_outcome(migrated: AsyncEngine) -> None:
    one = Ledger(DRIVER, postpaid())
    one.hear(one.cdr("10"))
    one.hear(one.invoice())
    [outcome] = (await rows_after(migrated, *one.events))["posting_outcomes"]
    assert outcome["invoice"] == one.events[0].invoice  # type: ignore[union-attr]  # a SessionCharged


async def test_the_newest_standing_counts(migrated: AsyncEngine) -> None:
    may = Standing(at=at(), tenant=prepaid().tenant, account=DRIVER, may_charge=True)
    may_not = Standing(at=at(1), tenant=may.tenant, account=DRIVER, may_charge=False, why="no_money")
    [row] = (await rows_after(migrated, may, may_not))["standings"]
    assert (row["may_charge"], row["why"], row["since"]) == (False, "no_money", at(1))


async def test_money_that_came_back_and_what_was_written_off_are_entries(migrated: AsyncEngine) -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("50.40"))
    one.hear(one.answer("done", "50", 61))
    one.hear(one.credit("50.40"))
    one.tick()
    one.hear(one.answer("done", "50", 90))
    rows = await rows_after(migrated, *one.events)
    assert [each["kind"] for each in rows["ledger_entries"]] == [
        "session",
        "money_in",
        "written_off",
        "credit",
        "written_off",
        "money_out",
    ]
    assert [each["amount"] for each in rows["ledger_entries"] if each["kind"] == "written_off"] == ["0.40", "-0.40"]
    assert rows["payments"][0]["state"] == "refunded"


async def test_what_is_charged_to_a_mandate_goes_by_the_providers_name_so_that_its_dispute_is_known(
    migrated: AsyncEngine,
) -> None:
    one = Ledger(DRIVER, prepaid(mandate="cus/pm"))
    one.hear(one.top_up("20"))
    one.hear(one.answer("done", "20", reference="pi_7"))
    [payment] = (await rows_after(migrated, *one.events))["payments"]
    assert (payment["state"], payment["reference"]) == ("captured", "pi_7")
