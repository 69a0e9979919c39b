from typing import Any, get_args

import pytest

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import Event, Message, Sealed, Ticked, TokenId
from contracts.gateways import CallAsked, CloseAsked
from contracts.reference import Station, Token
from contracts.topics import ALIVE, CATALOGUE, REGISTRY, TOKENS, Topic
from services.operations import domain, worker
from services.operations.station import Considered, Outcome, Unheard, Watched
from tests.operations.said import (
    NOON,
    START,
    STATION,
    STOP,
    TENANT,
    TOKEN,
    alive,
    command_issued,
    connected,
    heartbeat,
    second,
    state,
)

STREAM = worker.build(Settings())


@pytest.fixture
def copies() -> Copies:
    return Copies(*STREAM.copies)


def known(copies: Copies, topic: Topic[Any], *events: Event) -> None:
    for event in events:
        copies.of(topic).apply(topic.key_of(event), topic.encode(event))


def considered(task: Any, copies: Copies) -> Considered:
    message = Message(command_issued(task=task), "ce", NOON, 3)
    heard = worker.regard(message, copies)
    assert (heard.id, heard.recorded_at, heard.offset) == ("ce", NOON, 3)
    assert isinstance(heard.event, Considered)
    return heard.event


def a_station(tenant: Any = TENANT) -> Station:
    return Station(at=NOON, tenant=tenant, version=1, id=STATION)


def a_token(tenant: Any = TENANT, id: TokenId = TOKEN) -> Token:
    return Token(at=NOON, tenant=tenant, version=1, id=id, uid=Sealed("x"))


def test_the_inputs_are_in_the_catalogues_order() -> None:
    assert list(STREAM.inputs) == [topic for topic in CATALOGUE if topic in STREAM.inputs]


def test_everything_that_is_decided_has_one_topic() -> None:
    carried = [kind for topic in (*STREAM.outputs, *STREAM.answers) for kind in topic.classes]
    for kind in get_args(Outcome):
        assert carried.count(kind) == 1


def test_what_gateways_are_asked_is_no_output() -> None:
    assert not {CallAsked, CloseAsked} & {kind for topic in STREAM.outputs for kind in topic.classes}


def test_all_that_is_heard_is_carried_by_an_input() -> None:
    assert set(STREAM.hears) <= {kind for topic in STREAM.inputs for kind in topic.classes}


def test_nothing_is_known_at_first() -> None:
    assert STREAM.rules.initial == Unheard()
    assert STREAM.state == Unheard | type(state(connected(1)))


def test_a_command_is_considered_with_its_station_and_its_token(copies: Copies) -> None:
    known(copies, REGISTRY, a_station())
    known(copies, TOKENS, a_token())
    assert considered(START, copies) == Considered(command_issued(), registered=True, token=a_token())


def test_another_tenants_station_and_token_are_unknown(copies: Copies) -> None:
    known(copies, REGISTRY, a_station("other"))
    known(copies, TOKENS, a_token("other"))
    assert considered(START, copies) == Considered(command_issued(), registered=False, token=None)


def test_a_stop_needs_no_token(copies: Copies) -> None:
    known(copies, REGISTRY, a_station())
    assert considered(STOP, copies) == Considered(command_issued(task=STOP), registered=True)


def test_a_tick_is_heard_with_the_gateways_signs_of_life(copies: Copies) -> None:
    known(copies, ALIVE, *alive(1, at=40).values())
    heard = worker.regard(Message(Ticked(at=second(60)), "ce", NOON), copies)
    assert isinstance(heard.event, Watched)
    assert [kind.__class__.__name__ for kind in domain.decide(state(connected(1)), heard)] == ["StationDisconnected"]
    known(copies, ALIVE, *alive(1, at=45).values())
    assert domain.decide(state(connected(1)), heard) == []


def test_reports_are_heard_as_they_come(copies: Copies) -> None:
    message = heartbeat(1)
    assert worker.regard(message, copies) is message


def test_the_deadline_follows_the_signs_of_life(copies: Copies) -> None:
    assert STREAM.deadline is not None
    assert STREAM.deadline(state(connected(1)), copies) == second(20)
    known(copies, ALIVE, *alive(1, at=45).values())
    assert STREAM.deadline(state(connected(1)), copies) == second(65)
