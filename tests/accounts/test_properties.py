"""Money never appears and never vanishes, whatever is heard, how often, and in which order the provider answers."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.loop import STATE_LIMIT
from contracts.bills import TaxShare
from contracts.event import AccountId
from contracts.ledger import Adjusted, DebtFound, MoneyReturned, MoneyTaken, ProviderAsked, WrittenOff
from contracts.postings import OfBill, ProviderAnswered
from services.accounts import domain
from services.accounts.heard import Heard
from services.accounts.state import (
    CONSUMED,
    DOCUMENTS,
    MONTHS,
    OPEN_SESSIONS,
    PAYMENTS,
    REQUESTS,
    STRAY_DIGITS,
    STRAYS,
    Account,
    Consumed,
    State,
    SubscribedMonth,
)
from tests.accounts.says import AD_HOC, DRIVER, Ledger, at, postpaid, prepaid

Actions = list[tuple[str, int]]
WHAT = ("cost", "cdr", "credit", "nothing", "adjust", "invoice", "answer", "again", "old", "tick")
actions = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 10**6)), max_size=40)
kinds = st.sampled_from(["ad hoc", "prepaid", "postpaid"])


class World:
    """An account and a provider that does every operation at most once, and says so whenever it likes."""

    def __init__(self, kind: str) -> None:
        customer = {"ad hoc": None, "prepaid": prepaid(mandate="cus/pm"), "postpaid": postpaid(mandate="cus/pm")}[kind]
        self.one = Ledger(AD_HOC if kind == "ad hoc" else DRIVER, customer)
        self.now = 1.0
        self.said: list[Any] = []
        self.bills: list[OfBill] = []
        self.truth: dict[str, ProviderAnswered] = {}
        self.cdrs: list[tuple[str, Decimal]] = []
        self.owing = Decimal(0)
        self.given = Decimal(0)
        first = {"ad hoc": self.one.hold("30"), "prepaid": self.one.top_up("30")}.get(kind)
        if first is not None:
            self.hear(first)

    def hear(self, event: Any) -> None:
        self.said.append(event)
        self.one.hear(event)

    def do(self, what: str, number: int) -> None:
        self.now += number % 50
        act: Callable[[int], None] = getattr(self, f"_{what}")
        act(number)

    def bill(self, bill: OfBill) -> None:
        self.bills.append(bill)
        self.hear(bill)

    def _cost(self, n: int) -> None:
        self.bill(self.one.cost(f"{n % 4000 / 100:.2f}", self.now, f"s{len(self.cdrs)}"))

    def _cdr(self, n: int) -> None:
        gross = Decimal(n % 4000) / 100
        name = f"{len(self.cdrs)}"
        self.cdrs.append((name, gross))
        self.owing += gross
        self.bill(self.one.cdr(f"{gross:.2f}", self.now, f"s{name}", name, started=self.now - 1))

    def _credit(self, n: int) -> None:
        if self.cdrs:
            name, gross = self.cdrs.pop(n % len(self.cdrs))
            self.owing -= gross
            self.bill(self.one.credit(f"{gross:.2f}", self.now, f"s{name}", name, started_at=at(self.now - 2)))

    def _nothing(self, n: int) -> None:
        self.bill(self.one.nothing(self.now, f"s{n % 5}"))

    def _adjust(self, n: int) -> None:
        amount = Decimal(n % 3000 - 1000) / 100
        self.given += amount
        self.hear(self.one.adjustment(f"{amount:.2f}", request=f"r{len(self.said)}", at=at(self.now)))

    def _invoice(self, _: int) -> None:
        self.hear(self.one.invoice(self.now, request=f"i{len(self.said)}"))

    def _answer(self, n: int) -> None:
        """Answer something that was asked: with the truth, or with what is no truth yet."""
        if asked := self.one.of(ProviderAsked):
            self.answer(asked[n % len(asked)], ("done", "done", "declined", "unreachable", "action_required")[n % 5])

    def answer(self, asked: ProviderAsked, outcome: str) -> None:
        known = self.truth.get(asked.operation)
        answer = known or self.one.answer(outcome, f"{asked.amount}", self.now, to=asked)
        if outcome in {"done", "declined"}:
            self.truth[asked.operation] = answer
        self.hear(answer)

    def _again(self, n: int) -> None:
        """Carry the newest bills over again, as a router does that was killed."""
        for bill in self.bills[len(self.bills) - n % (len(self.bills) + 1) :]:
            self.one.hear(bill)

    def _old(self, n: int) -> None:
        """Say something again that was said before."""
        if self.said:
            self.one.hear(self.said[n % len(self.said)])

    def _tick(self, _: int) -> None:
        if (deadline := domain.deadline(self.one.state)) is not None:
            self.now = max(self.now, (deadline - at()).total_seconds() / 60)
            self.one.tick()

    def settle(self) -> None:
        """Let sessions end, everything be answered truly, and all the time pass that anything waits for."""
        for each in self.one.state.charging:
            self.hear(self.one.nothing(self.now, each.session))
        for _ in range(200):
            while open := [each for each in self.one.of(ProviderAsked) if each.operation not in self.truth]:
                self.answer(open[0], "done")
            for asked in self.one.of(ProviderAsked):
                self.answer(asked, "done")
            if domain.deadline(self.one.state) is not None:
                self._tick(0)
            elif all(each.operation in self.truth for each in self.one.of(ProviderAsked)):
                return
        raise AssertionError("it never comes to rest")


def world(kind: str, actions: Actions) -> World:
    made = World(kind)
    for what, number in actions:
        made.do(what, number)
        consistent(made.one)
    return made


def consistent(one: Ledger) -> None:
    """Every entry has the next number, and every place together comes to 0."""
    entries: list[Any] = [each for each in one.events if hasattr(each, "entry")]
    assert [each.entry for each in entries] == list(range(1, len(entries) + 1))
    places = one.places
    assert sum(places.values()) == 0
    assert one.state.balance == places.get("customer", 0) == (entries[-1].balance if entries else 0)


def total(one: Ledger, *kinds: type[Any]) -> Decimal:
    moved = (each for kind in kinds for each in one.of(kind) if each.movement is not None)
    return sum(
        (each.movement.amount if each.movement.to == "customer" else -each.movement.amount for each in moved),
        Decimal(0),
    )


@given(kinds, actions)
@settings(max_examples=150, deadline=None)
def test_money_never_appears_and_never_vanishes(kind: str, actions: Actions) -> None:
    made = world(kind, actions)
    one = made.one
    written_off = total(one, WrittenOff)
    assert total(one, Adjusted) == made.given
    assert total(one, MoneyTaken, MoneyReturned) + made.given + written_off - one.state.balance == made.owing
    made.settle()
    consistent(one)
    done = [(each.kind, each.amount or Decimal(0)) for each in made.truth.values() if each.outcome == "done"]
    taken = sum((amount for done_by, amount in done if done_by in {"capture", "charge"}), Decimal(0))
    returned = sum((amount for done_by, amount in done if done_by == "refund"), Decimal(0))
    assert (total(one, MoneyTaken), total(one, MoneyReturned)) == (taken, -returned)
    assert taken - returned + made.given + total(one, WrittenOff) - one.state.balance == made.owing
    if kind == "ad hoc":
        assert one.state.owed == 0 or one.of(DebtFound)
        assert all(payment.pending is None for payment in one.state.payments)


@given(kinds, actions)
@settings(max_examples=75, deadline=None)
def test_what_is_carried_over_again_changes_nothing(kind: str, actions: Actions) -> None:
    made = world(kind, actions)
    before = made.one.state
    for bill in made.bills:
        if made.one.state.has_heard(bill.source):
            assert made.one.hear(bill) == []
    for said in made.said:
        if isinstance(said, ProviderAnswered) and said.outcome in {"done", "declined"}:
            assert made.one.hear(said) == []
    assert made.one.state == before


@given(kinds, actions)
@settings(max_examples=75, deadline=None)
def test_a_state_is_the_fold_of_its_outputs_and_survives_its_record(kind: str, actions: Actions) -> None:
    made = world(kind, actions)
    assert reduce(domain.evolve, made.one.events, domain.initial) == made.one.state
    assert msgspec.json.decode(msgspec.json.encode(made.one.state), type=State) == made.one.state


@given(kinds, actions)
@settings(max_examples=75, deadline=None)
def test_deadlines_do_not_come_back(kind: str, actions: Actions) -> None:
    made = world(kind, actions)
    deadlines: list[datetime] = []
    while (deadline := domain.deadline(made.one.state)) is not None and len(deadlines) < 100:
        deadlines.append(deadline)
        made.one.tick()
    assert all(before < after for before, after in pairwise(deadlines))


def fleet(one: Ledger, state: State, first: int, last: int) -> State:
    """Return the account after so many sessions, 100,000 of which are a month's."""
    for number in range(first, last):
        minutes = number * 0.43
        posting = one.cdr("1.25", minutes, f"session-{number:028d}", f"{number:036d}", started=minutes - 30)
        said = domain.decide(state, Heard(posting, one.customer))
        state = reduce(domain.evolve, said, state)
    return state


def test_the_state_of_a_fleet_does_not_grow_with_its_sessions() -> None:
    one = Ledger(AccountId("fleet"), postpaid(id=AccountId("fleet")))
    few = fleet(one, Account(), 0, 1000)
    many = fleet(one, few, 1000, 10_000)
    assert (many.entries, many.balance) == (10_000, Decimal("-12500.00"))
    assert len(msgspec.json.encode(many)) <= len(msgspec.json.encode(few)) + 10


def long(name: str, number: int) -> str:
    return f"{name}{number:0{36 - len(name)}d}"


def test_a_state_that_is_as_full_as_can_be_fits_its_record() -> None:
    one = Ledger(AccountId("driver"), prepaid(mandate="cus_12345678901234/pm_123456789012345678901234"))
    one.hear(one.adjustment("99999999"))
    for month in range(DOCUMENTS + 1):
        one.hear(one.cdr("12345.67", 44_000 * month, long("m", month), long("m", month), started=44_000 * month))
        one.hear(one.invoice(44_000 * month + 1, request=long("i", month)))
    now = 44_000 * (DOCUMENTS + 1)
    for number in range(STRAYS):
        one.hear(one.cdr("12345.67", now, long("s", number), long("s", number)))
    for number in range(OPEN_SESSIONS + 1):
        one.hear(one.cost("12345.67", now, long("o", number), station="S" * 48))
    for number in range(REQUESTS + 1):
        one.hear(one.adjustment("1", request=long("r", number), fingerprint="f" * 64))
    for number in range(2 * PAYMENTS):
        one.hear(one.top_up("12345.67", payment=long("p", number), fingerprint="f" * 64))
        one.hear(one.answer("unreachable" if number >= PAYMENTS else "done", "12345.67", reference="pi_" + "x" * 30))
    assert (len(one.state.strays), len(one.state.charging)) == (STRAYS, OPEN_SESSIONS)
    assert (len(one.state.documents), len(one.state.payments)) == (DOCUMENTS, 2 * PAYMENTS - 1)
    subscribed = SubscribedMonth(id=long("m", 0), start=at(0), end=at(44_000), allowance_wh=10**8, used_wh=10**8)
    taxes = (TaxShare(Decimal("25.00"), Decimal("-12345.67"), Decimal("-15432.09")),) * 2
    consumed = Consumed("x" * STRAY_DIGITS, subscribed.id, 10**6, taxes)
    full = replace(one.state, months=(subscribed,) * MONTHS, subscribed_until=at(0), consumed=(consumed,) * CONSUMED)
    assert len(msgspec.json.encode(full)) < STATE_LIMIT
