import pytest
from msgspec.structs import replace

from services.operations import domain
from services.operations.station import Offline, Online
from tests.given import given
from tests.operations.said import (
    COMMAND,
    accepted,
    alive,
    answered,
    call_failed,
    close_asked,
    closed,
    connected,
    cut_off,
    disconnected,
    expired,
    heartbeat,
    inventory,
    lost,
    opened,
    queued,
    recovered,
    requested,
    second,
    sent,
    state,
    ticked,
)


def test_a_station_connects() -> None:
    assert given(domain).when(opened(0)) == [connected(0)]


def test_a_newer_connection_replaces_a_half_open_one_without_a_disconnection() -> None:
    """C-020, T-62."""
    assert given(domain, connected(1)).when(opened(2, at=5)) == [connected(2, at=5), close_asked(1, by=2, at=5)]


def test_the_close_of_a_superseded_connection_goes_to_its_own_gateway() -> None:
    *_, close = given(domain, connected(1)).when(opened(2))
    assert close == close_asked(1, by=2)


def test_a_connection_opened_heard_again_changes_nothing() -> None:
    assert given(domain, connected(1)).when(opened(1)) == []


def test_an_older_connection_heard_of_late_is_closed_and_changes_nothing() -> None:
    assert given(domain, connected(7)).when(opened(3)) == [close_asked(3, by=7)]


def test_a_closed_connection_is_a_disconnection() -> None:
    assert given(domain, connected(1)).when(closed(1, at=9)) == [disconnected(1, at=9)]


def test_a_late_close_of_an_old_connection_changes_nothing() -> None:
    """C-021, T-63."""
    assert given(domain, connected(1), connected(2)).when(closed(1)) == []


def test_a_close_heard_again_changes_nothing() -> None:
    assert given(domain, connected(1), disconnected(1)).when(closed(1)) == []


def test_a_close_of_a_station_that_never_connected_changes_nothing() -> None:
    assert given(domain).when(closed(1)) == []


def test_a_station_that_comes_back_after_a_close_has_nothing_to_close() -> None:
    assert given(domain, connected(1), disconnected(1)).when(opened(2)) == [connected(2)]


@pytest.mark.covers("Q-16", "T-11")
def test_q_16_a_short_probe_says_nothing_of_how_the_next_connection_speaks() -> None:
    """It comes back in another version, after a gap of up to 19 minutes; each connection has its own."""
    probed = connected(1), disconnected(1, at=2)
    later = opened(2, at=19 * 60)
    spoken = replace(later.event, protocol="ocpp2.0.1")
    [found] = given(domain, *probed).when(replace(later, event=spoken))
    assert found == replace(connected(2, at=19 * 60), protocol="ocpp2.0.1")
    assert given(domain, *probed, found).when(closed(1, at=1200)) == []
    known = state(*probed, found, disconnected(2, at=1300), connected(3, at=1400))
    assert isinstance(known.connection, Online)
    assert known.connection.epoch == 3


def test_calls_in_flight_fail_as_disconnected_when_the_connection_closes() -> None:
    """T-46."""
    history = connected(1), requested(), queued(), sent()
    assert given(domain, *history).when(closed(1, at=9)) == [disconnected(1, at=9), cut_off(9)]


def test_a_call_still_queued_fails_as_disconnected_when_a_newer_connection_opens_and_is_not_asked_again() -> None:
    """T-46, C-024: the new connection gets no call of the old one."""
    history = connected(1), requested(), queued()
    assert given(domain, *history).when(opened(2, at=9)) == [
        connected(2, at=9),
        cut_off(9),
        close_asked(1, by=2, at=9),
    ]


def test_an_accepted_command_outlives_its_connection() -> None:
    history = connected(1), requested(), queued(), sent(), accepted()
    assert given(domain, *history).when(closed(1)) == [disconnected(1)]


def test_a_gateway_silent_for_20_seconds_has_lost_its_stations() -> None:
    """C-024."""
    history = connected(1), requested(at=30), queued(at=30)
    assert given(domain, *history).when(ticked(60, alive(1, at=40))) == [lost(1, at=60), cut_off(60)]


def test_a_gateway_that_lives_after_all_has_lost_nothing() -> None:
    assert given(domain, connected(1)).when(ticked(60, alive(1, at=45))) == []


def test_a_gateway_never_heard_of_is_silent_since_the_connection_opened() -> None:
    assert given(domain, connected(1)).when(ticked(20, noticed=20)) == [lost(1, at=20)]


def test_a_connection_whose_gateway_has_gone_without_closing_it_ends_when_that_is_noticed() -> None:
    """Nobody knows when it ended: not 20 s after it opened, hours ago."""
    assert given(domain, connected(1)).when(ticked(20, noticed=7200)) == [lost(1, at=7200)]


def test_a_sign_of_life_from_before_the_connection_does_not_shorten_it() -> None:
    assert given(domain, connected(1, at=30)).when(ticked(45, alive(1, at=25))) == []


def test_a_closed_connection_is_not_lost_as_well() -> None:
    assert given(domain, connected(1), disconnected(1)).when(ticked(60)) == []


def test_a_command_that_expires_at_the_deadline_of_its_connection_fails_once() -> None:
    history = connected(1), requested(), queued()
    assert given(domain, *history).when(ticked(60, alive(1, at=40))) == [
        expired(60, "it was not sent in time"),
        lost(1, at=60),
    ]


def test_a_lost_connection_that_speaks_has_recovered() -> None:
    assert given(domain, connected(1), lost(1, at=60)).when(heartbeat(1, at=61)) == [recovered(1, at=61)]


def test_a_recovered_connection_needs_no_second_recovery() -> None:
    history = inventory(), connected(1), lost(1, at=60), recovered(1, at=61)
    assert given(domain, *history).when(heartbeat(1, at=62)) == []


def test_a_report_from_before_the_loss_recovers_nothing() -> None:
    assert given(domain, connected(1), lost(1, at=60)).when(heartbeat(1, at=59)) == []


def test_a_report_of_another_connection_recovers_nothing() -> None:
    assert given(domain, connected(0), connected(1), lost(1, at=60)).when(heartbeat(0, at=61)) == []


def test_a_call_that_failed_with_its_connection_is_no_sign_of_life() -> None:
    assert given(domain, connected(1), lost(1, at=60)).when(call_failed("Disconnected", 61)) == []


def test_a_late_answer_recovers_the_connection_and_still_counts() -> None:
    """T-44, T-46."""
    history = connected(1), requested(), queued(), sent(), lost(1, at=60), cut_off(60)
    assert given(domain, *history).when(answered(at=61)) == [recovered(1, at=61), accepted(at=61, late=True)]


def test_the_close_of_a_lost_connection_corrects_what_was_inferred() -> None:
    assert given(domain, connected(1), lost(1, at=60)).when(closed(1, at=50)) == [disconnected(1, at=50)]


def test_a_new_connection_closes_a_lost_one_whose_gateway_may_live() -> None:
    history = connected(1), lost(1, at=60)
    assert given(domain, *history).when(opened(2, at=70)) == [connected(2, at=70), close_asked(1, by=2, at=70)]


def test_a_recovered_connection_is_watched_from_its_recovery() -> None:
    history = connected(1), lost(1, at=20), recovered(1, at=30)
    assert domain.deadline(state(*history), {}) == second(50)


def test_the_deadline_of_a_connection_moves_with_the_signs_of_life() -> None:
    assert domain.deadline(state(connected(1)), alive(1, at=40)) == second(60)


def test_a_closed_connection_has_no_deadline() -> None:
    assert domain.deadline(state(connected(1), disconnected(1)), {}) is None


def test_a_recovery_of_a_connection_that_was_never_lost_changes_nothing() -> None:
    assert state(connected(1), recovered(1, at=5)) == state(connected(1))


def test_the_newest_connection_is_what_is_known() -> None:
    assert state(connected(1), connected(2)).connection == Online(2, connected(2).gateway, 102, second(0))
    assert state(connected(1), disconnected(1)).connection == Offline(1)


def test_a_queued_command_is_under_way_until_its_connection_ends() -> None:
    assert state(connected(1), requested(), queued()).command(COMMAND) is not None
