"""A session that was billed long ago: what was billed is said by whoever keeps the log, and corrected at most once."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from contracts.bills import (
    Billed,
    BillEvent,
    CdrIssued,
    ReRatingSkipped,
    SessionMeasured,
    SessionRecalled,
    TariffBound,
    Usage,
)
from contracts.event import SessionId
from contracts.reviews import PastBillFound, SessionReRated
from contracts.sessions import OfSession
from services.billing.closing import settled, taken_back
from services.billing.papers import about, bill_of, hash_of, whose
from services.billing.state import Over, Station
from services.billing.tariff import faults

KEPT = tuple(name for name in Billed.__struct_fields__ if name in Over.__struct_fields__)


def billed_by(bound: TariffBound, usage: Sequence[Usage], issued: CdrIssued, input_hash: str) -> Billed:
    """Return a session as it is billed, from what `bills` says: its last tariff, its usage, and the CDR that counts."""
    return Billed(
        tariff=bound.tariff,
        policy=bound.policy,
        tariff_version=bound.tariff_version,
        time_zone=bound.time_zone,
        token=bound.token,
        account=issued.account,
        site=bound.site,
        evse=bound.evse,
        connector=bound.connector,
        started_at=bound.at,
        usage=tuple(usage),
        flags=issued.priced.flags,
        number=issued.number,
        cdr=issued.cdr,
        currency=issued.priced.currency,
        total_excl=issued.priced.total_excl,
        total_incl=issued.priced.total_incl,
        taxes=issued.taxes,
        input_hash=input_hash,
        signed=issued.signed,
    )


def over(event: OfSession, billed: Billed) -> Over:
    """Return the session as it is remembered."""
    kept = {name: getattr(billed, name) for name in KEPT}
    return Over(tenant=event.tenant, station=event.station, id=event.session, **kept)


def as_billed(session: Over) -> Billed:
    """Return a session that is billed, as it is said to whoever has forgotten it."""
    kept = {name: getattr(session, name) for name in KEPT}
    return Billed(**kept)


def rerated(state: Station, event: SessionReRated) -> list[BillEvent]:
    """Return what comes of a re-rating: the tariff that counts now, and what corrects the CDR if it comes to something else."""
    session = state.session(event.session)
    if session is None and event.billed is not None and not _counts_no_more(state, event.session, event.billed):
        session = over(event, event.billed)
    if (reason := _refusal(session, event)) is not None:
        return [ReRatingSkipped(at=event.at, **whose(event), job=event.job, reason=reason)]
    assert isinstance(session, Over)
    known = replace(session, usage=event.usage or session.usage)
    bound = replace(known, tariff=event.tariff, policy=event.policy, tariff_version=event.tariff_version)
    recalled = [] if state.session(event.session) == known else [_recalled(event, known)]
    documents = settled(bound, event.at, bill_of(bound, bound.usage), job=event.job)
    return [*recalled, _bound(bound, event), *documents]


def _counts_no_more(state: Station, session: SessionId, billed: Billed) -> bool:
    return state.is_past(session) or state.is_past(billed.cdr)


def _refusal(session: Any, event: SessionReRated) -> Any:
    """Return why a re-rating cannot be applied, if it cannot."""
    if session is None:
        return "forgotten" if event.billed is None else "other_bill"
    if not isinstance(session, Over) or not session.is_billed:
        return "not_billed"
    if (session.input_hash or hash_of(session)) != event.input_hash:
        return "other_bill"
    return "unpriceable" if faults(event.tariff) else None


def found(state: Station, event: PastBillFound) -> list[BillEvent]:
    """Return what late knowledge of a forgotten session causes, now that what was billed is known. It may be told again when more has
    been heard since.
    """
    known = state.session(event.session)
    if known is None and _counts_no_more(state, event.session, event.billed):
        return []
    session = over(event, event.billed) if known is None else known
    recalled = [_recalled(event, session)] if known is None and isinstance(session, Over) else []
    late = event.late
    if not late.usage:
        return [*recalled, *taken_back(session, late.at)]
    due = max(late.due, event.at)
    if late.usage[0] in session.usage or (isinstance(session, Over) and due < (session.heard_until or due)):
        return []
    measured = SessionMeasured(
        at=late.at,
        **whose(event),
        usage=late.usage,
        due=due,
        energy_known=late.energy_known,
        flags=late.flags,
    )
    return [*recalled, measured]


def _recalled(event: OfSession, session: Over) -> SessionRecalled:
    return SessionRecalled(at=event.at, **whose(event), billed=as_billed(session))


def _bound(session: Over, event: SessionReRated) -> TariffBound:
    return TariffBound(
        at=session.started_at,
        **about(session),
        tariff=session.tariff,
        policy=session.policy,
        tariff_version=session.tariff_version,
        assignment="re-rating",
        time_zone=session.time_zone,
        token=session.token,
        account=session.account,
        site=session.site,
        evse=session.evse,
        connector=session.connector,
        job=event.job,
    )
