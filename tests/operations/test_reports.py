from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from chassis.decider import step
from contracts.event import CommandId, derived_id
from contracts.gateways import CallAsked, Trigger
from contracts.operations import BootAskedFor
from contracts.stations import CallRefused, Frame
from services.operations import domain, reports
from services.operations.station import Known, State
from tests.given import given
from tests.operations.said import HERE, NOON, booted, connected, heard, heartbeat, inventory, on, says, status


def test_a_boot_says_what_a_station_is() -> None:
    """M-01."""
    message = booted(firmware_version="1.0", meter_type="M", status="Pending", iccid="89", imsi="26", interval_s=60)
    reported = inventory(firmware_version="1.0", meter_type="M", boot_status="Pending", iccid="89", imsi="26")
    assert given(domain).when(message) == [reported]


def test_the_serial_number_of_the_box_serves_where_the_station_has_none() -> None:
    assert given(domain).when(booted(serial_number=None, box_serial_number="B1")) == [inventory(serial_number="B1")]


def test_a_boot_heard_again_changes_nothing() -> None:
    assert given(domain, inventory(at=5)).when(booted(at=5)) == []


def test_a_boot_on_an_older_connection_changes_nothing() -> None:
    assert given(domain, inventory(epoch=2, at=5)).when(booted(epoch=1, at=9)) == []


def test_a_boot_on_a_newer_connection_counts_whatever_its_gateways_clock_says() -> None:
    assert given(domain, inventory(epoch=1, at=5)).when(booted(epoch=2, at=4)) == [inventory(epoch=2, at=4)]


@pytest.mark.parametrize("other", [{"vendor": "Other"}, {"model": "Two"}, {"serial_number": "S2"}])
def test_another_device_under_the_same_identity_is_noticed(other: dict[str, Any]) -> None:
    assert given(domain, inventory()).when(booted(at=5, **other)) == [inventory(at=5, changed=True, **other)]


def test_new_firmware_is_not_another_device() -> None:
    history = inventory(firmware_version="1")
    assert given(domain, history).when(booted(at=5, firmware_version="2")) == [inventory(at=5, firmware_version="2")]


def test_a_serial_number_left_out_once_is_not_forgotten() -> None:
    history = inventory(), inventory(at=5, serial_number=None, vendor="", model="")
    assert given(domain, *history).when(booted(at=6)) == [inventory(at=6)]
    assert given(domain, *history).when(booted(at=6, serial_number="S2")) == [
        inventory(at=6, serial_number="S2", changed=True)
    ]


def test_a_first_boot_that_leaves_out_what_it_is_says_so() -> None:
    said: dict[str, Any] = {"vendor": "", "model": "", "serial_number": None}
    assert given(domain, inventory(**said)).when(booted(at=5)) == [inventory(at=5)]


def test_a_long_serial_number_is_the_same_at_the_next_boot() -> None:
    assert given(domain, inventory(serial_number="9" * 80)).when(booted(at=5, serial_number="9" * 80)) == [
        inventory(at=5, serial_number="9" * 80)
    ]


def test_a_connector_is_added_when_it_is_first_heard_of() -> None:
    """M-07, C-072."""
    assert given(domain, status("Available")).when(says("Faulted", connector=7, error_code="GroundFailure")) == [
        status("Faulted", connector=7, error_code="GroundFailure")
    ]


def test_a_newer_status_counts() -> None:
    history = status("Available", at=5)
    assert given(domain, history).when(says("Charging", at=6, vendor_id="v")) == [
        status("Charging", at=6, vendor_id="v")
    ]


def test_an_older_status_changes_nothing() -> None:
    """X-50, C-071."""
    assert given(domain, status("Charging", at=6)).when(says("Available", at=5, heard_at=9)) == []


def test_of_two_statuses_of_the_same_moment_the_one_heard_last_counts() -> None:
    """X-50."""
    assert given(domain, status("Charging", at=6)).when(says("Finishing", at=6)) == [status("Finishing", at=6)]


@pytest.mark.parametrize("news", [{"error_code": "OtherError"}, {"info": "door open"}, {"vendor_error_code": "E7"}])
def test_a_status_with_another_error_is_news(news: dict[str, Any]) -> None:
    assert given(domain, status("Faulted", at=5)).when(says("Faulted", at=6, **news)) == [
        status("Faulted", at=6, **news)
    ]


def test_the_same_status_again_is_no_news() -> None:
    long = "x" * 80
    assert given(domain, status("Faulted", info=long)).when(says("Faulted", at=6, info=long)) == []


def test_connectors_have_their_own_times() -> None:
    history = status("Available", at=6), status("Charging", at=1, connector=2)
    assert given(domain, *history).when(says("Finishing", at=5, connector=2)) == [
        status("Finishing", at=5, connector=2)
    ]


def test_a_status_without_a_time_counts_when_it_arrives() -> None:
    """M-07."""
    history = status("Charging", at=600)
    assert given(domain, history).when(says("Available", at=5, at_is_ours=True)) == [
        status("Available", at=5, at_is_ours=True)
    ]


def test_a_status_without_a_time_does_not_let_older_ones_through() -> None:
    history = status("Charging", at=6), status("Finishing", at=9, at_is_ours=True)
    assert given(domain, *history).when(says("Available", at=5, heard_at=10)) == []
    assert given(domain, *history).when(says("Available", at=7, heard_at=10)) == [status("Available", at=7)]


def test_the_first_status_of_a_connector_may_have_no_time() -> None:
    assert given(domain, status("Charging", at=6, at_is_ours=True)).when(says("Available", at=5)) == [
        status("Available", at=5)
    ]


UNSET_CLOCK = (datetime(1970, 1, 1, tzinfo=UTC) - NOON).total_seconds()


@pytest.mark.parametrize("nonsense", [UNSET_CLOCK, 3600])
def test_a_nonsense_time_is_replaced_by_the_arrival(nonsense: float) -> None:
    """X-50, Q-100, Q-102."""
    assert given(domain, status("Charging", at=6)).when(says("Available", at=nonsense, heard_at=9)) == [
        status("Available", at=9, at_is_ours=True)
    ]


def test_a_clock_a_little_ahead_does_not_outlive_its_correction() -> None:
    assert given(domain).when(says("Charging", at=60, heard_at=9)) == [status("Charging", at=9)]


def test_a_boot_clears_no_status() -> None:
    history = status("Charging", at=6), inventory(at=7)
    assert given(domain, *history).when(says("Charging", at=8)) == []


def test_connectors_beyond_what_a_station_can_have_are_not_followed() -> None:
    history = [status("Available", connector=n) for n in range(reports.MOST_CONNECTORS)]
    assert given(domain, *history).when(says("Available", connector=1000)) == []


@given_any(st.permutations(range(6)))
def test_the_newest_status_wins_in_whatever_order_they_arrive(order: list[int]) -> None:
    state: State = domain.initial
    for n in order:
        state, _ = step(domain, state, says(f"Status {n}", at=n, heard_at=100))
    assert isinstance(state, Known)
    assert [connector.status for connector in state.connectors] == ["Status 5"]


def boot_asked(epoch: int = 1) -> tuple[BootAskedFor, CallAsked]:
    """What a station is asked that has never booted and speaks."""
    asked = CallAsked(
        at=NOON,
        **on(epoch),
        command=CommandId(derived_id("ce", "operations", "boot")),
        call=Trigger("BootNotification"),
        expires_at=NOON + timedelta(minutes=15),
    )
    return BootAskedFor(at=NOON, **HERE, epoch=epoch), asked


@pytest.mark.covers("T-65", "T-68", "Q-44", "Q-46", "C-047")
def test_a_station_that_speaks_and_has_never_booted_is_asked_once_who_it_is() -> None:
    event, asked = boot_asked()
    assert given(domain, connected(1)).when(heartbeat(1)) == [event, asked]
    assert given(domain, connected(1), event).when(heartbeat(1)) == []
    assert given(domain, connected(1), event, connected(2)).when(heartbeat(2)) == [], "nor on its next connection"


@pytest.mark.covers("T-65", "T-68", "Q-44")
def test_its_status_is_heard_all_the_same() -> None:
    event, asked = boot_asked()
    assert given(domain, connected(1)).when(says("Available"))[1:] == [event, asked]


@pytest.mark.covers("T-65", "Q-45")
def test_a_station_that_reconnects_needs_not_boot_again() -> None:
    assert given(domain, inventory(), connected(2)).when(heartbeat(2)) == []


@pytest.mark.covers("T-63", "T-65")
def test_what_is_heard_of_an_old_connection_or_was_refused_asks_nothing() -> None:
    assert given(domain, connected(2)).when(heartbeat(1)) == []
    refused = CallRefused(
        at=NOON, **on(1), frame=Frame("[]"), message_id='"1"', action="X", code="NotImplemented", description=""
    )
    assert given(domain, connected(1)).when(heard(refused)) == []


@pytest.mark.covers("T-65")
def test_a_boot_asks_for_no_boot() -> None:
    assert given(domain, connected(1)).when(booted(epoch=1)) == [inventory(epoch=1)]
