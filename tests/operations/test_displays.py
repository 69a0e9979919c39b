"""What a station is told to show and to hear, and what it has said that it cannot."""

from decimal import Decimal
from typing import Any

import pytest

from contracts.event import CommandId, Sealed
from contracts.gateways import CallAsked, ShowingPrice, TransferringData
from contracts.operations import (
    CommandFulfilled,
    Prices,
    ShowFinalCost,
    ShowPrice,
    ShowRunningCost,
    Task,
    TransferData,
)
from services.operations import displays, domain
from tests.given import given
from tests.operations.said import (
    COMMAND,
    HERE,
    NOON,
    SESSION,
    START,
    STOP,
    TOKEN,
    TRANSACTION,
    UID,
    accepted,
    answered,
    booted,
    call_failed,
    connected,
    expired,
    failed,
    inventory,
    issued,
    queued,
    rejected,
    requested,
    second,
    sent,
    state,
    token,
)

PRICE = ShowPrice(TOKEN, "energy 0.40 EUR/kWh")
RUNNING = ShowRunningCost(SESSION, TRANSACTION, NOON, Decimal("1.20"), 1500, idle=False, prices=Prices())
FINAL = ShowFinalCost(SESSION, TRANSACTION, Decimal("1.20"), "1.20 EUR")
DATA = TransferData("com.voltmaker", "Dim", '{"percent":40}')
OTHER = CommandId("c-2")
WHY = "it knows no such message, or does not answer it; it is asked again after its next boot"


def out(task: Task) -> tuple[Any, ...]:
    return connected(1), requested(task=task), queued(), sent()


def done() -> CommandFulfilled:
    return CommandFulfilled(at=second(5), **HERE, command=COMMAND)


@pytest.mark.parametrize(
    ("task", "call"),
    [
        (DATA, TransferringData("com.voltmaker", "Dim", '{"percent":40}')),
        (PRICE, ShowingPrice(UID, "energy 0.40 EUR/kWh")),
        (RUNNING, RUNNING),
        (FINAL, FINAL),
    ],
)
def test_it_is_asked_of_the_gateway_that_has_the_station(task: Task, call: Any) -> None:
    first, second_, asked = given(domain, connected(1)).when(issued(task=task))
    assert (first, second_) == (requested(task=task), queued())
    assert isinstance(asked, CallAsked)
    assert asked.call == call


def test_a_price_is_shown_to_nobody_whose_uid_is_unknown() -> None:
    *_, unknown = given(domain, connected(1)).when(issued(task=PRICE, token=None))
    *_, without = given(domain, connected(1)).when(issued(task=PRICE, token=token(uid=None)))
    assert unknown == failed("UnknownToken", detail="register the token first")
    assert without == failed("TokenWithoutUid", detail="only the token's id is known: register it with its uid")


@pytest.mark.parametrize("task", [DATA, PRICE, RUNNING, FINAL])
def test_what_is_taken_in_is_done(task: Task) -> None:
    assert given(domain, *out(task)).when(answered(at=5)) == [accepted(at=5), done()]
    assert state(*out(task), accepted(at=5), done()).past == (COMMAND,)


@pytest.mark.parametrize("task", [DATA, PRICE, RUNNING, FINAL])
@pytest.mark.parametrize("word", ["Rejected", "UnknownMessageId", "UnknownVendorId"])
def test_a_station_that_does_not_take_it_in_says_why(task: Task, word: str) -> None:
    assert given(domain, *out(task)).when(answered(word, at=5)) == [rejected(at=5, status=word)]


def test_who_knows_no_such_vendor_is_told_nothing_of_the_kind_any_more() -> None:
    history = (*out(RUNNING), rejected(at=5, status="UnknownVendorId"))
    for task in (RUNNING, FINAL, PRICE):
        told = given(domain, *history).when(issued(OTHER, task, at=9))
        assert told == [requested(OTHER, task, at=9), failed("CannotShow", 9, command=OTHER, detail=WHY)]


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
def test_who_knows_no_data_transfer_is_told_nothing_of_the_kind_either(code: str) -> None:
    [failure] = given(domain, *out(FINAL)).when(call_failed("CallError", 5, code=code, description="no"))
    assert state(*out(FINAL), failure).cannot == displays.EVERYTHING


def test_who_knows_no_such_message_is_told_the_others() -> None:
    history = (*out(PRICE), rejected(at=5, status="UnknownMessageId"))
    known = state(*history)
    assert known.cannot == ("ShowPrice",)
    assert [displays.can_show(known, task) for task in (PRICE, RUNNING, FINAL)] == [False, True, True]


@pytest.mark.parametrize(
    "history",
    [
        (*out(FINAL), rejected(at=5)),
        (*out(FINAL), failed("CallError", 5, detail="FormationViolation: no")),
        (*out(FINAL), failed("Invalid", 5)),
        (*out(DATA), rejected(at=5, status="UnknownVendorId")),
        (*out(START), rejected(at=5, status="NotSupported")),
        (connected(1), rejected(at=5, status="UnknownVendorId")),
    ],
    ids=["rejected", "another error", "no answer", "another vendor", "another task", "nobody's"],
)
def test_anything_else_says_nothing_of_what_it_can_show(history: tuple[Any, ...]) -> None:
    assert state(*history).cannot == ()


def test_everything_else_is_asked_of_it_as_before() -> None:
    history = (*out(FINAL), rejected(at=5, status="UnknownVendorId"))
    for task in (DATA, STOP):
        told = given(domain, *history).when(issued(OTHER, task, at=9))
        assert isinstance(told[-1], CallAsked)


def test_who_leaves_it_unanswered_is_told_no_more_of_the_kind_until_it_answers_after_all() -> None:
    history = (*out(RUNNING), failed("TimedOut", 30))
    refused = given(domain, *history).when(issued(OTHER, RUNNING, at=40))[-1]
    assert refused == failed("CannotShow", 40, command=OTHER, detail=WHY)
    assert isinstance(given(domain, *history).when(issued(OTHER, FINAL, at=40))[-1], CallAsked)
    late = given(domain, *history).when(answered(at=50))
    assert late[0] == accepted(at=50, late=True)
    assert isinstance(given(domain, *history, *late).when(issued(OTHER, RUNNING, at=60))[-1], CallAsked)


@pytest.mark.parametrize(
    ("task", "failure"),
    [
        (RUNNING, failed("Disconnected", 30)),
        (RUNNING, expired(60, "it was not sent in time")),
        (DATA, failed("TimedOut", 30)),
        (STOP, failed("TimedOut", 30)),
    ],
)
def test_no_other_silence_says_what_it_can_show(task: Task, failure: Any) -> None:
    assert state(*out(task), failure).cannot == ()


def test_it_is_asked_again_after_its_next_boot() -> None:
    history = (*out(FINAL), rejected(at=5, status="UnknownVendorId"))
    [boot] = given(domain, *history).when(booted(at=8))
    assert boot == inventory(at=8)
    *_, asked = given(domain, *history, boot).when(issued(OTHER, FINAL, at=9))
    assert isinstance(asked, CallAsked)


@pytest.mark.parametrize(
    ("task", "kept"),
    [
        (DATA, TransferData("com.voltmaker", "Dim")),
        (PRICE, ShowPrice(TOKEN, "")),
        (FINAL, ShowFinalCost(SESSION, TRANSACTION, Decimal("1.20"), "")),
        (RUNNING, RUNNING),
        (START, START),
        (STOP, STOP),
    ],
)
def test_long_texts_are_in_the_log_and_in_no_state(task: Task, kept: Task) -> None:
    [command] = state(connected(1), requested(task=task)).commands
    assert command.task == kept == displays.remembered(task)


def test_a_uid_is_sealed_as_that_of_a_start_is() -> None:
    *_, asked = given(domain, connected(1)).when(issued(task=PRICE))
    assert isinstance(asked, CallAsked)
    assert isinstance(asked.call, ShowingPrice)
    assert asked.call.uid == Sealed("sealed-uid")
