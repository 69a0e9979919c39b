from typing import Any, get_args

import pytest
from msgspec.structs import replace

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.authorizations import AuthorizationEvent, TokenDecided
from contracts.event import Event, Message, SiteId
from contracts.gateways import AuthorizeAnswered
from contracts.ledger import Standing
from contracts.reference import (
    Connector,
    CustomerAccount,
    Evse,
    Habits,
    Site,
    Station,
    TariffAssignment,
    TariffVersion,
    Token,
)
from contracts.sessions import ChargingBegan, ChargingOver
from contracts.stations import StationEvent, TransactionEnded
from contracts.topics import (
    ACCOUNTS,
    AUTHORIZATIONS,
    CHARGING,
    GATEWAYS,
    REGISTRY,
    SITES,
    STANDINGS,
    STATIONS,
    TARIFFS,
    TOKENS,
    Topic,
)
from services.authorization import domain, worker
from services.authorization.domain import Output
from services.authorization.verdict import Asked, WithToken
from tests.authorization.reports import (
    ACME,
    FLEET,
    FOB,
    HERE,
    NOON,
    OTHER,
    THERE,
    account,
    charging,
    ended,
    presented,
    standing,
    started,
    token,
)
from tests.billing.says import version

WHOLE = (TOKENS, CHARGING, ACCOUNTS, STANDINGS, REGISTRY, SITES, TARIFFS)
STREAM = worker.build(Settings())


Thing = Token | ChargingBegan | CustomerAccount | Standing | Station | Site | TariffVersion | TariffAssignment


def knowing(*things: Thing) -> Copies:
    copies = Copies(*STREAM.copies)
    for thing in things:
        topic: Topic[Any] = next(t for t in WHOLE if type(thing) in t.classes)
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


def test_a_report_is_regarded_with_who_pays_and_whether_that_may_charge() -> None:
    may = standing(may_charge=True)
    found = regarded(started(), knowing(token(account=FLEET), account(), may))
    assert (found.customer, found.standing) == (account(), may)
    theirs = regarded(started(tenant=OTHER), knowing(token(tenant=OTHER, account=FLEET), account(), may))
    assert (theirs.customer, theirs.standing) == (None, None)


# ---- what no tariff fits ---------------------------------------------------------------------------------------------

REFUSING = Site(
    at=NOON, tenant=ACME, version=1, id=SiteId("oslo"), name="Oslo", time_zone="Europe/Oslo", without_tariff="refuse"
)
AT_OSLO = Station(at=NOON, tenant=ACME, version=1, id=HERE, site=SiteId("oslo"))
AC = replace(version(), tenant=ACME, valid_from=NOON)


def assigned(scope: str, tariff: str | None = "AC") -> TariffAssignment:
    return TariffAssignment(at=NOON, tenant=ACME, version=1, id=scope, tariff=tariff)


@pytest.mark.parametrize(
    ("fits", "known"),
    [
        (False, ()),
        (False, (AC,)),
        (False, (assigned("site/oslo"),)),
        (False, (AC, assigned("site/bergen"))),
        (False, (AC, assigned("tenant/group/FLEET"))),
        (False, (replace(AC, valid_from=NOON.replace(year=2100)), assigned("tenant"))),
        (True, (AC, assigned("tenant"))),
        (True, (AC, assigned(f"connector/{HERE}/1/1"))),
        (True, (assigned("site/oslo", None),)),
    ],
)
def test_a_site_may_refuse_a_start_that_no_tariff_fits(fits: bool, known: tuple[Thing, ...]) -> None:
    heard = regarded(started(), knowing(token(), REFUSING, AT_OSLO, *known))
    assert heard.unpriced is not fits


def test_a_groups_tariff_fits_its_tokens() -> None:
    known = (AC, assigned("tenant/group/FLEET"), REFUSING, AT_OSLO)
    assert not regarded(started(), knowing(token(group="FLEET"), *known)).unpriced


@pytest.mark.parametrize("known", [(), (AT_OSLO,), (replace(REFUSING, without_tariff="charge"), AT_OSLO), (REFUSING,)])
def test_without_tariffs_everybody_charges_unless_the_site_refuses(known: tuple[Thing, ...]) -> None:
    assert not regarded(started(), knowing(token(), *known)).unpriced


@pytest.mark.parametrize("report", [presented(), ended()])
def test_only_a_start_is_refused_for_its_price(report: StationEvent) -> None:
    assert not regarded(report, knowing(token(), REFUSING, AT_OSLO)).unpriced


def test_whom_nobody_knows_is_not_asked_for_a_price() -> None:
    assert not regarded(started(), knowing(REFUSING, AT_OSLO)).unpriced


# ---- what a display is told ------------------------------------------------------------------------------------------

SHOWING = replace(AT_OSLO, habits=Habits(shows_costs=True))
PLUG = Connector(id=1)


@pytest.mark.parametrize("report", [presented(), started()])
def test_whoever_wants_to_begin_is_shown_the_price(report: StationEvent) -> None:
    asked = regarded(report, knowing(token(), SHOWING, AC, assigned("site/oslo")))
    assert asked.price_text == "energy 0.50 EUR/kWh"


@pytest.mark.parametrize(
    ("report", "known", "text"),
    [
        (presented(), (AT_OSLO, AC, assigned("tenant")), ""),
        (presented(), (AC, assigned("tenant")), ""),
        (ended(), (SHOWING, AC, assigned("tenant")), ""),
        (presented(), (SHOWING,), ""),
        (presented(), (SHOWING, assigned("tenant", None)), "free"),
        (started(), (SHOWING, AC, assigned(f"connector/{HERE}/1/1")), "energy 0.50 EUR/kWh"),
        (presented(), (SHOWING, AC, assigned("tenant/group/FLEET")), "energy 0.50 EUR/kWh"),
    ],
    ids=["shows none", "unregistered", "a stop", "no tariff", "free", "a connector's", "a group's"],
)
def test_what_is_shown_is_what_would_count(report: StationEvent, known: tuple[Thing, ...], text: str) -> None:
    assert regarded(report, knowing(token(group="FLEET"), *known)).price_text == text


@pytest.mark.parametrize(
    ("evses", "text"),
    [
        ((Evse(1, connectors=(PLUG,)),), "energy 0.50 EUR/kWh"),
        ((Evse(1, connectors=(PLUG, Connector(id=2))),), ""),
        ((Evse(1), Evse(2)), ""),
        ((), ""),
    ],
)
def test_who_presents_a_token_where_there_is_one_plug_will_take_that(evses: tuple[Evse, ...], text: str) -> None:
    known = (AC, assigned(f"connector/{HERE}/1/1"))
    assert regarded(presented(), knowing(token(), replace(SHOWING, evses=evses), *known)).price_text == text


def test_a_token_that_nobody_knows_has_everybodys_price() -> None:
    assert regarded(presented(), knowing(SHOWING, AC, assigned("tenant"))).price_text == "energy 0.50 EUR/kWh"


@pytest.mark.parametrize(("status", "text"), [("active", "energy 0.50 EUR/kWh"), ("blocked", "")])
def test_only_who_may_charge_is_shown_the_price(status: Any, text: str) -> None:
    asked = regarded(presented(), knowing(token(status=status), SHOWING, AC, assigned("tenant")))
    decided, *_ = domain.decide(domain.initial, asked)
    assert isinstance(decided, TokenDecided)
    assert decided.price_text == text
