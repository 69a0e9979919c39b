"""Prices and costs on a station's display, as the OCA's note "OCPP & California Pricing Requirements" says them in OCPP 1.6 (TAR-40).

Each is a DataTransfer whose `data` is JSON as text. Fields that the note leaves open are always there where some station wants them:
`qrCodeText` of a final cost, and the register of a running one.
"""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from contracts.operations import Prices, ShowFinalCost, ShowRunningCost

VENDOR = "org.openchargealliance.costmsg"
LONGEST_TEXT = 512
_json = msgspec.json.Encoder(decimal_format="number")


class DataTransfer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """OCPP 1.6 §6.15."""

    vendor_id: str
    message_id: str | UnsetType = UNSET
    data: str | UnsetType = UNSET


def user_price(uid: str, text: str) -> DataTransfer:
    return _said("SetUserPrice", {"idToken": uid, "priceText": text[:LONGEST_TEXT]})


def running_cost(transaction: int, as_of: str, shows: ShowRunningCost) -> DataTransfer:
    said = {
        "transactionId": transaction,
        "timestamp": as_of,
        "meterValue": shows.register_wh,
        "cost": shows.cost,
        "state": "Idle" if shows.idle else "Charging",
        "chargingPrice": _charging_price(shows.prices),
    }
    idle = _idle_price(shows.prices)
    return _said("RunningCost", said | ({"idlePrice": idle} if idle else {}))


def final_cost(transaction: int, shows: ShowFinalCost) -> DataTransfer:
    text = shows.text[:LONGEST_TEXT]
    return _said("FinalCost", {"transactionId": transaction, "cost": shows.cost, "priceText": text, "qrCodeText": ""})


def _charging_price(prices: Prices) -> dict[str, Decimal]:
    named = (("kWhPrice", prices.kwh), ("hourPrice", prices.hour), ("flatFee", prices.start))
    return {name: price for name, price in named if price is not None}


def _idle_price(prices: Prices) -> dict[str, Any]:
    if prices.idle_hour is None:
        return {}
    grace = {"graceMinutes": prices.idle_grace_minutes} if prices.idle_grace_minutes else {}
    return {**grace, "hourPrice": prices.idle_hour}


def _said(message: str, data: dict[str, Any]) -> DataTransfer:
    return DataTransfer(VENDOR, message, _json.encode(data).decode())
