"""What billing reads, by which rules, and what it writes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message
from contracts.operations import ConnectorStatusChanged
from contracts.reference import TariffAssignment, TariffVersion, Token
from contracts.sessions import (
    EnergyDelivered,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionRepaired,
    SessionStarted,
)
from contracts.topics import BILLS, OPERATIONS, SESSIONS, TARIFFS, TOKENS, tariff_key
from services.billing import domain
from services.billing.heard import Assigned, Heard
from services.billing.state import State


def build(settings: Settings) -> Stream:
    """Return the decider of bills, not yet started."""
    hold = timedelta(seconds=settings.cdr_hold_s)

    def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
        assigned = assigned_to(message.event, copies) if isinstance(message.event, SessionStarted) else None
        return Heard(message.event, message.recorded_at + hold, assigned)

    return Stream(
        name="billing",
        rules=domain,
        state=State,
        inputs=(SESSIONS, OPERATIONS),
        outputs=(BILLS,),
        copies=(Whole(TARIFFS), Whole(TOKENS)),
        regard=regard,
        deadline=lambda state, _: domain.deadline(state),
        hears=(
            SessionStarted,
            EnergyDelivered,
            SessionEnded,
            SessionPresumedEnded,
            SessionCorrected,
            SessionRepaired,
            ConnectorStatusChanged,
        ),
    )


def assigned_to(started: SessionStarted, copies: Copies) -> Assigned | None:
    """Return the tariff of the narrowest scope that has one, in the version that was valid at the start (TAR-02, TAR-29)."""
    tariffs = copies.of(TARIFFS)
    for scope in scopes(started, group_of(started, copies)):
        found = tariffs.get(f"{started.tenant}/assignment/{scope}")
        if not isinstance(found, TariffAssignment):
            continue
        if found.tariff is None:
            return Assigned(scope, None)
        if (version := valid_at(started.at, started.tenant, found.tariff, copies)) is not None:
            return Assigned(scope, version)
    return None


def scopes(started: SessionStarted, group: str | None) -> Iterator[str]:
    """Yield the scopes that a session is in, the narrowest first."""
    connector = f"connector/{started.station}/{started.evse}/{started.connector}"
    places = [connector, f"station/{started.station}", *([f"site/{started.site}"] if started.site else []), "tenant"]
    if group is not None:
        yield from (f"{place}/group/{group}" for place in places)
    yield from places


def group_of(started: SessionStarted, copies: Copies) -> str | None:
    token = copies.of(TOKENS).get(f"{started.tenant}/{started.token}")
    return token.group if isinstance(token, Token) else None


def valid_at(at: datetime, tenant: str, tariff: str, copies: Copies) -> TariffVersion | None:
    """Return the newest version that was valid then; versions are counted from 1 without a gap, and never go."""
    found: TariffVersion | None = None
    number = 1
    while isinstance(version := copies.of(TARIFFS).get(tariff_key(tenant, tariff, number)), TariffVersion):
        if version.valid_from <= at:
            found = version
        number += 1
    return found
