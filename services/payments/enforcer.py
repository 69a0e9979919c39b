"""Has others do what money decides: a station starts once a hold is there and stops when nothing is left (PAY-01, PAY-02), and
the directory forgets the token that was made for a payment once that is over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.copies import Copies
from chassis.follow import Follower
from contracts.commands import CommandIssued
from contracts.event import CommandId, Message, RequestId, derived_id
from contracts.ledger import ChargingAllowed, FundsExhausted, PaymentSettled
from contracts.operations import StartCharge, StopCharge
from contracts.requests import ChangeRequested, Delete
from contracts.sessions import ChargingBegan
from contracts.topics import CHARGING, COMMANDS, LEDGER, REQUESTS

REQUESTED_BY = "payments"
"""Takes the place of the id of an API key."""
STOP_WITHIN = timedelta(minutes=10)
"""How long a station may take to stop what nobody pays for."""
ENDS = ("captured", "released", "declined", "failed")
"""How a payment ends at first; money may come back of it later."""


def build(charging: Copies) -> Follower:
    """Return the enforcer, not yet started. `charging` says which transaction a session is."""

    async def carry_out(message: Message[Any]) -> Sequence[CommandIssued | ChangeRequested]:
        match message.event:
            case ChargingAllowed() as allowed:
                return [start(allowed)]
            case FundsExhausted() as exhausted:
                session = charging.of(CHARGING).get(f"{exhausted.tenant}/{exhausted.session}")
                return stop(exhausted, session, message.recorded_at)
            case PaymentSettled() as settled:
                return forget(settled)
            case _:
                return []

    hears = (ChargingAllowed, FundsExhausted, PaymentSettled)
    return Follower("payments.enforcer", LEDGER, (COMMANDS, REQUESTS), carry_out, hears=hears)


def start(allowed: ChargingAllowed) -> CommandIssued:
    return CommandIssued(
        at=allowed.at,
        tenant=allowed.tenant,
        station=allowed.station,
        command=CommandId(derived_id(f"{allowed.tenant}/{allowed.payment}", "payments", "start")),
        task=StartCharge(token=allowed.token, evse=allowed.evse),
        requested_by=REQUESTED_BY,
        expires_at=allowed.until,
    )


def stop(exhausted: FundsExhausted, session: object, heard_at: datetime) -> Sequence[CommandIssued]:
    """Return the command; none if the session is over. Its time counts by our clock: readings may be old, or said by a wrong one."""
    if not isinstance(session, ChargingBegan) or session.transaction is None:
        return []
    cause = f"{exhausted.tenant}/{exhausted.session}/{exhausted.at.isoformat()}"
    return [
        CommandIssued(
            at=heard_at,
            tenant=exhausted.tenant,
            station=exhausted.station,
            command=CommandId(derived_id(cause, "payments", "stop")),
            task=StopCharge(session=exhausted.session, transaction=session.transaction),
            requested_by=REQUESTED_BY,
            expires_at=heard_at + STOP_WITHIN,
        )
    ]


def forget(settled: PaymentSettled) -> Sequence[ChangeRequested]:
    """Return the wish that nobody knows the payment's token any more. Should it be heard twice, there is nothing left to forget."""
    if settled.token is None or settled.state not in ENDS:
        return []
    cause = f"{settled.tenant}/{settled.payment}"
    return [
        ChangeRequested(
            at=settled.at,
            tenant=settled.tenant,
            request=RequestId(derived_id(cause, "payments", f"forget/{settled.state}")),
            kind="token",
            id=settled.token,
            change=Delete(),
            requested_by=REQUESTED_BY,
        )
    ]
