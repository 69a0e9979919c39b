"""What we know of stations and do to them. Written by operations only."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from contracts.event import CommandId, GatewayId, Instant, OfStation, SessionId, TokenId, TransactionId


class StationConnected(OfStation, frozen=True, kw_only=True):
    """A connection is the station's newest."""

    epoch: int
    gateway: GatewayId
    reply_to: int
    protocol: str
    security_profile: int
    remote_address: str = ""


class StationDisconnected(OfStation, frozen=True, kw_only=True):
    """The newest connection is gone. `inferred`: its gateway fell silent, nobody saw it close."""

    epoch: int
    code: int | None = None
    reason: str = ""
    inferred: bool = False


class StationRecovered(OfStation, frozen=True, kw_only=True):
    """A connection that was taken for lost has spoken again."""

    epoch: int


class InventoryReported(OfStation, frozen=True, kw_only=True):
    """What the station says it is, at a boot."""

    vendor: str
    model: str
    serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None
    boot_status: str = "Accepted"
    changed: bool = False
    """The hardware under this identity is another one than before."""
    epoch: int = 0
    """The connection it booted on: of two boots, the one on the newer connection counts."""


class BootAskedFor(OfStation, frozen=True, kw_only=True):
    """The station spoke though it has never booted: it counts as accepted, and has been asked once who it is (T-65)."""

    epoch: int


class ConnectorStatusChanged(OfStation, frozen=True, kw_only=True):
    """The newest known status of a connector; evse 0 is the whole station."""

    evse: int
    connector: int
    status: str
    error_code: str = "NoError"
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None
    at_is_ours: bool = False
    """The station named no time that makes sense, so `at` is when we heard of it."""


class StartCharge(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Begin to charge with this token (OCPP 1.6 §5.11)."""

    token: TokenId
    evse: int | None = None
    connector: int | None = None


class StopCharge(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """End this session's transaction (OCPP 1.6 §5.12)."""

    session: SessionId
    transaction: TransactionId


class TransferData(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Say this, in words that only the station and its vendor know (OCPP 1.6 §5.6)."""

    vendor: str
    message: str | None = None
    data: str | None = None


class ShowPrice(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Show what charging costs to whoever has presented this token, in words."""

    token: TokenId
    text: str


class Prices(Struct, frozen=True, omit_defaults=True):
    """What counts at a moment, with taxes. None: nothing is charged for it then."""

    kwh: Decimal | None = None
    hour: Decimal | None = None
    """Of charging."""
    start: Decimal | None = None
    """Once per session."""
    idle_hour: Decimal | None = None
    idle_grace_minutes: int = 0


class ShowRunningCost(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Show what a session comes to so far, with taxes, and what counts now."""

    session: SessionId
    transaction: TransactionId
    as_of: Instant
    cost: Decimal
    register_wh: int
    idle: bool
    prices: Prices


class ShowFinalCost(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Show what a session came to, with taxes, and in words."""

    session: SessionId
    transaction: TransactionId
    cost: Decimal
    text: str


Shows = ShowPrice | ShowRunningCost | ShowFinalCost
"""What only a station with a display can do, and only some of those that have one."""
Task = StartCharge | StopCharge | TransferData | ShowPrice | ShowRunningCost | ShowFinalCost


class OfCommand(OfStation, frozen=True, kw_only=True):
    """A step in the life of a command."""

    command: CommandId


class CommandRequested(OfCommand, frozen=True, kw_only=True):
    """Somebody asks it of the station."""

    task: Task
    requested_by: str
    expires_at: Instant
    fingerprint: str = ""


class CommandQueued(OfCommand, frozen=True, kw_only=True):
    """On its way to the gateway of this epoch, behind what is asked already."""

    epoch: int


class CommandSent(OfCommand, frozen=True, kw_only=True):
    """Its call is going out."""


class CommandAccepted(OfCommand, frozen=True, kw_only=True):
    """The station says that it will try."""

    late: bool = False


class CommandRejected(OfCommand, frozen=True, kw_only=True):
    """The station says no. `status` is its word for it."""

    status: str
    late: bool = False


FailureReason = Literal[
    "Offline",
    "NotAccepted",
    "Disconnected",
    "TimedOut",
    "CallError",
    "Invalid",
    "UnknownStation",
    "UnknownToken",
    "TokenWithoutUid",
    "TooManyCommands",
    "NotSent",
    "CannotShow",
]
"""CannotShow: the station has said since its last boot that it knows no such message, or has left one unanswered. NotAccepted: the station's last boot was answered Pending or Rejected. Invalid: its answer is none that a call can have."""


class CommandFailed(OfCommand, frozen=True, kw_only=True):
    """It could not be done. `reason` says why, and `detail` what to do."""

    reason: FailureReason
    detail: str = ""
    late: bool = False


class CommandExpired(OfCommand, frozen=True, kw_only=True):
    """Its time ran out: not sent, or accepted and without the effect."""

    detail: str = ""


class CommandFulfilled(OfCommand, frozen=True, kw_only=True):
    """What it was for has happened: the session began, or ended; what was to be said or shown has been taken in."""

    session: SessionId | None = None
    transaction: TransactionId | None = None


OperationsEvent = (
    StationConnected
    | StationDisconnected
    | StationRecovered
    | InventoryReported
    | BootAskedFor
    | ConnectorStatusChanged
    | CommandRequested
    | CommandQueued
    | CommandSent
    | CommandAccepted
    | CommandRejected
    | CommandFailed
    | CommandExpired
    | CommandFulfilled
)
