"""What becomes of a session that is over: it is measured, then billed or held, and corrected when it turns out otherwise."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    BillEvent,
    CdrConfirmed,
    CdrHeld,
    LateUsageHeard,
    Review,
    SessionMeasured,
    Usage,
)
from contracts.event import Instant, JobId
from contracts.postings import AD_HOC
from contracts.sessions import SessionCorrected, SessionEnded, SessionPresumedEnded, SessionRepaired
from services.billing import displaying, signing
from services.billing.heard import Heard
from services.billing.meter import END
from services.billing.papers import about, bill_of, credited, issued, priced, whose
from services.billing.state import UNBILLED, Over, Session, Station
from services.billing.tariff import Bill
from services.billing.usage import used_by

DOUBTFUL = frozenset(
    {"implausible_energy", "implausible", "unit_suspect", "review", "meter_went_back", "refused", "ended_before_start"}
)
"""Flags with which a session is not billed before somebody has looked (TAR-21)."""
AUTOMATIC = timedelta(days=60)
"""What was billed longer ago is corrected by a person (CDR-06)."""

Ended = SessionEnded | SessionPresumedEnded | SessionCorrected


def ended(state: Station, event: Ended, heard: Heard[Any]) -> list[BillEvent]:
    """Return all that was used, and when it is billed: a little later, so that late values still count (CDR-06)."""
    session = state.session(event.session)
    if session is None:
        return _late(state, event, heard)
    measured = _with_cost(session, event, _measured(event, session.started_at, _due(session, event, heard)))
    known = (measured.usage[0] in session.usage, measured.energy_known, measured.started_at or session.started_at)
    if isinstance(session, Over) and known == (True, session.energy_known, session.started_at):
        return []
    return [*_crowded_out(state, session.id), measured]


def _due(session: Session, event: Ended, heard: Heard[Any]) -> Instant:
    """Return when the session is billed: at once if somebody waits who paid for it alone, and its meter's last word is there."""
    is_ad_hoc = session.account is not None and session.account.startswith(AD_HOC)
    is_whole = isinstance(event, SessionEnded) and event.meter_wh is not None and event.energy_wh is not None
    return heard.heard_at or heard.due if is_ad_hoc and is_whole else heard.due


def _measured(event: Ended, started_at: Instant, due: Instant) -> SessionMeasured:
    began = None if isinstance(event, SessionPresumedEnded) else event.started_at
    return SessionMeasured(
        at=event.at,
        **whose(event),
        usage=(Usage(max(event.at, began or started_at), event.energy_wh, END),),
        started_at=began,
        due=due,
        energy_known=event.energy_wh is not None,
        flags=_flags(event),
    )


def _with_cost(session: Session, event: Ended, measured: SessionMeasured) -> SessionMeasured:
    """Return what was measured with what a display is to show as the whole cost: nothing that is guessed, or doubtful."""
    if session.display is None or isinstance(event, SessionPresumedEnded) or not measured.energy_known:
        return measured
    usage = used_by(session.usage, measured)
    bill = bill_of(session, usage)
    if DOUBTFUL & {*measured.flags, *bill.flags}:
        return measured
    return replace(measured, shown=displaying.shown(session, usage, bill))


def _flags(event: Ended) -> tuple[str, ...]:
    return ("estimated_end",) if isinstance(event, SessionPresumedEnded) else event.flags


def _late(state: Station, event: Ended, heard: Heard[Any]) -> list[BillEvent]:
    """Return that a session turned out otherwise which was billed and is not remembered; the first end of one was no bill's."""
    if not isinstance(event, SessionCorrected) or not state.forgotten or state.is_past(event.session):
        return []
    return [
        LateUsageHeard(
            at=event.at,
            **whose(event),
            usage=(Usage(event.at, event.energy_wh, END),),
            due=heard.due,
            energy_known=event.energy_wh is not None,
            flags=event.flags,
        )
    ]


def _crowded_out(state: Station, new: str) -> list[BillEvent]:
    """Return the document of the oldest session that waits for its own, if another that waits is one too many."""
    waiting = [(each, each.due) for each in state.over if each.due is not None and each.id != new]
    return [event for each, due in waiting[:1] for event in document(each, due)] if len(waiting) >= UNBILLED else []


def discarded(state: Station, event: SessionRepaired, heard: Heard[Any]) -> list[BillEvent]:
    """Return that nothing is due for a session that a person discarded, and the credit of what was billed."""
    session = state.session(event.session)
    if session is not None:
        return taken_back(session, event.at)
    if not state.forgotten or state.is_past(event.session):
        return []
    return [LateUsageHeard(at=event.at, **whose(event), due=heard.due)]


def taken_back(session: Session, at: Instant) -> list[BillEvent]:
    """Return that nothing is due for a session, and the credit of what was billed."""
    billed = session if isinstance(session, Over) and session.cdr is not None else None
    return [
        *([credited(billed, at)] if billed else []),
        BillDiscarded(at=at, **about(session), account=session.account),
    ]


def due_until(state: Station, at: Instant) -> list[BillEvent]:
    """Return the documents that are due."""
    due = [(each, each.due) for each in state.over if each.due is not None and each.due <= at]
    return [event for each, since in due for event in document(each, since)]


def document(session: Over, at: Instant) -> list[BillEvent]:
    """Return the CDR that is due, or why somebody should look first; where one was issued before, what corrects it."""
    bill = bill_of(session, session.usage)
    if why := _doubts(session, bill, at):
        held = CdrHeld(
            at=at,
            **about(session),
            why=why,
            priced=priced(session, bill),
            account=session.account,
            corrects=session.cdr,
        )
        return [held]
    return settled(session, at, bill)


def settled(
    session: Over, at: Instant, bill: Bill, review: Review | None = None, job: JobId | None = None
) -> list[BillEvent]:
    """Return a session's first CDR, what corrects the one that it has, or that this one says all (CDR-03, CDR-04)."""
    new = issued(session, at, bill, review, job)
    if session.cdr is None:
        return [new]
    if (session.total_excl, session.total_incl) == (bill.total_excl, bill.total_incl):
        same = new.priced.input_hash
        return [CdrConfirmed(at=at, **about(session), cdr=session.cdr, input_hash=same, review=review, job=job)]
    return [credited(session, at), new]


def _doubts(session: Over, bill: Bill, at: Instant) -> tuple[str, ...]:
    if session.is_free:
        return ()
    found = DOUBTFUL & {*session.flags, *bill.flags}
    found |= signing.doubts(session.signed, max(each.energy_wh or 0 for each in session.usage))
    if not session.energy_known:
        found |= {"energy_unknown"}
    if session.cdr is not None and _is_dearer(session, bill) and _is_approved_first(session):
        found |= {"requires_approval"}
    if session.cdr is not None and at - _end(session.usage) > AUTOMATIC:
        found |= {"long_ago"}
    return tuple(sorted(found))


def _is_dearer(session: Over, bill: Bill) -> bool:
    before, after = session.total_incl, bill.total_incl
    return before is not None and after is not None and after > before


def _is_approved_first(session: Over) -> bool:
    """Tell whether a person looks at what makes a bill dearer: of a consumer, whose tariff includes the taxes (CDR-03, D-3)."""
    policy = session.policy.dearer
    return policy == "held" or (policy == "held_for_consumers" and session.tariff.tax_included == "YES")


def _end(usage: Sequence[Usage]) -> Instant:
    return max(each.at for each in usage)
