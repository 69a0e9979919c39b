from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import Event, Message, SiteId
from contracts.reference import Connector, Evse, Site, Station
from contracts.topics import REGISTRY, SITES, Topic
from services.sessions import state, worker
from services.sessions.heard import Heard
from tests.sessions.says import ACME, NOON, STATION, Heeded, at, decision, kinds, meters, reading, start, stop

OSLO = Site(at=NOON, tenant=ACME, version=1, id=SiteId("oslo"), name="Oslo", time_zone="Europe/Oslo")
PLACED = Station(at=NOON, tenant=ACME, version=1, id=STATION, site=OSLO.id)
UNPLACED = Station(at=NOON, tenant=ACME, version=1, id=STATION)


def copies(*things: Station | Site) -> Copies:
    stream = worker.build(Settings())
    known = Copies(*stream.copies)
    for thing in things:
        topic: Topic[Any] = REGISTRY if isinstance(thing, Station) else SITES
        known.of(topic).apply(topic.key_of(thing), topic.encode(thing))
    return known


def regarded(heard: Heard[Any], minutes: float, *things: Station | Site) -> Heard[Any]:
    return worker.regard(Message(heard.event, heard.id, at(minutes)), copies(*things))


def test_a_start_is_heard_with_its_site_and_zone() -> None:
    assert regarded(start(), 0, PLACED, OSLO) == replace(start(), heard_at=NOON)


@pytest.mark.parametrize(
    ("things", "site", "zone"),
    [((), None, "UTC"), ((UNPLACED, OSLO), None, "UTC"), ((PLACED,), "oslo", "UTC")],
)
def test_what_the_directory_does_not_know_is_left_open(things: Any, site: str | None, zone: str) -> None:
    heard = regarded(start(), 0, *things)
    assert (heard.site, heard.time_zone) == (site, zone)


@pytest.mark.parametrize(("minutes", "offline"), [(2, False), (2.01, True), (-60, False)])
def test_x_40_what_is_recorded_two_minutes_late_was_offline(minutes: float, offline: bool) -> None:
    assert regarded(start(), minutes).offline is offline


def test_what_moves_energy_is_heard_with_its_site_and_what_its_connector_can_deliver() -> None:
    plugs = (Connector(1, max_w=22_000), Connector(2))
    station = replace(PLACED, evses=(Evse(1, connectors=plugs), Evse(2)))
    for message, most in ((start(), 22_000), (meters(reading(1500), evse=2), None), (stop(), None)):
        heard = regarded(message, 500, station, OSLO)
        assert (heard.site, heard.time_zone, heard.connectors, heard.max_w) == ("oslo", "Europe/Oslo", 3, most)


def test_all_else_is_heard_as_it_came_and_when() -> None:
    assert regarded(decision(), 500, PLACED, OSLO) == replace(decision(), heard_at=at(500))


def test_a_station_wants_to_be_looked_at_when_its_first_session_does() -> None:
    stream = worker.build(Settings())
    assert stream.deadline is not None
    log = Heeded(replace(start(), heard_at=at(5)), replace(start("two", evse=2), heard_at=at(2)))
    assert stream.deadline(log.state, copies()) == at(2) + state.SILENCE
    assert stream.deadline(state.Station(), copies()) is None


def test_every_event_has_a_topic_and_every_message_that_means_something_is_heard() -> None:
    stream = worker.build(Settings())
    carried = {cls for topic in (*stream.outputs, *stream.answers) for cls in topic.classes}
    messages: Sequence[Heard[Any]] = (start(), decision(), meters(reading(1500)), stop())
    log = Heeded(*messages)
    assert {type(event) for event in log.events} <= carried
    assert {type(message.event) for message in messages} <= set(stream.hears)
    assert "SessionEnded" in kinds(log.events)


def test_the_state_is_what_the_stream_says_it_is() -> None:
    stream = worker.build(Settings())
    kept = Heeded(start()).state
    assert msgspec.json.decode(msgspec.json.encode(kept), type=stream.state) == kept
    assert isinstance(Heeded(start()).events[0], Event)
