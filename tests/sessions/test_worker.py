from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import Event, Message, SiteId
from contracts.reference import Site, Station
from contracts.topics import REGISTRY, SITES, Topic
from services.sessions import worker
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
    assert regarded(start(), 0, PLACED, OSLO) == start()


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


def test_all_else_is_heard_as_it_came() -> None:
    for message in (stop(), meters(reading(1500)), decision()):
        assert regarded(message, 500, PLACED, OSLO) == message


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
    state = Heeded(start()).state
    assert msgspec.json.decode(msgspec.json.encode(state), type=stream.state) == state
    assert isinstance(Heeded(start()).events[0], Event)
