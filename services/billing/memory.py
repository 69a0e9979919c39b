"""What billing remembers after an event: as much as can be corrected at once, within its bounds."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any

import msgspec
from msgspec.structs import replace

from contracts.bills import (
    CdrConfirmed,
    CdrHeld,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    DisplayRenamed,
    Review,
    SessionMeasured,
    SessionRecalled,
    SignedValueJudged,
    TariffBound,
    Usage,
)
from contracts.event import SessionId
from contracts.tariffs import PriceComponent, Tariff, TariffElement
from services.billing.papers import whose
from services.billing.recalling import over
from services.billing.state import (
    CLOSED,
    CLOSED_BYTES,
    DECIDED,
    DIGEST,
    HELD,
    OPEN,
    PAST,
    Bound,
    Decided,
    LastShown,
    Over,
    Running,
    Session,
    Station,
    digest_of,
)
from services.billing.usage import Boundaries, seconds, thinned, used_by

FREE = (TariffElement((PriceComponent("FLAT", Decimal(0)),)),)
"""OCPI's free tariff (OCPI 2.3.0 mod_tariffs)."""
ISSUED = ("number", "cdr", "currency", "total_excl", "total_incl", "taxes", "input_hash")


def boundaries(session: Bound) -> Boundaries:
    return Boundaries(session.tariff, session.time_zone, seconds(session.started_at), session.policy)


def bound(state: Station, event: TariffBound) -> Station:
    """Return the station with a session that begins; of one that is over, another version counts from now on."""
    if not isinstance(state.session(event.session), Over):
        return replace(state, running=(*state.running, _running(event))[-OPEN:])
    fields = {"tariff": event.tariff, "policy": event.policy, "tariff_version": event.tariff_version}
    return _each(state, event.session, lambda session: replace(session, **fields))


def free(state: Station, event: ChargedFree) -> Station:
    """Return the station with a session that costs nothing: it is priced at 0, for there is a CDR of it (TAR-28)."""
    if not event.currency or event.token is None:
        return state
    return bound(
        state,
        TariffBound(
            at=event.at,
            **whose(event),
            tariff=Tariff("", event.currency, FREE),
            tariff_version=0,
            assignment=event.assignment,
            time_zone=event.time_zone,
            token=event.token,
            account=event.account,
            site=event.site,
            evse=event.evse,
            connector=event.connector,
            display=event.display,
        ),
    )


def _running(event: TariffBound) -> Running:
    return Running(
        tenant=event.tenant,
        station=event.station,
        id=event.session,
        tariff=event.tariff,
        policy=event.policy,
        tariff_version=event.tariff_version,
        time_zone=event.time_zone,
        token=event.token,
        account=event.account,
        site=event.site,
        evse=event.evse,
        connector=event.connector,
        started_at=event.at,
        usage=(Usage(event.at, 0),),
        display=event.display,
    )


def renamed(state: Station, event: DisplayRenamed) -> Station:
    def rename(session: Running) -> Running:
        if session.id != event.session or session.display is None:
            return session
        return replace(session, display=replace(session.display, transaction=event.transaction))

    return replace(state, running=tuple(map(rename, state.running)))


def used(state: Station, event: CostUpdated) -> Station:
    running = (_longer(each, event) if each.id == event.session else each for each in state.running)
    return replace(state, running=tuple(running))


def _longer(session: Running, event: CostUpdated) -> Running:
    last, usage = session.last_shown, session.usage
    if event.usage:
        usage = thinned((*usage, *event.usage), boundaries(session))
    if event.shown is not None:
        last = LastShown(event.at, event.shown.prices, event.shown.idle)
    return replace(session, usage=usage, last_shown=last, cost_at=max(event.at, session.cost_at or event.at))


def measured(state: Station, event: SessionMeasured) -> Station:
    session = state.session(event.session)
    return state if session is None else _with(without(state, event.session), _over(session, event))


def _over(session: Session, event: SessionMeasured) -> Over:
    session = replace(session, started_at=event.started_at or session.started_at)
    usage = thinned(used_by(session.usage, event), boundaries(session))
    kept = {name: getattr(session, name) for name in Bound.__struct_fields__ if name != "usage"}
    billed = {name: getattr(session, name) for name in ISSUED} if isinstance(session, Over) else {}
    return Over(
        **kept,
        **billed,
        usage=usage,
        due=event.due,
        heard_until=event.due,
        energy_known=event.energy_known,
        flags=event.flags,
    )


def recalled(state: Station, event: SessionRecalled) -> Station:
    return _with(without(state, event.session), over(event, event.billed))


def signed(state: Station, event: SignedValueJudged) -> Station:
    """Return the station with a value that a session's meter signed: the first of its begin, the last of its end."""
    value = event.value

    def keep(session: Session) -> Session:
        others = tuple(each for each in session.signed if each.moment != value.moment)
        return replace(session, signed=(*others, value)) if session.id == event.session else session

    return replace(state, running=tuple(map(keep, state.running)), over=tuple(map(keep, state.over)))


def held(state: Station, event: CdrHeld) -> Station:
    return _each(state, event.session, lambda session: replace(session, due=None, held=event.why))


def issued(state: Station, event: CdrIssued) -> Station:
    fields: dict[str, Any] = {
        "number": event.number,
        "cdr": event.cdr,
        "currency": event.priced.currency,
        "total_excl": event.priced.total_excl,
        "total_incl": event.priced.total_incl,
        "taxes": event.taxes,
        "input_hash": event.priced.input_hash,
    }
    return _each(state, event.session, lambda session: replace(session, due=None, held=(), **fields))


def confirmed(state: Station, event: CdrConfirmed) -> Station:
    return _each(state, event.session, lambda session: replace(session, due=None, held=(), input_hash=event.input_hash))


def waived(state: Station, event: CdrWaived) -> Station:
    """Return the station after what was held is not billed: of a session without a CDR, nothing ever is."""
    if event.cdr is None:
        return past(without(state, event.session), event.session)
    return _each(state, event.session, lambda session: replace(session, held=(), waived=True))


def decided(state: Station, session: SessionId, review: Review) -> Station:
    known = Decided(review.id, review.fingerprint, session)
    return replace(state, decided=(*state.decided, known)[-DECIDED:])


def past(state: Station, id: str) -> Station:
    """Return the station for which a CDR or a session counts no more."""
    return replace(state, past=(state.past + digest_of(id))[-PAST * DIGEST :])


def without(state: Station, session: SessionId) -> Station:
    return replace(
        state,
        running=tuple(each for each in state.running if each.id != session),
        over=tuple(each for each in state.over if each.id != session),
    )


def _each(state: Station, session: SessionId, change: Callable[[Over], Over]) -> Station:
    changed = (change(each) if each.id == session else each for each in state.over)
    return _bounded(replace(state, over=tuple(changed)))


def _with(state: Station, session: Over) -> Station:
    return _bounded(replace(state, over=(*state.over, session)))


def _bounded(state: Station) -> Station:
    """Return the station without what is too much: of what is billed, and of what is held, the oldest. The newest is always kept, or
    nothing could be made of what is recalled.
    """
    over_ = state.over
    excess = {*_too_many(over_), *_too_large(over_), *_too_many_held(over_)}
    kept = tuple(each for each in over_ if each.id not in excess)
    return replace(state, over=kept, forgotten=state.forgotten + len(over_) - len(kept)) if excess else state


def _billed(over_: Sequence[Over]) -> list[Over]:
    return [each for each in reversed(over_) if each.due is None and not each.is_held]


def _too_many(over_: Sequence[Over]) -> list[SessionId]:
    return [each.id for each in _billed(over_)[CLOSED:]]


def _too_large(over_: Sequence[Over]) -> list[SessionId]:
    billed = _billed(over_)
    sizes = accumulate(len(msgspec.json.encode(each)) for each in billed)
    large = [each.id for each, size in zip(billed, sizes, strict=True) if size > CLOSED_BYTES]
    return [id for id in large if id != over_[-1].id]


def _too_many_held(over_: Sequence[Over]) -> list[SessionId]:
    return [each.id for each in reversed(over_) if each.is_held][HELD:]
