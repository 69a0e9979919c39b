"""What stations are asked to show because of what a bill or a decision says."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts.authorizations import TokenDecided, TokenInfo
from contracts.bills import CdrHeld, CostShown, CostUpdated, Priced, SessionMeasured
from contracts.event import Event, Message, TokenId, TransactionId
from contracts.operations import Prices, ShowFinalCost, ShowPrice, ShowRunningCost
from contracts.topics import AUTHORIZATIONS, BILLS, COMMANDS
from services.billing import announcer
from tests.billing.says import ABOUT, ACME, CP1, NOON, SESSION, at

SHOWN = CostShown(
    TransactionId("17"), Decimal("1.20"), "EUR", 2345, 3345, idle=True, prices=Prices(kwh=Decimal("0.50"))
)


NOTHING = Priced(currency="EUR", total_excl=None, total_incl=None, energy_wh=0, seconds=0)


def message(event: Event, *, id: str = "ce-1", recorded_at: datetime = NOON) -> Message[Any]:
    return Message(event, id, recorded_at)


def cost(shown: CostShown | None = SHOWN, when: datetime = NOON) -> CostUpdated:
    incl = Decimal("1.20")
    return CostUpdated(
        **ABOUT, at=when, usage=(), currency="EUR", total_excl=None, total_incl=incl, energy_wh=2345, shown=shown
    )


def measured(shown: CostShown | None = SHOWN, when: datetime = NOON) -> SessionMeasured:
    return SessionMeasured(**ABOUT, at=when, usage=(), due=at(5), shown=shown)


def decided(text: str = "energy 0.40 EUR/kWh", when: datetime = NOON) -> TokenDecided:
    return TokenDecided(
        at=when,
        tenant=ACME,
        station=CP1,
        report="r",
        purpose="authorize",
        token=TokenId("card"),
        info=TokenInfo("Accepted"),
        price_text=text,
    )


def test_a_price_is_shown_to_whoever_may_charge() -> None:
    [command] = announcer.announced(message(decided()))
    assert command.task == ShowPrice(TokenId("card"), "energy 0.40 EUR/kWh")
    assert (command.tenant, command.station, command.requested_by) == (ACME, CP1, "billing")


def test_a_running_cost_is_shown() -> None:
    [command] = announcer.announced(message(cost()))
    assert command.task == ShowRunningCost(
        SESSION, TransactionId("17"), NOON, Decimal("1.20"), 3345, idle=True, prices=Prices(kwh=Decimal("0.50"))
    )


def test_the_whole_cost_is_shown_in_words_too() -> None:
    [command] = announcer.announced(message(measured()))
    assert command.task == ShowFinalCost(
        SESSION, TransactionId("17"), Decimal("1.20"), "1.20 EUR incl. taxes for 2.345 kWh"
    )


@pytest.mark.parametrize(
    "event",
    [
        decided(""),
        cost(None),
        measured(None),
        CdrHeld(**ABOUT, at=NOON, why=(), priced=NOTHING),
    ],
)
def test_what_is_not_to_be_shown_is_not(event: Event) -> None:
    assert announcer.announced(message(event)) == []


@pytest.mark.parametrize("event", [decided(when=at(-6)), cost(when=at(-6)), measured(when=at(-6))])
def test_the_past_is_not_shown(event: Event) -> None:
    assert announcer.announced(message(event)) == []
    assert announcer.announced(message(event, recorded_at=at(-1))) != []


def test_what_cannot_be_shown_soon_is_not_shown_at_all() -> None:
    [command] = announcer.announced(message(cost(when=at(-2)), recorded_at=NOON))
    assert (command.at, command.expires_at - command.at) == (NOON, timedelta(minutes=1))


def test_heard_twice_it_is_the_same_command() -> None:
    once, again = (announcer.announced(message(cost()))[0] for _ in range(2))
    assert once == again
    [other] = announcer.announced(message(cost(), id="ce-2"))
    assert other.command != once.command


def test_there_is_one_whole_cost_of_a_session_however_often_it_is_measured() -> None:
    first, second = (announcer.announced(message(measured(), id=id))[0] for id in ("ce-1", "ce-2"))
    assert first.command == second.command


async def test_bills_and_decisions_are_followed() -> None:
    costs, prices = announcer.costs(), announcer.prices()
    assert (costs.topic, costs.outputs, costs.hears) == (BILLS, (COMMANDS,), (CostUpdated, SessionMeasured))
    assert (prices.topic, prices.outputs, prices.hears) == (AUTHORIZATIONS, (COMMANDS,), (TokenDecided,))
    assert await costs.carry_out(message(cost())) == announcer.announced(message(cost()))
    assert await prices.carry_out(message(decided())) == announcer.announced(message(decided()))
