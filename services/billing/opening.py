"""What becomes of a session that goes on: it is bound to a tariff, and its cost follows what it uses."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.bills import BillEvent, ChargedFree, CostUpdated, TariffBound, TariffMissing, Usage
from contracts.event import Instant
from contracts.sessions import SessionStarted
from services.billing import displaying
from services.billing.heard import Heard
from services.billing.memory import boundaries
from services.billing.papers import about, bill_of
from services.billing.state import Running, Session, State
from services.billing.usage import is_worth_noting

STATES = {
    "Charging": "CHARGING",
    "SuspendedEVSE": "SUSPENDED_EVSE",
    "SuspendedEV": "SUSPENDED_EV",
    "Finishing": "FINISHING",
}
"""What a connector says of itself, as far as a price depends on it (TAR-22)."""


COST_EVERY = timedelta(minutes=5)
"""So often the cost of a session is said that goes up by time alone: a car that is full says nothing more (PAY-02), …"""
FOR_SO_LONG = timedelta(hours=24)
"""… for so long after the last that was heard of it."""
OF_TIME = frozenset({"TIME", "PARKING_TIME"})


def started(state: State, event: SessionStarted, heard: Heard[Any]) -> list[BillEvent]:
    """Return by which tariff a session is priced, or that it is free, or that nobody has said."""
    if state.session(event.session) is not None:
        return []
    whose: dict[str, Any] = {
        "at": event.at,
        "tenant": event.tenant,
        "station": event.station,
        "session": event.session,
    }
    assigned = heard.assigned
    if assigned is None:
        return [TariffMissing(**whose, evse=event.evse, connector=event.connector, account=heard.account)]
    if assigned.version is None:
        return [
            ChargedFree(
                **whose,
                assignment=assigned.scope,
                account=heard.account,
                currency=heard.currency,
                time_zone=event.time_zone,
                token=event.token,
                site=event.site,
                evse=event.evse,
                connector=event.connector,
                display=heard.display,
            )
        ]
    return [
        TariffBound(
            **whose,
            tariff=assigned.version.tariff,
            policy=assigned.version.policy,
            tariff_version=assigned.version.version,
            assignment=assigned.scope,
            time_zone=event.time_zone,
            token=event.token,
            account=heard.account,
            site=event.site,
            evse=event.evse,
            connector=event.connector,
            display=heard.display,
        )
    ]


def used(session: Session | None, new: Usage, heard: Heard[Any]) -> list[BillEvent]:
    """Return the cost so far, where it is worth saying. What is over is priced by its end alone."""
    if not isinstance(session, Running) or new in session.usage or new.at < session.started_at:
        return []
    if not is_worth_noting(session.usage, new, boundaries(session)):
        return []
    usage = (*session.usage, new)
    bill = bill_of(session, usage)
    return [
        CostUpdated(
            at=new.at,
            **about(session),
            account=session.account,
            usage=(new,),
            currency=bill.currency,
            total_excl=bill.total_excl,
            total_incl=bill.total_incl,
            energy_wh=_used(usage),
            shown=displaying.running(session, usage, bill, heard.shown_every),
        )
    ]


def passing(state: State, at: Instant) -> list[BillEvent]:
    """Return what sessions come to by the time that has passed."""
    return [_so_far(each, at) for each in state.running if (due := cost_due(each)) is not None and due <= at]


def cost_due(session: Running) -> Instant | None:
    """Return when the cost of a session is said though nothing was heard of it: if time costs, and an account pays."""
    if session.account is None or not _costs_time(session):
        return None
    heard = session.usage[-1].at
    due = max(heard, session.cost_at or heard) + COST_EVERY
    return due if due <= heard + FOR_SO_LONG else None


def _costs_time(session: Running) -> bool:
    return any(part.type in OF_TIME for each in session.tariff.elements for part in each.price_components)


def _so_far(session: Running, at: Instant) -> CostUpdated:
    """Return a cost of which nothing is remembered but that it was said: what comes next counts from what was heard."""
    energy_wh = _used(session.usage)
    bill = bill_of(session, (*session.usage, Usage(at, energy_wh)))
    return CostUpdated(
        at=at,
        **about(session),
        account=session.account,
        usage=(),
        currency=bill.currency,
        total_excl=bill.total_excl,
        total_incl=bill.total_incl,
        energy_wh=energy_wh,
    )


def _used(usage: Sequence[Usage]) -> int:
    return max(each.energy_wh or 0 for each in usage)
