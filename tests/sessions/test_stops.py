"""Stops: M-05, X-11, X-12, X-26, X-33, X-41, X-45."""

from typing import Any

import pytest

from contracts.event import SessionId, TransactionId, derived_id
from contracts.sessions import (
    Account,
    ChargingBegan,
    ChargingOver,
    ReadingsTaken,
    SessionCorrected,
    SessionEnded,
    SessionQuarantined,
    SessionStarted,
    StopRepeated,
)
from contracts.stations import Sample
from services.sessions import domain
from services.sessions.heard import Heard
from services.sessions.state import ENDED, MARKS
from tests.given import given
from tests.sessions.says import (
    ACME,
    CARD,
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
    wh,
)

STARTED = SessionStarted(
    at=NOON,
    tenant=ACME,
    station=STATION,
    session=session_of("start"),
    report="start",
    transaction=TransactionId("1"),
    evse=1,
    connector=1,
    token=CARD,
    meter_wh=1000,
)


@pytest.mark.covers("M-05", "X-45")
def test_m_05_a_stop_ends_the_session_with_all_its_energy() -> None:
    """X-45: the registers at the start and the stop say how much."""
    assert given(domain, STARTED).when(stop()) == [
        SessionEnded(
            at=at(60),
            tenant=ACME,
            station=STATION,
            session=session_of("start"),
            report="stop",
            reason="Local",
            meter_wh=8000,
            energy_wh=7000,
            transaction=TransactionId("1"),
            energy_source="register",
            account=Account(delivered_wh=7000, attributed_wh=7000),
        )
    ]


def test_the_end_of_a_session_says_that_nobody_charges_any_more() -> None:
    log = Heeded(start(), decision(), stop())
    assert log.one(ChargingOver).session == log.one(ChargingBegan).session == session_of("start")


@pytest.mark.covers("C-056")
def test_c_056_a_repeated_stop_changes_nothing() -> None:
    log = Heeded(start(), stop())
    repeated = only(log.hear(stop("again")), StopRepeated)
    assert (repeated.session, repeated.differs, repeated.report) == (session_of("start"), False, "again")


@pytest.mark.covers("C-056", "X-11")
def test_c_056_the_first_of_two_differing_stops_counts() -> None:
    """X-11: both are in the log."""
    log = Heeded(start(), stop())
    repeated = only(log.hear(stop("again", meter_wh=9000, minutes=61)), StopRepeated)
    assert (repeated.differs, repeated.meter_wh) == (True, 9000)


@pytest.mark.covers("X-11")
def test_x_11_the_data_of_a_repeated_stop_is_not_taken_twice() -> None:
    log = Heeded(start(), stop(readings=[reading(7000)]))
    log.hear(stop("again", readings=[reading(7000)]))
    assert len(log.all(ReadingsTaken)) == 1


@pytest.mark.covers("X-11")
def test_x_11_a_repeated_stop_without_a_register_does_not_differ() -> None:
    log = Heeded(start(), meters(reading(2000)), stop(meter_wh=None))
    assert not only(log.hear(stop("again", meter_wh=None)), StopRepeated).differs


def test_a_record_heard_twice_is_heard_once() -> None:
    assert Heeded(start(), stop()).hear(stop()) == []


@pytest.mark.covers("X-11")
def test_x_11_a_stop_said_again_long_after_waits_in_no_quarantine() -> None:
    """Its session has been forgotten, but not that it was stopped."""
    log = Heeded()
    for number in range(1, ENDED + 3):
        log.hear(start(f"start {number}", minutes=number * 100, meter_wh=number * 1000))
        log.hear(stop(f"stop {number}", transaction=str(number), minutes=number * 100 + 50, meter_wh=number * 1000 + 9))
    assert log.state.session(session_of("start 1")) is None
    repeated = only(log.hear(stop("again", transaction="1", minutes=150, meter_wh=1009)), StopRepeated)
    assert (repeated.session, repeated.differs, repeated.meter_wh) == (session_of("start 1"), False, 1009)


@pytest.mark.covers("X-23")
@pytest.mark.parametrize("guess", [start(), stop("swapped", transaction="-1", meter_wh=3000, minutes=30)])
def test_x_23_a_stop_that_names_its_session_counts_instead_of_a_guess(guess: Heard[Any]) -> None:
    """Whether the session was matched with a stop that came after it, or paired with one that came before."""
    other = stop("guessed", transaction="-1", meter_wh=3000, minutes=30) if guess.id == "start" else start()
    log = Heeded(guess, other)
    assert log.one(SessionEnded).energy_wh == 2000
    corrected = only(log.hear(stop()), SessionCorrected)
    assert (corrected.session, corrected.energy_wh, corrected.flags) == (log.one(SessionStarted).session, 7000, ())
    assert kinds(log.hear(stop("again", meter_wh=9000))) == ["StopRepeated"], "the first that names it counts"


@pytest.mark.covers("X-12", "X-23")
def test_x_23_a_stop_that_a_guess_took_wrongly_waits_in_quarantine_for_its_start() -> None:
    """Its start may be heard yet; and said again it must not end whatever else goes on."""
    log = Heeded(start(), stop("foreign", transaction="77", meter_wh=3000, minutes=30, reason="Remote", token=CARD))
    given_back = SessionId(derived_id(session_of("start"), "sessions", "given back"))
    corrected, quarantined = log.hear(stop())
    assert (type(corrected), log.one(SessionEnded).flags) == (SessionCorrected, ("matched",))
    assert quarantined == SessionQuarantined(
        at=at(30),
        tenant=ACME,
        station=STATION,
        session=given_back,
        report="foreign",
        transaction=TransactionId("77"),
        reason="Remote",
        meter_wh=3000,
        token=CARD,
    )
    log.hear(start("another", minutes=-5, meter_wh=None, token=OTHER))
    said_again = stop("again", transaction="77", meter_wh=3000, minutes=30, reason="Remote", token=CARD)
    assert only(log.hear(said_again), StopRepeated).session == given_back
    paired = log.hear(start("late", evse=2, minutes=10, meter_wh=2500))
    assert only(paired, SessionEnded).energy_wh == 500


@pytest.mark.covers("X-14", "X-23")
def test_x_23_a_stop_that_was_paired_wrongly_waits_beside_its_former_session() -> None:
    log = Heeded(stop("foreign", transaction="-1", meter_wh=3000, minutes=30), start(), stop())
    (former,) = {event.session for event in log.all(SessionStarted, SessionEnded, SessionCorrected)}
    first, second = log.all(SessionQuarantined)
    assert (first.session, first.meter_wh) == (former, second.meter_wh)
    assert second.session != former
    assert log.one(SessionCorrected).energy_wh == 7000


@pytest.mark.covers("X-11", "X-12")
def test_x_11_a_stop_in_quarantine_said_again_ends_no_session_that_was_given_its_id_since() -> None:
    """A station that came from another central system still names the ids of that one."""
    log = Heeded(start(), stop("foreign", transaction="2", minutes=10, token=OTHER))
    log.hear(start("two", evse=2, minutes=60))
    assert log.state.open[1].transaction == "2"
    assert only(log.hear(stop("again", transaction="2", minutes=10, token=OTHER)), StopRepeated).session == session_of(
        "foreign"
    )
    assert only(log.hear(stop("real", transaction="2", minutes=70)), SessionEnded).session == session_of("two")


@pytest.mark.covers("X-11", "X-12")
def test_x_11_a_stop_that_was_taken_for_a_sessions_said_again_ends_none_that_was_given_its_id_since() -> None:
    log = Heeded(start(), stop("foreign", transaction="2", minutes=10), start("two", minutes=60))
    assert log.state.open[0].transaction == "2"
    again = only(log.hear(stop("again", transaction="2", minutes=10)), StopRepeated)
    assert again.session == log.one(SessionEnded).session == session_of("start")


@pytest.mark.covers("X-11", "X-12")
@pytest.mark.parametrize("meter_wh", [8000, None])
def test_x_11_two_sessions_that_stop_at_one_moment_end_both(meter_wh: int | None) -> None:
    """A power cut: their stops differ in the ids alone."""
    log = Heeded(start("one"), start("two", evse=2), stop("stop one", meter_wh=meter_wh))
    ended = only(log.hear(stop("stop two", transaction="2", meter_wh=meter_wh)), SessionEnded)
    assert ended.session == session_of("two")


@pytest.mark.covers("X-23")
def test_x_23_a_guess_that_was_right_is_left_as_it_is() -> None:
    log = Heeded(start(), stop("guessed", transaction="-1"))
    assert kinds(log.hear(stop())) == ["StopRepeated"]


@pytest.mark.covers("X-11")
def test_x_11_the_real_stop_of_a_corrected_session_counts_once() -> None:
    log = Heeded(start(), start("new", minutes=90), stop())
    assert isinstance(log.events[-1], SessionCorrected)
    assert kinds(log.hear(stop("again"))) == ["StopRepeated"]


@pytest.mark.covers("X-12")
@pytest.mark.parametrize("transaction", ["1", "1073741999"])
def test_x_12_a_session_is_found_by_any_of_its_ids(transaction: str) -> None:
    log = Heeded(start(), undecided())
    assert only(log.hear(stop(transaction=transaction)), SessionEnded).session == session_of("start")


@pytest.mark.covers("C-057", "X-12")
@pytest.mark.parametrize("transaction", ["-1", "0", "4711", "", "9223372036854775807", "9" * 500])
def test_c_057_a_stop_with_no_id_of_ours_ends_the_one_session_that_fits(transaction: str) -> None:
    """X-12."""
    ended = only(Heeded(start()).hear(stop(transaction=transaction)), SessionEnded)
    assert (ended.session, ended.energy_wh, ended.flags) == (session_of("start"), 7000, ("matched",))
    assert ended.transaction == transaction


@pytest.mark.covers("C-057")
def test_c_057_a_stop_that_fits_two_sessions_waits_in_quarantine() -> None:
    log = Heeded(start("one", evse=1), start("two", evse=2))
    quarantined = only(log.hear(stop(transaction="-1")), SessionQuarantined)
    assert (quarantined.session, quarantined.why, quarantined.meter_wh) == (session_of("stop"), "several_fit", 8000)
    assert len(log.state.open) == 2


@pytest.mark.covers("C-057", "Q-67")
def test_c_057_a_stop_that_fits_nothing_waits_in_quarantine_with_its_energy() -> None:
    (quarantined,) = given(domain).when(stop(transaction="-1", reason="Rejected", masked_uid="…01"))
    assert quarantined == SessionQuarantined(
        at=at(60),
        tenant=ACME,
        station=STATION,
        session=session_of("stop"),
        report="stop",
        transaction=TransactionId("-1"),
        reason="Other",
        reason_said="Rejected",
        meter_wh=8000,
        masked_uid="…01",
    )


@pytest.mark.covers("X-12")
def test_x_12_a_session_that_began_later_or_higher_or_with_another_token_does_not_fit() -> None:
    for other in (start(minutes=61), start(meter_wh=8001), start(token=OTHER)):
        assert "SessionQuarantined" in kinds(Heeded(other).hear(stop(transaction="-1", token=CARD)))


@pytest.mark.covers("X-12")
def test_x_12_the_token_of_a_stop_tells_two_sessions_apart() -> None:
    log = Heeded(start("one", evse=1), start("two", evse=2, token=OTHER))
    assert only(log.hear(stop(transaction="0", token=OTHER)), SessionEnded).session == session_of("two")


@pytest.mark.covers("X-12")
def test_x_12_registers_that_nobody_named_rule_nothing_out() -> None:
    assert kinds(Heeded(start(meter_wh=None)).hear(stop(transaction="0"))) == ["SessionEnded"]
    assert kinds(Heeded(start()).hear(stop(transaction="0", meter_wh=None))) == ["SessionEnded"]


@pytest.mark.covers("X-12")
def test_x_12_a_stop_without_an_id_said_again_is_still_the_same_stop() -> None:
    log = Heeded(start(), stop(transaction="-1"), start("new", minutes=30, evse=2))
    assert kinds(log.hear(stop("again", transaction="-1"))) == ["StopRepeated"]
    assert [session.id for session in log.state.open] == [session_of("new")]


def test_a_quarantined_stop_said_again_is_still_the_same_stop() -> None:
    log = Heeded(stop(transaction="-1"), stop("again", transaction="-1"))
    assert kinds(log.events) == ["SessionQuarantined", "StopRepeated"]
    assert not log.one(StopRepeated).differs


def test_two_stops_that_fit_nothing_and_differ_wait_both() -> None:
    """A station may use one made-up id for all its transactions."""
    log = Heeded(stop("one", transaction="99"), stop("two", transaction="99", minutes=90))
    log.hear(stop("three", transaction="98", minutes=90))
    assert kinds(log.events) == ["SessionQuarantined"] * 3


def test_a_session_presumed_ended_is_not_ended_by_a_stop_without_its_id() -> None:
    log = Heeded(start(), start("new", minutes=90))
    assert kinds(log.hear(stop(transaction="-1"))) == ["SessionQuarantined"]


@pytest.mark.covers("X-24")
def test_x_24_a_stop_is_never_refused_whatever_was_decided_on_its_token() -> None:
    log = Heeded(start(), decision("stop", "Invalid", purpose="stop"), stop(token=OTHER))
    assert log.one(SessionEnded).energy_wh == 7000


@pytest.mark.covers("X-33")
def test_x_33_the_token_of_a_stop_may_be_another_and_both_are_recorded() -> None:
    log = Heeded(start(), stop(token=OTHER))
    assert (log.one(SessionStarted).token, log.one(SessionEnded).token) == (CARD, OTHER)


@pytest.mark.covers("X-26")
@pytest.mark.parametrize("reason", ["Rejected", "Timeout", "EVDisConnected", ""])
def test_x_26_a_reason_that_is_none_of_ocpps_is_other_and_kept(reason: str) -> None:
    ended = only(Heeded(start()).hear(stop(reason=reason)), SessionEnded)
    assert (ended.reason, ended.reason_said) == ("Other", reason)


def test_a_stop_before_its_start_by_the_stations_clock_says_so() -> None:
    ended = only(Heeded(start()).hear(stop(minutes=-5)), SessionEnded)
    assert (ended.energy_wh, ended.flags) == (7000, ("ended_before_start",))


# ---- energy (X-45) ---------------------------------------------------------------------------------------------------


@pytest.mark.covers("C-063", "X-45")
def test_c_063_a_register_that_went_back_says_nothing_of_the_energy() -> None:
    """X-45."""
    ended = only(Heeded(start()).hear(stop(meter_wh=900)), SessionEnded)
    assert (ended.meter_wh, ended.energy_wh, ended.flags) == (900, None, ("meter_went_back", "review"))


@pytest.mark.covers("X-45")
def test_x_45_a_stop_below_the_last_sample_says_so() -> None:
    ended = only(Heeded(start(), meters(reading(5000))).hear(stop(meter_wh=4990)), SessionEnded)
    assert (ended.energy_wh, ended.flags) == (3990, ("below_last_register",))


@pytest.mark.covers("X-45")
def test_x_45_without_a_register_at_the_stop_the_last_sample_counts() -> None:
    ended = only(Heeded(start(), meters(reading(5000))).hear(stop(meter_wh=-1)), SessionEnded)
    assert (ended.meter_wh, ended.energy_wh, ended.flags) == (5000, 4000, ("meter_stop_missing",))


@pytest.mark.covers("X-45")
def test_x_45_without_any_register_after_the_start_nobody_knows_the_energy() -> None:
    ended = only(Heeded(start()).hear(stop(meter_wh=None)), SessionEnded)
    assert (ended.meter_wh, ended.energy_wh, ended.flags) == (None, None, ("meter_stop_missing",))


@pytest.mark.covers("X-45")
def test_x_45_without_a_register_at_the_start_the_first_sample_counts() -> None:
    log = Heeded(start(meter_wh=None), meters(reading(5000)))
    ended = only(log.hear(stop()), SessionEnded)
    assert (ended.energy_wh, ended.flags) == (3000, ("meter_start_missing",))


@pytest.mark.covers("X-45")
def test_x_45_the_data_of_the_stop_fills_in_missing_registers() -> None:
    data = [
        reading(wh(2000, context="Transaction.Begin"), minutes=0),
        reading(wh(2700, context="Transaction.End"), minutes=60),
    ]
    ended = only(Heeded(start(meter_wh=None)).hear(stop(meter_wh=None, readings=data)), SessionEnded)
    assert (ended.meter_wh, ended.energy_wh) == (2700, 700)
    assert ended.flags == ("meter_start_missing", "meter_stop_missing")


# ---- transactionData (X-41) ------------------------------------------------------------------------------------------


@pytest.mark.covers("C-068", "X-41")
def test_c_068_a_sample_in_the_stop_that_came_as_meter_values_is_taken_once() -> None:
    """X-41."""
    log = Heeded(start(), meters(reading(1500, minutes=1), reading(2000, minutes=2)))
    events = log.hear(stop(readings=[reading(1500, minutes=1), reading(2000, minutes=2), reading(2500, minutes=3)]))
    taken = only(events, ReadingsTaken)
    assert taken.readings == (reading(2500, minutes=3),)
    assert (taken.session, taken.transaction, taken.evse, taken.connector) == (session_of("start"), "1", 1, 1)


@pytest.mark.covers("X-41")
def test_x_41_another_series_in_the_stop_is_taken() -> None:
    log = Heeded(start(), meters(reading(1500, minutes=1)))
    begin, power = wh(1000, context="Transaction.Begin"), Sample("7", "Power.Active.Import", "kW")
    events = log.hear(stop(readings=[reading(begin, minutes=0), reading(1500, power, minutes=1)]))
    watts = Sample("7000", "Power.Active.Import", "W")
    assert only(events, ReadingsTaken).readings == (reading(begin, minutes=0), reading(watts, minutes=1))


@pytest.mark.covers("C-068", "X-41")
def test_x_41_a_sample_in_the_stop_that_could_not_be_sent_when_it_was_measured_is_taken() -> None:
    log = Heeded(start(), meters(reading(1500, minutes=1)), meters(reading(2500, minutes=3), report="later"))
    data = [reading(1500, minutes=1), reading(2000, minutes=2), reading(2500, minutes=3)]
    assert only(log.hear(stop(readings=data)), ReadingsTaken).readings == (reading(2000, minutes=2),)


@pytest.mark.covers("X-41")
def test_x_41_as_many_samples_as_are_remembered_may_come_in_frames_of_several() -> None:
    log = Heeded(start())
    for n in range(1, MARKS - 2, 3):
        log.hear(meters(*(reading(1500 + each, minutes=each) for each in range(n, n + 3)), report=f"m {n}"))
    unsent = reading(1400, minutes=0.5)
    assert only(log.hear(stop(minutes=500, readings=[unsent])), ReadingsTaken).readings == (unsent,)


def test_x_41_where_not_all_samples_are_remembered_what_is_older_counts_as_heard() -> None:
    log = Heeded(start())
    for n in range(MARKS + 1):
        log.hear(meters(reading(1500 + n, minutes=n + 1), report=f"m {n}"))
    assert kinds(log.hear(stop(minutes=500, readings=[reading(1400, minutes=0.5)]))) == ["SessionEnded"]


def test_a_stop_whose_samples_are_all_known_takes_nothing() -> None:
    log = Heeded(start(), meters(reading(1500)))
    assert kinds(log.hear(stop(readings=[reading(1500), reading()]))) == ["SessionEnded"]


def test_the_data_of_a_quarantined_and_of_a_correcting_stop_is_kept() -> None:
    log = Heeded(start(), start("new", minutes=90), stop(readings=[reading(2000)]))
    log.hear(stop("lost", transaction="99", minutes=-9, readings=[reading(3000)]))
    assert [taken.session for taken in log.all(ReadingsTaken)] == [session_of("start"), session_of("lost")]
