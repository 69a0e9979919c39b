from collections import Counter
from typing import Any

import msgspec
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from chassis.decider import step
from contracts.event import CommandId, Message, SessionId
from contracts.gateways import CallAsked, CloseAsked, Trigger
from contracts.operations import CommandQueued, CommandRequested
from contracts.sessions import SessionPresumedEnded
from contracts.stations import MetersRead
from services.operations import domain
from services.operations.station import Known, Online, State, Unheard
from tests.given import given
from tests.operations.said import (
    FRAME,
    HERE,
    NOON,
    SESSION,
    START,
    STOP,
    accepted,
    alive,
    answered,
    booted,
    call_failed,
    call_sent,
    close_asked,
    closed,
    connected,
    disconnected,
    expired,
    fulfilled,
    heard,
    heartbeat,
    inventory,
    issued,
    lost,
    on,
    opened,
    queued,
    recovered,
    requested,
    says,
    sent,
    session_corrected,
    session_ended,
    session_started,
    start_asked,
    state,
    status,
    ticked,
)


def test_heartbeats_and_meter_readings_change_nothing() -> None:
    readings = heard(MetersRead(at=NOON, **on(1), frame=FRAME, message_id='"1"', evse=1, connector=1))
    assert given(domain, inventory(), connected(1)).when(heartbeat(1)) == []
    assert given(domain, inventory(), connected(1)).when(readings) == []


def test_a_presumed_end_of_a_session_fulfils_no_stop() -> None:
    presumed = heard(SessionPresumedEnded(at=NOON, **HERE, session=SESSION, reason="Superseded"))
    history = connected(1), requested(task=STOP), queued(), sent(), accepted()
    assert given(domain, *history).when(presumed) == []


def test_a_station_nobody_has_heard_of_has_no_deadline_and_no_ticks() -> None:
    assert domain.deadline(domain.initial, {}) is None
    assert given(domain).when(ticked(0)) == []


def test_a_known_station_that_wants_nothing_has_no_deadline() -> None:
    assert domain.deadline(state(inventory()), {}) is None


def test_a_remote_start_from_the_request_to_the_session() -> None:
    """TC_010."""
    messages = opened(1), booted(), says("Preparing"), issued(at=1), call_sent(at=1), answered(at=2), session_started(3)
    assert heard_in_turn(*messages) == [
        connected(1),
        inventory(),
        status("Preparing"),
        requested(at=1),
        queued(at=1),
        start_asked(at=1),
        sent(at=1),
        accepted(at=2),
        fulfilled(3),
    ]


def test_a_remote_stop_from_the_request_to_the_end() -> None:
    """TC_012."""
    messages = opened(1), issued(task=STOP), call_sent(), answered(), session_ended(at=3)
    *_, sent_out, said_yes, done = heard_in_turn(*messages)
    assert [sent_out, said_yes, done] == [sent(), accepted(), fulfilled(3)]


def test_a_remote_start_without_a_car_expires() -> None:
    """TC_011_2."""
    *_, last = heard_in_turn(opened(1), issued(), call_sent(), answered(), ticked(120, alive(1, at=119)))
    assert last == expired(120, "the station accepted it, and nothing came of it")


def test_a_station_lost_with_its_gateway_may_speak_again_and_be_closed() -> None:
    messages = opened(1), ticked(25, alive(1, at=5)), heartbeat(1, at=30), closed(1, at=31)
    assert heard_in_turn(*messages) == [connected(1), lost(1, at=25), recovered(1, at=30), disconnected(1, at=31)]


def test_every_step_of_a_corrected_session_reaches_its_stop() -> None:
    *_, last = heard_in_turn(opened(1), issued(task=STOP), call_sent(), answered(), session_corrected(at=4))
    assert last == fulfilled(4)


def test_what_a_gateway_is_asked_is_no_part_of_the_state() -> None:
    assert domain.evolve(domain.initial, start_asked()) == Unheard()
    assert domain.evolve(domain.initial, close_asked(1, by=2)) == Unheard()


seconds = st.integers(0, 400)
epochs = st.integers(0, 3)
ids = st.sampled_from([CommandId("c-1"), CommandId("c-2"), CommandId("c-3")])
messages: st.SearchStrategy[Message[Any]] = st.one_of(
    st.builds(opened, epochs, seconds),
    st.builds(closed, epochs, seconds),
    st.builds(heartbeat, epochs, seconds),
    st.builds(booted, epochs, seconds, model=st.sampled_from(["One", "Two"])),
    st.builds(
        says,
        st.sampled_from(["Available", "Charging"]),
        seconds,
        heard_at=st.integers(100, 500),
        connector=st.integers(0, 2),
        at_is_ours=st.booleans(),
    ),
    st.builds(issued, ids, st.sampled_from([START, STOP]), seconds, registered=st.booleans()),
    st.builds(call_sent, ids, seconds),
    st.builds(answered, st.sampled_from(["Accepted", "Rejected"]), seconds, command=ids, late=st.booleans()),
    st.builds(
        call_failed,
        st.sampled_from(["CallError", "TimedOut", "Disconnected", "NotSent", "Invalid"]),
        seconds,
        command=ids,
        late=st.booleans(),
    ),
    st.builds(session_started, seconds, session=st.sampled_from([SESSION, SessionId("s-2")]), offline=st.booleans()),
    st.builds(session_ended, seconds),
    st.builds(session_corrected, seconds),
    st.builds(ticked, seconds, st.builds(alive, epochs, seconds)),
)


@given_any(st.lists(messages, max_size=40))
def test_hearing_everything_twice_changes_nothing(heard: list[Message[Any]]) -> None:
    state: State = domain.initial
    for message in heard:
        state, _ = step(domain, state, message)
        again, events = step(domain, state, message)
        assert again == state
        assert [event for event in events if not isinstance(event, CloseAsked)] == []


def is_trigger(event: object) -> bool:
    """Whether it asks a station who it is, which no command does."""
    return isinstance(event, CallAsked) and isinstance(event.call, Trigger)


@given_any(st.lists(messages, max_size=60))
def test_a_station_is_asked_who_it_is_at_most_once(heard: list[Message[Any]]) -> None:
    assert sum(is_trigger(event) for event in heard_in_turn(*heard, *heard)) <= 1


@settings(max_examples=200)
@given_any(st.lists(messages, max_size=60))
def test_a_command_is_asked_at_most_once_in_whatever_order_things_are_heard(heard: list[Message[Any]]) -> None:
    events = [event for event in heard_in_turn(*heard, *heard) if not is_trigger(event)]
    assert all(count == 1 for count in commands_of(events, CallAsked).values())
    assert commands_of(events, CallAsked) == commands_of(events, CommandQueued)
    assert all(count == 1 for count in commands_of(events, CommandRequested).values())


@given_any(st.lists(messages, max_size=60))
def test_only_the_newest_connection_is_ever_online(heard: list[Message[Any]]) -> None:
    state: State = domain.initial
    newest = -1
    for message in heard:
        newest = max(newest, message.offset)
        state, _ = step(domain, state, message)
        if isinstance(state, Known) and isinstance(state.connection, Online):
            assert state.connection.epoch == newest


@given_any(st.lists(messages, max_size=60))
def test_a_tick_at_the_deadline_moves_the_deadline(heard: list[Message[Any]]) -> None:
    state: State = domain.initial
    for message in heard:
        state, _ = step(domain, state, message)
    for _ in range(10):
        if (due := domain.deadline(state, {})) is None:
            break
        state, events = step(domain, state, ticked((due - NOON).total_seconds()))
        assert events
    assert domain.deadline(state, {}) is None


@given_any(st.lists(messages, max_size=60))
def test_a_state_survives_the_log_and_is_small(heard: list[Message[Any]]) -> None:
    state: State = domain.initial
    for message in heard:
        state, _ = step(domain, state, message)
    written = msgspec.json.encode(state)
    assert msgspec.json.decode(written, type=State) == state
    assert len(written) < 8 * 1024


def test_the_largest_state_is_far_below_its_bound() -> None:
    long = "\N{ELECTRIC PLUG}" * 200
    history: list[Any] = [connected(1), inventory(vendor=long, model=long, serial_number=long)]
    history += [status(long, connector=n, error_code=long, info=long, vendor_error_code=long) for n in range(64)]
    for n in range(150):
        id = CommandId(f"00000000-0000-0000-0000-{n:012}")
        history += [requested(id), disconnected(1)] if n >= 118 else [requested(id), expired(60, "", id)]
    assert len(msgspec.json.encode(state(*history))) < 100 * 1024


def heard_in_turn(*heard: Message[Any]) -> list[Any]:
    """Return all that is caused by hearing these messages one after the other."""
    state: State = domain.initial
    caused: list[Any] = []
    for message in heard:
        state, events = step(domain, state, message)
        caused += events
    return caused


def commands_of(events: list[Any], kind: type[Any]) -> Counter[CommandId]:
    return Counter(event.command for event in events if isinstance(event, kind))
