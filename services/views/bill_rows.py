"""What charging costs, as values of columns: the cost of a session, its documents, and what was decided of those held."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

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
    Priced,
    ReRatingSkipped,
    Review,
    ReviewRefused,
    SessionMeasured,
    SessionRecalled,
    SignedValueJudged,
    TariffBound,
    TariffMissing,
)
from contracts.sessions import OfSession

Row = dict[str, Any]
Decision = CdrIssued | CdrConfirmed | CdrWaived | ReviewRefused


def cost(event: BillEvent, updated_at: datetime) -> Row | None:
    """Return what a session costs now; None if that is no news."""
    now = {"tenant": event.tenant, "session": event.session, "station": event.station, "updated_at": updated_at}
    match event:
        case TariffMissing() | ChargedFree() | TariffBound():
            return now | _begun(event)
        case CostUpdated():
            return now | _totals(event) | {"state": "running", "currency": event.currency, "energy_wh": event.energy_wh}
        case SessionMeasured():
            return now | {"state": "measured", "due": event.due}
        case CdrHeld():
            why = {"held_because": list(event.why), "priced": plain(event.priced)}
            return now | _totals(event.priced) | why | {"state": "held"}
        case CdrIssued():
            return now | _billed(event)
        case CdrWaived():
            return now | _waived(event)
        case BillDiscarded():
            return now | {"state": "discarded", "total_excl": None, "total_incl": None, "cdr": None, "priced": None}
        case CdrConfirmed() | CdrCredited():
            return now | {"state": "billed", "held_because": None}
        case (
            DisplayRenamed()
            | ReviewRefused()
            | ReRatingSkipped()
            | SessionRecalled()
            | LateUsageHeard()
            | SignedValueJudged()
        ):  # pragma: no branch
            return None


def _begun(event: TariffMissing | ChargedFree | TariffBound) -> Row:
    payer = {"account": event.account}
    if isinstance(event, TariffMissing):
        return payer | {"state": "no_tariff"}
    if isinstance(event, ChargedFree):
        return payer | {"state": "free", "assignment": event.assignment}
    tariff = {"tariff": event.tariff.id, "tariff_version": event.tariff_version, "assignment": event.assignment}
    state = "running" if event.job is None else "billed"
    return payer | tariff | {"state": state, "currency": event.tariff.currency}


def _billed(event: CdrIssued) -> Row:
    priced = event.priced
    return _totals(priced) | {
        "state": "billed",
        "cdr": event.cdr,
        "account": event.account,
        "priced": plain(priced),
        "held_because": None,
        "energy_wh": priced.energy_wh,
        "currency": priced.currency,
    }


def _waived(event: CdrWaived) -> Row:
    state = "waived" if event.cdr is None else "billed"
    return _totals(event) | {"state": state, "cdr": event.cdr, "held_because": None, "priced": None}


def _totals(event: CostUpdated | CdrCredited | CdrWaived | Priced) -> Row:
    return {"total_excl": _amount(event.total_excl), "total_incl": _amount(event.total_incl)}


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def plain(struct: msgspec.Struct) -> Any:
    """Return a struct as JSON has it; decimal numbers stay text."""
    return msgspec.json.decode(msgspec.json.encode(struct))


def cdr(event: CdrIssued) -> Row:
    """Return a CDR's row."""
    return (
        _document(event, event.cdr, "CDR")
        | _totals(event.priced)
        | {
            "site": event.site,
            "token": event.token,
            "number": event.number,
            "tariff": event.tariff,
            "tariff_version": event.tariff_version,
            "started_at": event.started_at,
            "ended_at": event.ended_at,
            "currency": event.priced.currency,
            "energy_wh": event.priced.energy_wh,
            "corrects": event.corrects,
            "signed": [plain(each) for each in event.signed],
            "priced": plain(event.priced),
        }
    )


def credit(event: CdrCredited) -> Row:
    """Return a credit's row."""
    about = {"currency": event.currency, "credits": event.credits}
    return _document(event, event.cdr, "CREDIT_CDR") | _totals(event) | about


def _document(event: CdrIssued | CdrCredited, id: str, kind: str) -> Row:
    about = {"tenant": event.tenant, "id": id, "kind": kind, "session": event.session, "station": event.station}
    return about | {
        "issued_at": event.at,
        "account": event.account,
        "taxes": [plain(each) for each in event.taxes],
    }


def decision(event: BillEvent) -> Row | None:
    """Return what came of somebody's decision, if the event is that; refusals under an id that was used are no outcome of it."""
    if not isinstance(event, CdrIssued | CdrConfirmed | CdrWaived | ReviewRefused) or event.review is None:
        return None
    match event:
        case CdrIssued():
            return _decided(event, event.review, "billed") | {"cdr": event.cdr}
        case CdrConfirmed():
            return _decided(event, event.review, "confirmed") | {"cdr": event.cdr}
        case CdrWaived():
            return _decided(event, event.review, "waived") | {"cdr": event.cdr}
        case ReviewRefused():  # pragma: no branch
            return _decided(event, event.review, "refused") | {"refused_because": event.reason}


def _decided(event: OfSession, review: Review, outcome: str) -> Row:
    return {
        "tenant": event.tenant,
        "id": review.id,
        "session": event.session,
        "station": event.station,
        "decision": review.decision,
        "outcome": outcome,
        "reason": review.reason,
        "requested_by": review.requested_by,
        "fingerprint": review.fingerprint,
        "decided_at": event.at,
    }
