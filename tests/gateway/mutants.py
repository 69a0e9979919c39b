"""Frames that no station should send: those that OCPP has, with something wrong in what they say or in their bytes (C-106)."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

T = "2026-01-01T11:59:00Z"
SAMPLE = {"value": "1234.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh", "context": "Sample.Periodic"}
READING = {"timestamp": T, "sampledValue": [SAMPLE, SAMPLE | {"phase": "L1", "location": "Outlet", "format": "Raw"}]}
CALLS: dict[str, dict[str, Any]] = {
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "S"},
    "Heartbeat": {},
    "Authorize": {"idTag": "04A1B2C3"},
    "StartTransaction": {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 5, "timestamp": T, "reservationId": 1},
    "StopTransaction": {
        "transactionId": 41,
        "meterStop": 900,
        "timestamp": T,
        "idTag": "04A1B2C3",
        "reason": "Local",
        "transactionData": [READING],
    },
    "MeterValues": {"connectorId": 1, "transactionId": 41, "meterValue": [READING, READING]},
    "StatusNotification": {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Charging",
        "info": "i",
        "timestamp": T,
        "vendorId": "v",
        "vendorErrorCode": "0",
    },
    "DataTransfer": {"vendorId": "v", "messageId": "m", "data": "d"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "SecurityEventNotification": {"type": "StartupOfTheDevice", "timestamp": T, "techInfo": "t"},
    "SignCertificate": {"csr": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"},
    "SignedFirmwareStatusNotification": {"status": "Installing", "requestId": 3},
    "LogStatusNotification": {"status": "Uploading", "requestId": 3},
    "Levitate": {"height": 1},
}
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, 1e300, -0.0, 1 << 31, 1 << 63, (1 << 64) - 1, 10**50, "", " ", "0", "-1", "1,5",
    "1e5", "1.234.567,8", "NaN", "Infinity", "null", "x", "x" * 300, "é\u0000\u0007", "\ud800", "٣", "24:00", "1_000",
    "2026-01-01T24:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59-14:00", "1970-01-01", 1767268740, "230 V",
    "12 kWh", "Voltage.L1", "L1", [], [None], [[]], {}, {"": None}, {"value": {}}, [SAMPLE], {"a": {"b": {"c": []}}},
]  # fmt: skip
BYTES = [b"\x00", b"\xff", b"\xef\xbb\xbf", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"9", b"-", b"NaN"]


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place within `value`: what holds it, and its key or index."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from nodes(inner)


def other_value(dice: random.Random, frame: list[Any]) -> None:
    holder, key = dice.choice(list(nodes(frame)))
    holder[key] = deepcopy(dice.choice(ODD))


def without(dice: random.Random, frame: list[Any]) -> None:
    holder, key = dice.choice(list(nodes(frame)))
    del holder[key]


def renamed(dice: random.Random, frame: list[Any]) -> None:
    found = [(holder, key) for holder, key in nodes(frame) if isinstance(holder, dict)]
    if found:
        holder, key = dice.choice(found)
        holder[dice.choice([key.upper(), key.lower(), f"{key} ", "", "x"])] = holder.pop(key)


def more(dice: random.Random, frame: list[Any]) -> None:
    holder, _ = dice.choice(list(nodes(frame)))
    odd = deepcopy(dice.choice(ODD))
    if isinstance(holder, dict):
        holder["more"] = odd
    else:
        holder.append(odd)


def nested(dice: random.Random, frame: list[Any]) -> None:
    holder, key = dice.choice(list(nodes(frame)))
    for _ in range(dice.choice([1, 2, 40])):
        holder[key] = dice.choice([[holder[key]], {"in": holder[key]}])


def as_text(dice: random.Random, frame: list[Any]) -> None:
    holder, key = dice.choice(list(nodes(frame)))
    holder[key] = json.dumps(holder[key])


SCHEMA: list[Callable[[random.Random, list[Any]], None]] = [
    other_value,
    other_value,
    without,
    renamed,
    more,
    nested,
    as_text,
]


def in_bytes(dice: random.Random, data: bytes) -> bytes:
    """Return the bytes with one thing done to them."""
    at = dice.randrange(len(data) + 1)
    match dice.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + 1 :]
        case 2:
            return data[:at] + dice.choice(BYTES) + data[at:]
        case 3:
            return data[:at] + dice.randbytes(1) + data[at + 1 :]
        case 4:
            return data[:at] + data[at : at + 20] + data[at:]
        case _:
            return data + dice.choice(BYTES)


def mutant(dice: random.Random, id: str) -> bytes:
    """Return a call with one to three things wrong with it, or with nothing."""
    action = dice.choice(list(CALLS))
    frame = json.loads(json.dumps([2, id, action, CALLS[action]]))
    for _ in range(dice.choice([0, 1, 1, 2])):
        if frame:
            dice.choice(SCHEMA)(dice, frame)
    data = json.dumps(frame, ensure_ascii=dice.random() < 0.5).encode(errors="replace")
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        data = in_bytes(dice, data)
    return data
