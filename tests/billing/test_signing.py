"""What a meter signed of a session decides whether it is billed, and is named by its CDR."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from contracts.bills import CdrHeld, CdrIssued, SignedValueJudged
from contracts.event import SessionId
from contracts.sessions import SignedValueTaken
from services.billing.heard import Heard
from tests.billing.history import AC, after, kinds, last
from tests.billing.ocmf_says import Meter
from tests.billing.says import ABOUT, HOLD, SESSION, at, ended, started, ticked

METER = Meter()
BEGIN, END = METER.shows("100.000"), METER.shows("110.0004", "E", "14:00:00")


def signs(
    minutes: float, data: str, context: str = "", *, key: str | None = METER.public_key, **fields: Any
) -> Heard[Any]:
    event = SignedValueTaken(
        **ABOUT | fields, at=at(minutes), report="r", evse=1, context=context or "Sample.Periodic", data=data
    )
    return Heard(event, at(minutes) + HOLD, meter_key=key)


def billed(*values: Heard[Any]) -> Any:
    """Return what a session of 10 kWh comes to with what its meter signed."""
    return after(started(AC), *values, ended(60, 10_000), ticked(65))[1][-1]


def test_a_cdr_names_what_its_meter_signed() -> None:
    cdr = billed(signs(0, BEGIN), signs(60, END))
    assert isinstance(cdr, CdrIssued)
    assert [(each.moment, each.verdict, each.format, each.page) for each in cdr.signed] == [
        ("begin", "genuine", "OCMF", 1),
        ("end", "genuine", "OCMF", 2),
    ]
    assert cdr.signed[0].sha256 == sha256(BEGIN.encode()).hexdigest()
    assert (cdr.signed[0].wh, cdr.signed[0].characters) == (Decimal("100000.000"), len(BEGIN))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (END.replace("110.0004", "190.0004"), "signature_invalid"),
        (METER.shows("110.0", "E", ST="F"), "signature_invalid"),
        (METER.shows("112.0", "E"), "signed_energy_differs"),
    ],
)
def test_what_was_tampered_with_is_held(value: str, why: str) -> None:
    held = billed(signs(0, BEGIN), signs(60, value))
    assert isinstance(held, CdrHeld)
    assert held.why == (why,)


def test_what_is_no_document_is_held_where_a_key_is_registered() -> None:
    held = billed(signs(60, "OCMF|{", "Transaction.End"))
    assert isinstance(held, CdrHeld)
    assert held.why == ("signature_invalid",)
    assert isinstance(billed(signs(60, "OCMF|{", "Transaction.End", key=None)), CdrIssued)


def test_what_nobody_can_verify_is_carried_along() -> None:
    for data, name in [("AP;0;3;ALFEN", "ALFEN"), ("<?xml version='1.0'?>", "EDL"), ("x", ""), (END, "OCMF")]:
        cdr = billed(signs(60, data, "Transaction.End", key=None))
        assert isinstance(cdr, CdrIssued)
        assert [(each.verdict, each.format) for each in cdr.signed] == [("unverified", name)]


def test_one_document_may_say_begin_and_end() -> None:
    reading = '"TM":"2026-11-23T13:00:00,000+0100 S","RI":"1-b:1.8.0","RU":"kWh","ST":"G"'
    both = METER.signs(f'{{"PG":"T3","RD":[{{{reading},"TX":"B","RV":5.0}},{{"TX":"E","RV":15.0}}]}}')
    assert isinstance(billed(signs(60, both)), CdrIssued)
    less = METER.signs(f'{{"PG":"T3","RD":[{{{reading},"TX":"B","RV":5.0}},{{"TX":"E","RV":14.0}}]}}')
    assert billed(signs(60, less)).why == ("signed_energy_differs",)


def test_a_register_without_energy_is_not_compared() -> None:
    assert isinstance(billed(signs(0, BEGIN), signs(60, METER.shows("9", "E", RU="kvarh"))), CdrIssued)
    assert isinstance(billed(signs(60, END)), CdrIssued)


def test_of_the_begin_the_first_counts_of_the_end_the_last_and_each_once() -> None:
    later_begin, later_end = METER.shows("101.000"), METER.shows("110.0005", "E")
    values = [
        signs(0, BEGIN),
        signs(0, BEGIN),
        signs(1, later_begin),
        signs(59, END),
        signs(60, END),
        signs(60, later_end),
    ]
    _, events = after(started(AC), *values, ended(60, 10_000), ticked(65))
    assert kinds(events).count(SignedValueJudged) == 3
    assert [each.wh for each in last(events, CdrIssued).signed] == [Decimal("100000.000"), Decimal("110000.5000")]


def test_what_is_signed_in_between_or_of_no_session_is_in_the_log_alone() -> None:
    between = signs(30, METER.shows("105", "C"))
    nobodys = signs(0, BEGIN, session=SessionId("x"))
    empty = signs(30, METER.signs('{"PG":"T1","RD":[]}'))
    assert kinds(after(started(AC), between, nobodys, empty, signs(1, "AP;0"))[1])[1:] == []


def test_what_comes_after_the_end_counts_until_it_is_billed() -> None:
    other = started(AC, session=SessionId("o"), minutes=61)
    state, events = after(started(AC), ended(60, 10_000), other, signs(61, END), ticked(65))
    assert [each.moment for each in last(events, CdrIssued).signed] == ["end"]
    assert state.running[0].signed == ()
    assert last(events, SignedValueJudged).session == SESSION
