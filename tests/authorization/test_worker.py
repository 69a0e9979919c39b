from typing import Any, get_args

import pytest

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.authorizations import AuthorizationEvent
from contracts.event import Event, Message
from contracts.gateways import AuthorizeAnswered
from contracts.reference import Token
from contracts.sessions import ChargingBegan, ChargingOver
from contracts.stations import StationEvent, TransactionEnded
from contracts.topics import AUTHORIZATIONS, CHARGING, GATEWAYS, STATIONS, TOKENS, Topic
from services.authorization import worker
from services.authorization.domain import Output
from services.authorization.verdict import Asked, WithToken
from tests.authorization.reports import (
    ACME,
    FOB,
    HERE,
    NOON,
    OTHER,
    THERE,
    charging,
    ended,
    presented,
    started,
    token,
)

STREAM = worker.build(Settings())


def knowing(*things: Token | ChargingBegan) -> Copies:
    copies = Copies(*STREAM.copies)
    for thing in things:
        topic: Topic[Any] = TOKENS if isinstance(thing, Token) else CHARGING
        copies.of(topic).apply(topic.key_of(thing), topic.encode(thing))
    return copies


def regarded(report: StationEvent, copies: Copies) -> Any:
    return STREAM.regard(Message(report, "r1", NOON, 5), copies)


def carriers(event: type[Event]) -> list[Topic[Any]]:
    return [topic for topic in (*STREAM.outputs, *STREAM.answers) if event in topic.classes]


def test_it_hears_stations_and_answers_gateways() -> None:
    assert STREAM.inputs == (STATIONS,)
    assert STREAM.outputs == (AUTHORIZATIONS,)
    assert STREAM.answers == (GATEWAYS,)
    assert set(STREAM.hears) == set(get_args(WithToken))


@pytest.mark.parametrize("event", get_args(Output))
def test_every_event_has_its_one_topic(event: type[Event]) -> None:
    assert len(carriers(event)) == 1


def test_the_rules_take_in_every_event_of_their_topics() -> None:
    assert set(AUTHORIZATIONS.classes) == set(get_args(AuthorizationEvent)) <= set(get_args(Output))
    assert AuthorizeAnswered in get_args(Output)


def test_its_state_has_the_key_of_what_it_hears_and_writes() -> None:
    assert STREAM.key_of_state is None


@pytest.mark.parametrize("report", [presented(), started(), ended()])
def test_a_report_is_regarded_with_its_token_and_where_that_charges(report: WithToken) -> None:
    asked = regarded(report, knowing(token(), charging()))
    assert asked == Asked(Message(report, "r1", NOON, 5), token().id, token(), (charging(),))


def test_a_token_that_nobody_has_registered_is_not_there() -> None:
    assert regarded(presented(token=FOB), knowing(token(), charging())).token is None


def test_a_deleted_token_is_not_there() -> None:
    copies = knowing(token())
    copies.of(TOKENS).apply(TOKENS.key_of(token()), None)
    assert regarded(presented(), copies).token is None


def test_another_token_charges_nowhere() -> None:
    assert regarded(started(token=FOB), knowing(token(), charging())).charging == ()


def test_a_session_that_is_over_charges_no_more() -> None:
    copies, over = knowing(charging()), ChargingOver(at=NOON, tenant=ACME, station=THERE, session=charging().session)
    copies.of(CHARGING).apply(CHARGING.key_of(over), CHARGING.encode(over))
    assert regarded(started(), copies).charging == ()


def test_a_tenant_sees_neither_tokens_nor_sessions_of_another() -> None:
    asked = regarded(started(tenant=OTHER), knowing(token(), charging()))
    assert (asked.token, asked.charging) == (None, ())


def test_two_tenants_may_know_the_same_token_each_in_its_way() -> None:
    copies = knowing(token(), token(tenant=OTHER, status="blocked"))
    assert regarded(presented(), copies).token.status == "active"
    assert regarded(presented(tenant=OTHER), copies).token.status == "blocked"


def test_a_stop_without_a_token_is_heard_as_it_came() -> None:
    stop = ended(token=None)
    assert regarded(stop, knowing()) == Message(stop, "r1", NOON, 5)


def test_the_end_of_a_session_names_no_token() -> None:
    assert worker.by_token(ChargingOver(at=NOON, tenant=ACME, station=HERE, session=charging().session)) is None
    assert isinstance(ended(), TransactionEnded)
