"""Whole sessions as the catalogue tells them (TC_003 to TC_039, C-059 to C-067), and what always holds."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.event import Event, SessionId, SiteId, TransactionId
from contracts.gateways import StartAnswered
from contracts.sessions import (
    Account,
    ChargingBegan,
    ChargingOver,
    EnergyDelivered,
    EnergyUnattributed,
    ReadingsTaken,
    SessionEnded,
    SessionRenamed,
    SessionStarted,
    StopRepeated,
)
from contracts.stations import AnsweredUndecided, Frame, HeartbeatReceived, Sample, TokenPresented
from services.sessions import domain
from services.sessions.heard import Heard
from services.sessions.state import Station
from tests.sessions.says import (
    ACME,
    CARD,
    GATEWAY,
    NOON,
    OTHER,
    STATION,
    Heeded,
    at,
    decision,
    kinds,
    meters,
    only,
    reading,
    session_of,
    start,
    stop,
    undecided,
)


def presented() -> Heard[TokenPresented]:
    said = TokenPresented(
        at=NOON,
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        frame=Frame(),
        message_id='"a"',
        token=CARD,
    )
    return Heard(said, "presented")


# ---- stories ---------------------------------------------------------------------------------------------------------


@pytest.mark.covers("TC_003", "TC_004_1")
def test_tc_003_a_session_has_all_its_energy_from_plug_to_stop() -> None:
    """Also TC_004_1: who identifies first makes no difference here."""
    log = Heeded(
        presented(),
        decision("presented", purpose="authorize"),
        start(),
        decision(),
        meters(reading(3000, minutes=20)),
        meters(reading(6000, minutes=40)),
        stop(token=CARD),
        decision("stop", purpose="stop"),
    )
    assert kinds(log.events) == [
        *["SessionStarted", "AnswerOwed", "SessionAuthorized", "ChargingBegan", "StartAnswered"],
        *["ReadingsTaken", "EnergyDelivered", "ReadingsTaken", "EnergyDelivered"],
        *["SessionEnded", "ChargingOver", "AnswerOwed", "StopAuthorized", "StopAnswered"],
    ]
    assert [event.energy_wh for event in log.all(EnergyDelivered)] == [2000, 5000]
    assert log.one(SessionEnded).energy_wh == 7000


@pytest.mark.covers("TC_004_2")
def test_tc_004_2_a_token_without_a_plug_is_no_session() -> None:
    assert Heeded(presented(), decision("presented", purpose="authorize")).events == []


@pytest.mark.covers("TC_005_1")
def test_tc_005_1_the_reason_of_a_stop_is_kept() -> None:
    log = Heeded(start(), decision(), stop(reason="EVDisconnected"))
    assert log.one(SessionEnded).reason == "EVDisconnected"


@pytest.mark.covers("TC_007")
def test_tc_007_a_cached_token_is_accepted_in_the_answer_to_its_start() -> None:
    assert Heeded(start(), decision()).one(StartAnswered).info.status == "Accepted"


@pytest.mark.covers("TC_023_1", "TC_023_2", "TC_023_3")
@pytest.mark.parametrize("status", ["Invalid", "Expired", "Blocked"])
def test_tc_023_a_refused_token_that_is_only_presented_is_no_session(status: Any) -> None:
    assert Heeded(presented(), decision("presented", status, purpose="authorize")).events == []


@pytest.mark.covers("TC_032_1")
def test_tc_032_a_stop_sent_after_a_power_failure_ends_the_session_when_it_happened() -> None:
    log = Heeded(start(), decision(), meters(reading(3000)), stop(reason="PowerLoss", minutes=2))
    ended = log.one(SessionEnded)
    assert (ended.at, ended.reason, ended.energy_wh) == (at(2), "PowerLoss", 7000)


@pytest.mark.covers("TC_037_1")
def test_tc_037_1_an_offline_start_is_accepted_later() -> None:
    log = Heeded(start(offline=True), decision())
    assert (log.one(SessionStarted).at, log.one(StartAnswered).transaction) == (NOON, "1")


@pytest.mark.covers("TC_037_3")
def test_tc_037_3_an_offline_start_that_is_refused_later_is_stopped_by_the_station() -> None:
    log = Heeded(start(offline=True), decision(status="Invalid"), stop(reason="DeAuthorized"))
    assert (log.one(StartAnswered).info.status, log.one(StartAnswered).transaction) == ("Invalid", "1")
    assert log.one(SessionEnded).energy_wh == 7000


@pytest.mark.covers("TC_039")
def test_tc_039_a_transaction_that_was_wholly_offline_is_one_finished_session() -> None:
    log = Heeded(start(offline=True), decision(), stop(), decision("stop", purpose="stop"))
    started, ended = log.one(SessionStarted), log.one(SessionEnded)
    assert (started.session, started.at, ended.at, ended.energy_wh) == (ended.session, NOON, at(60), 7000)
    assert started.offline


@pytest.mark.covers("TC_039")
def test_tc_039_an_offline_transaction_stopped_under_a_made_up_id_is_one_finished_session() -> None:
    ended = Heeded(start(offline=True), stop(transaction="-1", token=CARD)).one(SessionEnded)
    assert ended.session == session_of("start")


@pytest.mark.covers("X-40", "C-061")
def test_x_40_a_day_offline_is_as_many_sessions_with_the_right_times_and_energy() -> None:
    """Also C-061."""
    log = Heeded()
    for n in range(3):
        log.hear(start(f"start {n}", minutes=100 * n, meter_wh=10_000 * n, offline=True))
        for m in range(1, 101):
            shown = reading(10_000 * n + 10 * m, minutes=100 * n + m / 2)
            log.hear(meters(shown, report=f"meters {n} {m}", transaction=str(n + 1)))
        log.hear(stop(f"stop {n}", transaction=str(n + 1), minutes=100 * n + 50, meter_wh=10_000 * n + 1005))
    assert [event.energy_wh for event in log.all(SessionEnded)] == [1005, 1005, 1005]
    assert [event.at for event in log.all(SessionEnded)] == [at(50), at(150), at(250)]
    assert len(log.all(ReadingsTaken)) == 300


# ---- meter values ----------------------------------------------------------------------------------------------------


@pytest.mark.covers("M-06")
def test_m_06_readings_are_taken_in_our_units_and_energy_is_delivered() -> None:
    power = Sample("7.4", "Power.Active.Import", "kW")
    taken, delivered = Heeded(start()).hear(meters(reading(Sample("1.5", unit="kWh"), power)))
    assert taken == ReadingsTaken(
        at=at(1),
        tenant=ACME,
        station=STATION,
        report="meters",
        evse=1,
        connector=1,
        session=session_of("start"),
        transaction=TransactionId("1"),
        readings=(reading(1500, Sample("7400", "Power.Active.Import", "W")),),
    )
    assert delivered == EnergyDelivered(
        at=at(1),
        tenant=ACME,
        station=STATION,
        session=session_of("start"),
        energy_wh=500,
        meter_wh=1500,
        energy_source="register",
        account=Account(
            delivered_wh=500, attributed_wh=500, site=SiteId("oslo"), time_zone="Europe/Oslo", register_wh=1500
        ),
    )


def test_several_readings_in_one_report_deliver_energy_once() -> None:
    log = Heeded(start(), meters(reading(1500, minutes=1), reading(2500, minutes=2), reading(2000, minutes=3)))
    assert log.one(EnergyDelivered).meter_wh == 2500


def test_a_register_that_does_not_rise_delivers_nothing() -> None:
    log = Heeded(start(), meters(reading(1500)))
    for value in (1500, 1400, 500):
        assert kinds(log.hear(meters(reading(value, minutes=value)))) == ["ReadingsTaken"]


def test_without_a_register_at_the_start_the_first_sample_is_it() -> None:
    log = Heeded(start(meter_wh=None), meters(reading(5000)), meters(reading(5700, minutes=2)))
    assert [event.energy_wh for event in log.all(EnergyDelivered)] == [0, 700]


@pytest.mark.covers("C-065")
def test_c_065_a_report_without_a_readable_sample_takes_nothing() -> None:
    assert Heeded(start()).hear(meters(reading(Sample("abc")), reading())) == []


@pytest.mark.covers("X-41")
def test_x_41_meter_values_said_again_are_taken_once() -> None:
    log = Heeded(start(), meters(reading(1500, minutes=1), reading(1600, minutes=2)))
    log.hear(meters(reading(1700, minutes=3), report="more"))
    assert log.hear(meters(reading(1500, minutes=1), reading(1600, minutes=2), report="again")) == []


@pytest.mark.covers("X-41")
def test_x_41_another_value_for_the_same_moment_is_taken_too() -> None:
    log = Heeded(start(), meters(reading(1500)))
    assert kinds(log.hear(meters(reading(1501)))) == ["ReadingsTaken", "EnergyDelivered"]


@pytest.mark.covers("X-44", "C-067")
def test_x_44_meter_values_after_the_stop_are_kept_and_change_nothing() -> None:
    """Also C-067."""
    log = Heeded(start(), stop())
    before = log.state
    taken, outside = log.hear(meters(reading(9000)))
    assert isinstance(taken, ReadingsTaken)
    assert isinstance(outside, EnergyUnattributed)
    assert outside.account.unattributed_wh == 1000
    assert taken.session == session_of("start")
    assert (log.state.open, log.state.closed) == (before.open, before.closed)


@pytest.mark.covers("X-13")
@pytest.mark.parametrize("transaction", ["-1", "0", "4711"])
def test_x_13_meter_values_under_an_unknown_id_belong_to_what_goes_on_at_their_connector(transaction: str) -> None:
    log = Heeded(start())
    assert kinds(log.hear(meters(reading(1500), transaction=transaction))) == ["ReadingsTaken", "EnergyDelivered"]
    assert log.one(ReadingsTaken).session == session_of("start")


@pytest.mark.covers("X-13")
def test_x_13_meter_values_that_cannot_be_of_the_session_belong_to_the_connector() -> None:
    log = Heeded(start())
    for other in (meters(reading(900), transaction="-1"), meters(reading(1500, minutes=-1), transaction="-1")):
        assert only(log.hear(other), ReadingsTaken).session is None
    nothing_shown = meters(reading(Sample("16", "Current.Import", "A")), transaction="-1")
    assert only(log.hear(nothing_shown), ReadingsTaken).session == session_of("start")


@pytest.mark.covers("C-067")
@pytest.mark.parametrize(
    "message",
    [
        meters(reading(1500), transaction=None),
        meters(reading(1500), transaction=None, evse=0),
        meters(reading(1500), transaction="4711", evse=2),
    ],
)
def test_c_067_meter_values_of_no_session_are_kept_and_leave_it_unchanged(message: Heard[Any]) -> None:
    log = Heeded(start())
    before = log.state.open
    taken = only(log.hear(message), ReadingsTaken)
    assert (taken.session, log.state.open) == (None, before)


def test_meter_values_name_their_session_whatever_connector_they_name() -> None:
    log = Heeded(start("one", evse=1), start("two", evse=2, meter_wh=0))
    assert only(log.hear(meters(reading(1500), transaction="2", evse=1)), ReadingsTaken).session == session_of("two")


def test_a_heartbeat_means_nothing_to_sessions() -> None:
    said = HeartbeatReceived(
        at=NOON,
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        frame=Frame(),
        message_id="1",
    )
    assert Heeded(Heard(said, "heartbeat")).events == []


# ---- always ----------------------------------------------------------------------------------------------------------

registers = st.integers(-1, 3000)
moments = st.integers(0, 30)
connectors = st.integers(1, 2)
names = st.sampled_from(["1", "2", "3", "-1", "0", "77", "1073741999"])
tokens = st.sampled_from([CARD, OTHER])
statuses: Any = st.sampled_from(["Accepted", "Blocked", "ConcurrentTx"])
reports = st.integers(0, 12).map(str)


def starts() -> st.SearchStrategy[Heard[Any]]:
    return st.builds(start, reports, evse=connectors, token=tokens, meter_wh=st.none() | registers, minutes=moments)


def reads() -> st.SearchStrategy[Heard[Any]]:
    shown = st.builds(lambda value, minutes: reading(value, minutes=minutes), registers, moments)
    return st.builds(
        lambda readings, transaction, evse: meters(*readings, transaction=transaction, evse=evse),
        st.lists(shown, min_size=1, max_size=3),
        st.none() | names,
        connectors,
    )


def stops() -> st.SearchStrategy[Heard[Any]]:
    return st.builds(
        stop,
        reports.map(lambda name: f"stop {name}"),
        transaction=names,
        meter_wh=st.none() | registers,
        minutes=moments,
        token=st.none() | tokens,
        readings=st.lists(st.builds(reading, registers), max_size=2),
    )


def decisions() -> st.SearchStrategy[Heard[Any]]:
    return st.one_of(
        st.builds(decision, reports, statuses),
        st.builds(lambda name, status: decision(f"stop {name}", status, purpose="stop"), reports, statuses),
        st.builds(undecided, reports, statuses),
    )


def unlike(messages: list[Heard[Any]]) -> Iterator[Heard[Any]]:
    """Yield the messages of which no two say different things under one id, as in a log.

    A station names no id of the gateway's before it has been given it.
    """
    seen: dict[tuple[str, str], object] = {}
    for number, message in enumerate(messages):
        given = any(isinstance(before.event, AnsweredUndecided) for before in messages[:number])
        names_it = getattr(message.event, "transaction", None) == "1073741999"
        if names_it and not given and not isinstance(message.event, AnsweredUndecided):
            continue
        key = type(message.event).__name__, message.id
        if message.id == "meters" or seen.setdefault(key, message) == message:
            yield message


def heard_late(history: list[Heard[Any]], lag_s: int | None) -> list[Heard[Any]]:
    """Return messages with when they were heard: so long after they happened by the station's clock, if anybody knows."""
    if lag_s is None:
        return history
    lag = timedelta(seconds=lag_s)
    return [replace(message, heard_at=message.event.at + lag) for message in history]


histories = st.builds(
    heard_late,
    st.lists(st.one_of(starts(), reads(), stops(), decisions()), max_size=30).map(lambda m: list(unlike(m))),
    st.none() | st.integers(-200, 4000),
)


@pytest.mark.covers("X-45")
@given_any(histories)
def test_energy_never_falls_while_it_is_delivered_and_an_end_below_it_says_so(history: list[Heard[Any]]) -> None:
    """X-45."""
    delivered: dict[SessionId, list[int]] = defaultdict(list)
    for event in Heeded(*history).events:
        if isinstance(event, EnergyDelivered):
            delivered[event.session].append(event.energy_wh)
        elif isinstance(event, SessionEnded) and event.energy_wh is not None and delivered[event.session]:
            assert event.energy_wh >= delivered[event.session][-1] or "below_last_register" in event.flags
    for energies in delivered.values():
        assert all(before < after for before, after in pairwise([-1, *energies]))


@pytest.mark.covers("C-087")
@given_any(histories)
def test_hearing_a_record_twice_changes_nothing(history: list[Heard[Any]]) -> None:
    """C-087."""
    log = Heeded()
    for message in history:
        log.hear(message)
        before = log.state
        assert log.hear(message) == []
        assert log.state == before


@pytest.mark.covers("X-10", "X-11", "C-050", "C-056")
@given_any(histories)
def test_hearing_what_a_station_repeats_only_records_that_it_did(history: list[Heard[Any]]) -> None:
    """X-10, X-11, C-050 to C-056: the same content under a new report."""
    log = Heeded()
    for message in history:
        log.hear(message)
        if type(message.event).__name__ in {"TransactionStarted", "MetersRead", "TransactionEnded"}:
            again = replace(message, id=f"{message.id} again {len(log.events)}")
            allowed = {"StartRepeated", "StopRepeated", "AnswerOwed", "StartAnswered"}
            sessions = log.state.open, log.state.closed, log.state.past
            assert set(kinds(log.hear(again))) <= allowed
            assert (log.state.open, log.state.closed, log.state.past) == sessions


@given_any(histories)
def test_a_connector_has_one_open_session_and_who_charges_is_open_and_accepted(history: list[Heard[Any]]) -> None:
    log, charging = Heeded(*history), set[SessionId]()
    for event in log.all(ChargingBegan, ChargingOver):
        assert isinstance(event, ChargingBegan) != (event.session in charging)
        charging ^= {event.session}
    assert charging == {session.id for session in log.state.open if session.accepted}
    places = [(session.evse, session.connector) for session in log.state.open]
    assert len(places) == len(set(places))


@given_any(histories)
def test_every_session_starts_once_and_every_stop_is_accounted_for(history: list[Heard[Any]]) -> None:
    log = Heeded(*history)
    started = [event.session for event in log.all(SessionStarted)]
    assert len(started) == len(set(started))
    stops_heard = {message.id for message in history if message.id.startswith("stop ")}
    accounted = {id for event in log.events if (id := getattr(event, "report", "")).startswith("stop ")}
    assert stops_heard <= accounted


@pytest.mark.covers("C-085")
@given_any(histories)
def test_the_state_survives_its_record_and_is_the_fold_of_the_events(history: list[Heard[Any]]) -> None:
    """C-085."""
    log = Heeded(*history)
    assert msgspec.json.decode(msgspec.json.encode(log.state), type=Station) == log.state
    state = domain.initial
    for event in log.events:
        state = domain.evolve(state, event)
    assert state == log.state


def full_of_sessions(count: int) -> Heeded:
    log = Heeded()
    for n in range(1, count + 1):
        minutes = 10.0 * n
        log.hear(start(f"start {n}", evse=n % 4 + 1, minutes=minutes, meter_wh=n))
        if n % 7:
            log.hear(decision(f"start {n}"))
        series = [Sample(str(n + m), f"measurand {m}") for m in range(12)]
        log.hear(meters(reading(n + 5, *series, minutes=minutes + 1), transaction=str(n), evse=n % 4 + 1))
        if n % 5:
            log.hear(stop(f"stop {n}", transaction="-1" if n % 11 == 0 else str(n), minutes=minutes + 5, token=CARD))
    return log


def test_after_ten_thousand_sessions_the_state_is_still_small() -> None:
    state = full_of_sessions(10_000).state
    assert len(msgspec.json.encode(state)) < 64 * 1024
    assert state.last == 10_000


def test_at_its_worst_the_state_fits_its_record() -> None:
    """Every bound reached at once, with ids as long as they may be."""
    log = full_of_sessions(600)
    for n in range(100):
        long = f"{n}" + "9" * 240
        log.hear(stop(f"lost {n}", transaction=long, minutes=-n - 1, meter_wh=0, message_id=long, token=CARD))
        log.hear(decision(f"{n} unheard of " + "x" * 240))
        log.hear(start(f"open {n}", evse=n + 10, message_id=long, token=OTHER))
        transaction = str(log.state.last)
        for m in range(3):
            log.hear(undecided(f"open {n}", transaction=str(2**30 + 3 * n + m)))
        series = [Sample("1", f"measurand {m}") for m in range(100)]
        log.hear(meters(reading(*series, minutes=9), report=f"meters {n}", transaction=transaction, evse=n + 10))
    assert len(log.state.open) == 32
    assert len(msgspec.json.encode(log.state)) < 128 * 1024


def test_what_is_answered_is_no_part_of_the_state() -> None:
    answer: Event = Heeded(start(), decision()).one(StartAnswered)
    assert domain.evolve(domain.initial, answer) is domain.initial


# ---- one transaction, however its messages come ------------------------------------------------------------------------


def of_one_transaction() -> list[Heard[Any]]:
    """Return what a station says of one transaction that it knows no id of."""
    readings = [meters(reading(1000 + 100 * n, minutes=n), report=f"m{n}", transaction="-1") for n in range(1, 6)]
    return [start(), *readings, stop(transaction="-1", token=CARD, meter_wh=1700)]


@pytest.mark.covers("C-050", "C-051", "C-052", "C-056", "C-058", "X-10", "X-11", "X-14", "Q-61", "Q-62")
@given_any(st.permutations(range(7)), st.lists(st.integers(0, 6), max_size=6))
def test_any_order_and_repetition_of_a_transactions_messages_is_the_same_session(
    order: list[int], repeated: list[int]
) -> None:
    said = of_one_transaction()
    log = Heeded()
    for n, index in enumerate([*order, *repeated]):
        log.hear(replace(said[index], id=f"{said[index].id} {n}"))
    started, ended = log.one(SessionStarted), log.one(SessionEnded)
    assert (ended.session, ended.at, ended.energy_wh, ended.reason) == (started.session, at(60), 700, "Local")
    assert (started.at, started.meter_wh, ended.meter_wh, log.state.open) == (NOON, 1000, 1700, ())


@pytest.mark.covers("Q-69", "X-11", "Q-63")
def test_of_two_stops_after_a_reboot_the_first_counts() -> None:
    log = Heeded(start(), stop(reason="PowerLoss", minutes=30, meter_wh=3000))
    again = only(log.hear(stop("later", reason="Local", minutes=40, meter_wh=3001)), StopRepeated)
    assert (again.differs, log.one(SessionEnded).energy_wh) == (True, 2000)


@pytest.mark.covers("Q-73")
def test_a_station_that_ends_and_begins_by_itself_has_two_sessions_with_all_the_energy() -> None:
    log = Heeded(start(), stop(minutes=30, meter_wh=3000, reason="Other"))
    log.hear(start("two", minutes=30, meter_wh=3000))
    log.hear(stop("stop two", transaction="2", minutes=60, meter_wh=5000))
    assert [event.energy_wh for event in log.all(SessionEnded)] == [2000, 2000]


@pytest.mark.covers("Q-75", "X-13")
def test_meter_values_of_another_connectors_transaction_belong_to_their_connector() -> None:
    log = Heeded(start("one", evse=1, meter_wh=500_000), start("two", evse=2, meter_wh=1000))
    log.hear(meters(reading(1500), transaction="1", evse=2))
    assert log.one(ReadingsTaken).session == session_of("two")
    assert log.one(EnergyDelivered).energy_wh == 500
    log.hear(meters(reading(500_700, minutes=2), transaction="1", evse=2))
    assert log.all(ReadingsTaken)[-1].session == session_of("one"), "its register goes on: only the connector is wrong"


@pytest.mark.covers("Q-70", "X-12")
@pytest.mark.parametrize("id", ["2147483647", "4294967295", "9223372036854775807", "-9223372036854775808"])
def test_an_id_that_became_the_largest_number_is_none_of_ours(id: str) -> None:
    log = Heeded(start(), meters(reading(1500), transaction=id), stop(transaction=id))
    assert log.one(SessionEnded).flags == ("matched",)
    assert log.one(ReadingsTaken).session == session_of("start")


@pytest.mark.covers("Q-64", "Q-82", "X-12")
def test_a_stop_without_an_id_after_a_refused_start_ends_it_with_its_energy() -> None:
    log = Heeded(start(), decision(status="ConcurrentTx"), stop(transaction="-1", meter_wh=1534))
    assert (log.one(SessionEnded).energy_wh, log.one(SessionEnded).flags) == (534, ("refused", "matched"))


def test_a_session_is_called_by_the_id_that_its_station_goes_by() -> None:
    """Two half-open sockets and a lost answer leave it with two."""
    log = Heeded(start(), undecided())
    renamed = only(log.hear(meters(reading(1500), transaction="1")), SessionRenamed)
    assert renamed.transaction == "1"
    assert log.state.open[0].names == ("1073741999",)
    assert log.one(EnergyDelivered).energy_wh == 500
