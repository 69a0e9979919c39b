"""What billing runs, in one process: its decider - what it reads, by which rules, what it writes - the archivist and the announcer."""

import asyncio
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from chassis.copies import Copies, Whole
from chassis.follow import Following
from chassis.loop import Loop
from chassis.service import Last, Service
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.bills import Display
from contracts.event import AccountId, Message
from contracts.operations import ConnectorStatusChanged
from contracts.reference import Site, Station, Token
from contracts.reviews import CdrReviewed, PastBillFound, SessionReRated
from contracts.sessions import (
    EnergyDelivered,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionRenamed,
    SessionRepaired,
    SessionStarted,
    SignedValueTaken,
)
from contracts.topics import BILLS, OPERATIONS, REGISTRY, REVIEWS, SESSIONS, SITES, TARIFFS, TOKENS
from services.billing import announcer, archivist, domain
from services.billing.heard import Assigned, Heard
from services.billing.scopes import fitting
from services.billing.state import State

CURRENCY = "EUR"
"""Of a site that nobody has described."""


def build(settings: Settings) -> Stream:
    """Return the decider of bills, not yet started."""
    hold, every = timedelta(seconds=settings.cdr_hold_s), timedelta(seconds=settings.cost_shown_every_s)

    def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
        event = message.event
        heard = Heard(event, message.recorded_at + hold, heard_at=message.recorded_at, shown_every=every)
        match event:
            case SignedValueTaken():
                return replace(heard, meter_key=meter_key_of(event, copies))
            case SessionStarted():
                return replace(
                    heard,
                    assigned=assigned_to(event, copies),
                    account=account_of(event, copies),
                    currency=currency_of(event, copies),
                    display=display_of(event, copies),
                )
            case _:
                return heard

    return Stream(
        name="billing",
        rules=domain,
        state=State,
        inputs=(SESSIONS, OPERATIONS, REVIEWS),
        outputs=(BILLS,),
        copies=(Whole(TARIFFS), Whole(TOKENS), Whole(REGISTRY), Whole(SITES)),
        regard=regard,
        deadline=lambda state, _: domain.deadline(state),
        pace_ms=50,
        hears=(
            SessionStarted,
            SessionRenamed,
            EnergyDelivered,
            SessionEnded,
            SessionPresumedEnded,
            SessionCorrected,
            SessionRepaired,
            SignedValueTaken,
            ConnectorStatusChanged,
            CdrReviewed,
            SessionReRated,
            PastBillFound,
        ),
    )


async def serve(settings: Settings, service: Service) -> None:
    """Run them all until asked to stop."""
    ready, stopping = Last(4, service.ready), service.stopping
    async with asyncio.TaskGroup() as group:
        group.create_task(Loop(build(settings), settings).run(ready, stopping))
        for follower in (archivist.build(settings), announcer.costs(), announcer.prices()):
            group.create_task(Following(follower, settings, stopping).run(ready))


def assigned_to(started: SessionStarted, copies: Copies) -> Assigned | None:
    """Return the tariff that fits, as it was at the start."""
    return fitting(started, started.tenant, group_of(started, copies), started.at, copies.of(TARIFFS))


def account_of(started: SessionStarted, copies: Copies) -> AccountId | None:
    """Return who pays for what the token charges."""
    token = token_of(started, copies)
    return None if token is None else token.account


def currency_of(started: SessionStarted, copies: Copies) -> str:
    """Return the currency of the site, or that of a site that says none."""
    site = copies.of(SITES).get(f"{started.tenant}/{started.site}")
    return site.currency if isinstance(site, Site) else CURRENCY


def display_of(started: SessionStarted, copies: Copies) -> Display | None:
    """Return what the station calls the session, if it shows costs."""
    station = copies.of(REGISTRY).get(f"{started.tenant}/{started.station}")
    if not isinstance(station, Station) or not station.habits.shows_costs:
        return None
    return Display(started.transaction, started.meter_wh or 0)


def meter_key_of(taken: SignedValueTaken, copies: Copies) -> str | None:
    """Return the public key of the evse's meter, if one is registered."""
    station = copies.of(REGISTRY).get(f"{taken.tenant}/{taken.station}")
    evses = station.evses if isinstance(station, Station) else ()
    return next((evse.meter_public_key for evse in evses if evse.id == taken.evse), None)


def group_of(started: SessionStarted, copies: Copies) -> str | None:
    token = token_of(started, copies)
    return None if token is None else token.group


def token_of(started: SessionStarted, copies: Copies) -> Token | None:
    token = copies.of(TOKENS).get(f"{started.tenant}/{started.token}")
    return token if isinstance(token, Token) else None
