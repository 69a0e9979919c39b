"""Starts: M-04, X-01 to X-10, X-14, X-20, X-30, X-40."""

from datetime import timedelta, timezone

import msgspec
import pytest
from msgspec.structs import replace

from contracts.authorizations import TokenInfo, TokenStatus
from contracts.event import SiteId, TransactionId
from contracts.gateways import StartAnswered
from contracts.sessions import (
    Account,
    AnswerOwed,
    ChargingBegan,
    ChargingOver,
    EnergyDelivered,
    SessionAuthorized,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionStarted,
    StartRepeated,
)
from services.sessions import domain
from services.sessions.heard import Heard
from services.sessions.state import OPEN
from tests.given import given
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
    site=SiteId("oslo"),
    time_zone="Europe/Oslo",
    account=Account(site=SiteId("oslo"), time_zone="Europe/Oslo", register_wh=1000),
)
OWED = AnswerOwed(
    at=NOON,
    tenant=ACME,
    station=STATION,
    session=session_of("start"),
    report="start",
    purpose="start",
    message_id='"m"',
    gateway=GATEWAY,
    reply_to=3,
    epoch=7,
)
AUTHORIZED = SessionAuthorized(
    at=NOON, tenant=ACME, station=STATION, session=session_of("start"), info=TokenInfo("Accepted")
)
BEGAN = ChargingBegan(
    at=NOON,
    tenant=ACME,
    station=STATION,
    session=session_of("start"),
    token=CARD,
    evse=1,
    connector=1,
    started_at=NOON,
    transaction=TransactionId("1"),
)
ANSWERED = StartAnswered(
    at=NOON,
    tenant=ACME,
    station=STATION,
    gateway=GATEWAY,
    reply_to=3,
    epoch=7,
    message_id='"m"',
    report="start",
    transaction=TransactionId("1"),
    info=TokenInfo("Accepted"),
)


@pytest.mark.covers("M-04")
def test_m_04_a_start_begins_a_session_and_its_answer_waits_for_the_token() -> None:
    assert given(domain).when(start()) == [STARTED, OWED]


def test_of_the_uid_of_a_start_and_of_a_stop_is_kept_what_may_be_seen() -> None:
    log = Heeded(start(masked_uid="…01"), stop(masked_uid="…02"))
    assert (log.one(SessionStarted).masked_uid, log.one(SessionEnded).masked_uid) == ("…01", "…02")


@pytest.mark.covers("M-04")
def test_m_04_the_answer_follows_the_decision() -> None:
    assert given(domain, STARTED, OWED).when(decision()) == [AUTHORIZED, BEGAN, ANSWERED]


def test_a_decision_heard_before_its_start_is_kept_for_it() -> None:
    log = Heeded(decision())
    assert kinds(log.events) == ["DecisionHeardEarly"]
    assert log.hear(start()) == [STARTED, OWED, AUTHORIZED, BEGAN, ANSWERED]
    assert (log.state.early, log.state.owed) == ((), ())


@pytest.mark.covers("X-01")
def test_x_01_transaction_ids_are_positive_and_count_up_from_one() -> None:
    log = Heeded(*(start(f"start {n}", evse=n) for n in range(1, 5)))
    assert [event.transaction for event in log.all(SessionStarted)] == ["1", "2", "3", "4"]


@pytest.mark.covers("X-02")
def test_x_02_a_session_is_named_by_its_first_report_and_the_transaction_is_an_attribute() -> None:
    started = Heeded(start("abc")).one(SessionStarted)
    assert (started.session, started.transaction) == (session_of("abc"), "1")


@pytest.mark.covers("C-050")
def test_c_050_a_start_repeated_under_the_same_message_id_gets_the_same_answer() -> None:
    log = Heeded(start(), decision())
    assert log.hear(start("again")) == [
        StartRepeated(at=NOON, tenant=ACME, station=STATION, session=session_of("start"), report="again"),
        msgspec.structs.replace(ANSWERED, report="again"),
    ]


@pytest.mark.covers("C-051", "C-081", "X-10")
def test_c_051_a_start_repeated_over_another_gateway_is_the_same_start() -> None:
    """Also C-081 and X-10: the first answer was lost with its gateway."""
    log = Heeded(start(), decision())
    events = log.hear(start("again", message_id='"n"'))
    assert only(events, StartAnswered).transaction == "1"
    assert len(log.all(SessionStarted)) == 1


@pytest.mark.covers("X-10")
def test_x_10_a_start_repeated_before_the_decision_is_answered_with_the_first() -> None:
    log = Heeded(start(), start("again", message_id='"n"'))
    answers = [event for event in log.hear(decision()) if isinstance(event, StartAnswered)]
    assert [(answer.message_id, answer.transaction) for answer in answers] == [('"m"', "1"), ('"n"', "1")]
    assert kinds(log.hear(decision("again", "ConcurrentTx"))) == []


@pytest.mark.covers("X-10")
def test_x_10_a_decision_on_the_repetition_serves_both() -> None:
    log = Heeded(start(), decision("again", "Blocked"), start("again"))
    assert [answer.info.status for answer in log.all(StartAnswered)] == ["Blocked", "Blocked"]
    assert kinds(log.hear(decision())) == []


@pytest.mark.covers("C-052")
def test_c_052_a_start_repeated_after_the_stop_leaves_the_session_closed() -> None:
    log = Heeded(start(), decision(), stop())
    events = log.hear(start("again"))
    assert kinds(events) == ["StartRepeated", "StartAnswered"]
    assert log.state.open == ()


@pytest.mark.covers("X-10")
@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_x_10_a_start_repeated_long_after_its_session_is_forgotten_is_answered_as_at_first(status: TokenStatus) -> None:
    log = Heeded(start(), decision(status=status), stop())
    for n in range(2, 400):
        log.hear(start(f"start {n}", minutes=60 * n))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=60 * n + 30))
    assert log.state.session(session_of("start")) is None
    answer = only(log.hear(start("again")), StartAnswered)
    assert (answer.transaction, answer.info) == ("1", TokenInfo(status))


@pytest.mark.covers("X-10")
def test_x_10_an_answer_owed_to_a_forgotten_session_stays_owed() -> None:
    log = Heeded(start(transaction=TransactionId("station's own")), decision(), stop(transaction="station's own"))
    for n in range(400):
        log.hear(start(f"start {n}", minutes=60 * n + 60))
        log.hear(stop(f"stop {n}", transaction=str(n + 1), minutes=60 * n + 90))
    assert kinds(log.hear(start("again"))) == ["StartRepeated", "AnswerOwed"]


@pytest.mark.covers("C-053")
def test_c_053_a_start_repeated_with_its_id_tag_in_another_case_is_the_same_start() -> None:
    """The token's id is that of the folded uid; what is shown of the uid does not count."""
    log = Heeded(start(masked_uid="04A1..."), decision())
    assert kinds(log.hear(start("again", masked_uid="04a1..."))) == ["StartRepeated", "StartAnswered"]


@pytest.mark.covers("C-054")
def test_c_054_two_starts_in_the_same_moment_on_two_connectors_are_two_sessions() -> None:
    log = Heeded(start("one", evse=1), start("two", evse=2))
    assert [(e.session, e.transaction) for e in log.all(SessionStarted)] == [
        (session_of("one"), "1"),
        (session_of("two"), "2"),
    ]


@pytest.mark.covers("C-055", "X-30", "TC_037_3")
def test_c_055_a_start_with_a_refused_token_is_a_session_all_the_same() -> None:
    """X-30, TC_037_3: energy may flow until the station stops."""
    log = Heeded(start(), decision(status="Invalid"), meters(reading(1500)), stop(reason="DeAuthorized"))
    answer, authorized, ended = log.one(StartAnswered), log.one(SessionAuthorized), log.one(SessionEnded)
    assert (answer.transaction, answer.info.status) == ("1", "Invalid")
    assert (authorized.flags, ended.flags, ended.energy_wh) == (("refused",), ("refused",), 7000)


def test_a_refused_start_does_not_keep_its_token_from_charging_elsewhere() -> None:
    log = Heeded(start(), decision(status="Blocked"), stop())
    assert log.all(ChargingBegan, ChargingOver) == []


def test_a_car_that_is_gone_when_its_token_is_decided_on_is_not_charging() -> None:
    log = Heeded(start(), stop(), decision())
    assert (log.all(ChargingBegan, ChargingOver), log.one(StartAnswered)) == ([], ANSWERED)


@pytest.mark.covers("X-40")
def test_x_40_a_start_told_late_is_marked_offline() -> None:
    assert Heeded(start(offline=True)).one(SessionStarted).offline


def test_a_start_without_a_register_says_so() -> None:
    for nothing in (None, -1):
        started = Heeded(start(meter_wh=nothing)).one(SessionStarted)
        assert (started.meter_wh, started.flags) == (None, ("meter_start_missing",))


def test_a_record_heard_twice_is_heard_once() -> None:
    log = Heeded(start(), decision())
    assert kinds(log.hear(start())) == []


def test_a_start_with_no_time_of_its_own_is_told_from_its_repetition_by_everything_else() -> None:
    log = Heeded(start(at_is_ours=True), decision())
    assert kinds(log.hear(start("again", minutes=1, at_is_ours=True))) == ["StartRepeated", "StartAnswered"]
    log.hear(meters(reading(2000)))
    assert kinds(log.hear(start("new", minutes=2, at_is_ours=True)))[0] == "SessionPresumedEnded"


def test_a_start_with_no_time_of_its_own_repeated_before_the_decision_waits_as_well() -> None:
    log = Heeded(start(at_is_ours=True))
    assert kinds(log.hear(start("again", minutes=1, at_is_ours=True))) == ["StartRepeated", "AnswerOwed"]


def test_a_call_with_an_outlandish_message_id_is_left_to_the_gateway() -> None:
    log = Heeded(start(message_id="9" * 300), decision())
    assert kinds(log.events) == ["SessionStarted", "SessionAuthorized", "ChargingBegan"]


# ---- one car per connector (X-20) ------------------------------------------------------------------------------------


@pytest.mark.covers("C-059", "X-20", "X-23")
def test_c_059_a_new_start_on_a_busy_connector_ends_the_old_session_and_its_stop_corrects_it() -> None:
    """X-20, X-23."""
    log = Heeded(start(), decision(), meters(reading(1500)))
    events = log.hear(start("new", minutes=30, meter_wh=1600))
    assert kinds(events) == ["SessionPresumedEnded", "ChargingOver", "SessionStarted", "AnswerOwed"]
    presumed = only(events, SessionPresumedEnded)
    assert (presumed.session, presumed.meter_wh, presumed.energy_wh) == (session_of("start"), 1500, 500)
    corrected = only(log.hear(stop(meter_wh=1590, minutes=29)), SessionCorrected)
    assert (corrected.session, corrected.energy_wh, corrected.at) == (session_of("start"), 590, at(29))
    assert [session.id for session in log.state.open] == [session_of("new")]


@pytest.mark.covers("X-20")
def test_x_20_without_a_sample_the_energy_of_the_old_session_is_unknown() -> None:
    presumed = Heeded(start(), start("new", minutes=30)).one(SessionPresumedEnded)
    assert (presumed.meter_wh, presumed.energy_wh, presumed.reason) == (1000, None, "NewTransaction")


@pytest.mark.covers("X-20")
def test_x_20_a_start_reported_late_does_not_end_the_session_that_came_after_it() -> None:
    log = Heeded(start("later", minutes=30), decision("later"))
    log.hear(start("earlier", minutes=0))
    presumed = log.one(SessionPresumedEnded)
    assert (presumed.session, presumed.at) == (session_of("earlier"), at(30))
    assert [session.id for session in log.state.open] == [session_of("later")]
    assert only(log.hear(stop("its stop", transaction="2", minutes=20)), SessionCorrected).energy_wh == 7000


@pytest.mark.covers("X-20", "X-43")
def test_x_43_a_start_below_what_has_been_read_since_came_late_by_a_clock_that_is_right() -> None:
    log = Heeded(start(), meters(reading(5000)), start("earlier", minutes=-30, meter_wh=3000))
    assert log.one(SessionPresumedEnded).session == session_of("earlier")
    assert [session.id for session in log.state.open] == [session_of("start")]


@pytest.mark.covers("X-14", "X-45")
def test_x_14_a_session_whose_stop_came_first_was_counted_by_its_registers() -> None:
    ended = Heeded(stop(transaction="-1"), start()).one(SessionEnded)
    assert (ended.energy_wh, ended.energy_source) == (7000, "register")


def test_a_station_with_too_many_open_sessions_loses_sight_of_the_oldest() -> None:
    log = Heeded(*(start(f"start {n}", evse=n) for n in range(1, OPEN + 2)))
    assert log.one(SessionPresumedEnded).session == session_of("start 1")
    assert len(log.state.open) == OPEN


# ---- the stop came first (X-14) --------------------------------------------------------------------------------------


@pytest.mark.covers("C-058", "X-14")
def test_c_058_a_stop_heard_before_its_start_is_paired_with_it() -> None:
    """X-14: the session's id is of its first report, the stop."""
    log = Heeded(stop(transaction="-1", token=CARD, reason="PowerLoss"))
    assert log.one(SessionQuarantined).session == session_of("stop")
    events = log.hear(start())
    started, ended = only(events, SessionStarted), only(events, SessionEnded)
    assert kinds(events) == ["SessionStarted", "SessionEnded", "AnswerOwed"]
    assert (started.session, started.transaction, started.flags) == (session_of("stop"), "1", ("paired",))
    assert (ended.session, ended.report, ended.at, ended.reason) == (session_of("stop"), "stop", at(60), "PowerLoss")
    assert (ended.meter_wh, ended.energy_wh, ended.token) == (8000, 7000, CARD)
    assert (log.state.open, len(log.state.closed)) == ((), 1)
    assert only(log.hear(decision()), StartAnswered).transaction == "1"
    assert kinds(log.hear(start("again"))) == ["StartRepeated", "StartAnswered"]
    assert kinds(log.hear(stop("again too", transaction="-1", token=CARD))) == ["StopRepeated", "AnswerOwed"]


@pytest.mark.covers("X-14")
def test_x_14_a_start_that_does_not_fit_the_stop_is_a_session_of_its_own() -> None:
    for other in (start(minutes=61), start(token=OTHER), start(meter_wh=8001)):
        log = Heeded(stop(transaction="-1", token=CARD))
        assert kinds(log.hear(other)) == ["SessionStarted", "AnswerOwed"]


@pytest.mark.covers("X-14")
def test_x_14_a_start_that_fits_two_stops_is_paired_with_neither() -> None:
    log = Heeded(stop("one", transaction="-1"), stop("two", transaction="-1", minutes=61))
    assert kinds(log.hear(start())) == ["SessionStarted", "AnswerOwed"]


@pytest.mark.covers("X-14")
def test_x_14_a_pair_without_registers_has_no_energy() -> None:
    log = Heeded(stop(transaction="-1", meter_wh=None), start(meter_wh=None))
    ended = log.one(SessionEnded)
    assert (ended.meter_wh, ended.energy_wh) == (None, None)
    assert ended.flags == ("meter_start_missing", "paired", "meter_stop_missing")


# ---- undecided -------------------------------------------------------------------------------------------------------


def test_a_start_repeated_after_the_gateway_answered_by_itself_hears_the_same() -> None:
    log = Heeded(start(), undecided(), decision(status="Blocked"))
    answer = only(log.hear(start("again")), StartAnswered)
    assert (answer.transaction, answer.info.status) == ("1073741999", "Accepted")


def test_energy_counts_from_the_start_whoever_decided() -> None:
    log = Heeded(start(), undecided(), meters(reading(1700), transaction="1073741999"))
    assert log.one(EnergyDelivered).energy_wh == 700


@pytest.mark.covers("X-10")
def test_x_10_a_start_repeated_in_another_time_zone_is_the_same_start() -> None:
    log = Heeded(start(), decision())
    in_oslo = replace(start().event, at=NOON.astimezone(timezone(timedelta(hours=1))))
    assert kinds(log.hear(Heard(in_oslo, "again"))) == ["StartRepeated", "StartAnswered"]
