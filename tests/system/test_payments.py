"""Money: from somebody who wants to charge without an account to what is taken, and what stops whose money runs out."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.payments.till import BAD_CARD, GOOD_CARD, Till
from tests.station import Station
from tests.system.network import Yard, ago, authorize, meter, start, stop, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TARIFF: dict[str, Any] = {
    "currency": "NOK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "4.00", "vat": "25"}]}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stripe(till: Till) -> AsyncIterator[Till]:
    """The provider, while somebody pays."""
    await till.start()
    yield till
    assert till.child is not None
    await till.child.stop(patience=5)


async def priced(yard: Yard) -> Station:
    """Return a station where charging has a price."""
    station = await yard.station()
    await yard.rest.put("/v1/tariffs/CARDS", {"tariff": TARIFF, "valid_from": "2020-01-01T00:00:00Z"})
    await yard.rest.put("/v1/tariff-assignments", {"station": station.identity, "tariff": "CARDS"})
    return station


async def begun(yard: Yard, station: Station) -> Any:
    """Return a payment whose payer has been told where to pay."""
    wish = {"station": station.identity, "evse": 1, "amount": "50.00"}
    payment = await yard.rest.post("/v1/payments", wish)
    return await until_payment(yard, payment["id"], "action_required")


async def until_payment(yard: Yard, id: str, state: str) -> Any:
    async def look() -> Any:
        payment = await yard.rest.get(f"/v1/payments/{id}")
        return payment if payment["state"] == state else None

    return await until(look, f"payment {id} that is {state}")


async def charged(yard: Yard, station: Station) -> Any:
    """Let the station do what it is asked, charge 3 kWh and stop; return the session's CDR."""
    asked = await station.asked()
    assert (asked.action, asked.payload["connectorId"]) == ("RemoteStartTransaction", 1)
    await station.reply(asked, {"status": "Accepted"})
    uid = asked.payload["idTag"]
    assert await authorize(station, uid) == "Accepted"
    transaction = await start(station, uid, ago(minutes=30), meter=1_000)
    await meter(station, transaction, ago(minutes=20), 2_000)
    await stop(station, transaction, ago(minutes=10), 4_000)
    session = await yard.session(station)
    return await until_cdr(yard, session["id"])


async def until_cdr(yard: Yard, session: str) -> Any:
    async def look() -> Any:
        found = (await yard.rest.get("/v1/cdrs", session=session))["items"]
        return found[0] if found else None

    return await until(look, f"a CDR of {session}")


async def intents(stripe: Till, payment: Any) -> list[tuple[str, int, int]]:
    """Return of what the provider has of a payment: its state, what was received, and how often it was captured."""
    found = [each for each in await stripe.intents() if each["metadata"]["payment"] == payment["id"]]
    return [(each["status"], each["amount_received"], each["captures"]) for each in found]


async def test_what_is_held_starts_the_station_and_what_the_cdr_says_is_taken(yard: Yard, stripe: Till) -> None:
    station = await priced(yard)
    payment = await begun(yard, station)
    assert await stripe.pay(payment["url"], GOOD_CARD) == 303
    cdr = await charged(yard, station)
    assert (cdr["total_incl"], cdr["account"]) == ("15.00", payment["account"])
    taken = await until_payment(yard, payment["id"], "captured")
    assert (Decimal(taken["held"]), Decimal(taken["taken"])) == (Decimal(50), Decimal(15))
    assert (await yard.rest.get(taken["receipt_url"]))["gross"] == "15.00"

    async def forgotten() -> bool | None:
        answer = await yard.rest.ask("GET", f"/v1/tokens/{cdr['token_id']}")
        return True if answer.status_code == 404 else None

    await until(forgotten, "nobody knows the payment's token any more")
    assert await intents(stripe, payment) == [("succeeded", 1500, 1)]


async def test_a_capture_of_which_no_answer_comes_is_made_once(yard: Yard, stripe: Till) -> None:
    station = await priced(yard)
    payment = await begun(yard, station)
    assert await stripe.pay(payment["url"], GOOD_CARD) == 303
    await stripe.fault("payment_intents/capture", "silent", seconds=15)
    await charged(yard, station)

    async def captured() -> bool | None:
        return True if await intents(stripe, payment) == [("succeeded", 1500, 1)] else None

    await until(captured, "the provider has captured")
    taken = await until_payment(yard, payment["id"], "captured")
    assert Decimal(taken["taken"]) == Decimal(15)
    assert await intents(stripe, payment) == [("succeeded", 1500, 1)]


async def test_a_declined_card_never_starts_a_station(yard: Yard, stripe: Till) -> None:
    station = await priced(yard)
    payment = await begun(yard, station)
    assert await stripe.pay(payment["url"], BAD_CARD) == 402
    page = payment["url"].rpartition("/")[2]
    expired = await stripe.client.post(f"{stripe.url}/v1/checkout/sessions/{page}/expire")
    assert expired.is_success
    await until_payment(yard, payment["id"], "failed")
    assert (await yard.rest.get("/v1/commands", station=station.identity))["items"] == []
    assert station.current.asked.empty()


async def test_a_session_is_stopped_when_prepaid_money_runs_out(yard: Yard) -> None:
    station, account = await priced(yard), f"prepaid-{uuid4().hex[:8]}"
    await yard.rest.put(f"/v1/accounts/{account}", {"kind": "prepaid", "currency": "NOK"})
    gift = {"amount": "10.00", "reason": "welcome"}
    await yard.rest.post(f"/v1/accounts/{account}/adjustments", gift)
    token = await yard.token(account=account)

    async def may_charge() -> bool | None:
        return True if await authorize(station, token.uid) == "Accepted" else None

    await until(may_charge, "the account may charge")
    transaction = await start(station, token.uid, ago(minutes=30), meter=1_000)
    await meter(station, transaction, ago(minutes=20), 2_000)
    await meter(station, transaction, ago(minutes=15), 3_100)
    asked = await station.asked()
    assert (asked.action, asked.payload) == ("RemoteStopTransaction", {"transactionId": transaction})
    await station.reply(asked, {"status": "Accepted"})
    await stop(station, transaction, ago(seconds=1), 3_200)
    session = await yard.session(station)
    assert (await until_cdr(yard, session["id"]))["total_incl"] == "11.00"

    async def owes() -> Any:
        shown = await yard.rest.get(f"/v1/accounts/{account}")
        return shown if shown["balance"]["amount"] == "-1.00" else None

    assert (await until(owes, f"what {account} has"))["standing"]["why"] == "no_money"
