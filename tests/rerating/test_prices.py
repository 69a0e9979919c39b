"""What sessions come to: by their own tariff the same, by another what billing itself would have billed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.event import TokenId
from contracts.ratings import By, ByAssignments, ByItsOwn, ByTariff, Pinned, Rated
from contracts.tariffs import PriceLimit, Tariff
from services.billing.heard import Assigned
from services.rerating.past import Billed
from services.rerating.prices import Prices, is_more, rated
from services.rerating.reviews import review
from tests.billing.says import delivered, element, ended, started, status, ticked, version
from tests.billing.test_properties import tariffs
from tests.rerating.given import asked, bills, found, session, tariff

STATES = st.sampled_from(["Charging", "SuspendedEV", "SuspendedEVSE"])


def one(*elements: Any, **how: Any) -> Billed:
    [billed] = found(bills(*session(Assigned("tenant", version(*elements, **how)))))
    return billed


def row(by: By, billed: Billed | None = None, **how: Any) -> Rated:
    found = rated(billed or one(), Prices(by, **how))
    assert isinstance(found, Rated)
    return found


def test_another_tariff_makes_another_bill() -> None:
    found = row(ByTariff(tariff("0.50")))
    assert (found.net_before, found.net_after) == (Decimal("4.00"), Decimal("5.00"))
    assert (found.gross_before, found.gross_after) == (Decimal("5.00"), Decimal("6.25"))
    assert (found.state, found.tariff, found.new_tariff, found.energy_wh) == ("differs", "AC", "NEW", 10_000)


@st.composite
def charged(draw: st.DrawFn) -> Billed:
    """Return a session by any tariff, as billing has written it."""
    any_tariff: Tariff = draw(tariffs())
    moments = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 4000)), max_size=12))
    heard, minutes, energy = [started(Assigned("tenant", _of(any_tariff)))], 0, 0
    for gap, more in moments:
        minutes, energy = minutes + gap, energy + more
        heard.append(delivered(minutes, energy))
        heard += [status(minutes, draw(STATES))] if draw(st.booleans()) else []
    heard += [ended(minutes + draw(st.integers(1, 90)), energy + draw(st.integers(0, 500))), ticked(10_000)]
    [billed] = found(bills(*heard))
    return billed


def _of(any_tariff: Tariff) -> Any:
    return replace(version(), tariff=any_tariff, id=any_tariff.id)


@given(charged())
@settings(deadline=None)
def test_by_its_own_tariff_every_session_comes_to_what_it_was_billed(billed: Billed) -> None:
    found = row(ByItsOwn(), billed)
    assert (found.net_after, found.gross_after, found.state) == (found.net_before, found.gross_before, "same")


@given(charged(), tariffs())
@settings(deadline=None)
def test_what_is_sent_to_billing_gives_the_bill_that_was_shown(billed: Billed, other: Tariff) -> None:
    """The usage that goes with it is thinned for its tariff, and prices the same."""
    prices = Prices(ByTariff(replace(other, currency=billed.issued.priced.currency)), mode="apply", raises=True)
    shown = rated(billed, prices)
    if isinstance(shown, str):
        return
    sent = review(asked(), billed, prices)
    again = rated(replace(billed, usage=sent.usage), prices)
    assert isinstance(again, Rated)
    assert (again.net_after, again.gross_after) == (shown.net_after, shown.gross_after)
    assert sent.input_hash == billed.input_hash


def pins(**scopes: Tariff | None) -> dict[str, Pinned]:
    return {scope: Pinned(scope, tariff, version=3) for scope, tariff in scopes.items()}


def test_what_is_assigned_now_counts_by_the_narrowest_scope() -> None:
    assigned = pins(tenant=tariff("0.10")) | {"site/oslo": Pinned("site/oslo", tariff("0.20"), version=4)}
    assert row(ByAssignments(), assigned=assigned).new_version == 4
    group = assigned | {"tenant/group/FLEET": Pinned("tenant/group/FLEET", tariff("0.30"), version=5)}
    assert row(ByAssignments(), assigned=group).new_version == 4
    assert row(ByAssignments(), assigned=group, groups={TokenId("card"): "FLEET"}).new_version == 5


@pytest.mark.parametrize(
    ("by", "how", "why"),
    [
        (ByAssignments(), {}, "no_tariff"),
        (ByAssignments(), {"assigned": pins(tenant=None)}, "free"),
        (ByTariff(tariff(currency="NOK")), {}, "other_currency"),
        (ByTariff(tariff("-1")), {}, "unpriceable"),
        (ByTariff(Tariff("X", "EUR", (element("0.5", vat=None),), tax_included="YES")), {}, "total_unknown"),
    ],
)
def test_a_session_that_cannot_be_rated_is_left_out_with_the_reason(by: By, how: dict[str, Any], why: str) -> None:
    assert rated(one(), Prices(by, **how)) == why


def test_a_session_that_was_re_rated_before_has_no_tariff_of_its_own_in_the_log() -> None:
    billed = one()
    other = replace(billed, issued=replace(billed.issued, tariff_version=9))
    assert rated(other, Prices(ByItsOwn())) == "tariff_unknown"


def test_a_bill_is_raised_only_where_that_was_said() -> None:
    dearer, cheaper = ByTariff(tariff("0.50")), ByTariff(tariff("0.30"))
    assert row(dearer, mode="apply").state == "kept"
    assert row(dearer, mode="apply", raises=True).state == "applied"
    assert row(cheaper, mode="apply").state == "applied"


def test_more_is_what_somebody_pays_in_the_end() -> None:
    low, high = Decimal(1), Decimal(2)
    assert is_more((low, None), (high, None))
    assert not is_more((low, high), (high, low))
    assert not is_more((None, None), (None, None))


def test_sessions_are_rated_with_the_policy_of_their_new_tariff() -> None:
    limited = replace(tariff("0.50"), max_price=PriceLimit(before_taxes=Decimal(1)))
    sent = review(asked(), one(), Prices(ByTariff(limited, version().policy, 7), mode="apply"))
    assert (sent.tariff, sent.tariff_version, sent.reason, sent.requested_by) == (limited, 7, "why not", "key-1")
    assert sent.job == asked().job
