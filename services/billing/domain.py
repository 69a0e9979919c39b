"""What a session's events mean for its price: bound at its start, running while it charges, billed after its end, corrected later."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    BillEvent,
    BillLine,
    BillPeriod,
    CdrConfirmed,
    CdrCredited,
    CdrHeld,
    CdrIssued,
    ChargedFree,
    CostUpdated,
    Priced,
    SessionMeasured,
    TariffBound,
    TariffMissing,
    Usage,
)
from contracts.event import Instant, Ticked, derived_id
from contracts.operations import ConnectorStatusChanged
from contracts.sessions import (
    EnergyDelivered,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionRepaired,
    SessionStarted,
)
from services.billing.documents import negative
from services.billing.heard import Heard
from services.billing.meter import END
from services.billing.state import CLOSED, OPEN, Bound, Over, Running, Session, State, Station
from services.billing.tariff import Bill, Line, Period, price, rounded
from services.billing.usage import Boundaries, is_worth_noting, moment, seconds, session_of, thinned

ENGINE = "1"
"""Of the rules of pricing: what was billed by other rules is never priced again by itself (CDR-04)."""
STATES = {
    "Charging": "CHARGING",
    "SuspendedEVSE": "SUSPENDED_EVSE",
    "SuspendedEV": "SUSPENDED_EV",
    "Finishing": "FINISHING",
}
"""What a connector says of itself, as far as a price depends on it (TAR-22)."""
DOUBTFUL = frozenset(
    {"implausible_energy", "implausible", "unit_suspect", "review", "meter_went_back", "refused", "ended_before_start"}
)
"""Flags with which a session is not billed before somebody has looked (TAR-21)."""

initial: State = Station()

Ended = SessionEnded | SessionPresumedEnded | SessionCorrected


def decide(state: State, heard: Heard[Any]) -> list[BillEvent]:
    """Return what a message causes; what means nothing to prices causes nothing."""
    match heard.event:
        case SessionStarted() as started:
            return _started(state, started, heard)
        case EnergyDelivered() as delivered:
            return _used(state.session(delivered.session), Usage(delivered.at, delivered.energy_wh))
        case ConnectorStatusChanged(status=status) as said if status in STATES:
            return _used(state.at(said.evse, said.connector), Usage(said.at, state=STATES[status]))
        case SessionEnded() | SessionPresumedEnded() | SessionCorrected() as ended:
            return _ended(state.session(ended.session), ended, heard)
        case SessionRepaired(action="discard") as repaired:
            return _discarded(state.session(repaired.session), repaired.at)
        case Ticked(at=at):
            return _billed(state, at)
        case _:
            return []


def deadline(state: State) -> Instant | None:
    """Return when the next CDR is due."""
    return min((each.due for each in state.over if each.due is not None), default=None)


def _about(session: Bound) -> dict[str, Any]:
    return {"tenant": session.tenant, "station": session.station, "session": session.id}


def _boundaries(session: Bound) -> Boundaries:
    return Boundaries(session.tariff, session.time_zone, seconds(session.started_at))


def _bill(session: Bound, usage: Sequence[Usage]) -> Bill:
    return price(session.tariff, session_of(usage, session.time_zone, session.policy))


# ---- while it charges ---------------------------------------------------------------------------------------------------


def _started(state: State, started: SessionStarted, heard: Heard[Any]) -> list[BillEvent]:
    if state.session(started.session) is not None:
        return []
    about: dict[str, Any] = {
        "at": started.at,
        "tenant": started.tenant,
        "station": started.station,
        "session": started.session,
    }
    assigned = heard.assigned
    if assigned is None:
        return [TariffMissing(**about, evse=started.evse, connector=started.connector)]
    if assigned.version is None:
        return [ChargedFree(**about, assignment=assigned.scope)]
    return [
        TariffBound(
            **about,
            tariff=assigned.version.tariff,
            policy=assigned.version.policy,
            tariff_version=assigned.version.version,
            assignment=assigned.scope,
            time_zone=started.time_zone,
            token=started.token,
            site=started.site,
            evse=started.evse,
            connector=started.connector,
        )
    ]


def _used(session: Session | None, new: Usage) -> list[BillEvent]:
    """Return the cost so far, where it is worth saying. What is over is priced by its end alone."""
    if not isinstance(session, Running) or new in session.usage or new.at < session.started_at:
        return []
    if not is_worth_noting(session.usage, new, _boundaries(session)):
        return []
    usage = (*session.usage, new)
    bill = _bill(session, usage)
    return [
        CostUpdated(
            at=new.at,
            **_about(session),
            usage=(new,),
            currency=bill.currency,
            total_excl=bill.total_excl,
            total_incl=bill.total_incl,
            energy_wh=max(each.energy_wh or 0 for each in usage),
        )
    ]


def _ended(session: Session | None, ended: Ended, heard: Heard[Any]) -> list[BillEvent]:
    """Return all that was used, and when it is billed: a little later, so that late values still count (CDR-06)."""
    if session is None:
        return []
    end = Usage(max(ended.at, session.started_at), ended.energy_wh, END)
    flags = () if isinstance(ended, SessionPresumedEnded) else ended.flags
    presumed = ("estimated_end",) if isinstance(ended, SessionPresumedEnded) else ()
    known = ended.energy_wh is not None
    if isinstance(session, Over) and (end in session.usage, session.energy_known) == (True, known):
        return []
    return [
        SessionMeasured(
            at=ended.at,
            **_about(session),
            usage=(end,),
            due=heard.due,
            energy_known=known,
            flags=(*flags, *presumed),
        )
    ]


def _discarded(session: Session | None, at: Instant) -> list[BillEvent]:
    """Return that nothing is due for a session that a person discarded, and the credit of what was billed."""
    if session is None:
        return []
    billed = session if isinstance(session, Over) and session.cdr is not None else None
    return [*([_credit(billed, at)] if billed else []), BillDiscarded(at=at, **_about(session))]


# ---- when it is billed --------------------------------------------------------------------------------------------------


def _billed(state: State, at: Instant) -> list[BillEvent]:
    return [
        event for each in state.over if each.due is not None and each.due <= at for event in _document(each, each.due)
    ]


def _document(session: Over, at: Instant) -> list[BillEvent]:
    """Return the CDR that is due, or why somebody should look first; where one was issued before, what corrects it."""
    bill = _bill(session, session.usage)
    priced = _priced(session, bill)
    why = sorted(DOUBTFUL & {*session.flags, *bill.flags} | ({"energy_unknown"} if not session.energy_known else set()))
    if why:
        return [CdrHeld(at=at, **_about(session), why=tuple(why), priced=priced)]
    if session.cdr is None:
        return [_issued(session, at, priced)]
    if (session.total_excl, session.total_incl) == (bill.total_excl, bill.total_incl):
        return [CdrConfirmed(at=at, **_about(session), cdr=session.cdr, input_hash=priced.input_hash)]
    return [_credit(session, at), _issued(session, at, priced)]


def _credit(session: Over, at: Instant) -> CdrCredited:
    assert session.cdr is not None, "what was issued can be credited"
    return CdrCredited(
        at=at,
        **_about(session),
        cdr=_id(session, f"credit-{session.number}"),
        credits=session.cdr,
        currency=session.currency,
        total_excl=negative(session.total_excl),
        total_incl=negative(session.total_incl),
    )


def _issued(session: Over, at: Instant, priced: Priced) -> CdrIssued:
    return CdrIssued(
        at=at,
        **_about(session),
        cdr=_id(session, session.number + 1),
        number=session.number + 1,
        tariff=session.tariff.id,
        tariff_version=session.tariff_version,
        token=session.token,
        site=session.site,
        started_at=session.started_at,
        ended_at=max(each.at for each in session.usage),
        priced=priced,
        corrects=session.cdr,
    )


def _id(session: Over, what: str | int) -> str:
    return derived_id(session.id, "billing", what)


def _priced(session: Over, bill: Bill) -> Priced:
    start, end = min(each.at for each in session.usage), max(each.at for each in session.usage)
    return Priced(
        currency=bill.currency,
        total_excl=bill.total_excl,
        total_incl=bill.total_incl,
        energy_wh=max(each.energy_wh or 0 for each in session.usage),
        seconds=seconds(end) - seconds(start),
        lines=tuple(_line(line, net, gross) for line, (net, gross) in zip(bill.lines, bill.apportioned(), strict=True)),
        periods=tuple(map(_period, bill.periods)),
        limit=bill.limit,
        flags=tuple(dict.fromkeys((*session.flags, *bill.flags))),
        input_hash=_hash(session),
    )


def _hash(session: Over) -> str:
    said = (ENGINE, session.usage, session.tariff, session.tariff_version, session.policy, session.time_zone)
    return blake2b(msgspec.json.encode(said), digest_size=16).hexdigest()


def _line(line: Line, net: Decimal, gross: Decimal) -> BillLine:
    component = line.component
    return BillLine(
        dimension=line.kind,
        element=component.element,
        component=component.number,
        price=component.price,
        unit=line.unit,
        measured=f"{rounded(line.quantity, 3):f}",
        billed=f"{rounded(line.billed, 3):f}",
        net_exact=f"{rounded(line.net, 6):f}",
        gross_exact=f"{rounded(line.gross, 6):f}",
        net=net,
        gross=gross,
        vat=component.vat,
        discount_percent=f"{rounded(line.discount * 100, 2):f}",
        restrictions=component.said,
    )


def _period(period: Period) -> BillPeriod:
    return BillPeriod(
        start=moment(int(period.start)),
        state=period.kind,
        energy_kwh=f"{rounded(period.mwh / 1_000_000, 4):f}",
        hours=f"{rounded(Fraction(period.end - period.start) / 3600, 4):f}",
    )


# ---- what is remembered -------------------------------------------------------------------------------------------------


def evolve(state: State, event: BillEvent) -> State:
    """Return the station's sessions after an event."""
    match event:
        case TariffBound():
            return replace(state, running=(*state.running, _bound(event))[-OPEN:])
        case CostUpdated():
            return replace(
                state,
                running=tuple(_longer(each, event) if each.id == event.session else each for each in state.running),
            )
        case SessionMeasured():
            session = state.session(event.session)
            running = tuple(each for each in state.running if each.id != event.session)
            over = tuple(each for each in state.over if each.id != event.session)
            return state if session is None else Station(running=running, over=(*over, _over(session, event))[-CLOSED:])
        case CdrHeld() | CdrIssued() | CdrConfirmed():
            return replace(
                state, over=tuple(_decided(each, event) if each.id == event.session else each for each in state.over)
            )
        case BillDiscarded():
            running = tuple(each for each in state.running if each.id != event.session)
            return Station(running=running, over=tuple(each for each in state.over if each.id != event.session))
        case TariffMissing() | ChargedFree() | CdrCredited():  # pragma: no branch
            return state


def _bound(event: TariffBound) -> Running:
    return Running(
        tenant=event.tenant,
        station=event.station,
        id=event.session,
        tariff=event.tariff,
        policy=event.policy,
        tariff_version=event.tariff_version,
        time_zone=event.time_zone,
        token=event.token,
        site=event.site,
        evse=event.evse,
        connector=event.connector,
        started_at=event.at,
        usage=(Usage(event.at, 0),),
    )


def _longer(session: Running, event: CostUpdated) -> Running:
    return replace(session, usage=thinned((*session.usage, *event.usage), _boundaries(session)))


def _over(session: Session, event: SessionMeasured) -> Over:
    before = tuple(each for each in session.usage if each.state != END)
    usage = thinned((*before, *event.usage), _boundaries(session))
    kept = {name: getattr(session, name) for name in Bound.__struct_fields__ if name != "usage"}
    issued = {name: getattr(session, name) for name in ISSUED} if isinstance(session, Over) else {}
    return Over(**kept, **issued, usage=usage, due=event.due, energy_known=event.energy_known, flags=event.flags)


ISSUED = ("number", "cdr", "currency", "total_excl", "total_incl")


def _decided(session: Over, event: CdrHeld | CdrIssued | CdrConfirmed) -> Over:
    if not isinstance(event, CdrIssued):
        return replace(session, due=None)
    return replace(
        session,
        due=None,
        number=event.number,
        cdr=event.cdr,
        currency=event.priced.currency,
        total_excl=event.priced.total_excl,
        total_incl=event.priced.total_incl,
    )
