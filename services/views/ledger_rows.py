"""From what accounts and the directory say of accounts to rows. Pure: no database, no clock."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from contracts import money_tables as tables
from contracts.ledger import (
    Adjusted,
    AllowanceConsumed,
    AllowanceReturned,
    ChargingAllowed,
    ChargingRunning,
    InvoiceDrafted,
    LedgerEvent,
    MoneyReturned,
    MoneyTaken,
    OfPayment,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentOpened,
    PaymentSettled,
    PostingRefused,
    SessionCharged,
    SessionCredited,
    Standing,
    SubscriptionCharged,
    WrittenOff,
)
from contracts.postings import AD_HOC
from contracts.reference import CustomerAccount
from contracts.topics import ACCOUNTS, LEDGER, STANDINGS
from services.views.bill_rows import plain
from services.views.rows import Operation, Put, Row, put

TOPICS = (ACCOUNTS, LEDGER, STANDINGS)

Bill = SessionCharged | SessionCredited | SubscriptionCharged | AllowanceConsumed | AllowanceReturned
Entry = Bill | MoneyTaken | MoneyReturned | Adjusted | WrittenOff
Said = LedgerEvent | Standing | CustomerAccount


def operations(event: Said) -> Iterator[Operation]:
    """Yield what becomes of rows by `event`."""
    match event:
        case CustomerAccount():
            yield put(tables.accounts, _account(event))
        case Standing():
            yield put(tables.standings, _standing(event))
        case (
            SessionCharged()
            | SessionCredited()
            | SubscriptionCharged()
            | AllowanceConsumed()
            | AllowanceReturned()
            | MoneyTaken()
            | MoneyReturned()
            | Adjusted()
            | WrittenOff()
        ):
            yield from _entered(event)
        case PaymentOpened():
            yield put(tables.payments, _payment(event))
            yield put(tables.posting_outcomes, _outcome(event, event.payment, event.fingerprint))
        case OfPayment():
            yield from _stepped(event)
        case PostingRefused():
            refusal = {"done": False, "reason": event.reason, "detail": event.detail}
            yield put(
                tables.posting_outcomes, _outcome(event, event.request, event.fingerprint) | refusal, unless="there"
            )
        case InvoiceDrafted(request=str() as request):
            drafted = {"invoice": event.invoice}
            yield put(tables.posting_outcomes, _outcome(event, request, "") | drafted)
        case ChargingRunning():
            yield from _of_hold(event, event.session)
        case _:
            return


def text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _account(account: CustomerAccount) -> Row:
    return {
        "tenant": account.tenant,
        "id": account.id,
        "version": account.version,
        "changed_at": account.at,
        "kind": account.kind,
        "currency": account.currency,
        "credit_limit": text(account.credit_limit),
        "person": account.person,
        "name": account.name,
        "email": account.email,
        "address": msgspec.to_builtins(account.address),
        "vat_id": account.vat_id,
        "mandate": account.mandate,
        "time_zone": account.time_zone,
        "closed": account.closed,
        "subscription": None if account.subscription is None else plain(account.subscription),
    }


def _standing(event: Standing) -> Row:
    return {
        "tenant": event.tenant,
        "account": event.account,
        "may_charge": event.may_charge,
        "why": event.why,
        "since": event.at,
    }


def _outcome(event: Any, id: str, fingerprint: str) -> Row:
    return {
        "tenant": event.tenant,
        "id": id,
        "account": event.account,
        "done": True,
        "entry": None,
        "invoice": None,
        "reason": None,
        "detail": None,
        "fingerprint": fingerprint,
        "decided_at": event.at,
    }


# ---- entries ------------------------------------------------------------------------------------------------------------


def _entered(event: Entry) -> Iterator[Operation]:
    """Yield the entry, the balance after it, and what it says of a payment or a request."""
    yield put(tables.ledger_entries, _NO_ENTRY | _entry(event) | _details(event))
    yield put(
        tables.balances,
        {
            "tenant": event.tenant,
            "account": event.account,
            "currency": event.currency,
            "balance": text(event.balance),
            "entry": event.entry,
            "updated_at": event.at,
        },
    )
    match event:
        case Adjusted():
            outcome = _outcome(event, event.request, event.fingerprint)
            yield put(tables.posting_outcomes, outcome | {"entry": event.entry})
        case SessionCharged():
            yield from _of_hold(event, event.session)
        case MoneyTaken(reference=reference) if reference:
            yield Put(tables.payments, (event.tenant, event.payment), {"reference": reference}, unless="missing")
        case SubscriptionCharged():
            yield put(tables.subscription_months, _month(event))
        case AllowanceConsumed() | AllowanceReturned() if event.left_wh is not None:
            left = {"left_wh": event.left_wh}
            yield Put(tables.subscription_months, (event.tenant, event.month), left, unless="missing")
        case _:
            return


def _month(event: SubscriptionCharged) -> Row:
    return {
        "tenant": event.tenant,
        "id": event.id,
        "account": event.account,
        "month_start": event.month_start,
        "month_end": event.month_end,
        "name": event.name,
        "currency": event.currency,
        "net": text(event.net),
        "gross": text(event.gross),
        "allowance_wh": event.allowance_wh,
        "left_wh": event.allowance_wh,
    }


_NO_ENTRY: Row = {column.name: None for column in tables.ledger_entries.columns}


def _entry(event: Entry) -> Row:
    movement = event.movement
    gains = movement is not None and movement.to == "customer"
    amount = Decimal(0) if movement is None else movement.amount if gains else -movement.amount
    return {
        "tenant": event.tenant,
        "account": event.account,
        "entry": event.entry,
        "at": event.at,
        "currency": event.currency,
        "amount": text(amount),
        "balance": text(event.balance),
        "place": None if movement is None else movement.source if gains else movement.to,
    }


def _details(event: Entry) -> Row:
    match event:
        case SessionCharged():
            return (
                _bill(event)
                | _of_cdr(event)
                | {
                    "kind": "session",
                    "site": event.site,
                    "energy_wh": event.energy_wh,
                    "started_at": event.started_at,
                    "ended_at": event.ended_at,
                }
            )
        case SessionCredited():
            return _bill(event) | _of_cdr(event) | {"kind": "credit", "credits": event.credits}
        case SubscriptionCharged():
            times = {"started_at": event.month_start, "ended_at": event.month_end}
            return _bill(event) | {"kind": "subscription", "name": event.name} | times
        case AllowanceConsumed():
            what = {"energy_wh": event.energy_wh, "started_at": event.started_at, "site": event.site}
            return _bill(event) | _of_cdr(event) | {"kind": "allowance"} | what
        case AllowanceReturned():
            what = {"energy_wh": event.energy_wh, "credits": event.credits}
            return _bill(event) | _of_cdr(event) | {"kind": "allowance_returned"} | what
        case MoneyTaken():
            return {"kind": "money_in", "payment": event.payment}
        case MoneyReturned():
            return {"kind": "money_out", "payment": event.payment}
        case WrittenOff():
            return {"kind": "written_off", "payment": event.payment, "reason": event.reason}
        case Adjusted():  # pragma: no branch
            return {
                "kind": "adjustment",
                "request": event.request,
                "reason": event.reason,
                "requested_by": event.requested_by,
            }


def _of_cdr(event: SessionCharged | SessionCredited | AllowanceConsumed | AllowanceReturned) -> Row:
    return {"cdr": event.cdr, "session": event.session, "station": event.station}


def _bill(event: Bill) -> Row:
    return {
        "net": text(event.net),
        "gross": text(event.gross),
        "taxes": [{"rate": text(each.rate), "net": text(each.net), "gross": text(each.gross)} for each in event.taxes],
        "invoice": event.invoice,
    }


# ---- payments -----------------------------------------------------------------------------------------------------------


def _payment(event: PaymentOpened) -> Row:
    return {column.name: None for column in tables.payments.columns} | {
        "tenant": event.tenant,
        "id": event.payment,
        "account": event.account,
        "kind": event.kind,
        "state": "asked",
        "amount": text(event.amount),
        "currency": event.currency,
        "station": event.station,
        "evse": event.evse,
        "token": event.token,
        "requested_by": event.requested_by or None,
        "fingerprint": event.fingerprint,
        "created_at": event.at,
        "updated_at": event.at,
    }


def _stepped(event: OfPayment) -> Iterator[Operation]:
    """Yield what a step makes of a payment's row; most steps show nothing."""
    match event:
        case PaymentActionRequired():
            yield _changed(event, state="action_required", url=event.url, reference=event.reference or None)
        case PaymentAuthorised():
            yield _changed(
                event,
                state="authorised",
                held=text(event.held),
                reference=event.reference or None,
                capture_before=event.capture_before,
            )
        case PaymentSettled():
            yield _changed(
                event,
                state=event.state,
                taken=text(event.taken),
                returned=text(event.returned),
                reason=event.reason or None,
            )
        case ChargingAllowed():
            yield _changed(event, until=event.until)
        case _:
            return


def _changed(event: OfPayment, **values: Any) -> Put:
    return Put(tables.payments, (event.tenant, event.payment), values | {"updated_at": event.at}, unless="missing")


def _of_hold(event: SessionCharged | ChargingRunning, session: str) -> Iterator[Operation]:
    """Yield that the session of an ad-hoc account is its payment's."""
    if event.account.startswith(AD_HOC):
        payment = event.account.removeprefix(AD_HOC)
        yield Put(tables.payments, (event.tenant, payment), {"session": session}, unless="missing")
