"""Prices and costs as a station's display takes them: OCA, OCPP & California Pricing Requirements (TAR-40)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from contracts.event import CommandId, GatewayId, SessionId, StationId, TransactionId
from contracts.gateways import Asked, CallAsked, ShowingPrice, StopCharging, TransferringData
from contracts.operations import Prices, ShowFinalCost, ShowRunningCost
from contracts.stations import CallAnswered, CallFailed, Frame, Violation
from services.gateway import v16
from services.gateway.costs import VENDOR
from services.gateway.protocol import Answered, Ask
from tests.gateway.lines import ACME, LINE, NOON, SECRETS, valid

S1 = SessionId("s-1")
SEVEN = TransactionId("7")


def asked(what: Asked) -> Ask:
    call = CallAsked(
        at=NOON,
        tenant=ACME,
        station=StationId("CP-1"),
        gateway=GatewayId("g-1"),
        reply_to=3,
        epoch=70,
        command=CommandId("c"),
        call=what,
        expires_at=NOON + timedelta(minutes=1),
    )
    return v16.ask(LINE, call, SECRETS.open)


def said(frame: bytes) -> tuple[Any, Any]:
    """Return what a DataTransfer is about, and its data as JSON."""
    kind, _, action, payload = msgspec.json.decode(frame)
    assert (kind, action) == (2, "DataTransfer")
    assert valid("DataTransfer", msgspec.json.encode(payload)) == payload
    assert payload["vendorId"] == VENDOR
    return payload["messageId"], msgspec.json.decode(payload["data"])


def running(prices: Prices, *, idle: bool = False, transaction: TransactionId = SEVEN) -> ShowRunningCost:
    return ShowRunningCost(S1, transaction, NOON, Decimal("12.30"), 21_500, idle, prices)


def final(text: str = "12.30 EUR", transaction: TransactionId = SEVEN) -> ShowFinalCost:
    return ShowFinalCost(S1, transaction, Decimal("12.30"), text)


def answered(ask: Ask, payload: bytes) -> CallAnswered | CallFailed:
    return v16.outcome(LINE, Answered(ask, payload, Frame("[3]")), NOON)


# ---- what is sent ----


def test_a_price_is_shown_to_whoever_presented_the_token_and_its_uid_is_seen_by_the_station_alone() -> None:
    ask = asked(ShowingPrice(SECRETS.seal("04A1B2C3"), "energy 0.40 EUR/kWh"))
    assert said(ask.frame) == ("SetUserPrice", {"idToken": "04A1B2C3", "priceText": "energy 0.40 EUR/kWh"})
    assert said(ask.shown) == ("SetUserPrice", {"idToken": "***", "priceText": "energy 0.40 EUR/kWh"})
    assert (ask.secret, b"04A1B2C3" in ask.shown) == ("04A1B2C3", False)


def test_a_running_cost_says_what_it_is_made_of() -> None:
    ask = asked(running(Prices(Decimal("0.5"), Decimal("3.00"), Decimal(1), Decimal("6.00"), 15)))
    assert said(ask.frame) == (
        "RunningCost",
        {
            "transactionId": 7,
            "timestamp": "2026-01-01T12:00:00.000Z",
            "meterValue": 21_500,
            "cost": 12.3,
            "state": "Charging",
            "chargingPrice": {"kWhPrice": 0.5, "hourPrice": 3.0, "flatFee": 1},
            "idlePrice": {"graceMinutes": 15, "hourPrice": 6.0},
        },
    )
    assert ask.shown == ask.frame
    assert b'\\"cost\\":12.30,' in ask.frame, "an amount is said with its decimals, and is no float on its way"


@pytest.mark.parametrize(
    ("prices", "charging", "idle"),
    [
        (Prices(), {}, None),
        (Prices(kwh=Decimal("0.5")), {"kWhPrice": 0.5}, None),
        (Prices(idle_hour=Decimal(6)), {}, {"hourPrice": 6}),
        (Prices(idle_grace_minutes=5), {}, None),
    ],
)
def test_what_costs_nothing_now_has_no_price(prices: Prices, charging: Any, idle: Any) -> None:
    _, data = said(asked(running(prices, idle=True)).frame)
    assert (data["state"], data["chargingPrice"], data.get("idlePrice")) == ("Idle", charging, idle)


def test_a_final_cost_says_the_total_in_words_too() -> None:
    expected = {"transactionId": 7, "cost": 12.3, "priceText": "12.30 EUR", "qrCodeText": ""}
    assert said(asked(final()).frame) == ("FinalCost", expected)


def test_a_long_text_is_cut() -> None:
    _, of_final = said(asked(final("x" * 600)).frame)
    _, of_price = said(asked(ShowingPrice(SECRETS.seal("04A1"), "x" * 600)).frame)
    assert len(of_final["priceText"]) == len(of_price["priceText"]) == 512


@pytest.mark.parametrize(
    ("what", "payload"),
    [
        (TransferringData("com.v"), {"vendorId": "com.v"}),
        (TransferringData("com.v", "m", '{"a":1}'), {"vendorId": "com.v", "messageId": "m", "data": '{"a":1}'}),
        (TransferringData("com.v", data=""), {"vendorId": "com.v", "data": ""}),
    ],
)
def test_data_is_transferred_as_it_is(what: TransferringData, payload: Any) -> None:
    ask = asked(what)
    assert msgspec.json.decode(ask.frame)[2:] == ["DataTransfer", payload]
    assert valid("DataTransfer", msgspec.json.encode(payload)) == payload
    assert ask.shown == ask.frame


@pytest.mark.parametrize(
    "what",
    [
        TransferringData(""),
        TransferringData("v" * 256),
        TransferringData("v", "m" * 51),
        ShowingPrice(SECRETS.seal("x" * 21), "text"),
        running(Prices(), transaction=TransactionId("t-1")),
        final(transaction=TransactionId("t-1")),
    ],
)
def test_what_does_not_fit_is_not_asked(what: Asked) -> None:
    with pytest.raises(v16.CannotAsk):
        asked(what)


# ---- what is answered ----


@pytest.mark.parametrize("word", ["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
def test_a_data_transfer_is_answered_by_one_of_four_words(word: str) -> None:
    answer = answered(asked(final()), b'{"status":"%b"}' % word.encode())
    assert isinstance(answer, CallAnswered)
    assert (answer.status, answer.violations) == (word, ())


def test_what_a_vendor_says_in_an_answer_is_in_the_frame_and_no_fault() -> None:
    answer = answered(asked(final()), b'{"status":"Rejected","data":"json parsing failed"}')
    assert isinstance(answer, CallAnswered)
    assert answer.violations == ()


def test_data_that_are_no_text_are_noted() -> None:
    answer = answered(asked(final()), b'{"status":"Accepted","data":{"a":1}}')
    assert isinstance(answer, CallAnswered)
    assert answer.violations == (Violation("Q-119", "data is no text"),)


@pytest.mark.parametrize("word", ["NotImplemented", "Perhaps"])
def test_other_words_are_no_answer(word: str) -> None:
    answer = answered(asked(final()), b'{"status":"%b"}' % word.encode())
    assert isinstance(answer, CallFailed)
    assert (answer.reason, answer.description) == (
        "Invalid",
        "the answer is none of Accepted, Rejected, UnknownMessageId, UnknownVendorId",
    )


def test_only_data_transfers_know_these_words() -> None:
    stop = asked(StopCharging(SEVEN))
    assert isinstance(answered(stop, b'{"status":"UnknownVendorId"}'), CallFailed)
