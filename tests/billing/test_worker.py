"""What billing reads, and which tariff it finds."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import Event, Message
from contracts.reference import TariffAssignment, TariffVersion, Token
from contracts.sessions import SessionStarted
from contracts.topics import BILLS, OPERATIONS, SESSIONS, TARIFFS, TOKENS, Topic
from services.billing import worker
from services.billing.heard import Assigned, Heard
from tests.billing.says import ACME, NOON, at, delivered, ended, started, version

STREAM = worker.build(Settings())


def assignment(scope: str, tariff: str | None = "AC") -> TariffAssignment:
    return TariffAssignment(at=NOON, tenant=ACME, version=1, id=scope, tariff=tariff)


def known(*things: TariffVersion | TariffAssignment | Token) -> Copies:
    copies = Copies(*STREAM.copies)
    for thing in things:
        topic: Topic[Any] = TOKENS if isinstance(thing, Token) else TARIFFS
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


def test_it_hears_sessions_and_statuses_and_writes_bills() -> None:
    assert STREAM.inputs == (SESSIONS, OPERATIONS)
    assert STREAM.outputs == (BILLS,)
    assert set(STREAM.hears) <= {*SESSIONS.classes, *OPERATIONS.classes}


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
