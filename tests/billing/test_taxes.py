"""What part of a bill bears which rate."""

from decimal import Decimal
from typing import Any

from hypothesis import given

from contracts.bills import TaxShare
from contracts.tariffs import Tariff
from services.billing.said import session_of, tariffs_of
from services.billing.tariff import Session, price
from services.billing.taxes import shares, taken_back
from tests.billing.given import component, element, energy, sample, session, tariff
from tests.billing.test_properties import sessions, tariffs

HOUR = session(sample("08:00", 0), sample("09:00", 10_050, "END"))


def shares_of(said: dict[str, Any]) -> tuple[TaxShare, ...]:
    [tariff] = tariffs_of(said)
    return shares(price(tariff, session_of(HOUR)), tariff)


def share(rate: str | None, net: str, gross: str) -> TaxShare:
    return TaxShare(None if rate is None else Decimal(rate), Decimal(net), Decimal(gross))


def test_each_rate_has_its_share() -> None:
    mixed = element(energy("0.30", vat="21"), component("TIME", "2", vat="9"), component("FLAT", "1"))
    assert shares_of(tariff(mixed)) == (
        share(None, "1.00", "1.00"),
        share("9", "2.00", "2.18"),
        share("21", "3.02", "3.65"),
    )


def test_a_limit_changes_the_shares_as_it_changes_the_bill() -> None:
    mixed = element(energy("0.40", vat="21"), component("TIME", "4"))
    assert shares_of(tariff(mixed, max_price={"before_taxes": "4.01"})) == (
        share(None, "2.00", "2.00"),
        share("21", "2.01", "2.43"),
    )


def test_the_least_price_of_nothing_bears_the_only_rate() -> None:
    never = element(energy("0.40", vat="21"), start_date="1999-01-01", end_date="1999-01-02")
    other = element(component("TIME", "4", vat="9"), start_date="1999-01-01", end_date="1999-01-02")
    least = {"before_taxes": "2.00"}
    assert shares_of(tariff(never, min_price=least)) == (share("21", "2.00", "2.42"),)
    assert shares_of(tariff(never, other, min_price=least)) == (share(None, "2.00", "2.00"),)
    assert shares_of(tariff(never, tax_included="N/A", min_price=least)) == (share(None, "2.00", "2.00"),)


def test_where_the_tariff_says_no_taxes_there_is_no_share() -> None:
    assert shares_of(tariff(element(energy("0.40")), tax_included="YES")) == ()


def test_what_is_taken_back_is_the_exact_negative() -> None:
    assert taken_back((share("21", "3.02", "3.65"),)) == (share("21", "-3.02", "-3.65"),)


@given(tariffs(), sessions())
def test_shares_add_up_to_the_totals_and_none_of_their_taxes_is_below_0(tariff: Tariff, session: Session) -> None:
    bill = price(tariff, session)
    found = shares(bill, tariff)
    if bill.total_excl is None:
        assert found == ()
        return
    assert sum((each.net for each in found), Decimal(0)) == bill.total_excl
    assert sum((each.gross for each in found), Decimal(0)) == bill.total_incl
    assert all(0 <= each.net <= each.gross for each in found)
    assert all(each.net == each.gross for each in found if not each.rate)
