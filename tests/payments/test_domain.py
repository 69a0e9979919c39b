"""What a bill means to the account that pays for it."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    BillLine,
    CdrCredited,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    Priced,
    Review,
    TariffBound,
    TariffMissing,
    TaxShare,
)
from contracts.event import AccountId, Event, JobId, Message, RequestId, SessionId, SiteId, StationId, TokenId
from contracts.postings import CdrPosted, CostPosted, CreditPosted, NothingDue, Source
from contracts.tariffs import Tariff
from services.payments import domain
from services.payments.domain import Heard
from tests.billing.says import delivered, ended, started, ticked
from tests.given import given
from tests.payments.asks import ACME, ADHOC, NOON
from tests.rerating.given import ASSIGNED, bills

NET, GROSS = Decimal("10.00"), Decimal("12.10")
TAXES = (TaxShare(Decimal(21), NET, GROSS),)
SESSION: dict[str, Any] = {"at": NOON, "tenant": ACME, "station": StationId("ST1"), "session": SessionId("s1")}
POSTED: dict[str, Any] = {**SESSION, "account": ADHOC, "source": Source(3, 17), "currency": "EUR"}
BOTH: dict[str, Any] = {"total_excl": NET, "total_incl": GROSS}


def posted(event: Event) -> list[Any]:
    return given(domain, *[]).when(Heard(Message(event, "cause", NOON, 17), 3))


def cost(**totals: Any) -> CostUpdated:
    return CostUpdated(**{**SESSION, "account": ADHOC, "usage": (), "currency": "EUR", "energy_wh": 500, **totals})


def cdr(**totals: Any) -> CdrIssued:
    priced = Priced(currency="EUR", energy_wh=500, seconds=60, **totals)
    return CdrIssued(
        **SESSION,
        cdr="c2",
        number=2,
        tariff="AC",
        tariff_version=1,
        token=TokenId("t"),
        account=ADHOC,
        started_at=NOON,
        ended_at=NOON,
        priced=priced,
        site=SiteId("oslo"),
        corrects="c1",
        taxes=TAXES,
    )


def credit(**totals: Any) -> CdrCredited:
    what: dict[str, Any] = {"cdr": "c3", "credits": "c1", "account": ADHOC, "currency": "EUR", "taxes": TAXES}
    return CdrCredited(**SESSION, **what, started_at=NOON, **totals)


def test_what_a_session_comes_to_so_far_is_posted_with_its_taxes() -> None:
    assert posted(cost(**BOTH)) == [CostPosted(**POSTED, amount=GROSS)]


@pytest.mark.parametrize(
    ("account", "job", "posts"), [(ADHOC, None, True), (ADHOC, JobId("again"), False), (AccountId("anna"), None, False)]
)
def test_that_an_ad_hoc_session_has_a_price_is_posted_before_it_has_a_cost(
    account: AccountId, job: JobId | None, *, posts: bool
) -> None:
    bound = TariffBound(
        **SESSION,
        tariff=Tariff("AC", "EUR", ()),
        tariff_version=1,
        assignment="site/oslo",
        time_zone="UTC",
        token=TokenId("t"),
        account=account,
        evse=1,
        connector=1,
        job=job,
    )
    assert posted(bound) == ([CostPosted(**POSTED, amount=Decimal(0))] if posts else [])


def test_a_cdr_is_posted_whole() -> None:
    assert posted(cdr(**BOTH)) == [
        CdrPosted(
            **POSTED,
            cdr="c2",
            net=NET,
            gross=GROSS,
            taxes=TAXES,
            energy_wh=500,
            started_at=NOON,
            ended_at=NOON,
            site=SiteId("oslo"),
            corrects="c1",
        )
    ]


def line(dimension: str, net: str, gross: str, vat: str | None = "21") -> BillLine:
    nothing = Decimal(0)
    return BillLine(
        dimension=dimension, element=0, component=0, price=nothing, unit="Wh", measured="500.000", billed="500.000",
        net_exact=net, gross_exact=gross, net=nothing, gross=nothing, vat=None if vat is None else Decimal(vat),
    )  # fmt: skip


ENERGY, FLAT = line("ENERGY", "8.003306", "9.684000"), line("FLAT", "2.000000", "2.420000")


@pytest.mark.parametrize(
    ("lines", "limit", "energy"),
    [
        ((), None, ()),
        ((FLAT,), None, ()),
        ((ENERGY, FLAT), None, (TaxShare(Decimal(21), Decimal("8.003306"), Decimal("9.684000")),)),
        ((ENERGY, ENERGY), "min_price", (TaxShare(Decimal(21), Decimal("16.006612"), Decimal("19.368000")),)),
        ((ENERGY, ENERGY, FLAT), "max_price", (TaxShare(Decimal(21), Decimal("8.889297"), Decimal("10.756049")),)),
        ((ENERGY,), "max_price", (TaxShare(Decimal(21), Decimal("8.003306"), Decimal("9.684000")),)),
    ],
    ids=["without lines", "no energy", "beside a fee", "a least price", "a most price", "a most price of more"],
)
def test_what_of_a_cdr_is_for_energy(lines: Any, limit: Any, energy: tuple[TaxShare, ...]) -> None:
    [charged] = posted(cdr(**BOTH, lines=lines, limit=limit))
    assert charged.energy == energy


def test_a_cdr_of_billings_own_says_what_of_it_is_for_energy() -> None:
    written = bills(started(ASSIGNED), delivered(20, 5000), ended(60, 10_000), ticked(66))
    [issued] = [replace(each, account=ADHOC) for each in written if isinstance(each, CdrIssued)]
    [charged] = posted(issued)
    assert charged.energy == charged.taxes == (TaxShare(Decimal(25), Decimal("4.00"), Decimal("5.00")),)


def test_energy_is_said_by_the_rates_that_the_cdr_says() -> None:
    seven, none = line("ENERGY", "1.000000", "1.070000", "7"), line("ENERGY", "3.000000", "3.000000", None)
    shares = (TaxShare(None, Decimal(3), Decimal(3)), TaxShare(Decimal(7), Decimal(1), Decimal("1.07")))
    bill = replace(cdr(total_excl=Decimal(4), total_incl=Decimal("4.07"), lines=(seven, none)), taxes=shares)
    [charged] = posted(bill)
    assert charged.energy == shares
    untaxed = replace(bill, taxes=(TaxShare(None, Decimal(4), Decimal(4)),))
    assert [each.net for each in posted(untaxed)[0].energy] == [Decimal(4)]


@pytest.mark.parametrize(("excl", "incl", "known"), [(NET, None, "8.003306"), (None, GROSS, "9.684000")])
def test_where_the_taxes_are_unknown_energy_is_the_known_amount(excl: Any, incl: Any, known: str) -> None:
    [charged] = posted(replace(cdr(total_excl=excl, total_incl=incl, lines=(ENERGY,)), taxes=()))
    assert charged.energy == (TaxShare(None, Decimal(known), Decimal(known)),)


def test_a_credit_takes_back_exactly() -> None:
    assert posted(credit(total_excl=-NET, total_incl=-GROSS)) == [
        CreditPosted(**POSTED, cdr="c3", credits="c1", net=-NET, gross=-GROSS, taxes=TAXES, started_at=NOON)
    ]


@pytest.mark.parametrize(
    "event",
    [
        ChargedFree(**SESSION, assignment="tenant", account=ADHOC),
        TariffMissing(**SESSION, evse=1, connector=1, account=ADHOC),
        BillDiscarded(**SESSION, account=ADHOC),
    ],
)
def test_what_is_free_discarded_or_without_a_price_is_due_in_no_currency(event: Event) -> None:
    assert posted(event) == [NothingDue(**{**POSTED, "currency": domain.NO_CURRENCY})]


def test_where_the_taxes_are_unknown_the_known_total_counts_for_both() -> None:
    for totals in ({"total_excl": NET, "total_incl": None}, {"total_excl": None, "total_incl": NET}):
        [charged] = posted(cdr(**totals))
        assert (charged.net, charged.gross) == (NET, NET)
        [running] = posted(cost(**totals))
        assert running.amount == NET


def test_what_nobody_knows_is_no_amount() -> None:
    unknown = {"total_excl": None, "total_incl": None}
    assert [posted(cost(**unknown)), posted(cdr(**unknown)), posted(credit(**unknown))] == [[], [], []]


def test_without_an_account_nothing_is_posted() -> None:
    for event in (
        CostUpdated(**SESSION, usage=(), currency="EUR", energy_wh=1, **BOTH),
        ChargedFree(**SESSION, assignment="tenant"),
        BillDiscarded(**SESSION),
    ):
        assert posted(event) == []


def test_what_was_held_and_is_waived_is_due_only_as_far_as_a_cdr_counts_already() -> None:
    review = Review(id=RequestId("r"), decision="waive", reason="a broken meter", requested_by="k")
    waived = CdrWaived(**SESSION, review=review, account=ADHOC, currency="EUR")
    assert posted(waived) == [NothingDue(**POSTED)]
    assert posted(replace(waived, cdr="c1", **BOTH)) == []


def test_a_state_says_nothing() -> None:
    [event] = posted(cost(**BOTH))
    assert domain.evolve(domain.initial, event) == domain.initial
