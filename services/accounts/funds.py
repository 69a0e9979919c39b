"""What there is for the sessions of an account, and whether it may charge."""

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from contracts.ledger import FundsExhausted, LedgerEvent, Standing
from contracts.reference import CustomerAccount
from services.accounts.settling import STOP_BEFORE, is_nearly_used_up
from services.accounts.state import NOTHING, Account, Charging, Payment

AGAIN_AFTER = timedelta(minutes=10)
"""So long a station may take to stop: after that it is told again."""
OWES_FROM = 2
"""From this level of dunning on nobody charges (PAY-09)."""


def hold_of(state: Account) -> Payment | None:
    """Return the hold that an ad-hoc session charges on."""
    held = (each for each in state.payments if (each.kind, each.stage) == ("hold", "held") and not each.finished)
    return next(held, None)


def available(state: Account, customer: CustomerAccount | None) -> Decimal | None:
    """Return what there is for all sessions that go on together; None: there is no limit."""
    if state.ad_hoc:
        hold = hold_of(state)
        return hold.held if hold is not None else NOTHING
    if customer is None or (customer.kind == "postpaid" and customer.credit_limit is None):
        return None
    return state.balance + (customer.credit_limit or NOTHING)


def next_exhausted(state: Account, customer: CustomerAccount | None, at: datetime) -> list[LedgerEvent]:
    """Return that a session has used up what there is: once for each, and again while it goes on all the same."""
    there = available(state, customer)
    each = next((each for each in state.charging if not each.told or _goes_on(each, at)), None)
    if there is None or each is None or not _is_used_up(state, there, at):
        return []
    return [
        FundsExhausted(
            at=at,
            tenant=state.tenant,
            account=state.account,
            session=each.session,
            station=each.station,
            amount=each.amount,
            available=there,
        )
    ]


def _goes_on(session: Charging, at: datetime) -> bool:
    """Tell whether a session costs more and more though it was to stop: the station was offline, or has refused."""
    return session.told_at is not None and session.amount > session.told_amount and session.told_at + AGAIN_AFTER <= at


def _is_used_up(state: Account, there: Decimal, at: datetime) -> bool:
    hold = hold_of(state)
    if hold is None:
        return there - state.reserved <= 0
    asked = hold.pending
    more_may_come = asked is not None and asked.kind == "increase" and asked.state == "pending"
    lapses = hold.capture_before is not None and hold.capture_before - STOP_BEFORE <= at
    return lapses or state.reserved >= there or (is_nearly_used_up(state, hold) and not more_may_come)


def lapses_at(state: Account) -> datetime | None:
    """Return when sessions are stopped because their hold will lapse (PAY-03)."""
    hold = hold_of(state)
    if hold is None or hold.capture_before is None or all(each.told for each in state.charging):
        return None
    return hold.capture_before - STOP_BEFORE


def exhausted(state: Account, event: FundsExhausted) -> Account:
    def tell(each: Charging) -> Charging:
        if each.session != event.session:
            return each
        return replace(each, told=True, told_at=event.at, told_amount=event.amount)

    return replace(state, charging=tuple(map(tell, state.charging)))


def next_standing(state: Account, customer: CustomerAccount | None, at: datetime) -> list[Standing]:
    """Return whether the account may charge, if that is not what was said last."""
    may, why = now = standing(state, customer)
    if now == state.standing or (state.standing is None and may is unsaid(state, customer)):
        return []
    return [Standing(at=at, tenant=state.tenant, account=state.account, may_charge=may, why=why)]  # type: ignore[arg-type]


def standing(state: Account, customer: CustomerAccount | None) -> tuple[bool, str]:
    """Return whether the account may charge, and why not."""
    if state.ad_hoc:
        return (True, "") if hold_of(state) is not None else (False, "no_hold")
    if customer is not None and customer.closed:
        return False, "closed"
    if state.unpaid or (state.debt is not None and state.debt.level >= OWES_FROM):
        return False, "owes"
    there = available(state, customer)
    return (True, "") if there is None or there - state.reserved > 0 else (False, "no_money")


def unsaid(state: Account, customer: CustomerAccount | None) -> bool | None:
    """Return what holds while nothing was said: no hold, no ad-hoc start; without a bill, postpaid ones charge."""
    if state.ad_hoc:
        return False
    return True if customer is None or customer.kind == "postpaid" else None


def said(state: Account, event: Standing) -> Account:
    return replace(state, standing=(event.may_charge, event.why))
