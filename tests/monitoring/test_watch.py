"""A partition's worth of rules, and that what was killed anywhere goes on as if it had not been."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.settings import Settings
from chassis.windows import LATE, SKEW
from contracts.alerts import AlertRaised, AlertRule
from contracts.event import Event, Message
from contracts.topics import AUTHORIZATIONS, OPERATIONS, READINGS, SESSIONS, STATIONS, Topic
from services.monitoring import domain, watch, worker
from services.monitoring.domain import Limit
from services.monitoring.watch import RULES, Watch
from tests.monitoring.said import (
    LIMITS,
    authorized,
    clock,
    conflicting,
    connected,
    decided,
    delivered,
    ended,
    failed,
    faulted,
    fulfilled,
    heard,
    heartbeat,
    looping,
    requested,
    second,
    short,
    silent,
)


def run(topic: Topic[Any], events: list[Any], *, until: float | None = None) -> list[tuple[str, Event]]:
    watch = Watch(topic, LIMITS)
    alerts = [alert for message in heard(events) for alert in watch.hear(message)]
    return alerts + (watch.pass_time(second(until), len(events) - 1) if until is not None else [])


def test_faults_are_counted_per_connector() -> None:
    events = [faulted(0), faulted(1, 1, 2), faulted(2), faulted(3, 2), faulted(4, station="ST2"), faulted(5)]
    [(_, alert)] = run(STATIONS, events)
    assert (alert.evse, alert.connector, alert.at) == (1, 1, second(5))  # type: ignore[attr-defined]


@pytest.mark.covers("C-023")
def test_a_flapping_station_is_one_alert_however_long_it_flaps() -> None:
    events = [connected(number * 3) for number in range(200)]
    expected = [("raised", "flapping_connection", 9.0), ("cleared", "flapping_connection", 657.0)]
    assert short(run(STATIONS, events, until=700)) == expected


@pytest.mark.covers("Q-16")
def test_q_16_a_station_that_probes_before_it_comes_and_is_slow_to_come_again_is_no_alert() -> None:
    probes = [connected(gap * 60 + seconds) for gap in range(0, 120, 6) for seconds in (0, 2)]
    assert short(run(STATIONS, probes)) == []


@pytest.mark.covers("C-023", "T-64")
def test_an_identity_conflict_is_an_alert_at_once_and_over_when_no_more_is_suspected() -> None:
    events = [conflicting(0), conflicting(30), conflicting(1, station="ST2")]
    assert short(run(STATIONS, events, until=100)) == [
        ("raised", "identity_conflict", 0.0),
        ("raised", "identity_conflict", 1.0),
        ("cleared", "identity_conflict", 61.0),
        ("cleared", "identity_conflict", 90.0),
    ]


@pytest.mark.covers("Q-14")
def test_a_reconnect_loop_is_an_alert_that_says_after_what_the_station_leaves() -> None:
    [(_, alert)] = run(STATIONS, [looping(0), looping(30)], until=80)
    assert isinstance(alert, AlertRaised)
    assert (alert.rule, alert.detail) == ("reconnect_loop", "it has left 3 times after the answer to BootNotification")


@pytest.mark.covers("Q-60")
def test_q_60_a_station_that_goes_on_although_it_was_refused_is_one_alert_while_it_does() -> None:
    ignores = [authorized(0), *(delivered(n) for n in range(30, 300, 30))]
    assert short(run(SESSIONS, ignores)) == [("raised", "charging_refused", 90.0)]
    assert short(run(SESSIONS, [authorized(0), delivered(30), ended(50)])) == []


@pytest.mark.covers("Q-93", "Q-104")
def test_q_93_a_meter_that_falls_silent_and_q_104_a_clock_that_is_off_are_alerts() -> None:
    assert short(run(READINGS, [silent(0), clock(1), clock(2, 0)])) == [
        ("raised", "silent_meter", 0.0),
        ("raised", "wrong_clock", 1.0),
    ]


def test_refused_starts_are_counted_per_station() -> None:
    assert short(run(AUTHORIZATIONS, [decided(0), decided(1, station="ST2"), decided(2)])) == [
        ("raised", "refused_starts", 2.0)
    ]


def test_remote_starts_are_told_from_other_commands_by_their_request() -> None:
    events = [
        requested(0, "c-1"),
        requested(1, "c-2"),
        requested(2, "c-3"),
        failed(3, "c-9"),
        failed(4, "c-1"),
        fulfilled(5, "c-2"),
        failed(6, "c-1"),
        failed(7, "c-3", station="ST2"),
        failed(8, "c-3"),
    ]
    assert short(run(OPERATIONS, events)) == [("raised", "failed_starts", 8.0)]


def test_a_topic_is_heard_by_its_own_rules_alone() -> None:
    assert run(OPERATIONS, [connected(number) for number in range(9)]) == []
    assert sorted(rule for rules in RULES.values() for rule in rules) == sorted(worker.limits_of(Settings()))
    assert set(RULES) == {topic.name for topic in worker.INPUTS}


def test_what_is_heard_is_what_the_rules_know() -> None:
    assert set(worker.build(Settings()).hears) == set(domain.HEARD)
    assert set(domain.HEARD) < {cls for topic in worker.INPUTS for cls in topic.classes}


def test_the_settings_say_how_much_is_too_much() -> None:
    limits = worker.limits_of(Settings(alert_connections=7, alert_connections_within_s=70))
    assert limits["flapping_connection"] == Limit(7, timedelta(seconds=70))
    assert limits["repeated_faults"] == Limit(3, timedelta(minutes=15))


def test_the_horizon_spans_windows_and_the_life_of_a_command() -> None:
    horizon = worker.build(Settings()).horizon
    assert horizon["stations"] == timedelta(minutes=16)
    assert horizon["operations"] == timedelta(hours=3)


def test_stations_that_are_quiet_again_are_forgotten() -> None:
    watch = Watch(STATIONS, LIMITS)
    for message in heard([connected(0), connected(100, station="ST2"), heartbeat(1_000)]):
        watch.hear(message)
    assert watch._seen == {}


def test_the_next_deadline_is_that_of_the_alert_that_ends_first() -> None:
    watch = Watch(STATIONS, LIMITS)
    assert watch.deadline() is None
    events = [*(connected(number) for number in range(4)), *(connected(n, station="ST2") for n in range(10, 14))]
    for message in heard(events):
        watch.hear(message)
    assert watch.deadline() == second(63)
    assert short(watch.pass_time(second(65), 7)) == [("cleared", "flapping_connection", 63.0)]
    assert watch.deadline() == second(73)


# ---- killed anywhere -----------------------------------------------------------------------------------------------

SMALL: dict[AlertRule, Limit] = {rule: Limit(2, timedelta(seconds=10)) for rule in LIMITS}


PAUSES = st.integers(0, 12) | st.sampled_from([60, 90, 3_600, 90_000])
"""Within a window, beyond the horizon, longer than an alert lasts."""
LATER = second(10_000_000)


@st.composite
def histories(draw: st.DrawFn) -> list[Message[Any]]:
    steps = draw(st.lists(st.tuples(PAUSES, st.sampled_from(["ST1", "ST2"]), st.booleans()), max_size=25))
    clock, events = 0, []
    for pause, station, faults in steps:
        clock += pause
        events.append(faulted(clock, station=station) if faults else connected(clock, station=station))
    return heard(events)


class Log:
    """Alerts as they lie in a topic, some of them twice; the time it was at each."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []

    def append(self, alerts: list[tuple[str, Event]], most: int) -> bool:
        """Write at most so many; whether that was all."""
        self.written += alerts[:most]
        return len(alerts) <= most

    def once(self) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for id, alert in self.written:
            kept.setdefault(id, alert)
        return {id: (type(alert), alert.alert, alert.at) for id, alert in kept.items()}


def undisturbed(history: list[Message[Any]]) -> dict[str, Any]:
    log, watch = Log(), Watch(STATIONS, SMALL)
    for message in history:
        log.append(watch.hear(message), 99)
    log.append(watch.pass_time(LATER, len(history) - 1), 99)
    return log.once()


@settings(max_examples=150, deadline=None)
@given(history=histories(), data=st.data())
def test_killed_anywhere_it_raises_and_clears_what_it_would_have(
    history: list[Message[Any]], data: st.DataObject
) -> None:
    """What happens between is what `chassis.windows` does: it commits only what time has passed for."""
    log, committed = Log(), 0
    for _ in range(data.draw(st.integers(0, 4))):
        killed_at = data.draw(st.integers(committed, len(history)))
        watch = restored(history, committed, log)
        for message in history[committed:killed_at]:
            log.append(watch.hear(message), 99)
            tick = data.draw(st.sampled_from(["none", "idle", "busy"]))
            if tick == "idle":  # time passes up to the next message
                after = history[message.offset + 1 :]
                until = after[0].recorded_at - timedelta(milliseconds=1) if after else LATER
                log.append(watch.pass_time(until, message.offset), 99)
            elif tick == "busy":  # time passes as far as the messages have come
                log.append(watch.pass_time(message.recorded_at - LATE, message.offset), 99)
            if tick != "none" and data.draw(st.booleans()):
                committed = message.offset + 1
        for message in history[killed_at : killed_at + 1]:  # in the midst of it, so many of its alerts were written
            log.append(watch.hear(message), data.draw(st.integers(0, 1)))
    watch = restored(history, committed, log)
    for message in history[committed:]:
        log.append(watch.hear(message), 99)
    log.append(watch.pass_time(LATER, len(history) - 1), 99)
    assert log.once() == undisturbed(history)


def restored(history: list[Message[Any]], committed: int, log: Log) -> Watch:
    """A watch that finds what it knew again, in the last stretch of the log and in the alerts of late."""
    again = Watch(STATIONS, SMALL)
    if not committed:
        for _, alert in log.written:
            again.follow(alert)
        return again
    last = history[committed - 1].recorded_at
    for _, alert in log.written:
        if alert.at >= last - domain.LONGEST - SKEW:
            again.follow(alert)
    for message in history[:committed]:
        if message.recorded_at >= last - watch.horizon(STATIONS, SMALL):
            again.remember(message)
    return again
