from typing import Any

import pytest

from contracts.event import CommandId, SessionId
from contracts.gateways import StopCharging
from contracts.operations import StartCharge
from services.operations import commands, domain
from services.operations.station import MOST_GIVEN_UP, MOST_PAST
from tests.given import given
from tests.operations.said import (
    COMMAND,
    START,
    STOP,
    TOKEN,
    TRANSACTION,
    accepted,
    alive,
    answered,
    call_failed,
    call_sent,
    connected,
    cut_off,
    disconnected,
    expired,
    failed,
    fulfilled,
    heard,
    inventory,
    issued,
    lost,
    queued,
    rejected,
    requested,
    second,
    sent,
    session_corrected,
    session_ended,
    session_started,
    start_asked,
    state,
    ticked,
    token,
)

OTHER = CommandId("c-2")
NOTHING_CAME = "the station accepted it, and nothing came of it"


def asked(task: Any = START) -> tuple[Any, ...]:
    return connected(1), requested(task=task), queued()


def out(task: Any = START) -> tuple[Any, ...]:
    return *asked(task), sent()


def under_way(task: Any = START) -> tuple[Any, ...]:
    return *out(task), accepted()


def test_a_start_is_asked_of_the_gateway_that_has_the_station() -> None:
    """TC_010, TC_011_1."""
    assert given(domain, connected(1)).when(issued()) == [requested(), queued(), start_asked()]


def test_a_stop_is_asked_with_the_stations_name_for_the_transaction() -> None:
    """TC_012."""
    *_, call = given(domain, connected(1)).when(issued(task=STOP, token=None))
    assert call == start_asked().__class__(
        at=call.at,
        **{name: getattr(start_asked(), name) for name in ("tenant", "station", "gateway", "reply_to", "epoch")},
        command=COMMAND,
        call=StopCharging(transaction=TRANSACTION),
        expires_at=second(60),
    )


def test_a_command_heard_again_is_not_asked_again() -> None:
    assert given(domain, *asked()).when(issued(task=STOP)) == []


def test_a_command_that_is_over_is_not_asked_again() -> None:
    assert given(domain, *out(), rejected()).when(issued()) == []


def test_two_commands_at_once_are_both_at_the_gateway_which_has_one_slot() -> None:
    """C-043, T-43."""
    assert given(domain, *asked()).when(issued(OTHER)) == [requested(OTHER), queued(OTHER), start_asked(OTHER)]


def test_a_command_to_a_station_nobody_registered_fails() -> None:
    message = issued(registered=False)
    assert given(domain).when(message) == [
        requested(),
        failed("UnknownStation", detail="register the station first"),
    ]


def test_a_start_with_an_unknown_token_fails() -> None:
    assert given(domain, connected(1)).when(issued(token=None)) == [
        requested(),
        failed("UnknownToken", detail="register the token first"),
    ]


def test_a_start_with_a_token_whose_uid_nobody_knows_fails() -> None:
    assert given(domain, connected(1)).when(issued(token=token(uid=None))) == [
        requested(),
        failed("TokenWithoutUid", detail="only the token's id is known: register it with its uid"),
    ]


@pytest.mark.parametrize(
    "history", [(), (connected(1), disconnected(1)), (connected(1), lost(1, at=20))], ids=["never", "closed", "lost"]
)
def test_a_command_to_a_station_that_is_offline_fails_at_once(history: tuple[Any, ...]) -> None:
    """C-101."""
    assert given(domain, *history).when(issued()) == [
        requested(),
        failed("Offline", detail="the station is not connected; ask again when it is"),
    ]


def test_nothing_is_asked_of_a_station_whose_boot_was_not_accepted() -> None:
    """M-01, M-20."""
    assert given(domain, connected(1), inventory(boot_status="Pending")).when(issued()) == [
        requested(),
        failed("NotAccepted", detail="its boot was answered Pending: accept the station first"),
    ]


def test_a_station_whose_boot_was_accepted_is_asked() -> None:
    assert start_asked() in given(domain, connected(1), inventory()).when(issued())


def test_a_station_has_only_so_many_commands_under_way() -> None:
    history = [requested(CommandId(str(n))) for n in range(commands.MOST_OPEN)]
    assert given(domain, connected(1), *history).when(issued()) == [
        requested(),
        failed("TooManyCommands", detail="32 commands are under way: wait for one of them"),
    ]


def test_a_call_is_sent_once() -> None:
    assert given(domain, *asked()).when(call_sent(at=1)) == [sent(at=1)]
    assert given(domain, *out()).when(call_sent(at=1)) == []


def test_a_call_of_no_command_of_ours_changes_nothing() -> None:
    """C-042."""
    assert given(domain, connected(1)).when(call_sent()) == []
    assert given(domain, connected(1)).when(answered()) == []
    assert given(domain, connected(1)).when(call_failed("TimedOut")) == []


def test_a_station_accepts() -> None:
    assert given(domain, *out()).when(answered(at=2)) == [accepted(at=2)]


def test_an_answer_counts_even_where_its_sending_went_unheard() -> None:
    assert given(domain, *asked()).when(answered(at=2)) == [accepted(at=2)]


@pytest.mark.parametrize("status", ["Rejected", ""])
def test_a_station_rejects(status: str) -> None:
    """TC_026, TC_028, C-045."""
    assert given(domain, *out()).when(answered(status, at=2)) == [rejected(at=2, status=status)]


def test_an_answer_given_twice_counts_once() -> None:
    """C-042."""
    assert given(domain, *under_way()).when(answered("Rejected")) == []
    assert given(domain, *out(), rejected()).when(answered()) == []


def test_a_call_error_is_a_failure_with_its_code() -> None:
    """C-044."""
    message = call_failed("CallError", 2, code="NotSupported", description="no")
    assert given(domain, *out()).when(message) == [failed("CallError", 2, detail="NotSupported: no")]


@pytest.mark.parametrize("reason", ["TimedOut", "Disconnected", "NotSent", "Invalid"])
def test_a_call_that_fails_says_why(reason: str) -> None:
    assert given(domain, *out()).when(call_failed(reason, 2)) == [failed(reason, 2)]


def test_a_call_that_was_not_sent_in_time_has_expired() -> None:
    assert given(domain, *asked()).when(call_failed("NotSent", 60)) == [expired(60, "it was not sent in time")]


@pytest.mark.parametrize(
    "given_up", [failed("TimedOut"), cut_off(), expired(60, "")], ids=lambda event: event.__class__.__name__
)
def test_a_late_answer_still_counts(given_up: Any) -> None:
    """T-44, C-042."""
    history = *out(), given_up
    assert given(domain, *history).when(answered(at=70)) == [accepted(at=70, late=True)]
    assert given(domain, *history).when(answered("Rejected", at=70)) == [rejected(at=70, late=True)]


def test_an_answer_that_the_gateway_calls_late_is_late() -> None:
    assert given(domain, *out()).when(answered(late=True)) == [accepted(late=True)]


def test_a_late_call_error_is_recorded() -> None:
    history = *out(), failed("TimedOut")
    assert given(domain, *history).when(call_failed("CallError", 70, late=True)) == [failed("CallError", 70, late=True)]


def test_a_call_that_was_given_up_does_not_fail_again_without_an_answer() -> None:
    assert given(domain, *out(), cut_off()).when(call_failed("Disconnected")) == []


def test_a_late_acceptance_may_still_be_fulfilled() -> None:
    """T-44."""
    history = *out(), failed("TimedOut"), accepted(at=70, late=True)
    assert given(domain, *history).when(session_started(at=100)) == [fulfilled(at=100)]


def test_a_session_with_the_token_on_the_evse_fulfils_a_start() -> None:
    """TC_010, TC_011_1, M-20."""
    assert given(domain, *under_way()).when(session_started(at=100)) == [fulfilled(at=100)]


@pytest.mark.parametrize(
    "history",
    [asked(), out(), (*out(), failed("TimedOut")), (*under_way(), expired(120, NOTHING_CAME))],
    ids=["queued", "sent", "timed out", "expired before it was heard"],
)
def test_a_session_may_be_heard_of_before_or_without_an_answer(history: tuple[Any, ...]) -> None:
    assert given(domain, *history).when(session_started(at=100)) == [fulfilled(at=100)]


def test_a_start_on_any_evse_is_fulfilled_on_any() -> None:
    history = under_way(StartCharge(token=TOKEN))
    assert given(domain, *history).when(session_started(evse=4)) == [fulfilled()]


def test_a_session_with_another_token_or_on_another_evse_fulfils_nothing() -> None:
    """C-100."""
    assert given(domain, *under_way()).when(session_started(token="t-2")) == []
    assert given(domain, *under_way()).when(session_started(evse=2)) == []


def test_a_session_after_the_time_for_it_fulfils_nothing() -> None:
    """M-20, TC_011_2."""
    assert given(domain, *under_way()).when(session_started(at=121)) == []


def test_a_queued_start_from_before_the_command_fulfils_nothing() -> None:
    assert given(domain, *under_way()).when(session_started(at=-900, heard_at=5, offline=True)) == []


def test_a_start_that_the_station_reports_late_fulfils_its_command() -> None:
    history = *asked(), sent(), accepted(at=50)
    assert given(domain, *history).when(session_started(at=2, heard_at=130, offline=True)) == [fulfilled(at=2)]


def test_a_session_fulfils_one_command_and_that_is_the_accepted_one() -> None:
    history = *out(), failed("TimedOut"), requested(OTHER), sent(OTHER), accepted(OTHER)
    assert given(domain, *history).when(session_started(at=5)) == [fulfilled(at=5, command=OTHER)]
    assert given(domain, *history, fulfilled(5, command=OTHER)).when(session_started(at=5)) == []


def test_of_two_accepted_starts_the_older_is_fulfilled_first() -> None:
    history = *under_way(), requested(OTHER), sent(OTHER), accepted(OTHER)
    assert given(domain, *history).when(session_started(at=5)) == [fulfilled(at=5)]
    again = session_started(at=6, session=SessionId("s-2"))
    assert given(domain, *history, fulfilled(5)).when(again) == [
        fulfilled(at=6, command=OTHER, session=SessionId("s-2"))
    ]


@pytest.mark.parametrize("over", [session_ended(at=5), session_corrected(at=5)], ids=["ended", "corrected"])
def test_the_end_of_the_session_fulfils_a_stop(over: Any) -> None:
    """TC_012, M-21."""
    assert given(domain, *under_way(STOP)).when(over) == [fulfilled(at=5)]


def test_the_end_of_another_session_fulfils_nothing() -> None:
    assert given(domain, *under_way(STOP)).when(session_ended(session=SessionId("s-9"))) == []


def test_the_end_of_a_session_fulfils_no_start_and_its_begin_no_stop() -> None:
    assert given(domain, *under_way()).when(session_ended()) == []
    assert given(domain, *under_way(STOP)).when(session_started()) == []


def test_the_end_of_a_session_long_after_a_stop_is_not_its_effect() -> None:
    assert given(domain, *under_way(STOP)).when(session_ended(at=121)) == []


def test_an_end_heard_again_fulfils_nothing_more() -> None:
    assert given(domain, *under_way(STOP), fulfilled()).when(session_ended()) == []


@pytest.mark.parametrize(
    ("history", "detail"),
    [(asked(), "it was not sent in time"), (out(), "the station did not answer in time")],
    ids=["queued", "sent"],
)
def test_a_command_expires(history: tuple[Any, ...], detail: str) -> None:
    assert given(domain, *history).when(ticked(60, alive(1, at=59))) == [expired(60, detail)]


def test_a_command_whose_time_has_not_come_does_not_expire() -> None:
    assert given(domain, *asked()).when(ticked(59, alive(1, at=58))) == []


@pytest.mark.covers("Q-72")
def test_an_accepted_start_without_a_session_expires() -> None:
    """TC_011_2, C-100, M-20."""
    assert given(domain, *under_way()).when(ticked(120, alive(1, at=119))) == [expired(120, NOTHING_CAME)]


def test_what_is_given_up_does_not_expire_again() -> None:
    history = *under_way(), expired(120, NOTHING_CAME)
    assert given(domain, *history).when(ticked(900, alive(1, at=899))) == []


def test_a_fruitless_command_is_not_answered_again() -> None:
    history = *under_way(), expired(120, NOTHING_CAME)
    assert given(domain, *history).when(answered(at=130)) == []


def test_the_deadline_is_that_of_the_next_command() -> None:
    assert domain.deadline(state(*asked(), requested(OTHER, at=-30)), alive(1, at=100)) == second(30)
    assert domain.deadline(state(*under_way()), alive(1, at=110)) == second(120)
    assert domain.deadline(state(disconnected(1), requested(), failed("Offline")), {}) is None


def test_past_commands_are_remembered_by_their_ids_and_only_so_many() -> None:
    history = [
        event
        for n in range(MOST_PAST + 5)
        for event in (requested(CommandId(str(n))), failed("Offline", command=CommandId(str(n))))
    ]
    known = state(*history)
    assert known.commands == ()
    assert known.past == tuple(str(n) for n in range(5, MOST_PAST + 5))


def test_only_the_newest_commands_given_up_wait_for_a_late_answer() -> None:
    ids = [CommandId(str(n)) for n in range(MOST_GIVEN_UP + 2)]
    history = [event for id in ids for event in (requested(id), failed("TimedOut", command=id))]
    known = state(connected(1), *history)
    assert [command.id for command in known.commands] == ids[2:]
    assert known.past == tuple(ids[:2])


def test_a_fulfilment_without_a_session_links_none() -> None:
    event = fulfilled()
    known = state(
        *under_way(), event.__class__(at=event.at, tenant=event.tenant, station=event.station, command=COMMAND)
    )
    assert (known.sessions, known.past) == ((), (COMMAND,))


def test_a_step_of_an_unknown_command_changes_nothing() -> None:
    assert state(connected(1), sent(), accepted()) == state(connected(1))


def test_other_events_of_a_session_change_nothing() -> None:
    from contracts.sessions import EnergyDelivered

    delivered = EnergyDelivered(
        at=second(0),
        tenant=connected(1).tenant,
        station=connected(1).station,
        session=SessionId("s-1"),
        energy_wh=1,
        meter_wh=1,
    )
    assert given(domain, *under_way()).when(heard(delivered)) == []
