from typing import Any, get_args

import pytest

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import AccountId, Event, Message, TenantId
from contracts.reference import AccessKey, Site, Station, TariffAssignment, Token
from contracts.requests import (
    Change,
    Delete,
    PutAccount,
    PutSite,
    PutStation,
    PutTariff,
    PutTariffAssignment,
    PutToken,
    SetPassword,
)
from contracts.topics import ACCESS, ACCOUNTS, DIRECTORY, REGISTRY, REQUESTS, SITES, TARIFFS, TOKENS, Topic, of_change
from services.directory import domain, worker
from services.directory.domain import Asked, Output
from tests.directory.changes import (
    ACME,
    HASH,
    OSLO,
    OTHER,
    accepted,
    account,
    asked,
    assignment,
    key,
    refused,
    requested,
    site,
    station,
    tariff,
    token,
)

STREAM = worker.build(Settings())


def carriers(event: type[Event]) -> list[Topic[Any]]:
    return [topic for topic in (*STREAM.outputs, *STREAM.answers) if event in topic.classes]


def regarded(change: Change, tenant: TenantId = ACME) -> Asked:
    copies = Copies(*STREAM.copies)
    copies.of(SITES).apply(SITES.key_of(site()), SITES.encode(site()))
    event = requested(change, tenant=tenant)
    asked = STREAM.regard(Message(event, "5d2c", event.at), copies)
    assert isinstance(asked, Asked)
    assert asked.message.event == event
    return asked


def test_it_hears_requests_and_writes_what_comes_of_them() -> None:
    assert STREAM.inputs == (REQUESTS,)
    assert set(STREAM.outputs) == {DIRECTORY, SITES, REGISTRY, TOKENS, ACCESS, TARIFFS, ACCOUNTS}
    assert STREAM.answers == ()


@pytest.mark.parametrize("event", get_args(Output))
def test_every_event_has_its_one_topic(event: type[Event]) -> None:
    assert len(carriers(event)) == 1


@pytest.mark.parametrize("topic", STREAM.outputs)
def test_the_rules_take_in_every_event_of_their_topics(topic: Topic[Any]) -> None:
    assert set(topic.classes) <= set(get_args(Output))


def test_a_site_of_the_tenant_is_known() -> None:
    assert regarded(PutStation(station(site=OSLO))).site_known


def test_a_site_of_another_tenant_is_not() -> None:
    assert not regarded(PutStation(station(site=OSLO)), OTHER).site_known


@pytest.mark.parametrize("change", [PutStation(station()), PutSite(site()), SetPassword(HASH), Delete()])
def test_a_request_that_names_no_site_needs_none(change: Change) -> None:
    assert regarded(change, OTHER).site_known


@pytest.mark.parametrize("thing", [site(), station(), token(), key(), assignment()])
def test_a_thing_and_its_end_belong_to_the_state_of_its_requests(
    thing: Site | Station | Token | AccessKey | TariffAssignment,
) -> None:
    put = {"site": site, "station": station, "token": token, "access": key, "tariff_assignment": assignment}
    kind = next(name for name, made in put.items() if made() == thing)
    request = requested(Delete(), kind=kind)  # type: ignore[arg-type]  # the names are the kinds
    end = domain.gone(thing)(at=thing.at, tenant=thing.tenant, id=thing.id)
    where = REQUESTS.key_of(request).decode()
    assert worker.key_of_state(thing) == worker.key_of_state(end) == where


def test_a_version_of_a_tariff_belongs_to_the_state_of_its_requests() -> None:
    request = requested(PutTariff(tariff(7)))
    assert worker.key_of_state(tariff(3)) == REQUESTS.key_of(request).decode()


def test_only_a_tariff_that_is_there_can_be_assigned() -> None:
    assert not regarded(PutTariffAssignment(assignment(tariff="DC"))).tariff_known
    assert regarded(PutTariffAssignment(assignment(tariff=None))).tariff_known


def test_an_outcome_belongs_to_the_state_of_its_request() -> None:
    request = asked(Delete()).message.event
    where = REQUESTS.key_of(request).decode()
    assert worker.key_of_state(accepted(1)) == worker.key_of_state(refused("not_found", "")) == where


def test_only_an_account_of_the_tenant_pays_for_a_token() -> None:
    copies = Copies(*STREAM.copies)
    copies.of(ACCOUNTS).apply(ACCOUNTS.key_of(account()), ACCOUNTS.encode(account()))
    for name, tenant, known in (
        ("fleet", ACME, True),
        ("adhoc-1", ACME, True),
        ("nobody", ACME, False),
        ("fleet", OTHER, False),
    ):
        event = requested(PutToken(token(account=AccountId(name))), tenant=tenant)
        assert STREAM.regard(Message(event, "5d2c", event.at), copies).account_known is known


def test_an_account_belongs_to_the_state_of_its_requests() -> None:
    assert STREAM.key_of_state is not None
    assert STREAM.key_of_state(account()) == of_change(requested(PutAccount(account())))
