"""What is counted, and when it is an alert."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.alerts import AlertCleared, AlertRaised
from contracts.event import Message
from services.monitoring import domain
from services.monitoring.domain import NOTHING, Happening, Limit, Open, Seen, Starts, Subject
from tests.monitoring.said import (
    ACME,
    STOP,
    authorized,
    clock,
    connected,
    decided,
    delivered,
    ended,
    expired,
    failed,
    faulted,
    fulfilled,
    heard,
    heartbeat,
    of,
    raised,
    rejected,
    requested,
    second,
    silent,
)

STATION = Subject("flapping_connection", **of())
TWICE = Limit(2, timedelta(seconds=60))
PENDING: Starts = {requested().command: second(0)}


def happening(event: Any, **starts: Any) -> Happening | None:
    return domain.happening(Message(event, "ce", second(1), 7), starts.get("starts", {}))


@pytest.mark.parametrize(
    ("event", "subject", "detail"),
    [
        (faulted(), Subject("repeated_faults", **of(), evse=1, connector=1), "GroundFailure"),
        (faulted(info="hot"), Subject("repeated_faults", **of(), evse=1, connector=1), "GroundFailure: hot"),
        (faulted(evse=0, connector=0), Subject("repeated_faults", **of()), "GroundFailure"),
        (connected(), STATION, "from 203.0.113.9"),
        (connected(address=""), STATION, ""),
        (decided(status="Blocked"), Subject("refused_starts", **of()), "Blocked"),
        (silent(), Subject("silent_meter", **of(), evse=2, connector=1), "session s-1"),
        (clock(), Subject("wrong_clock", **of()), "660 s behind"),
        (clock(behind_s=-90), Subject("wrong_clock", **of()), "90 s ahead"),
    ],
)
def test_what_is_counted_names_its_subject_and_what_it_was(event: Any, subject: Subject, detail: str) -> None:
    assert happening(event) == Happening(subject, second(1), 7, detail)


@pytest.mark.parametrize(
    "event",
    [
        faulted(status="Available"),
        heartbeat(),
        decided(status="Accepted"),
        decided(purpose="authorize"),
        requested(),
        rejected(),
        failed(),
        expired(),
        fulfilled(),
        authorized(),
        delivered(),
        ended(),
        clock(behind_s=0),
    ],
)
def test_nothing_else_is_counted(event: Any) -> None:
    assert happening(event) is None


@pytest.mark.parametrize(
    ("event", "detail"),
    [(rejected(), "the station answered Rejected"), (failed(), "Offline"), (expired(), "its time ran out")],
)
def test_a_remote_start_that_came_to_nothing_is_counted(event: Any, detail: str) -> None:
    counted = happening(event, starts=PENDING)
    assert counted == Happening(Subject("failed_starts", **of()), second(1), 7, detail)


def test_a_remote_start_that_charges_is_not_counted() -> None:
    assert happening(fulfilled(), starts=PENDING) is None


@pytest.mark.parametrize("outcome", [rejected(), failed(), expired(), fulfilled()])
def test_a_start_has_one_outcome_and_is_then_forgotten(outcome: Any) -> None:
    [message] = heard([outcome])
    assert domain.started(PENDING, message) == {}


def test_only_starts_are_remembered_and_not_for_ever() -> None:
    [start, stop, later] = heard([requested(0), requested(1, "c-2", STOP), requested(7_201, "c-3")])
    assert domain.started(domain.started({}, start), stop) == PENDING
    assert list(domain.started(PENDING, later)) == ["c-3"]


@pytest.mark.covers("Q-60")
def test_q_60_energy_that_flows_a_minute_after_its_token_was_refused_is_counted() -> None:
    refused = domain.started({}, heard([authorized(0)])[0])
    assert happening(delivered(60), starts=refused) is None
    counted = happening(delivered(61), starts=refused)
    assert counted == Happening(Subject("charging_refused", **of()), second(1), 7, "session s-1 is at 500 Wh")
    assert happening(delivered(61, "s-2"), starts=refused) is None


@pytest.mark.covers("Q-60")
def test_q_60_what_was_accepted_or_is_over_is_not_remembered_as_refused() -> None:
    [accepted, refused, other, over] = heard(
        [authorized(0, "Accepted"), authorized(1), authorized(2, "Blocked", "s-2"), ended(3)]
    )
    assert domain.started({}, accepted) == {}
    both = domain.started(domain.started({}, refused), other)
    assert domain.started(both, over) == {"s-2": second(2)}
    [late] = heard([authorized(7_300, "Expired", "s-3")])
    assert list(domain.started(both, late)) == ["s-3"]


def at(seconds: float, place: int = 0) -> Happening:
    return Happening(STATION, second(seconds), place, "from 203.0.113.9")


def test_what_happens_often_enough_within_the_window_is_an_alert() -> None:
    seen, alerts = domain.counted(Seen((second(0),)), at(59, place=5), TWICE)
    assert alerts == [
        AlertRaised(
            at=second(59),
            **of(),
            alert=STATION.alert(second(0)),
            rule="flapping_connection",
            place=5,
            since=second(0),
            count=2,
            within_s=60,
            detail="from 203.0.113.9",
        )
    ]
    assert seen == Seen((second(0), second(59)), Open(STATION.alert(second(0)), second(59)))


def test_what_lies_outside_the_window_is_not_counted() -> None:
    assert domain.counted(Seen((second(0),)), at(60), TWICE) == (Seen((second(60),)), [])


def test_an_open_alert_is_not_raised_again() -> None:
    seen, _ = domain.counted(Seen((second(0),)), at(10), TWICE)
    longer, alerts = domain.counted(seen, at(20), TWICE)
    assert (longer.open, alerts) == (seen.open, [])
    assert domain.deadline(longer, TWICE) == second(80)


OPEN = Seen((second(0), second(10)), Open(STATION.alert(second(0)), second(10)))


def test_an_alert_is_cleared_when_a_whole_window_was_quiet() -> None:
    assert domain.passed(OPEN, STATION, second(69.9), 9, TWICE) == (OPEN, [])
    seen, [alert] = domain.passed(OPEN, STATION, second(75), 9, TWICE)
    assert alert == AlertCleared(
        at=second(70),
        **of(),
        alert=STATION.alert(second(0)),
        rule="flapping_connection",
        place=9,
        reason="quiet",
    )
    assert seen == Seen(OPEN.times)


def test_what_happens_after_the_quiet_clears_it_first_and_counts_anew() -> None:
    seen, [cleared] = domain.counted(OPEN, at(70, place=12), TWICE)
    assert (cleared.at, cleared.place, seen) == (second(70), 11, Seen((second(70),)))
    once = Limit(1, timedelta(seconds=60))
    _, [cleared, again] = domain.counted(OPEN, at(100, place=12), once)
    assert (cleared.at, again.at, again.place) == (second(70), second(100), 12)
    assert again.alert != cleared.alert


def test_after_a_day_what_goes_on_is_a_new_alert() -> None:
    day = 86_400
    seen = Seen((second(day - 5), second(day)), Open(STATION.alert(second(0)), second(10)))
    assert domain.deadline(seen, TWICE) == second(day + 10)
    _, [cleared, again] = domain.counted(seen, at(day + 20), TWICE)
    assert isinstance(cleared, AlertCleared)
    assert (cleared.reason, cleared.at, again.at) == ("a_day_has_passed", second(day + 10), second(day + 20))


def test_a_clock_that_goes_back_does_not_turn_time_back() -> None:
    assert domain.remembered(Seen((second(50),)), at(40), TWICE).times == (second(50), second(50))


def test_only_so_many_times_are_kept_as_the_rule_needs() -> None:
    assert domain.remembered(Seen((second(0), second(1))), at(2), TWICE).times == (second(1), second(2))


def test_without_an_alert_there_is_no_deadline() -> None:
    assert domain.deadline(Seen((second(0),)), TWICE) is None
    assert domain.passed(NOTHING, STATION, second(999), 9, TWICE) == (NOTHING, [])


def test_an_alert_of_which_nothing_else_is_known_ends_a_window_after_it_was_raised() -> None:
    assert domain.deadline(Seen((), OPEN.open), TWICE) == second(70)


def test_what_is_quiet_is_over() -> None:
    assert domain.is_over(NOTHING, second(0), TWICE)
    assert domain.is_over(Seen((second(0),)), second(60), TWICE)
    assert not domain.is_over(Seen((second(0),)), second(59), TWICE)
    assert not domain.is_over(OPEN, second(999), TWICE)


def test_what_was_written_is_followed() -> None:
    fact = raised(10, "flapping_connection", 0, alert=STATION.alert(second(0)))
    seen = domain.followed(Seen((second(0),)), fact)
    assert seen.open == OPEN.open
    _, [cleared] = domain.passed(OPEN, STATION, second(70), 9, TWICE)
    assert domain.followed(seen, cleared).open is None
    other = Seen((), Open(STATION.alert(second(500)), second(510)))
    assert domain.followed(other, cleared) == other


def test_ids_derive_from_the_rule_the_subject_and_the_windows_start() -> None:
    others = [
        Subject("failed_starts", **of()),
        Subject("flapping_connection", **of("ST2")),
        Subject("flapping_connection", ACME, STATION.station, 1),
        Subject("flapping_connection", ACME, STATION.station, 1, 1),
    ]
    ids = {subject.alert(second(0)) for subject in [STATION, *others]} | {STATION.alert(second(1))}
    assert len(ids) == 6
    assert STATION.alert(second(0)) in ids


def test_an_alert_is_raised_and_cleared_under_one_id_each() -> None:
    fact = raised(10, "flapping_connection", 0)
    _, [cleared] = domain.passed(OPEN, STATION, second(70), 9, TWICE)
    _, [later] = domain.passed(OPEN, STATION, second(99), 12, TWICE)
    assert domain.id_of(fact) == fact.alert
    assert domain.id_of(cleared) == domain.id_of(later) != cleared.alert
