"""What stations say, in one vocabulary for all OCPP versions. Written by the gateway only.

A 1.6 connector is an evse with one connector, unless the directory says otherwise. Evse 0 is the whole station.
"""

from typing import ClassVar, Literal

from msgspec import Struct

from contracts.authorizations import TokenStatus
from contracts.event import CommandId, GatewayId, Instant, OfStation, TokenId, TransactionId

Protocol = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]


class Violation(Struct, frozen=True, omit_defaults=True):
    """What had to be repaired or overlooked. `rule` is an id of our catalogue of rules and quirks."""

    rule: str
    detail: str = ""


class Frame(Struct, frozen=True, omit_defaults=True):
    """The exact bytes of a frame: as text, or in base64 if they are no UTF-8."""

    text: str = ""
    base64: bytes | None = None


class Sample(Struct, frozen=True, omit_defaults=True):
    """One value of a meter. `value` is a decimal number as text, or signed data untouched (OCPP 1.6 §7.43)."""

    value: str
    measurand: str = "Energy.Active.Import.Register"
    unit: str = ""
    """As said, with the spelling repaired; empty where the station said none."""
    phase: str | None = None
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    signed: bool = False


class Reading(Struct, frozen=True, omit_defaults=True):
    """What a meter showed at one moment."""

    at: Instant
    samples: tuple[Sample, ...] = ()


class Report(OfStation, frozen=True, kw_only=True):
    """Something a gateway saw of a station, and where that gateway hears answers."""

    gateway: GatewayId
    reply_to: int
    """The partition of `gateways` which that gateway reads."""
    epoch: int
    """The connection: the offset of its `ConnectionOpened`, so that a newer one is a larger one."""


class ConnectionOpened(Report, frozen=True, kw_only=True):
    """A station has connected. Its epoch is this record's offset; the field says 0."""

    protocol: Protocol
    security_profile: int
    remote_address: str = ""
    violations: tuple[Violation, ...] = ()


class ConnectionClosed(Report, frozen=True, kw_only=True):
    """A connection has ended, with the WebSocket's close code."""

    code: int
    reason: str = ""


class Said(Report, frozen=True, kw_only=True):
    """Something a station said, with the frame it said it in. `at` is the station's time, or ours if it named none."""

    frame: Frame
    violations: tuple[Violation, ...] = ()


class Call(Said, frozen=True, kw_only=True):
    """A request of the station's: it waits for an answer under `message_id`."""

    message_id: str
    """The JSON of the id as the station wrote it, so that the answer can echo it byte by byte."""


class StationBooted(Call, frozen=True, kw_only=True):
    """BootNotification (OCPP 1.6 §6.1), as the gateway answered it."""

    vendor: str = ""
    model: str = ""
    serial_number: str | None = None
    box_serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None
    reason: str | None = None
    status: Literal["Accepted", "Pending", "Rejected"] = "Accepted"
    interval_s: int = 300


class HeartbeatReceived(Call, frozen=True, kw_only=True):
    """A sampled sign of life: not every heartbeat is written."""


class ConnectorStatusReported(Call, frozen=True, kw_only=True):
    """StatusNotification (OCPP 1.6 §6.47). Connector 0 of evse 0 is the whole station."""

    evse: int
    connector: int
    status: str
    error_code: str = "NoError"
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None
    at_is_ours: bool = False
    """The station named no time, or none that makes sense."""


class TokenPresented(Call, frozen=True, kw_only=True):
    """Authorize (OCPP 1.6 §6.3): may this id token charge?"""

    awaited: ClassVar[bool] = True

    token: TokenId
    masked_uid: str = ""


class TransactionStarted(Call, frozen=True, kw_only=True):
    """StartTransaction (OCPP 1.6 §6.45): a car draws energy, whatever we think of it."""

    awaited: ClassVar[bool] = True

    evse: int
    connector: int
    token: TokenId
    masked_uid: str = ""
    meter_wh: int | None = None
    """The register at the start; None where the station said nothing that is a number."""
    reservation: int | None = None
    transaction: TransactionId | None = None
    """Given by the station (OCPP 2.x), or by us in the answer (1.6: None)."""
    seq_no: int | None = None
    at_is_ours: bool = False


class MetersRead(Call, frozen=True, kw_only=True):
    """MeterValues (OCPP 1.6 §6.31)."""

    evse: int
    connector: int
    transaction: TransactionId | None = None
    readings: tuple[Reading, ...] = ()
    seq_no: int | None = None


class TransactionEnded(Call, frozen=True, kw_only=True):
    """StopTransaction (OCPP 1.6 §6.49). A stop is never refused."""

    awaited: ClassVar[bool] = True

    transaction: TransactionId
    meter_wh: int | None = None
    reason: str = "Local"
    """OCPP's word for why; `reason_said` is the station's, where it is none of OCPP's."""
    reason_said: str | None = None
    token: TokenId | None = None
    masked_uid: str = ""
    readings: tuple[Reading, ...] = ()
    seq_no: int | None = None
    at_is_ours: bool = False


class DataTransferred(Call, frozen=True, kw_only=True):
    """DataTransfer (OCPP 1.6 §6.11), as the gateway answered it."""

    vendor_id: str
    vendor_message_id: str | None = None
    data: str | None = None
    status: str = "UnknownVendorId"


class FirmwareStatusReported(Call, frozen=True, kw_only=True):
    """FirmwareStatusNotification (OCPP 1.6 §6.19), or SignedFirmwareStatusNotification (security whitepaper §4.9)."""

    status: str
    signed: bool = False
    request: int | None = None
    """The id of the signed update that it is about."""


class DiagnosticsStatusReported(Call, frozen=True, kw_only=True):
    """DiagnosticsStatusNotification (OCPP 1.6 §6.17)."""

    status: str


class LogStatusReported(Call, frozen=True, kw_only=True):
    """LogStatusNotification (OCPP 1.6 security whitepaper §4.6)."""

    status: str
    request: int | None = None
    """The id of the GetLog that it is about."""


class SecurityEventReported(Call, frozen=True, kw_only=True):
    """SecurityEventNotification (OCPP 1.6 security whitepaper §4.7). `event` is the whitepaper's or the vendor's word."""

    event: str
    info: str | None = None
    at_is_ours: bool = False


class CertificateSigningRequested(Call, frozen=True, kw_only=True):
    """SignCertificate (OCPP 1.6 security whitepaper §4.8), as the gateway answered it."""

    csr: str
    """As said: a PKCS#10 request, usually PEM."""
    common_name: str = ""
    organization: str = ""
    key: str = ""
    """Such as `RSA 2048` or `EC secp256r1`."""
    problem: str = ""
    """What is wrong with the request; empty: nothing."""
    status: Literal["Accepted", "Rejected"] = "Rejected"


class CallRefused(Call, frozen=True, kw_only=True):
    """A readable call that the gateway could only answer with an error."""

    action: str
    code: str
    description: str


class FrameUnread(Said, frozen=True, kw_only=True):
    """A frame that nothing can be made of, and that is not answered. `reason` says why."""

    reason: str


class AnsweredUndecided(Report, frozen=True, kw_only=True):
    """Nobody decided in time, so the gateway answers by itself. Deciders take it as a fact (architecture §4)."""

    awaited: ClassVar[bool] = True

    report: str
    """The `ce_id` of the call that is answered."""
    message_id: str
    status: TokenStatus
    transaction: TransactionId | None = None
    """For a start: the id that the station has been given."""


class CallSent(Report, frozen=True, kw_only=True):
    """A call of ours is about to go out: appended before its bytes do, with secrets as `***`."""

    command: CommandId
    message_id: str
    frame: Frame


class CallAnswered(Said, frozen=True, kw_only=True):
    """The station answered our call. `status` is the answer's, or "" where it has none."""

    command: CommandId
    status: str = ""
    late: bool = False
    """The answer came after we had given it up."""


class CallFailed(Report, frozen=True, kw_only=True):
    """Our call was not answered as a call should be. `reason`: CallError, TimedOut, Disconnected, NotSent, Invalid."""

    command: CommandId
    reason: Literal["CallError", "TimedOut", "Disconnected", "NotSent", "Invalid"]
    code: str = ""
    """OCPP's code where it can be made out, otherwise the station's."""
    description: str = ""
    frame: Frame | None = None
    late: bool = False
    violations: tuple[Violation, ...] = ()


class HandshakeRefused(Report, frozen=True, kw_only=True):
    """Somebody wanted to connect as this station and was turned away; told now and then only. The epoch means nothing."""

    why: str
    """Such as unauthorized, wrong_profile or no_subprotocol."""
    remote_address: str = ""


class IdentityConflictSuspected(Report, frozen=True, kw_only=True):
    """Connections of this station replace one another so often that two devices must share its identity (T-64)."""

    replacements: int
    within_s: int


class ReconnectLoopSuspected(Report, frozen=True, kw_only=True):
    """The station leaves again and again soon after the same frame of ours, as if it disliked that (Q-14)."""

    after: str
    """Such as `the answer to BootNotification`, or `the call GetConfiguration`."""
    times: int


StationEvent = (
    ConnectionOpened
    | ConnectionClosed
    | StationBooted
    | HeartbeatReceived
    | ConnectorStatusReported
    | TokenPresented
    | TransactionStarted
    | MetersRead
    | TransactionEnded
    | DataTransferred
    | FirmwareStatusReported
    | DiagnosticsStatusReported
    | LogStatusReported
    | SecurityEventReported
    | CertificateSigningRequested
    | CallRefused
    | FrameUnread
    | AnsweredUndecided
    | CallSent
    | CallAnswered
    | CallFailed
    | HandshakeRefused
    | IdentityConflictSuspected
    | ReconnectLoopSuspected
)
