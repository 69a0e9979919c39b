"""Has stations show what charging costs: before it begins, while it goes on, and at its end (TAR-40).

Two followers, at least once: their commands have ids that are derived, and operations does none of them twice. What is heard of the past
is not shown, and a command that cannot be sent soon expires.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chassis.follow import Follower
from contracts.authorizations import TokenDecided
from contracts.bills import CostShown, CostUpdated, SessionMeasured
from contracts.commands import CommandIssued
from contracts.event import CommandId, Message, OfStation, derived_id
from contracts.operations import ShowFinalCost, ShowPrice, ShowRunningCost, Shows
from contracts.topics import AUTHORIZATIONS, BILLS, COMMANDS

REQUESTED_BY = "billing"
"""Takes the place of the id of an API key."""
FRESH = timedelta(minutes=5)
"""What happened longer ago, by the station's clock, before we heard of it, is not shown any more."""
WITHIN = timedelta(minutes=1)
"""So soon it is shown or not at all."""


def costs() -> Follower:
    """Return who announces what sessions come to, not yet started."""
    return Follower("billing.announcer", BILLS, (COMMANDS,), _carry_out, hears=(CostUpdated, SessionMeasured))


def prices() -> Follower:
    """Return who announces what charging costs to whoever presents a token, not yet started."""
    return Follower("billing.greeter", AUTHORIZATIONS, (COMMANDS,), _carry_out, hears=(TokenDecided,))


async def _carry_out(message: Message[Any]) -> Sequence[CommandIssued]:
    return announced(message)


def announced(message: Message[Any]) -> Sequence[CommandIssued]:
    """Return what a station is to show because of a message."""
    match message.event:
        case OfStation(at=at) if message.recorded_at - at > FRESH:
            return []
        case TokenDecided(token=token, price_text=text) if text:
            return [_command(message, message.id, ShowPrice(token, text))]
        case CostUpdated(shown=CostShown() as shown) as cost:
            return [_command(message, message.id, running(cost, shown))]
        case SessionMeasured(shown=CostShown() as shown, session=session) as measured:
            cause = f"{measured.tenant}/{session}/final"
            return [_command(message, cause, ShowFinalCost(session, shown.transaction, shown.cost, in_words(shown)))]
        case _:
            return []


def running(cost: CostUpdated, shown: CostShown) -> ShowRunningCost:
    return ShowRunningCost(
        session=cost.session,
        transaction=shown.transaction,
        as_of=cost.at,
        cost=shown.cost,
        register_wh=shown.register_wh,
        idle=shown.idle,
        prices=shown.prices,
    )


def in_words(shown: CostShown) -> str:
    return f"{shown.cost:f} {shown.currency} incl. taxes for {shown.energy_wh // 1000}.{shown.energy_wh % 1000:03} kWh"


def _command(message: Message[OfStation], cause: str, task: Shows) -> CommandIssued:
    event = message.event
    return CommandIssued(
        at=message.recorded_at,
        tenant=event.tenant,
        station=event.station,
        command=CommandId(derived_id(cause, "billing", "shown")),
        task=task,
        requested_by=REQUESTED_BY,
        expires_at=message.recorded_at + WITHIN,
    )
