"""Decisions, in whatever order they come, and the gateway's own answers (architecture §4)."""

from itertools import permutations

import pytest

from contracts.authorizations import TokenInfo
from contracts.gateways import StartAnswered, StopAnswered
from contracts.sessions import (
    ChargingBegan,
    ChargingOver,
    SessionAuthorized,
    SessionEnded,
    SessionRenamed,
    StopAuthorized,
)
from services.sessions.state import WAITING
from tests.sessions.says import CARD, Heeded, decision, kinds, only, session_of, start, stop, undecided


def test_the_gateways_own_answer_is_what_the_session_goes_by() -> None:
    log = Heeded(start())
    assert kinds(log.hear(undecided(status="Blocked"))) == ["SessionRenamed", "SessionAuthorized"]
    authorized = log.one(SessionAuthorized)
    assert (authorized.info, authorized.undecided, authorized.flags) == (TokenInfo("Blocked"), True, ("refused",))
    assert log.one(SessionRenamed).transaction == "1073741999"
    assert log.hear(decision()) == []


def test_an_accepting_answer_of_the_gateways_says_who_is_charging() -> None:
    log = Heeded(start(), undecided())
    assert log.one(ChargingBegan).session == session_of("start")


def test_the_gateways_own_answer_that_names_our_transaction_renames_nothing() -> None:
    log = Heeded(start())
    assert kinds(log.hear(undecided(transaction="1"))) == ["SessionAuthorized", "ChargingBegan"]


def test_a_decision_that_came_too_late_for_the_gateway_gives_way_to_what_the_station_heard() -> None:
    log = Heeded(start(), decision(status="Blocked"))
    assert kinds(log.hear(undecided())) == ["SessionRenamed", "SessionAuthorized", "ChargingBegan"]
    assert only(log.hear(start("again")), StartAnswered).info.status == "Accepted"


def test_a_gateway_that_refused_what_was_accepted_ends_the_charging() -> None:
    log = Heeded(start(), decision(), undecided(status="Invalid"))
    assert [type(event) for event in log.all(ChargingBegan, ChargingOver)] == [ChargingBegan, ChargingOver]


def test_a_gateway_that_agreed_with_the_decision_only_renames() -> None:
    log = Heeded(start(), decision(group="family"))
    assert kinds(log.hear(undecided())) == ["SessionRenamed", "ChargingBegan"]
    first, second = log.all(ChargingBegan)
    assert (first.transaction, second.transaction, second.group) == ("1", "1073741999", "family")
    assert kinds(log.hear(undecided())) == []


def test_a_session_renamed_twice_answers_to_all_its_names() -> None:
    for name in ("1", "1073741999", "1073742000"):
        log = Heeded(start(), undecided(), start("again"), undecided("again", transaction="1073742000"))
        assert only(log.hear(stop(transaction=name)), SessionEnded).session == session_of("start")


def test_the_gateways_answer_to_one_saying_answers_the_other() -> None:
    log = Heeded(start(), start("again", message_id='"n"'), undecided())
    assert [(a.message_id, a.transaction) for a in log.all(StartAnswered)] == [('"n"', "1073741999")]


def test_the_gateways_own_answer_to_an_authorize_means_nothing_here() -> None:
    assert Heeded(undecided(transaction=None)).events == []
    assert Heeded(decision(purpose="authorize")).events == []


def test_the_same_early_decision_is_kept_once() -> None:
    log = Heeded(decision())
    assert log.hear(decision()) == []


def test_early_decisions_are_kept_within_bounds() -> None:
    log = Heeded(*(decision(f"start {n}") for n in range(3 * WAITING)))
    assert [early.report for early in log.state.early] == [f"start {n}" for n in range(2 * WAITING, 3 * WAITING)]


def test_a_decision_long_after_the_stop_is_still_answered() -> None:
    log = Heeded(start(), stop())
    for n in range(2, 12):
        log.hear(start(f"start {n}", minutes=60 * n))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=60 * n + 30))
    assert kinds(log.hear(decision())) == ["SessionAuthorized", "StartAnswered"]


def test_a_decision_about_a_start_whose_session_is_forgotten_comes_to_nothing() -> None:
    log = Heeded(start(), decision(), stop())
    for n in range(2, 100):
        log.hear(start(f"start {n}", minutes=60 * n))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=60 * n + 30))
    log.hear(start("again"))
    assert log.hear(decision("again", "Blocked")) == []
    assert log.hear(undecided("again")) == []


# ---- stops with a token ----------------------------------------------------------------------------------------------


def test_a_stop_with_a_token_is_answered_once_that_is_decided_on() -> None:
    log = Heeded(start(), stop(token=CARD))
    events = log.hear(decision("stop", "Expired", purpose="stop"))
    assert only(events, StopAnswered).info == TokenInfo("Expired")
    assert only(events, StopAuthorized).session == session_of("start")
    assert log.hear(decision("stop", purpose="stop")) == []


def test_a_stop_without_a_token_is_answered_by_the_gateway() -> None:
    assert kinds(Heeded(start()).hear(stop())) == ["SessionEnded"]
    assert kinds(Heeded(start()).hear(stop(token=CARD, message_id="9" * 300))) == ["SessionEnded"]


def test_a_stop_whose_token_was_decided_on_early_is_answered_at_once() -> None:
    log = Heeded(start(), decision("stop", purpose="stop"))
    assert kinds(log.hear(stop(token=CARD))) == ["SessionEnded", "AnswerOwed", "StopAuthorized", "StopAnswered"]
    assert (log.state.early, [owed.purpose for owed in log.state.owed]) == ((), ["start"])


def test_a_stop_that_the_gateway_answered_by_itself_is_not_answered_again() -> None:
    log = Heeded(start(), stop(token=CARD))
    (authorized,) = log.hear(undecided("stop", transaction=None))
    assert isinstance(authorized, StopAuthorized)
    assert authorized.undecided
    assert log.hear(decision("stop", purpose="stop")) == []


def test_a_repeated_and_an_unmatched_stop_are_answered_too() -> None:
    for transaction in ("1", "99"):
        log = Heeded(start(), stop(), stop("again", transaction=transaction, token=CARD, meter_wh=9000))
        assert kinds(log.hear(decision("again", purpose="stop"))) == ["StopAuthorized", "StopAnswered"]


# ---- every order -----------------------------------------------------------------------------------------------------

MESSAGES = {
    "start": start(),
    "again": start("again", message_id='"n"'),
    "decision": decision(status="Blocked"),
    "second decision": decision("again", "ConcurrentTx"),
    "undecided": undecided(),
}


@pytest.mark.parametrize("order", list(permutations(MESSAGES)), ids=" ".join)
def test_any_order_gives_one_session_and_one_consistent_answer(order: tuple[str, ...]) -> None:
    """What the gateway has answered by itself is a fact once the start it answered is known, and outranks what we said."""
    log, told, heard = Heeded(), None, set[str]()
    for name in order:
        events = log.hear(MESSAGES[name])
        if name in {"start", "undecided"} and name not in heard and heard & {"start", "undecided"}:
            told = ("1073741999", "Accepted")
        heard.add(name)
        for event in (event for event in events if isinstance(event, StartAnswered)):
            assert told in {None, (event.transaction, event.info.status)}
            assert event.message_id == '"n"' or not heard >= {"start", "undecided"}
            told = (event.transaction, event.info.status)
    (session,) = log.state.open
    assert (session.transaction, session.info) == ("1073741999", TokenInfo("Accepted"))
    assert (log.state.owed, log.state.early) == ((), ())
    assert len(log.all(SessionRenamed)) == 1


def test_a_session_that_is_over_is_found_by_the_name_that_a_gateway_gave_it_meanwhile() -> None:
    log = Heeded(start(), stop(), undecided())
    assert log.state.closed[-1].transaction == "1073741999"
    assert kinds(log.hear(stop("again", transaction="1073741999"))) == ["StopRepeated"]
