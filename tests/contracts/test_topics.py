from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from contracts.cloudevents import Attributes, Unreadable, from_headers, to_headers
from contracts.event import Event, GatewayId
from contracts.gateways import GatewayAlive
from contracts.generate import events
from contracts.topics import ALIVE, CATALOGUE, DECIDERS, NULLS, STATIONS, Topic
from tests.samples import NOON, example

CLASSES = [(topic, cls) for topic in CATALOGUE for cls in topic.classes]


def test_every_event_belongs_to_one_topic() -> None:
    assert len(CLASSES) == len({cls for _, cls in CLASSES})


def test_no_two_topics_share_a_name() -> None:
    names = [topic.name for topic in CATALOGUE] + list(DECIDERS)
    assert len({topic.name for topic in CATALOGUE}) == len(CATALOGUE)
    assert len(names) == len(CATALOGUE) + len(DECIDERS)


def test_every_event_says_what_it_is() -> None:
    for event in events():
        assert event.__doc__, event


@pytest.mark.parametrize(("topic", "cls"), CLASSES, ids=lambda x: getattr(x, "__name__", getattr(x, "name", "")))
def test_an_event_survives_the_wire(topic: Topic[Event], cls: type[Event]) -> None:
    event = msgspec.convert(example(inspect.type_info(cls)), cls)
    value = topic.encode(event)
    if cls in NULLS:
        assert value is None
    else:
        assert value is not None
        assert topic.decode(value) == event
    assert topic.key_of(event)


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"type":"Unheard"}', b'{"type":"StationBooted"}'])
def test_what_is_no_event_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable):
        STATIONS.decode(value)


def test_what_is_nested_too_deep_is_unreadable_too() -> None:
    deep = b'{"type":"HeartbeatReceived","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    with pytest.raises(Unreadable):
        STATIONS.decode(deep)


def test_an_event_under_a_key_that_is_not_its_own_is_none_of_ours() -> None:
    alive = GatewayAlive(at=NOON, gateway=GatewayId("g-1"), reply_to=0, started_at=NOON, connections=0)
    value = ALIVE.encode(alive)
    assert value is not None
    assert ALIVE.under(b"g-1", value) == alive
    with pytest.raises(Unreadable, match="key"):
        ALIVE.under(b"g-2", value)


texts = st.text(min_size=1, max_size=50)


@given(texts, texts, st.datetimes(timezones=st.just(UTC)), st.none() | st.integers(0, 10**18))
@settings(max_examples=50)
def test_headers_survive_the_wire(id: str, subject: str, moment: datetime, sequence: int | None) -> None:
    said = Attributes(id, "voltstream.X", "/voltstream/x", subject, moment, NOON, None, sequence)
    assert from_headers(to_headers(said)) == said


@pytest.mark.parametrize(
    "headers",
    [[], [("ce_id", b"1")], [*to_headers(Attributes("1", "t", "s", "k", NOON, NOON))[:-2], ("ce_time", b"noon")]],
)
def test_headers_that_are_not_ours_are_unreadable(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(Unreadable):
        from_headers(headers)


def test_an_independent_implementation_reads_our_headers() -> None:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    headers = dict(to_headers(Attributes("1", "voltstream.X", "/voltstream/x", "acme/ST1", NOON, NOON, "00-a-b-01", 3)))
    event = from_binary(KafkaMessage(headers=headers, key=b"acme/ST1", value=b"{}"), JSONFormat(), CloudEvent)
    assert (event.get_id(), event.get_type(), event.get_subject()) == ("1", "voltstream.X", "acme/ST1")
