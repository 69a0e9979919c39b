from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.decider import step
from contracts.authorizations import TokenDecided, TokenInfo, UnknownTokenSeen
from contracts.cloudevents import timestamp
from contracts.event import Message, TokenId
from contracts.gateways import AuthorizeAnswered
from contracts.stations import AnsweredUndecided, TransactionStarted
from services.authorization import domain
from services.authorization.domain import Output, State
from services.authorization.verdict import Asked
from tests.authorization.reports import (
    ACME,
    CARD,
    FOB,
    GATEWAY,
    HERE,
    HOUR,
    NOON,
    SECOND,
    answered,
    asked,
    charging,
    decided,
    ended,
    presented,
    seen,
    started,
    token,
)
from tests.given import given

ACCEPTED, BLOCKED, INVALID, BUSY = (
    TokenInfo("Accepted"),
    TokenInfo("Blocked"),
    TokenInfo("Invalid"),
    TokenInfo("ConcurrentTx"),
)
UNKNOWN = "nobody has registered it"


def test_a_token_that_is_presented_is_decided_on_and_the_station_answered() -> None:
    assert given(domain).when(asked(presented(), token())) == [
        decided(presented(), ACCEPTED, "it is active"),
        answered(presented(), ACCEPTED),
    ]


def test_a_refusal_is_an_answer_too() -> None:
    assert given(domain).when(asked(presented(), token(status="blocked"))) == [
        decided(presented(), BLOCKED, "it is blocked"),
        answered(presented(), BLOCKED),
    ]


def test_a_start_is_decided_on_and_sessions_answers_it() -> None:
    assert given(domain).when(asked(started(), token())) == [decided(started(), ACCEPTED, "it is active")]


def test_the_token_of_a_stop_is_decided_on_and_sessions_answers_it() -> None:
    assert given(domain).when(asked(ended(), token(status="blocked"))) == [decided(ended(), BLOCKED, "it is blocked")]


def test_a_report_without_a_token_causes_nothing() -> None:
    assert given(domain).when(Message(ended(token=None), "r1", NOON)) == []


def test_what_a_gateway_answered_undecided_causes_nothing() -> None:
    undecided = AnsweredUndecided(
        at=NOON,
        tenant=ACME,
        station=HERE,
        gateway=GATEWAY,
        reply_to=2,
        epoch=7,
        report="r1",
        message_id='"19"',
        status="Accepted",
    )
    assert given(domain).when(Message(undecided, "r2", NOON)) == []


# ---- starts that are said again ------------------------------------------------------------------------------------

BEFORE = decided(started(), ACCEPTED, "it is active")


def test_a_start_that_is_said_again_gets_the_same_decision_though_its_token_charges_elsewhere_by_now() -> None:
    again = asked(started(message_id='"99"', epoch=9), token(version=4), charging(), id="r2", recorded_at=NOON + HOUR)
    assert given(domain, BEFORE).when(again) == [decided(started(), ACCEPTED, "it is active", id="r2")]


def test_a_start_that_was_refused_is_refused_again_though_its_token_is_free_by_now() -> None:
    before = decided(started(), BUSY, "it is charging at station CP-2, evse 1")
    assert given(domain, before).when(asked(started(), token(), id="r2")) == [
        decided(started(), BUSY, "it is charging at station CP-2, evse 1", id="r2")
    ]


@pytest.mark.parametrize(
    "difference",
    [{"evse": 2}, {"connector": 2}, {"token": FOB}, {"at": NOON + SECOND}, {"meter_wh": 501}, {"meter_wh": None}],
)
def test_a_start_that_differs_is_another_start(difference: dict[str, Any]) -> None:
    other = started(**difference)
    assert given(domain, BEFORE).when(asked(other, token(status="blocked"))) == [
        decided(other, BLOCKED, "it is blocked")
    ]


def test_the_same_moment_in_another_zone_is_the_same_moment() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    [again] = given(domain, BEFORE).when(asked(started(at=there), token(status="blocked")))
    assert isinstance(again, TokenDecided)
    assert (timestamp(again.at), again.info) == (timestamp(NOON), ACCEPTED)


def test_only_the_newest_32_starts_of_a_station_are_remembered() -> None:
    starts = [started(meter_wh=number) for number in range(33)]
    history = [decided(start, ACCEPTED, "it is active") for start in starts]
    [forgotten] = given(domain, *history).when(asked(starts[0], token(status="blocked")))
    [known] = given(domain, *history).when(asked(starts[1], token(status="blocked")))
    assert isinstance(forgotten, TokenDecided)
    assert isinstance(known, TokenDecided)
    assert (forgotten.info, known.info) == (BLOCKED, ACCEPTED)


def test_an_authorization_or_a_stop_leaves_nothing_to_remember() -> None:
    for report in (presented(), ended()):
        state, _ = step(domain, domain.initial, asked(report, token()))
        assert state is domain.initial


# ---- tokens that nobody has registered -----------------------------------------------------------------------------


def test_an_unknown_token_is_invalid_and_collected() -> None:
    assert given(domain).when(asked(presented())) == [
        decided(presented(), INVALID, UNKNOWN, None),
        seen(presented()),
        answered(presented(), INVALID),
    ]


def test_an_unknown_token_is_collected_wherever_it_turns_up() -> None:
    assert given(domain).when(asked(started())) == [
        decided(started(), INVALID, UNKNOWN, None),
        seen(started(), "start"),
    ]
    assert given(domain).when(asked(ended())) == [decided(ended(), INVALID, UNKNOWN, None), seen(ended(), "stop")]


def test_an_unknown_token_is_collected_when_we_learn_of_it() -> None:
    old = started(at=NOON - HOUR)
    assert given(domain).when(asked(old, recorded_at=NOON)) == [
        decided(old, INVALID, UNKNOWN, None),
        seen(old, "start", at=NOON),
    ]


def collected(history: list[UnknownTokenSeen], asking: Asked) -> list[Output]:
    return [event for event in given(domain, *history).when(asking) if isinstance(event, UnknownTokenSeen)]


def test_an_unknown_token_is_collected_once_an_hour() -> None:
    soon, later = presented(at=NOON + HOUR - SECOND), presented(at=NOON + HOUR)
    assert collected([seen(presented())], asked(soon)) == []
    assert collected([seen(presented())], asked(later)) == [seen(later)]
    assert collected([seen(presented()), seen(later)], asked(presented(at=NOON + HOUR + SECOND))) == []


def test_each_unknown_token_is_collected() -> None:
    assert collected([seen(presented())], asked(presented(token=FOB))) == [seen(presented(token=FOB))]


def test_a_station_cannot_flood_us_with_unknown_tokens() -> None:
    flood = [seen(presented(token=TokenId(str(number)))) for number in range(domain.COLLECTED)]
    assert collected(flood, asked(presented(at=NOON + SECOND))) == []
    assert collected(flood, asked(presented(at=NOON + HOUR))) == [seen(presented(at=NOON + HOUR))]


def test_a_known_token_is_not_collected() -> None:
    assert collected([], asked(presented(), token(status="blocked"))) == []


# ---- whatever is asked ---------------------------------------------------------------------------------------------

KNOWN = {CARD: token(), FOB: None, TokenId("dead"): token(id=TokenId("dead"), status="blocked")}
names = st.sampled_from(list(KNOWN))
minutes = st.integers(0, 600).map(lambda number: NOON + timedelta(minutes=number))


def known(report: Any, *elsewhere: Any) -> Asked:
    return asked(report, KNOWN[report.token], *elsewhere, recorded_at=NOON + 10 * HOUR)


starts = st.builds(
    known,
    st.builds(started, token=names, at=minutes, evse=st.integers(1, 2), meter_wh=st.integers(0, 3)),
    st.builds(charging, started_at=minutes),
)
presentations = st.builds(known, st.builds(presented, token=names, at=minutes))
stops = st.builds(known, st.builds(ended, token=names, at=minutes))
histories = st.lists(st.one_of(starts, presentations, stops), max_size=domain.REMEMBERED_STARTS)


def all_heard(history: list[Asked], state: State = domain.initial) -> tuple[State, list[list[Output]]]:
    outputs = []
    for asking in history:
        state, events = step(domain, state, asking)
        outputs.append(list(events))
    return state, outputs


@given_any(histories)
def test_hearing_everything_twice_changes_nothing_and_gives_the_same_answers(history: list[Asked]) -> None:
    state, first = all_heard(history)
    again, second = all_heard([replace(asking, charging=(charging(evse=9),)) for asking in history], state)
    for_starts = [
        event for events in second for event in events if isinstance(event, TokenDecided) and event.purpose == "start"
    ]
    assert again == state
    assert second == [[event for event in events if not isinstance(event, UnknownTokenSeen)] for events in first]
    assert len(for_starts) == sum(isinstance(asking.message.event, TransactionStarted) for asking in history)


@given_any(histories)
def test_every_report_is_decided_on_once_and_only_presentations_are_answered(history: list[Asked]) -> None:
    _, outputs = all_heard(history)
    for asking, events in zip(history, outputs, strict=True):
        [decision] = [event for event in events if isinstance(event, TokenDecided)]
        answers = [event for event in events if isinstance(event, AuthorizeAnswered)]
        assert decision.report == asking.message.id
        assert decision.reason
        assert [answer.info for answer in answers] == [decision.info] * (decision.purpose == "authorize")
        assert decision.info.status != "ConcurrentTx" or decision.purpose == "start"


@given_any(histories)
def test_what_the_log_keeps_folds_to_the_same_state(history: list[Asked]) -> None:
    state, outputs = all_heard(history)
    folded = domain.initial
    for event in (event for events in outputs for event in events if not isinstance(event, AuthorizeAnswered)):
        written = msgspec.json.decode(msgspec.json.encode(event), type=type(event))
        folded = domain.evolve(folded, written)
    assert folded == state


@given_any(histories)
def test_a_state_survives_its_record(history: list[Asked]) -> None:
    state, _ = all_heard(history)
    assert msgspec.json.decode(msgspec.json.encode(state), type=domain.State) == state


def test_a_state_fits_its_record() -> None:
    state: State = domain.initial
    info = TokenInfo("Accepted", NOON, "G" * 20)
    for number in range(100):
        state = domain.evolve(state, decided(started(meter_wh=number), info, "w" * 200))
        state = domain.evolve(state, seen(presented(token=TokenId(f"{number:032}"))))
    assert (len(state.starts), len(state.collected)) == (domain.REMEMBERED_STARTS, domain.COLLECTED)
    assert len(msgspec.json.encode(state)) < 32 * 1024
