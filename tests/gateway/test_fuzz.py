"""100,000 frames that no station should send, through the rules (C-106)."""

import json
import random
import re
from typing import Any

import msgspec
import pytest

from contracts.stations import CallRefused
from services.gateway import v16
from services.gateway.protocol import ALWAYS_ANSWERED, Broken, Call, Connection, Repeated, Unread
from tests.gateway.lines import LINE, NOON, valid
from tests.gateway.mutants import mutant

QUOTED = re.compile(rb'\s*\[\s*2\s*,\s*("[^"\\\x00-\x1f\x80-\xff]{1,36}")\s*,')


def whole(data: bytes) -> list[Any] | None:
    """Return the frame, if it is JSON as everybody knows it."""
    try:
        said = json.loads(data.decode(), parse_constant=lambda _: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return None
    return said if isinstance(said, list) else None


def answered(connection: Connection, data: bytes) -> tuple[Any, bytes | None]:
    """Return what a frame is reported as, and its answer."""
    happening = connection.receive(data)
    match happening:
        case Call() as call:
            report = v16.report(LINE, call, NOON)
            msgspec.json.encode(report)
            if isinstance(report, CallRefused):
                return report, connection.refuse(call, report.code, report.description)
            payload = v16.answer(call.action, report, NOON)
            if payload is None:
                _, payload = v16.undecided(report, "Accepted")
            valid(f"{call.action}Response", payload)
            return report, connection.answer(call, payload)
        case Broken() as broken:
            report = v16.refused(LINE, broken, NOON)
            msgspec.json.encode(report)
            return report, connection.refuse(broken.call, broken.code, broken.description)
        case Repeated(answer):
            return happening, answer
        case Unread(frame=frame):
            assert msgspec.json.encode(frame)
            return happening, None
        case _:
            return happening, None


@pytest.mark.covers("C-106", "T-48", "M-05")
@pytest.mark.parametrize("seed", range(4))
def test_of_100_000_strange_frames_none_is_fatal_and_every_readable_call_is_answered_once(seed: int) -> None:
    dice, connection, readable = random.Random(seed), Connection(), 0
    for number in range(25_000):
        if number % 100 == 0:
            connection = Connection()
        data = mutant(dice, f"id-{number}")
        _, answer = answered(connection, data)
        frame = whole(data)
        if frame is not None and len(frame) > 1 and frame[0] == 2 and type(frame[0]) is int:
            if isinstance(frame[1], list | dict):
                continue
            readable += 1
            assert answer is not None, data
            said = json.loads(answer)
            assert said[0] in {3, 4}, data
            assert said[1] == frame[1] or b"\\ud8" in data, data
            if len(frame) > 2 and isinstance(frame[2], str) and frame[2] in ALWAYS_ANSWERED:
                assert said[0] == 3, data
        elif (found := QUOTED.match(data)) is not None:
            readable += 1
            assert answer is not None, data
            assert answer.startswith((b"[3,%b," % found[1], b"[4,%b," % found[1])), data
    assert readable > 15_000
