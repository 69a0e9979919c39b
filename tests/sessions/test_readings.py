"""Which session a meter was read in (X-13, Q-75)."""

import pytest
from msgspec.structs import replace

from contracts.sessions import EnergyDelivered, EnergyUnattributed, ReadingsTaken
from contracts.stations import Sample
from tests.sessions.says import OTHER, Heeded, meters, only, reading, session_of, start, stop

AMPERES = Sample(value="16", measurand="Current.Import", unit="A")


@pytest.mark.covers("Q-75")
def test_a_register_of_another_connector_is_not_of_a_session_whose_own_nobody_knows() -> None:
    log = Heeded(start(meter_wh=None))
    assert only(log.hear(meters(reading(2000), evse=2)), ReadingsTaken).session is None


@pytest.mark.covers("Q-75")
def test_what_shows_no_register_is_of_the_session_that_it_names() -> None:
    log = Heeded(start(meter_wh=None))
    assert only(log.hear(meters(reading(AMPERES), evse=2)), ReadingsTaken).session == session_of("start")


@pytest.mark.covers("X-13", "Q-75")
def test_a_reading_under_an_unknown_id_is_of_a_session_in_which_nothing_has_flowed_yet() -> None:
    log = Heeded(start())
    assert only(log.hear(meters(reading(1000), transaction="77")), ReadingsTaken).session == session_of("start")
    assert only(log.hear(meters(reading(999, minutes=2), transaction="77")), ReadingsTaken).session is None


def test_while_nothing_flows_no_energy_is_told_of() -> None:
    log = Heeded(start(), meters(reading(1000)), meters(reading(1000, minutes=2)))
    assert log.all(EnergyDelivered) == []


@pytest.mark.covers("Q-75")
def test_a_session_that_a_reading_names_at_another_connector_can_have_drawn_it_until_the_last_of_its_samples() -> None:
    log = Heeded(replace(start(), max_w=22_000))
    read = meters(reading(1100, minutes=1), reading(20_000, minutes=60), evse=2)
    assert only(log.hear(read), ReadingsTaken).session == session_of("start")
    soon = meters(reading(20_100, minutes=1), reading(40_000, minutes=2), evse=2, report="soon")
    assert only(log.hear(soon), ReadingsTaken).session is None


@pytest.mark.covers("Q-75", "X-13")
def test_of_two_sessions_whose_registers_a_reading_may_go_on_from_it_is_of_the_nearer_one() -> None:
    log = Heeded(start(), start("two", evse=2, token=OTHER, meter_wh=50_000))
    far = meters(reading(50_500), transaction="1", evse=2)
    assert only(log.hear(far), ReadingsTaken).session == session_of("two")
    named = meters(reading(1500, minutes=2), transaction="1", evse=2, report="named")
    assert only(log.hear(named), ReadingsTaken).session == session_of("start")
    shows_none = meters(reading(AMPERES, minutes=3), transaction="1", evse=2, report="none")
    assert only(log.hear(shows_none), ReadingsTaken).session == session_of("start")
    near = Heeded(start(), start("two", evse=2, token=OTHER, meter_wh=20_999))
    both = meters(reading(21_500), transaction="1", evse=2)
    assert only(near.hear(both), ReadingsTaken).session == session_of("start"), "it can be, and it is named"
    beyond = meters(reading(51_000, minutes=4), transaction="2", evse=1, report="beyond")
    assert only(log.hear(beyond), ReadingsTaken).session == session_of("two"), "what it names goes on"


@pytest.mark.covers("Q-78")
def test_another_meter_is_known_by_the_time_of_its_last_reading() -> None:
    log = Heeded(start(), stop(meter_wh=8000))
    after = meters(reading(8100, minutes=61), reading(18_000, minutes=120), transaction=None)
    account = only(log.hear(replace(after, max_w=22_000)), EnergyUnattributed).account
    assert account is not None
    assert account.unattributed_wh == 10_000


@pytest.mark.covers("Q-78")
def test_what_flows_after_a_session_is_followed_to_the_last_of_its_readings() -> None:
    log = Heeded(start(), stop(meter_wh=8000))
    after = meters(reading(8100, minutes=70), reading(8300, minutes=71), transaction=None)
    account = only(log.hear(after), EnergyUnattributed).account
    assert account is not None
    assert (account.delivered_wh, account.unattributed_wh, account.register_wh) == (300, 300, 8300)
