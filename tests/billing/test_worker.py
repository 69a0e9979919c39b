"""What billing reads, and which tariff it finds."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.bills import Display
from contracts.event import AccountId, Event, Message, SiteId
from contracts.reference import Evse, Habits, Site, Station, TariffAssignment, TariffVersion, Token
from contracts.sessions import SessionStarted, SignedValueTaken
from contracts.topics import BILLS, OPERATIONS, REGISTRY, REVIEWS, SESSIONS, SITES, TARIFFS, TOKENS, Topic
from services.billing import worker
from services.billing.heard import Assigned, Heard
from tests.billing.says import ACME, CP1, NOON, SESSION, at, delivered, ended, started, version

STREAM = worker.build(Settings())


def assignment(scope: str, tariff: str | None = "AC") -> TariffAssignment:
    return TariffAssignment(at=NOON, tenant=ACME, version=1, id=scope, tariff=tariff)


def known(*things: TariffVersion | TariffAssignment | Token | Station | Site) -> Copies:
    copies = Copies(*STREAM.copies)
    for thing in things:
        topics: dict[type, Topic[Any]] = {Token: TOKENS, Station: REGISTRY, Site: SITES}
        topic = topics.get(type(thing), TARIFFS)
        copies.of(topic).apply(topic.key_of(thing), topic.encode(thing))
    return copies


def regarded(event: Event, copies: Copies) -> Heard[Any]:
    heard = STREAM.regard(Message(event, "id", at(7)), copies)
    assert isinstance(heard, Heard)
    return heard


def bound(*things: TariffVersion | TariffAssignment | Token, group: str | None = None) -> Assigned | None:
    start = started().event
    assert isinstance(start, SessionStarted)
    token = Token(at=NOON, tenant=ACME, version=1, id=start.token, group=group)
    return regarded(start, known(*things, token)).assigned


def test_it_hears_sessions_statuses_and_reviews_and_writes_bills() -> None:
    assert STREAM.inputs == (SESSIONS, OPERATIONS, REVIEWS)
    assert STREAM.outputs == (BILLS,)
    assert set(STREAM.hears) <= {*SESSIONS.classes, *OPERATIONS.classes, *REVIEWS.classes}


def test_the_narrowest_scope_counts_and_a_groups_before_everybodys() -> None:
    scopes = [
        "connector/CP-1/1/1/group/FLEET",
        "station/CP-1/group/FLEET",
        "site/oslo/group/FLEET",
        "tenant/group/FLEET",
        "connector/CP-1/1/1",
        "station/CP-1",
        "site/oslo",
        "tenant",
    ]
    for n, scope in enumerate(scopes):
        found = bound(version(), *(assignment(wider) for wider in scopes[n:]), group="FLEET")
        assert found is not None
        assert found.scope == scope


def test_who_pays_is_who_the_token_names_at_the_start() -> None:
    start = started().event
    assert isinstance(start, SessionStarted)
    token = Token(at=NOON, tenant=ACME, version=1, id=start.token, account=AccountId("anna"))
    assert regarded(start, known(token)).account == "anna"
    assert regarded(start, known(replace(token, account=None))).account is None
    assert regarded(start, known()).account is None


def test_what_is_assigned_to_others_does_not_count() -> None:
    others = ("site/bergen", "station/CP-2", "connector/CP-1/1/2", "tenant/group/FLEET")
    assert bound(version(), *(assignment(scope) for scope in others), group="VANS") is None
    assert bound(version(), *(assignment(scope) for scope in others)) is None


def test_a_scope_that_is_free_is_free() -> None:
    assert bound(version(), assignment("tenant"), assignment("site/oslo", None)) == Assigned("site/oslo", None)


@pytest.mark.parametrize(("hours", "number"), [((-9, 3), 1), ((-9, -1), 2), ((-9, 0), 2), ((-1, -9), 2)])
def test_the_newest_version_that_was_valid_at_the_start_counts(hours: tuple[int, int], number: int) -> None:
    versions = [
        replace(version(number=n), valid_from=NOON + timedelta(hours=hour)) for n, hour in enumerate(hours, start=1)
    ]
    found = bound(*versions, assignment("tenant"))
    assert found is not None
    assert found.version is not None
    assert found.version.version == number


def test_a_tariff_that_is_not_valid_yet_leaves_the_place_to_a_wider_scope() -> None:
    later = replace(version(), valid_from=NOON + timedelta(hours=1))
    assert bound(later, assignment("site/oslo"), assignment("tenant", None)) == Assigned("tenant", None)


def test_what_ends_is_billed_a_while_after_it_was_heard() -> None:
    heard = regarded(ended(5, 1000).event, known())
    assert heard.due == at(7) + timedelta(seconds=300)
    assert regarded(delivered(5, 1000).event, known(version(), assignment("tenant"))).assigned is None


def test_a_free_session_has_its_sites_currency() -> None:
    site = Site(
        at=NOON, tenant=ACME, version=1, id=SiteId("oslo"), name="Oslo", time_zone="Europe/Oslo", currency="NOK"
    )
    assert regarded(started().event, known(site)).currency == "NOK"
    assert regarded(started().event, known()).currency == "EUR"


def test_a_meters_key_is_that_of_its_evse() -> None:
    evses = (Evse(1), Evse(2, meter_public_key="04ab"))
    station = Station(at=NOON, tenant=ACME, version=1, id=CP1, evses=evses)

    def key(evse: int, *things: Station) -> str | None:
        about: dict[str, Any] = {"tenant": ACME, "station": CP1, "session": SESSION}
        taken = SignedValueTaken(**about, at=NOON, report="r", evse=evse, context="", data="")
        return regarded(taken, known(*things)).meter_key

    assert (key(2, station), key(1, station), key(3, station), key(2)) == ("04ab", None, None, None)


def test_a_station_that_shows_costs_has_a_display() -> None:
    station = Station(at=NOON, tenant=ACME, version=1, id=CP1, habits=Habits(shows_costs=True))
    start = started().event
    assert isinstance(start, SessionStarted)
    assert regarded(replace(start, meter_wh=1000), known(station)).display == Display(start.transaction, 1000)
    assert regarded(start, known(station)).display == Display(start.transaction)
    assert regarded(start, known(replace(station, habits=Habits()))).display is None
    assert regarded(start, known()).display is None


def test_how_often_a_display_is_told_is_a_setting() -> None:
    often = worker.build(Settings(cost_shown_every_s=15))
    heard = often.regard(Message(delivered(5, 1000).event, "id", at(7)), known())
    assert heard.shown_every == timedelta(seconds=15)
