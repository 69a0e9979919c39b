"""What happens at stations in the tests of monitoring, and the alerts that follow."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.alerts import AlertCleared, AlertEvent, AlertRaised, AlertRule
from contracts.authorizations import TokenDecided, TokenInfo, TokenStatus
from contracts.event import (
    AlertId,
    CommandId,
    Event,
    GatewayId,
    Message,
    SessionId,
    StationId,
    TenantId,
    TokenId,
    TransactionId,
)
from contracts.operations import (
    CommandExpired,
    CommandFailed,
    CommandFulfilled,
    CommandRejected,
    CommandRequested,
    StartCharge,
    StopCharge,
    Task,
)
from contracts.sessions import ClockEstimated, EnergyDelivered, MeterFellSilent, SessionAuthorized, SessionEnded
from contracts.stations import (
    ConnectionOpened,
    ConnectorStatusReported,
    Frame,
    HeartbeatReceived,
    IdentityConflictSuspected,
    ReconnectLoopSuspected,
)
from services.monitoring.domain import Limit, Limits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
LIMITS: Limits = {
    "repeated_faults": Limit(3, timedelta(seconds=60)),
    "flapping_connection": Limit(4, timedelta(seconds=60)),
    "identity_conflict": Limit(1, timedelta(seconds=60)),
    "reconnect_loop": Limit(1, timedelta(seconds=60)),
    "refused_starts": Limit(2, timedelta(seconds=60)),
    "failed_starts": Limit(2, timedelta(seconds=60)),
    "charging_refused": Limit(1, timedelta(seconds=60)),
    "silent_meter": Limit(1, timedelta(seconds=60)),
    "wrong_clock": Limit(1, timedelta(seconds=60)),
}
START = StartCharge(token=TokenId("t-1"), evse=1)
STOP = StopCharge(session=SessionId("s-1"), transaction=TransactionId("7"))


def second(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def of(station: str = "ST1") -> dict[str, Any]:
    return {"tenant": ACME, "station": StationId(station)}


def _on(station: str) -> dict[str, Any]:
    return {**of(station), "gateway": GatewayId("g"), "reply_to": 0, "epoch": 0}


def faulted(
    at: float = 0, evse: int = 1, connector: int = 1, *, station: str = "ST1", status: str = "Faulted", **said: Any
) -> ConnectorStatusReported:
    return ConnectorStatusReported(
        at=second(at),
        **_on(station),
        frame=Frame("[]"),
        message_id='"1"',
        evse=evse,
        connector=connector,
        status=status,
        **{"error_code": "GroundFailure", **said},
    )


def connected(at: float = 0, *, station: str = "ST1", address: str = "203.0.113.9") -> ConnectionOpened:
    return ConnectionOpened(
        at=second(at), **_on(station), protocol="ocpp1.6", security_profile=1, remote_address=address
    )


def conflicting(at: float = 0, *, station: str = "ST1") -> IdentityConflictSuspected:
    return IdentityConflictSuspected(at=second(at), **_on(station), replacements=5, within_s=60)


def looping(at: float = 0, *, station: str = "ST1") -> ReconnectLoopSuspected:
    return ReconnectLoopSuspected(at=second(at), **_on(station), after="the answer to BootNotification", times=3)


def heartbeat(at: float = 0, *, station: str = "ST1") -> HeartbeatReceived:
    return HeartbeatReceived(at=second(at), **_on(station), frame=Frame("[]"), message_id='"1"')


def decided(
    at: float = 0, status: TokenStatus = "Invalid", *, purpose: Any = "start", station: str = "ST1"
) -> TokenDecided:
    return TokenDecided(
        at=second(at), **of(station), report="r", purpose=purpose, token=TokenId("t-1"), info=TokenInfo(status)
    )


def requested(at: float = 0, command: str = "c-1", task: Task = START, *, station: str = "ST1") -> CommandRequested:
    return CommandRequested(
        at=second(at),
        **of(station),
        command=CommandId(command),
        task=task,
        requested_by="key",
        expires_at=second(at + 60),
    )


def rejected(at: float = 0, command: str = "c-1", *, station: str = "ST1") -> CommandRejected:
    return CommandRejected(at=second(at), **of(station), command=CommandId(command), status="Rejected")


def failed(at: float = 0, command: str = "c-1", *, station: str = "ST1") -> CommandFailed:
    return CommandFailed(at=second(at), **of(station), command=CommandId(command), reason="Offline")


def expired(at: float = 0, command: str = "c-1", *, station: str = "ST1") -> CommandExpired:
    return CommandExpired(at=second(at), **of(station), command=CommandId(command))


def fulfilled(at: float = 0, command: str = "c-1", *, station: str = "ST1") -> CommandFulfilled:
    return CommandFulfilled(at=second(at), **of(station), command=CommandId(command))


def authorized(at: float = 0, status: TokenStatus = "Invalid", session: str = "s-1") -> SessionAuthorized:
    return SessionAuthorized(at=second(at), **of(), session=SessionId(session), info=TokenInfo(status))


def delivered(at: float = 0, session: str = "s-1") -> EnergyDelivered:
    return EnergyDelivered(at=second(at), **of(), session=SessionId(session), energy_wh=500, meter_wh=1500)


def ended(at: float = 0, session: str = "s-1") -> SessionEnded:
    return SessionEnded(at=second(at), **of(), session=SessionId(session), report="r", reason="Local")


def silent(at: float = 0) -> MeterFellSilent:
    return MeterFellSilent(at=second(at), **of(), session=SessionId("s-1"), evse=2, connector=1)


def clock(at: float = 0, behind_s: int = 660) -> ClockEstimated:
    return ClockEstimated(at=second(at), **of(), behind_s=behind_s)


def heard(events: list[Any], *, first: int = 0) -> list[Message[Any]]:
    """Return events as they lie in a partition, recorded when they happened."""
    return [Message(event, f"ce-{offset}", event.at, offset) for offset, event in enumerate(events, first)]


def short(alerts: list[tuple[str, Event]]) -> list[tuple[str, str, float]]:
    """Return what was raised and cleared, and when in seconds after noon."""
    return [
        ("raised" if isinstance(event, AlertRaised) else "cleared", event.rule, (event.at - NOON).total_seconds())
        for _, event in alerts
        if isinstance(event, AlertRaised | AlertCleared)
    ]


def raised(
    at: float, rule: AlertRule, since: float, *, alert: str = "a-1", place: int = 0, station: str = "ST1"
) -> AlertRaised:
    return AlertRaised(
        at=second(at),
        **of(station),
        alert=AlertId(alert),
        rule=rule,
        place=place,
        since=second(since),
        count=4,
        within_s=60,
    )


def essence(alert: AlertEvent) -> tuple[Any, ...]:
    """Return what of an alert must be the same however often monitoring was killed."""
    since = alert.since if isinstance(alert, AlertRaised) else alert.reason
    return type(alert).__name__, alert.alert, alert.rule, alert.station, alert.evse, alert.connector, alert.at, since
