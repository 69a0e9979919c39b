"""What a session's events mean for its price: bound at its start, running while it charges, billed after its end, corrected later."""

from typing import Any

from contracts.bills import (
    BillDiscarded,
    BillEvent,
    CdrConfirmed,
    CdrCredited,
    CdrHeld,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    DisplayRenamed,
    LateUsageHeard,
    ReRatingSkipped,
    ReviewRefused,
    SessionMeasured,
    SessionRecalled,
    SignedValueJudged,
    TariffBound,
    TariffMissing,
    Usage,
)
from contracts.event import Instant, Ticked
from contracts.operations import ConnectorStatusChanged
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
from services.billing import closing, displaying, memory, opening, recalling, reviewing, signing
from services.billing.heard import Heard
from services.billing.state import State, Station

initial: State = Station()


def decide(state: State, heard: Heard[Any]) -> list[BillEvent]:
    """Return what a message causes; what means nothing to prices causes nothing."""
    match heard.event:
        case SessionStarted() as started:
            return opening.started(state, started, heard)
        case EnergyDelivered() as delivered:
            return opening.used(state.session(delivered.session), Usage(delivered.at, delivered.energy_wh), heard)
        case ConnectorStatusChanged(status=status) as said if status in opening.STATES:
            return opening.used(
                state.at(said.evse, said.connector), Usage(said.at, state=opening.STATES[status]), heard
            )
        case SessionRenamed() as renamed:
            return [*displaying.renamed(state.session(renamed.session), renamed)]
        case SessionEnded() | SessionPresumedEnded() | SessionCorrected() as ended:
            return closing.ended(state, ended, heard)
        case SessionRepaired(action="discard") as repaired:
            return closing.discarded(state, repaired, heard)
        case CdrReviewed() as reviewed:
            return reviewing.reviewed(state, reviewed)
        case SessionReRated() as rerated:
            return recalling.rerated(state, rerated)
        case PastBillFound() as found:
            return recalling.found(state, found)
        case SignedValueTaken() as value:
            return signing.taken(state.session(value.session), value, heard.meter_key)
        case Ticked(at=at):
            return [*opening.passing(state, at), *closing.due_until(state, at)]
        case _:
            return []


def deadline(state: State) -> Instant | None:
    """Return when the next CDR is due, or a cost that goes up by time alone."""
    every = (*(each.due for each in state.over), *(opening.cost_due(each) for each in state.running))
    return min((each for each in every if each is not None), default=None)


def evolve(state: State, event: BillEvent) -> State:
    """Return the station's sessions after an event."""
    if isinstance(event, CdrIssued | CdrConfirmed | CdrWaived | ReviewRefused) and event.review is not None:
        state = memory.decided(state, event.session, event.review)
    match event:
        case TariffBound():
            return memory.bound(state, event)
        case ChargedFree():
            return memory.free(state, event)
        case DisplayRenamed():
            return memory.renamed(state, event)
        case CostUpdated():
            return memory.used(state, event)
        case SessionMeasured():
            return memory.measured(state, event)
        case SessionRecalled():
            return memory.recalled(state, event)
        case SignedValueJudged():
            return memory.signed(state, event)
        case CdrHeld():
            return memory.held(state, event)
        case CdrIssued():
            return memory.issued(state, event)
        case CdrConfirmed():
            return memory.confirmed(state, event)
        case CdrCredited():
            return memory.past(state, event.credits)
        case CdrWaived():
            return memory.waived(state, event)
        case BillDiscarded():
            return memory.past(memory.without(state, event.session), event.session)
        case TariffMissing() | ReviewRefused() | ReRatingSkipped() | LateUsageHeard():  # pragma: no branch
            return state
