"""What becomes of a session that goes on: it is bound to a tariff, and its cost follows what it uses."""

from typing import Any

from contracts.bills import BillEvent, ChargedFree, CostUpdated, TariffBound, TariffMissing, Usage
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
            energy_wh=max(each.energy_wh or 0 for each in usage),
            shown=displaying.running(session, usage, bill, heard.shown_every),
        )
    ]
