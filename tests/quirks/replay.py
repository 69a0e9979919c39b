"""The fixtures beside this file: what stations get wrong, and how each of it is answered, reported and counted.

A file `Q-nn.json` has the quirk's cases. A case is an exchange, or several on one connection:

- `frame`: what the station sends, as text or as {"base64": …}; `$id` stands for the id of our open call;
- `answer`: the frame that answers it; null where there is none. "*" stands for anything;
- `report`: the event that it becomes, with those of its fields that matter; null where there is none. `uid` stands for
  the token with this uid;
- `violations`: the ids of the rules that it breaks, in order;
- `on`: what the registry says of the station (`evses`: how many, `quirks`: which); `asked`: a call of ours is open.

Whoever decides answers a start with transaction 7, and everything with Accepted.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.authorizations import TokenInfo
from contracts.event import CommandId, TransactionId
from contracts.gateways import (
    AuthorizeAnswered,
    CallAsked,
    GatewayEvent,
    StartAnswered,
    StopAnswered,
    StopCharging,
)
from contracts.reference import Evse, Habits
from contracts.stations import CallRefused, Report, TokenPresented, TransactionEnded, TransactionStarted
from tests.gateway.lines import ACME, NOON, SECRETS

FOLDER = Path(__file__).parent
ACCEPTED = TokenInfo("Accepted")


@dataclass(frozen=True)
class Exchange:
    """A frame, and what comes of it."""

    frame: str | dict[str, str]
    answer: Any
    report: dict[str, Any] | None
    violations: list[str]

    def data(self, id: str = "") -> bytes:
        """Return the frame's bytes, with the id of our call."""
        if isinstance(self.frame, str):
            return self.frame.replace("$id", id).encode()
        return base64.b64decode(self.frame["base64"])


@dataclass(frozen=True)
class Case:
    """What one connection shows."""

    quirk: str
    name: str
    covers: list[str]
    evses: int
    quirks: tuple[str, ...]
    asked: bool
    exchanges: list[Exchange]

    def record(self) -> dict[str, Any]:
        """Return what the registry says of the station."""
        evses = tuple(Evse(number) for number in range(1, self.evses + 1))
        return {"evses": evses, "habits": Habits(quirks=self.quirks)}


def cases() -> Iterator[Any]:
    """Yield every case of every file, as parameters of a test."""
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text("utf-8"))["cases"]:
            on = case.get("on", {})
            exchanges = [
                Exchange(each["frame"], each["answer"], each["report"], each["violations"])
                for each in case.get("exchanges", [case])
            ]
            covers = [path.stem, *case.get("covers", [])]
            found = Case(
                path.stem,
                case["name"],
                covers,
                on.get("evses", 0),
                tuple(on.get("quirks", [])),
                case.get("asked", False),
                exchanges,
            )
            yield pytest.param(found, id=f"{path.stem} {case['name']}", marks=pytest.mark.covers(*covers))


def decision(report: Report, **more: Any) -> GatewayEvent | None:
    """Return what somebody decides about a report; None if nobody is asked."""
    common: dict[str, Any] = {
        "at": NOON,
        "tenant": report.tenant,
        "station": report.station,
        "gateway": report.gateway,
        "reply_to": report.reply_to,
        "epoch": report.epoch,
    } | more
    match report:
        case TransactionStarted(message_id=id):
            return StartAnswered(**common, message_id=id, info=ACCEPTED, transaction=TransactionId("7"))
        case TokenPresented(message_id=id):
            return AuthorizeAnswered(**common, message_id=id, info=ACCEPTED)
        case TransactionEnded(message_id=id, token=str()):
            return StopAnswered(**common, message_id=id, info=ACCEPTED)
        case _:
            return None


def stop_asked(**common: Any) -> CallAsked:
    """Return the call that is open where a case says so: end transaction 7."""
    return CallAsked(
        **common,
        command=CommandId("c-1"),
        call=StopCharging(TransactionId("7")),
        expires_at=NOON.replace(year=2036),
    )


def differs(shown: Any, expected: Any, where: str = "") -> str:
    """Return where a report is not as it should be; empty: nowhere."""
    match expected:
        case "*":
            return ""
        case dict() if isinstance(shown, msgspec.Struct | dict):
            for name, value in expected.items():
                if name == "uid":
                    name, value = "token", SECRETS.token_id(ACME, value)  # noqa: PLW2901
                found = shown.get(name) if isinstance(shown, dict) else getattr(shown, name)
                if why := differs(found, value, f"{where}.{name}"):
                    return why
            return ""
        case list() if isinstance(shown, list | tuple) and len(shown) == len(expected):
            pairs = zip(shown, expected, strict=True)
            return next(filter(None, (differs(*pair, f"{where}[{at}]") for at, pair in enumerate(pairs))), "")
        case _:
            found = msgspec.to_builtins(shown)
            return "" if found == expected else f"{where} is {found!r} instead of {expected!r}"


def check_report(report: Report | None, exchange: Exchange) -> None:
    """Assert that a frame became the report that it should."""
    if report is None or exchange.report is None:
        assert report is None and exchange.report is None, (report, exchange.report)  # noqa: PT018
        return
    expected = dict(exchange.report)
    assert type(report).__name__ == expected.pop("type"), report
    assert not differs(report, expected), report
    rules = [violation.rule for violation in getattr(report, "violations", ())]
    assert rules == exchange.violations, report
    frame = getattr(report, "frame", None)
    if frame is not None and isinstance(exchange.frame, str) and "$id" not in exchange.frame:
        assert frame.text == exchange.frame, "the frame is kept as it came"


def check_answer(answer: bytes | None, exchange: Exchange, report: Report | None) -> None:
    """Assert that a frame was answered as it should be."""
    said = None if answer is None else msgspec.json.decode(answer)
    if isinstance(report, CallRefused) and isinstance(exchange.answer, list):
        assert isinstance(said, list)
        assert said[:3] == exchange.answer[:3], said
        assert (len(said), said[4]) == (5, {})
        return
    assert not differs(said, exchange.answer, "the answer"), said
    if isinstance(said, list) and isinstance(said[2], dict):
        assert set(said[2]) == set(exchange.answer[2]), said
