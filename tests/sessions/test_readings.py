"""Which session a meter was read in (X-13, Q-75)."""

import pytest

from contracts.sessions import EnergyUnattributed, ReadingsTaken
from contracts.stations import Sample
from tests.sessions.says import Heeded, meters, only, reading, session_of, start, stop

AMPERES = Sample(value="16", measurand="Current.Import", unit="A")


@pytest.mark.covers("Q-75")
def test_a_register_of_another_connector_is_not_of_a_session_whose_own_nobody_knows() -> None:
    log = Heeded(start(meter_wh=None))
    assert only(log.hear(meters(reading(2000), evse=2)), ReadingsTaken).session is None


@pytest.mark.covers("Q-75")
def test_what_shows_no_register_is_of_the_session_that_it_names() -> None:
    log = Heeded(start(meter_wh=None))
    assert only(log.hear(meters(reading(AMPERES), evse=2)), ReadingsTaken).session == session_of("start")


@pytest.mark.covers("Q-78")
def test_what_flows_after_a_session_is_followed_to_the_last_of_its_readings() -> None:
    log = Heeded(start(), stop(meter_wh=8000))
    after = meters(reading(8100, minutes=70), reading(8300, minutes=71), transaction=None)
    account = only(log.hear(after), EnergyUnattributed).account
    assert account is not None
    assert (account.delivered_wh, account.unattributed_wh, account.register_wh) == (300, 300, 8300)
