"""Subscriptions: a fee for each month once, and kWh that are given back as far as the month's allowance goes (TAR-29)."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import reduce
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.event import Ticked
from contracts.ledger import (
    AllowanceConsumed,
    AllowanceReturned,
    DebtFound,
    DunningReached,
    InvoiceDrafted,
    PostingRefused,
    ProviderAsked,
    SessionCharged,
    SessionCredited,
    Standing,
    SubscriptionCharged,
    SubscriptionEnded,
)
from contracts.postings import TermsChanged
from contracts.reference import CustomerAccount, Subscription
from services.accounts import domain
from services.accounts.heard import Heard
from services.accounts.state import CONSUMED, MONTHS, State
from services.accounts.subscriptions import fee
from tests.accounts.says import ACME, AD_HOC, DRIVER, Ledger, ad_hoc, at, eur, postpaid, prepaid, share
from tests.accounts.test_properties import consistent

PLUS = Subscription(name="Plus", monthly_fee=eur("9.90"), tax_included="YES", vat=eur("25"), allowance_wh=25_000)
LINES: tuple[type[Any], ...] = (
    SessionCharged,
    SessionCredited,
    SubscriptionCharged,
    AllowanceConsumed,
    AllowanceReturned,
)


def changed(customer: CustomerAccount | None, minutes: float = 0) -> TermsChanged:
    return TermsChanged(at=at(minutes), tenant=ACME, account=DRIVER, terms=customer)


def subscribed(terms: Subscription = PLUS, customer: CustomerAccount | None = None) -> Ledger:
    """Return an account whose subscription has begun at noon of November 10th."""
    one = Ledger(DRIVER, replace(customer or postpaid(), subscription=terms))
    one.hear(changed(one.customer))
    return one


def priced(one: Ledger, session: str = "s1", wh: int = 10_000, net: str = "4.00", **fields: Any) -> Any:
    """Return the CDR of a session that is charged for its energy alone, with 25 % of VAT."""
    gross = Decimal(net) * Decimal("1.25")
    energy = TaxShare(eur(25), Decimal(net), gross)
    whole = TaxShare(
        eur(25), energy.net.quantize(eur("0.01"), ROUND_HALF_UP), gross.quantize(eur("0.01"), ROUND_HALF_UP)
    )
    more: dict[str, Any] = {"net": whole.net, "taxes": (whole,), "energy": (energy,), "energy_wh": wh} | fields
    return one.cdr(f"{whole.gross}", session=session, **more)


def taken_back(one: Ledger, session: str = "s1", net: str = "4.00", **fields: Any) -> Any:
    gross = eur(net) * eur("1.25")
    return one.credit(
        f"{gross}", session=session, net=-eur(net), taxes=(TaxShare(eur(25), -eur(net), -gross),), **fields
    )


# ---- the fee ------------------------------------------------------------------------------------------------------------


def test_a_month_is_charged_whole_when_the_subscription_begins_and_each_further_one_when_it_begins() -> None:
    one = subscribed(customer=postpaid(time_zone="Europe/Oslo"))
    [first] = one.of(SubscriptionCharged)
    assert (first.at, first.name, first.net, first.gross) == (at(), "Plus", eur("7.92"), eur("9.90"))
    assert first.taxes == (share("25", "7.92", "9.90"),)
    assert (first.month_start, first.month_end) == (
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        datetime(2026, 11, 30, 23, tzinfo=UTC),
    )
    second = one.until(SubscriptionCharged)
    assert (second.at, second.month_start) == (first.month_end, first.month_end)
    assert second.month_end == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert first.id != second.id
    assert one.places == {"customer": eur("-19.80"), "revenue": eur("19.80")}


def test_terms_that_are_heard_again_or_changed_charge_nothing_until_the_next_month() -> None:
    one = subscribed()
    assert one.hear(changed(one.customer, 5)) == []
    dearer = replace(PLUS, monthly_fee=eur("20"), allowance_wh=1000)
    one.customer = postpaid(subscription=dearer)
    assert one.hear(changed(one.customer, 10)) == []
    assert one.state.months[-1].allowance_wh == 25_000
    assert one.until(SubscriptionCharged).gross == eur("20.00")
    assert one.state.months[-1].allowance_wh == 1000


def test_the_fee_is_a_line_of_its_months_invoice_with_vat_on_the_sum() -> None:
    one = subscribed(replace(PLUS, allowance_wh=None))
    one.hear(priced(one, net="1.07"))
    drafted = one.until(InvoiceDrafted)
    assert (drafted.lines, drafted.first_entry, drafted.last_entry) == (2, 1, 2)
    assert drafted.taxes == (share("25", "8.99", "11.24"),)
    assert (drafted.net, drafted.gross) == (eur("8.99"), eur("11.24"))
    following = one.until(InvoiceDrafted)
    assert (following.lines, following.gross) == (1, eur("9.90"))
    assert following.period_start == drafted.period_end


def test_a_fee_that_is_in_no_invoice_yet_is_not_due_with_the_one_before() -> None:
    one = subscribed(customer=postpaid(mandate="cus/pm"))
    invoice = one.until(InvoiceDrafted)
    assert one.state.owed == eur("19.80")
    assert (invoice.gross, one.last(DebtFound).owed, one.last(ProviderAsked).amount) == (eur("9.90"),) * 3
    one.hear(one.answer("declined", minutes=60 * 24 * 24))
    one.until(DunningReached)
    assert (one.last(DunningReached).owed, one.last(ProviderAsked).amount) == (eur("9.90"), eur("9.90"))


def test_the_fee_of_a_prepaid_account_is_taken_from_its_balance() -> None:
    one = Ledger(DRIVER, prepaid(subscription=PLUS))
    one.hear(one.adjustment("12"))
    one.hear(changed(one.customer))
    assert one.state.balance == eur("2.10")
    assert one.last(Standing).may_charge
    one.until(SubscriptionCharged)
    assert one.state.balance == eur("-7.80")
    assert (one.last(Standing).may_charge, one.last(Standing).why) == (False, "no_money")


@pytest.mark.parametrize(
    ("customer", "why"),
    [
        (None, "none_agreed"),
        (postpaid(), "none_agreed"),
        (postpaid(subscription=PLUS, closed=True), "closed"),
    ],
)
def test_what_is_ended_is_charged_until_the_end_of_its_month(customer: CustomerAccount | None, why: Any) -> None:
    one = subscribed()
    one.customer = customer
    one.hear(changed(customer, 10))
    ended = one.until(SubscriptionEnded)
    assert (ended.at, ended.why) == (one.of(SubscriptionCharged)[0].month_end, why)
    assert len(one.of(SubscriptionCharged)) == 1
    assert one.state.subscribed_until is None


def test_one_that_begins_again_after_its_end_begins_with_the_next_month() -> None:
    one = subscribed()
    one.customer = postpaid()
    ended = one.until(SubscriptionEnded)
    one.customer = postpaid(subscription=PLUS)
    late = replace(changed(one.customer), at=ended.at - timedelta(seconds=1))
    one.hear(late)
    assert one.last(SubscriptionCharged).month_start == ended.at
    assert len({each.id for each in one.of(SubscriptionCharged)}) == 2


def test_a_month_that_has_begun_is_charged_before_what_is_recorded_then_though_its_deadline_was_not_heard_yet() -> None:
    one = subscribed()
    december = one.state.months[-1].end
    posting = priced(one, at=december + timedelta(hours=1), started_at=december + timedelta(minutes=5))
    said = domain.decide(one.state, Heard(posting, one.customer, december + timedelta(hours=2)))
    assert [type(each).__name__ for each in said] == ["SubscriptionCharged", "SessionCharged", "AllowanceConsumed"]


def test_a_station_whose_clock_is_ahead_charges_no_months() -> None:
    one = subscribed()
    posting = priced(one, at=at(days=900), started_at=at(days=900))
    said = domain.decide(one.state, Heard(posting, one.customer, at(5)))
    assert [type(each).__name__ for each in said] == ["SessionCharged"]


def test_months_follow_one_another_though_the_account_moves_to_another_zone() -> None:
    one = subscribed(customer=postpaid(time_zone="Pacific/Kiritimati"))
    one.customer = replace(one.customer or postpaid(), time_zone="Pacific/Pago_Pago")
    first, second = one.of(SubscriptionCharged)[0], one.until(SubscriptionCharged)
    assert second.month_start == first.month_end
    assert second.month_end - second.month_start > timedelta(days=30)


def test_a_fee_in_another_currency_than_the_accounts_is_for_a_person_to_look_at_once() -> None:
    one = Ledger(DRIVER, postpaid(subscription=PLUS, currency="NOK"))
    one.hear(Ledger(DRIVER).adjustment("5"))
    assert one.last(PostingRefused).reason == "wrong_currency"
    one.customer = postpaid()
    one.hear(one.adjustment("5", request="r2"))
    one.customer = postpaid(subscription=PLUS, currency="NOK")
    assert one.names(changed(one.customer)) == ["PostingRefused"]
    assert one.names(changed(one.customer)) == []
    assert not one.of(SubscriptionCharged)


def test_a_subscription_whose_currency_changes_ends_and_says_so() -> None:
    one = subscribed()
    one.customer = replace(one.customer or postpaid(), currency="NOK")
    assert one.until(SubscriptionEnded).why == "wrong_currency"
    assert one.last(PostingRefused).reason == "wrong_currency"


def test_nobody_who_pays_once_subscribes() -> None:
    one = ad_hoc()
    one.customer = postpaid(subscription=PLUS)
    assert one.hear(replace(changed(one.customer), account=AD_HOC)) == []


@pytest.mark.parametrize(
    ("terms", "net", "gross", "rate"),
    [
        (Subscription(name="a", monthly_fee=eur("9.99"), tax_included="YES", vat=eur("19")), "8.39", "9.99", "19"),
        (Subscription(name="a", monthly_fee=eur("8.39"), vat=eur("19")), "8.39", "9.98", "19"),
        (Subscription(name="a", monthly_fee=eur("8.39")), "8.39", "8.39", None),
        (Subscription(name="a", monthly_fee=eur("8.39"), tax_included="N/A", vat=eur("19")), "8.39", "8.39", None),
        (Subscription(name="a", monthly_fee=eur("0.05"), vat=eur("10")), "0.05", "0.06", "10"),
        (Subscription(name="a", monthly_fee=eur("0")), "0.00", "0.00", None),
    ],
)
def test_a_fee_is_rounded_half_up(terms: Subscription, net: str, gross: str, rate: str | None) -> None:
    assert fee(terms, "EUR") == TaxShare(None if rate is None else eur(rate), eur(net), eur(gross))


# ---- the allowance ------------------------------------------------------------------------------------------------------


def test_the_first_kwh_are_given_back_as_far_as_the_allowance_goes() -> None:
    one = subscribed()
    for number in range(3):
        one.hear(priced(one, f"s{number}"))
    found = [(each.session, each.energy_wh, each.left_wh, each.net, each.gross) for each in one.of(AllowanceConsumed)]
    assert found == [
        ("s0", 10_000, 15_000, eur("-4.00"), eur("-5.00")),
        ("s1", 10_000, 5_000, eur("-4.00"), eur("-5.00")),
        ("s2", 5_000, 0, eur("-2.00"), eur("-2.50")),
    ]
    one.hear(priced(one, "s3"))
    assert len(one.of(AllowanceConsumed)) == 3
    assert one.state.balance == -eur("9.90") - 4 * eur("5.00") + eur("12.50")
    assert [each.gross for each in one.of(SessionCharged)] == [eur("5.00")] * 4
    drafted = one.until(InvoiceDrafted)
    assert (drafted.lines, drafted.taxes) == (8, (share("25", "13.92", "17.40"),))


def test_what_energy_stands_for_is_rounded_once_for_each_rate_and_never_more_than_the_cdr_has() -> None:
    one = subscribed(replace(PLUS, allowance_wh=1000))
    energy = (TaxShare(eur(25), eur("1.005000"), eur("1.256250")), TaxShare(eur(10), eur("2.000000"), eur("2.200000")))
    taxes = (share("25", "1.00", "1.25"), share("10", "4.00", "4.40"))
    one.hear(one.cdr("5.65", net=eur("5.00"), taxes=taxes, energy=energy, energy_wh=1000))
    [used] = one.of(AllowanceConsumed)
    assert used.taxes == (share("25", "-1.00", "-1.25"), share("10", "-2.00", "-2.20"))
    assert (used.net, used.gross) == (eur("-3.00"), eur("-3.45"))


@pytest.mark.parametrize(
    "fields",
    [
        {"energy": ()},
        {"energy": (TaxShare(eur(25), eur(0), eur(0)),)},
        {"energy_wh": 0},
        {"started": -60 * 24 * 40},
        {"started": 60 * 24 * 40},
    ],
    ids=["no energy price", "free", "no energy", "before the month", "after it"],
)
def test_what_consumes_nothing(fields: dict[str, Any]) -> None:
    one = subscribed()
    one.hear(priced(one, **fields))
    assert len(one.of(SessionCharged)) == 1
    assert not one.of(AllowanceConsumed)


def test_without_an_allowance_and_after_the_subscription_nothing_is_given_back() -> None:
    one = subscribed(replace(PLUS, allowance_wh=None))
    one.hear(priced(one))
    assert not one.of(AllowanceConsumed)


def test_a_late_cdr_consumes_of_the_month_in_which_its_session_began() -> None:
    one = subscribed()
    one.until(SubscriptionCharged)
    november, december = one.of(SubscriptionCharged)
    one.hear(priced(one))
    assert one.last(AllowanceConsumed).month == november.id
    one.hear(priced(one, "s2", started_at=december.month_start))
    assert one.last(AllowanceConsumed).month == december.id
    assert [each.left_wh for each in one.state.months] == [15_000, 15_000]


def test_a_session_waits_for_nothing_but_its_own_month_though_there_were_many() -> None:
    one = subscribed()
    for _ in range(MONTHS):
        one.until(SubscriptionCharged)
    assert len(one.state.months) == MONTHS
    one.hear(priced(one))
    assert not one.of(AllowanceConsumed)


def test_a_credit_gives_back_what_its_cdr_consumed_and_a_reissue_consumes_anew() -> None:
    one = subscribed()
    one.hear(priced(one, wh=20_000))
    one.hear(priced(one, "s2"))
    assert one.last(AllowanceConsumed).energy_wh == 5000
    one.hear(taken_back(one))
    back = one.last(AllowanceReturned)
    assert (back.credits, back.energy_wh, back.left_wh) == ("cdr-s1", 20_000, 20_000)
    assert (back.net, back.gross, back.taxes) == (eur("4.00"), eur("5.00"), (share("25", "4.00", "5.00"),))
    assert back.invoice == one.last(SessionCredited).invoice == one.of(SessionCharged)[0].invoice
    one.hear(priced(one, wh=12_000, net="2.40", cdr="cdr-s1-again", corrects="cdr-s1"))
    assert (one.last(AllowanceConsumed).energy_wh, one.last(AllowanceConsumed).net) == (12_000, eur("-2.40"))
    one.hear(taken_back(one, net="2.40", credits="cdr-s1-again"))
    assert one.state.months[-1].left_wh == 20_000
    consistent(one)


def test_the_credit_of_a_cdr_that_was_invoiced_is_a_note_of_both() -> None:
    one = subscribed()
    one.hear(priced(one, wh=50_000))
    invoice = one.until(InvoiceDrafted)
    one.hear(taken_back(one, at=invoice.at))
    note = one.last(InvoiceDrafted)
    assert (note.kind, note.lines, note.refers_to) == ("credit_note", 2, invoice.invoice)
    assert (note.net, note.gross, note.taxes) == (eur("-2.00"), eur("-2.50"), (share("25", "-2.00", "-2.50"),))
    assert note.invoice == one.last(AllowanceReturned).invoice == one.last(SessionCredited).invoice
    assert note.last_entry == note.first_entry + 1 == one.last(AllowanceReturned).entry


def test_the_credit_of_a_month_that_nobody_counts_any_more_gives_the_money_back_all_the_same() -> None:
    one = subscribed()
    one.hear(priced(one))
    for _ in range(MONTHS):
        one.until(SubscriptionCharged)
    one.hear(taken_back(one))
    assert (one.last(AllowanceReturned).gross, one.last(AllowanceReturned).left_wh) == (eur("5.00"), None)
    assert not one.state.consumed


def test_the_newest_that_consumed_are_remembered() -> None:
    one = subscribed(replace(PLUS, allowance_wh=10**9))
    for number in range(CONSUMED + 1):
        one.hear(priced(one, f"{number:04}", cdr=f"{number:016}"))
    assert (len(one.state.consumed), one.state.consumed[0].cdr) == (CONSUMED, f"{1:016}")
    one.hear(taken_back(one, "0000", credits=f"{0:016}"))
    assert not one.of(AllowanceReturned)


def test_what_an_allowance_gives_pays_for_no_older_debt() -> None:
    one = subscribed()
    one.until(InvoiceDrafted)
    owed = one.last(DebtFound).owed
    assert one.state.debt is not None
    one.hear(priced(one, started_at=one.state.months[-1].start))
    assert one.of(AllowanceConsumed)
    assert one.state.debt.owed == owed


def test_what_is_carried_over_again_consumes_nothing_again() -> None:
    one = subscribed()
    bill = priced(one)
    one.hear(bill)
    before = one.state
    assert one.hear(bill) == []
    assert one.state == before


# ---- always -------------------------------------------------------------------------------------------------------------

actions = st.lists(
    st.tuples(
        st.sampled_from(["cdr", "cdr", "cdr", "credit", "again", "tick", "terms", "invoice"]), st.integers(0, 10**6)
    ),
    max_size=40,
)


class World:
    """A subscribed account, its sessions, and what they consumed."""

    def __init__(self, prepaid_: bool) -> None:
        self.one = subscribed(customer=prepaid() if prepaid_ else postpaid(mandate="cus/pm"))
        self.bills: list[Any] = []
        self.counting: list[tuple[str, Any]] = []
        self.now = 1.0

    def do(self, what: str, n: int) -> None:
        one, self.now = self.one, self.now + n % 700
        match what:
            case "cdr":
                name = f"{len(self.bills):016}"
                wh, net = n % 40_000, f"{n % 1999 / 100:.6f}"
                bill = priced(one, name, wh, net, minutes=self.now, cdr=name, started=self.now - n % 90_000)
                self.counting.append((name, bill))
                self.hear(bill)
            case "credit" if self.counting:
                name, bill = self.counting.pop(n % len(self.counting))
                back = [TaxShare(each.rate, -each.net, -each.gross) for each in bill.taxes]
                what_ = {"net": -bill.net, "taxes": tuple(back), "started_at": bill.started_at}
                self.hear(one.credit(f"{bill.gross}", self.now, name, name, **what_))
            case "again":
                for bill in self.bills[len(self.bills) - n % (len(self.bills) + 1) :]:
                    one.hear(bill)
            case "tick" if (deadline := domain.deadline(one.state)) is not None:
                self.now = max(self.now, (deadline - at()).total_seconds() / 60)
                one.hear(Ticked(at=deadline))
            case "terms":
                terms = None if n % 3 == 0 else replace(PLUS, allowance_wh=n % 60_000, monthly_fee=eur(n % 30))
                one.customer = replace(one.customer or postpaid(), subscription=terms)
                one.hear(changed(one.customer, self.now))
            case "invoice":
                one.hear(one.invoice(self.now, request=f"i{len(one.events)}"))
            case _:
                pass

    def hear(self, bill: Any) -> None:
        self.bills.append(bill)
        self.one.hear(bill)


@given(st.booleans(), actions)
@settings(max_examples=150, deadline=None)
def test_no_more_is_given_back_than_there_is_and_a_credit_gives_back_exactly(
    is_prepaid: bool, actions: list[tuple[str, int]]
) -> None:
    world = World(is_prepaid)
    for what, number in actions:
        world.do(what, number)
        consistent(world.one)
    one = world.one
    given_back, returned = one.of(AllowanceConsumed), {each.credits: each for each in one.of(AllowanceReturned)}
    for month in one.of(SubscriptionCharged):
        mine = [each for each in given_back if each.month == month.id]
        used = sum(each.energy_wh for each in mine if each.cdr not in returned)
        assert 0 <= used <= (month.allowance_wh or 0)
        assert all(month.month_start <= each.started_at < month.month_end for each in mine)
    for each in given_back:
        [cdr] = [found for found in one.of(SessionCharged) if found.cdr == each.cdr]
        assert (cdr.invoice, cdr.entry + 1) == (each.invoice, each.entry)
        assert 0 < each.energy_wh <= cdr.energy_wh
        assert 0 <= -each.net <= cdr.net
        assert 0 <= -each.gross <= cdr.gross
        if (back := returned.get(each.cdr)) is not None:
            assert (each.net, each.gross, each.energy_wh) == (-back.net, -back.gross, back.energy_wh)
    months = one.of(SubscriptionCharged)
    assert len({each.id for each in months}) == len(months)
    assert all(before.month_end <= after.month_start for before, after in pairwise(months))
    for drafted in one.of(InvoiceDrafted):
        lines = [each for kind in LINES for each in one.of(kind) if each.invoice == drafted.invoice]
        assert len(lines) == drafted.lines
        assert sum((each.net for each in lines), Decimal(0)) == drafted.net


@given(st.booleans(), actions)
@settings(max_examples=50, deadline=None)
def test_a_state_is_the_fold_of_its_outputs_and_survives_its_record(
    is_prepaid: bool, actions: list[tuple[str, int]]
) -> None:
    world = World(is_prepaid)
    for what, number in actions:
        world.do(what, number)
    state = world.one.state
    assert reduce(domain.evolve, world.one.events, domain.initial) == state
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
    before = state
    for bill in world.bills:
        assert world.one.hear(bill) == []
    assert world.one.state == before
