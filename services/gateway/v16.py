"""OCPP 1.6: its frames in our vocabulary, and ours in its frames. One struct, one function and one row per action.

The structs say what conforms (OCPP 1.6 §6). A field that may be None and has no default is required by the schema, and
we can do without it. A `Literal` says which words conform; what was repaired may hold another one.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args
from uuid import uuid4

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chassis.secrets import Secrets, fold, mask
from contracts.authorizations import TokenInfo, TokenStatus
from contracts.event import GatewayId, Sealed, StationId, TenantId, TokenId, TransactionId
from contracts.gateways import (
    AuthorizeAnswered,
    CallAsked,
    ShowingPrice,
    StartAnswered,
    StartCharging,
    StopAnswered,
    StopCharging,
    TransferringData,
    Trigger,
)
from contracts.operations import ShowFinalCost, ShowRunningCost
from contracts.reference import Station
from contracts.stations import (
    CallAnswered,
    CallFailed,
    CallRefused,
    CertificateSigningRequested,
    ConnectorStatusReported,
    DataTransferred,
    DiagnosticsStatusReported,
    FirmwareStatusReported,
    HeartbeatReceived,
    LogStatusReported,
    MetersRead,
    Reading,
    Sample,
    SecurityEventReported,
    StationBooted,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
    Violation,
)
from services.gateway import costs, normalise, profiles, protocol, signing
from services.gateway.errors import ErrorCode
from services.gateway.profiles import Hardware, Quirks
from services.gateway.protocol import Answered, Ask, Broken, Call

R = TypeVar("R", bound="Request")

CallReport = (
    StationBooted
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
)
"""What a call of a station's may report."""

# ---- what stations say ---------------------------------------------------------------------------------------------

Time = Annotated[datetime, Meta(tz=True, extra={"rule": "X-42"})]
IdTag = Annotated[str, Meta(max_length=20, extra={"rule": "Q-55"})]
Text20 = Annotated[str, Meta(max_length=20, extra={"rule": "Q-40"})]
Text25 = Annotated[str, Meta(max_length=25, extra={"rule": "Q-40"})]
Text50 = Annotated[str, Meta(max_length=50, extra={"rule": "Q-48"})]
Text255 = Annotated[str, Meta(max_length=255, extra={"rule": "Q-48"})]
WattHours = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, extra={"rule": "Q-77"})]
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Connector = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 31) - 1)]


class Request(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The payload of a station's call."""


class BootNotification(Request, frozen=True):
    """OCPP 1.6 §6.1."""

    charge_point_vendor: Annotated[Text20 | None, Meta(extra={"rule": "Q-41"})]
    charge_point_model: Annotated[Text20 | None, Meta(extra={"rule": "Q-41"})]
    charge_point_serial_number: Text25 | None = None
    charge_box_serial_number: Text25 | None = None
    firmware_version: Text50 | None = None
    iccid: Text20 | None = None
    imsi: Text20 | None = None
    meter_type: Text25 | None = None
    meter_serial_number: Text25 | None = None


class Heartbeat(Request, frozen=True):
    """OCPP 1.6 §6.27."""


class Authorize(Request, frozen=True):
    """OCPP 1.6 §6.3."""

    id_tag: IdTag


class StartTransaction(Request, frozen=True):
    """OCPP 1.6 §6.45."""

    connector_id: Connector | None
    id_tag: IdTag | None
    meter_start: WattHours | None
    timestamp: Time | None
    reservation_id: Number | None = None


# fmt: off
Context = Literal[
    "Interruption.Begin", "Interruption.End", "Sample.Clock", "Sample.Periodic", "Transaction.Begin",
    "Transaction.End", "Trigger", "Other",
]
# fmt: on
# fmt: off
Measurand = Literal[
    "Energy.Active.Export.Register", "Energy.Active.Import.Register", "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register", "Energy.Active.Export.Interval", "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval", "Energy.Reactive.Import.Interval", "Power.Active.Export",
    "Power.Active.Import", "Power.Offered", "Power.Reactive.Export", "Power.Reactive.Import", "Power.Factor",
    "Current.Import", "Current.Export", "Current.Offered", "Voltage", "Frequency", "Temperature", "SoC", "RPM",
]
# fmt: on
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Location = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]
# fmt: off
Unit = Literal[
    "Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V", "K", "Celcius", "Celsius",
    "Fahrenheit", "Percent", "Hertz",
]
# fmt: on


MEASURANDS: tuple[str, ...] = get_args(Measurand)
PHASES: tuple[str, ...] = get_args(Phase)


class SampledValue(Request, frozen=True):
    """OCPP 1.6 §7.43."""

    value: Annotated[str, Meta(extra={"rule": "Q-85"})]
    context: Annotated[Context, Meta(extra={"rule": "Q-89"})] = "Sample.Periodic"
    format: Annotated[Literal["Raw", "SignedData"], Meta(extra={"rule": "Q-89"})] = "Raw"
    measurand: Annotated[Measurand, Meta(extra={"rule": "Q-89"})] = "Energy.Active.Import.Register"
    phase: Annotated[Phase, Meta(extra={"rule": "Q-89"})] | None = None
    location: Annotated[Location, Meta(extra={"rule": "Q-89"})] = "Outlet"
    unit: Annotated[Unit, Meta(extra={"rule": "Q-87"})] | None = None


class MeterValue(Request, frozen=True):
    """OCPP 1.6 §7.33."""

    timestamp: Time | None
    sampled_value: Annotated[tuple[SampledValue, ...], Meta(min_length=1, extra={"rule": "Q-86"})] | None


class MeterValues(Request, frozen=True):
    """OCPP 1.6 §6.31."""

    connector_id: Connector | None
    meter_value: Annotated[tuple[MeterValue, ...], Meta(min_length=1, extra={"rule": "Q-86"})] | None
    transaction_id: Number | None = None


# fmt: off
Reason = Literal[
    "EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss", "Reboot", "Remote", "SoftReset",
    "UnlockCommand", "DeAuthorized",
]
# fmt: on


class StopTransaction(Request, frozen=True):
    """OCPP 1.6 §6.49."""

    transaction_id: Number | None
    meter_stop: WattHours | None
    timestamp: Time | None
    id_tag: IdTag | None = None
    reason: Annotated[Reason, Meta(extra={"rule": "Q-76", "blank": "Other"})] = "Local"
    transaction_data: tuple[MeterValue, ...] = ()


# fmt: off
FaultCode = Literal[
    "ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "InternalError",
    "LocalListConflict", "NoError", "OtherError", "OverCurrentFailure", "PowerMeterFailure", "PowerSwitchFailure",
    "ReaderFailure", "ResetFailure", "UnderVoltage", "OverVoltage", "WeakSignal",
]
# fmt: on
# fmt: off
Status = Literal[
    "Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Reserved", "Unavailable",
    "Faulted",
]
# fmt: on


class StatusNotification(Request, frozen=True):
    """OCPP 1.6 §6.47."""

    connector_id: Connector
    error_code: Annotated[FaultCode, Meta(extra={"rule": "Q-47"})] | None
    status: Annotated[Status, Meta(extra={"rule": "Q-47"})]
    info: Text50 | None = None
    timestamp: Time | None = None
    vendor_id: Text255 | None = None
    vendor_error_code: Text50 | None = None


class DataTransfer(Request, frozen=True):
    """OCPP 1.6 §6.11."""

    vendor_id: Text255
    message_id: Text50 | None = None
    data: Annotated[str, Meta(extra={"rule": "Q-119"})] | None = None


class DiagnosticsStatusNotification(Request, frozen=True):
    """OCPP 1.6 §6.17."""

    status: Annotated[Literal["Idle", "Uploaded", "UploadFailed", "Uploading"], Meta(extra={"rule": "M-09"})]


class FirmwareStatusNotification(Request, frozen=True):
    """OCPP 1.6 §6.19."""

    status: Annotated[
        Literal["Downloaded", "DownloadFailed", "Downloading", "Idle", "InstallationFailed", "Installing", "Installed"],
        Meta(extra={"rule": "M-10"}),
    ]


class SecurityEventNotification(Request, frozen=True):
    """OCPP 1.6 security whitepaper §4.7."""

    type: Annotated[str, Meta(max_length=50, extra={"rule": "M-11"})]
    timestamp: Time | None
    tech_info: Annotated[str, Meta(max_length=255, extra={"rule": "M-11"})] | None = None


class SignCertificate(Request, frozen=True):
    """OCPP 1.6 security whitepaper §4.8."""

    csr: Annotated[str, Meta(max_length=5500, extra={"rule": "M-12"})]


RequestId = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, extra={"rule": "M-13"})]


class SignedFirmwareStatusNotification(Request, frozen=True):
    """OCPP 1.6 security whitepaper §4.9."""

    status: Annotated[
        Literal[
            "Downloaded", "DownloadFailed", "Downloading", "DownloadScheduled", "DownloadPaused", "Idle",
            "InstallationFailed", "Installing", "Installed", "InstallRebooting", "InstallScheduled",
            "InstallVerificationFailed", "InvalidSignature", "SignatureVerified",
        ],
        Meta(extra={"rule": "M-13"}),
    ]  # fmt: skip
    request_id: RequestId | None = None


class LogStatusNotification(Request, frozen=True):
    """OCPP 1.6 security whitepaper §4.6."""

    status: Annotated[
        Literal[
            "BadMessage", "Idle", "NotSupportedOperation", "PermissionDenied", "Uploaded", "UploadFailure", "Uploading",
        ],
        Meta(extra={"rule": "M-14"}),
    ]  # fmt: skip
    request_id: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, extra={"rule": "M-14"})] | None = None


REASONS, FAULTS = frozenset[str](get_args(Reason)), frozenset[str](get_args(FaultCode))
STATUSES = frozenset[str](get_args(Status))

# ---- what is particular to a kind of struct ------------------------------------------------------------------------

_PHASED = re.compile(r"(.+?)[\W_]*(L[123](?:[\W_]*(?:N|L[123]))?|(?<=[\W_])N)", re.IGNORECASE)
SCALED = {
    "MWh": ("kWh", 3), "MWH": ("kWh", 3), "GWh": ("kWh", 6), "mWh": ("Wh", -3), "MW": ("kW", 3), "mW": ("W", -3),
    "mA": ("A", -3), "MA": ("A", -3), "mV": ("V", -3), "kV": ("V", 3), "KV": ("V", 3),
}  # fmt: skip
"""Units that OCPP has not: the one that it has, and the power of ten between them (Q-87)."""


def sampled(said: dict[str, Any], note: Callable[[str, str], None]) -> dict[str, Any]:
    """Take a phase out of a measurand (Q-89), and a value out of a unit that OCPP has not (Q-87)."""
    measurand, unit = said.get("measurand"), said.get("unit")
    if isinstance(measurand, str) and normalise.word(MEASURANDS, measurand) is None:
        found = _PHASED.fullmatch(measurand.strip("\"' \t\r\n\0"))
        meant = None if found is None else normalise.word(MEASURANDS, found[1])
        if found is not None and meant is not None:
            note("Q-89", "a phase in a measurand")
            said = said | {
                "measurand": meant,
                "phase": said.get("phase") or normalise.word(PHASES, found[2]) or found[2],
            }
    if isinstance(unit, str) and (scale := SCALED.get(unit.strip())) is not None:
        value = normalise.decimal(said.get("value"))
        if value is not None and abs(value.adjusted()) < normalise.LONGEST_NUMBER:
            note("Q-87", "a unit that OCPP has not")
            said = said | {"value": format(value.scaleb(scale[1]), "f"), "unit": scale[0]}
    return said


REPAIRS: dict[type[Struct], normalise.Repair] = {SampledValue: sampled}

# ---- in our vocabulary ---------------------------------------------------------------------------------------------


class Line(Struct, frozen=True):
    """A connection as its reports name it, and what the registry says of its station."""

    tenant: TenantId
    station: StationId
    gateway: GatewayId
    reply_to: int
    record: Station
    secrets: Secrets
    epoch: int = 0
    ports: tuple[tuple[int, int], ...] = ()
    """(evse, connector) of 1.6's connectors 1, 2, …; empty: each connector is an evse with one connector."""
    hardware: Hardware | None = None
    """What it said it is, on this connection."""
    quirks: Quirks = profiles.NONE


def knowing(line: Line, record: Station, hardware: Hardware | None = None) -> Line:
    """Return the line with what is now known of its station; what it said it is stays."""
    hardware = hardware or line.hardware
    return msgspec.structs.replace(
        line,
        record=record,
        ports=ports_of(record),
        hardware=hardware,
        quirks=profiles.quirks_of(record.habits.quirks, hardware),
    )


def hardware_of(booted: StationBooted) -> Hardware:
    return Hardware(booted.vendor, booted.model, booted.firmware_version or "")


def ports_of(record: Station) -> tuple[tuple[int, int], ...]:
    """Return what 1.6 counts as connectors 1, 2, … of a station."""
    return tuple((evse.id, connector.id) for evse in record.evses for connector in evse.connectors)


class Heard:
    """A call of a station's on its way to become a report."""

    def __init__(self, line: Line, call: Call, received: datetime, violations: list[Violation]) -> None:
        self.line, self.received = line, received
        self.is_peculiar = line.quirks is not profiles.NONE
        self._call, self._violations = call, [*call.violations, *violations]

    def note(self, rule: str, detail: str = "") -> None:
        self._violations.append(Violation(rule, detail))

    def common(self, at: datetime | None = None) -> dict[str, Any]:
        """Return what all reports have. To be asked for last: it closes the list of violations."""
        line = self.line
        return {
            "at": at or self.received,
            "tenant": line.tenant,
            "station": line.station,
            "gateway": line.gateway,
            "reply_to": line.reply_to,
            "epoch": line.epoch,
            "message_id": self._call.id,
            "frame": self._call.frame,
            "violations": tuple(self._violations),
        }

    def place(self, connector: int | None) -> tuple[int, int]:
        """Return the evse and connector that 1.6's `connector` is."""
        ports = self.line.ports
        if connector is None or connector <= 0:
            if connector:
                self.note("M-07", "negative connector")
            if self.line.quirks.connector_0_is_1 and len(ports) <= 1:
                self.note("Q-49", "connector 0 is the only one")
                return ports[0] if ports else (1, 1)
            return 0, 0
        if not ports:
            return connector, 1
        if connector <= len(ports):
            return ports[connector - 1]
        self.note("C-072", f"connector {connector} is not in the registry")
        return connector, 1

    def charging_place(self, connector: int | None) -> tuple[int, int]:
        """Return where a car charges: connector 0 of a station with a single one is that one (Q-49)."""
        if not connector and len(self.line.ports) == 1:
            self.note("Q-49", "connector 0 charges")
            return self.line.ports[0]
        if not connector and not self.line.quirks.connector_0_is_1:
            self.note("M-04", "connector 0 cannot charge")
        return self.place(connector)

    def uid(self, said: str) -> str:
        """Return the uid that an id tag names; a blank one is somebody who charges without any (Q-59)."""
        if not said.isprintable() or said != said.strip():
            self.note("Q-55", "blanks or control characters in an id tag")
        if self.is_peculiar:
            said = self._peculiar(said)
        if not fold(said):
            self.note("Q-59", "a blank id tag")
            return FREE
        return said

    def _peculiar(self, uid: str) -> str:
        quirks, said = self.line.quirks, fold(uid)
        if (prefix := next(filter(said.startswith, quirks.tag_prefixes), "")) and len(said) > len(prefix):
            self.note("Q-57", "an id tag behind a prefix")
            said = uid = said.removeprefix(prefix)
        if quirks.plain_tags and not said.isalnum() and any(c.isalnum() for c in said):
            self.note("Q-57", "an id tag with marks between its letters")
            said = uid = "".join(c for c in said if c.isalnum())
        if quirks.cut_tags and len(said) > 20:
            self.note("Q-55", "of an id tag, 20 characters count")
            uid = said[:20]
        return uid

    def token(self, uid: str) -> TokenId:
        return self.line.secrets.token_id(self.line.tenant, uid)

    def meant(self, text: str | None, rule: str = "Q-41") -> str | None:
        """Return `text` unless it says that there is nothing (Q-41, Q-48)."""
        if text is None or (text.strip() and text.strip().casefold() not in NOTHING):
            return text
        self.note(rule, "a text that says nothing")
        return None

    def plausible(self, at: datetime | None) -> datetime | None:
        """Note a time that cannot be right: it is kept all the same, for it tells a repetition from something new (X-43).

        A clock that has never been set shows its first moment again and again, which tells nothing; and what lies at the
        edge of the calendar cannot be said in UTC. Neither is a time.
        """
        if self.is_peculiar and self.line.quirks.local_as_z and at is not None and at.tzinfo is UTC:
            self.note("Q-102", "local time that is labelled Z")
            at = at.replace(tzinfo=self.line.quirks.ways.zone)
        if at is not None and not UNSET_CLOCK < at < END_OF_TIME:
            self.note("X-43", "a clock that has never been set")
            return None
        if at is not None and not OLDEST <= at <= self.received + timedelta(days=1):
            self.note("X-43", "the station's clock is wrong")
        return at


NOTHING = frozenset({"null", "(null)", "none", "nil", "undefined", "nan"})
ZERO = re.compile(r"(0x)?0+", re.IGNORECASE)
FREE = "FREEVEND"
"""The uid of who charges without an id tag: register it, and such a station may."""
OLDEST = datetime(2015, 1, 1, tzinfo=UTC)
UNSET_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def booted(heard: Heard, said: BootNotification) -> StationBooted:
    vendor, model = heard.meant(said.charge_point_vendor), heard.meant(said.charge_point_model)
    if not vendor or not model:
        heard.note("Q-41", "no vendor or model")
    return StationBooted(
        vendor=vendor or "",
        model=model or "",
        serial_number=heard.meant(said.charge_point_serial_number),
        box_serial_number=heard.meant(said.charge_box_serial_number),
        firmware_version=heard.meant(said.firmware_version),
        iccid=heard.meant(said.iccid),
        imsi=heard.meant(said.imsi),
        meter_type=heard.meant(said.meter_type),
        meter_serial_number=heard.meant(said.meter_serial_number),
        status=heard.line.record.boot_status,
        interval_s=heard.line.record.heartbeat_s,
        **heard.common(),
    )


def beat(heard: Heard, _: Heartbeat) -> HeartbeatReceived:
    return HeartbeatReceived(**heard.common())


def presented(heard: Heard, said: Authorize) -> TokenPresented:
    uid = heard.uid(said.id_tag)
    return TokenPresented(token=heard.token(uid), masked_uid=mask(uid), **heard.common())


def started(heard: Heard, said: StartTransaction) -> TransactionStarted:
    evse, connector = heard.charging_place(said.connector_id)
    uid = heard.uid(said.id_tag or "")
    token, at = heard.token(uid), heard.plausible(said.timestamp)
    if said.reservation_id is not None and said.reservation_id <= 0:
        heard.note("Q-71", "reservation 0 is none")
    return TransactionStarted(
        evse=evse,
        connector=connector,
        token=token,
        masked_uid=mask(uid),
        meter_wh=said.meter_start,
        reservation=said.reservation_id if (said.reservation_id or 0) > 0 else None,
        at_is_ours=at is None,
        **heard.common(at),
    )


def read(heard: Heard, said: MeterValues) -> MetersRead:
    charges = not said.connector_id and said.transaction_id is not None
    evse, connector = heard.charging_place(0) if charges else heard.place(said.connector_id)
    taken = readings(heard, said.meter_value or ())
    return MetersRead(
        evse=evse,
        connector=connector,
        transaction=transaction(said.transaction_id),
        readings=taken,
        **heard.common(taken[-1].at if taken else None),
    )


def ended(heard: Heard, said: StopTransaction) -> TransactionEnded:
    at, taken = heard.plausible(said.timestamp), readings(heard, said.transaction_data)
    uid = None if said.id_tag is None or nobody(heard, said.id_tag) else heard.uid(said.id_tag)
    return TransactionEnded(
        transaction=transaction(said.transaction_id) or TransactionId(""),
        meter_wh=said.meter_stop,
        reason=said.reason if said.reason in REASONS else "Other",
        reason_said=None if said.reason in REASONS else said.reason[:LONGEST_WORD],
        token=None if uid is None else heard.token(uid),
        masked_uid="" if uid is None else mask(uid),
        readings=taken,
        at_is_ours=at is None,
        **heard.common(at),
    )


LONGEST_WORD = 255
"""So many characters of a word that is none of OCPP's are kept."""


def nobody(heard: Heard, id_tag: str) -> bool:
    """Whether a stop's id tag says that nobody has shown one (Q-59)."""
    if fold(id_tag):
        return False
    heard.note("Q-59", "a blank id tag")
    return True


def status_reported(heard: Heard, said: StatusNotification) -> ConnectorStatusReported:
    of_a_car = not said.connector_id and len(heard.line.ports) == 1 and said.status in OF_A_CAR
    evse, connector = heard.charging_place(0) if of_a_car else heard.place(said.connector_id)
    at, code = heard.plausible(said.timestamp), said.error_code or "NoError"
    return ConnectorStatusReported(
        evse=evse,
        connector=connector,
        status=OLDER.get(normalise.folded_word(said.status), said.status)
        if said.status not in STATUSES
        else said.status,
        error_code=code if code in FAULTS else "OtherError",
        info=heard.meant(said.info, "Q-48") or (None if code in FAULTS else code),
        vendor_id=heard.meant(said.vendor_id, "Q-48"),
        vendor_error_code=error(heard, said.vendor_error_code),
        at_is_ours=at is None,
        **heard.common(at),
    )


OLDER = {"occupied": "Occupied"}
"""A status of OCPP 1.5, which is kept (Q-47)."""
OF_A_CAR = frozenset({"Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Reserved", "Occupied"})
"""Statuses that a whole station cannot have (M-07)."""


def error(heard: Heard, code: str | None) -> str | None:
    """Return a vendor's error code, unless it is a number that stands for none (Q-48)."""
    if code is not None and ZERO.fullmatch(code.strip()):
        heard.note("Q-48", "an error code that says nothing")
        return None
    return heard.meant(code, "Q-48")


def transferred(heard: Heard, said: DataTransfer) -> DataTransferred:
    return DataTransferred(
        vendor_id=said.vendor_id,
        vendor_message_id=said.message_id,
        data=said.data,
        status=profiles.accepts(heard.line.quirks, said.vendor_id, said.message_id),
        **heard.common(),
    )


def diagnostics(heard: Heard, said: DiagnosticsStatusNotification) -> DiagnosticsStatusReported:
    return DiagnosticsStatusReported(status=said.status, **heard.common())


def firmware(heard: Heard, said: FirmwareStatusNotification) -> FirmwareStatusReported:
    return FirmwareStatusReported(status=said.status, **heard.common())


def signed_firmware(heard: Heard, said: SignedFirmwareStatusNotification) -> FirmwareStatusReported:
    if said.request_id is None and said.status != "Idle":
        heard.note("M-13", "no request id")
    return FirmwareStatusReported(status=said.status, signed=True, request=said.request_id, **heard.common())


def log_status(heard: Heard, said: LogStatusNotification) -> LogStatusReported:
    if said.request_id is None and said.status != "Idle":
        heard.note("M-14", "no request id")
    return LogStatusReported(status=said.status, request=said.request_id, **heard.common())


def security_event(heard: Heard, said: SecurityEventNotification) -> SecurityEventReported:
    at = heard.plausible(said.timestamp)
    return SecurityEventReported(
        event=said.type, info=heard.meant(said.tech_info, "M-11"), at_is_ours=at is None, **heard.common(at)
    )


def signing_requested(heard: Heard, said: SignCertificate) -> CertificateSigningRequested:
    """Whatever is asked for is answered Rejected: Accepted would promise a CertificateSigned, and nobody signs yet."""
    asked = signing.request(said.csr)
    if asked.is_bare:
        heard.note("M-12", "a request that is no PEM")
    if asked.problem:
        heard.note("M-12", asked.problem)
    elif heard.line.station not in {asked.common_name, *asked.common_name.split()}:
        heard.note("M-12", "its common name is not the station's identity")
    return CertificateSigningRequested(
        csr=said.csr,
        common_name=asked.common_name,
        organization=asked.organization,
        key=asked.key,
        problem=asked.problem,
        **heard.common(),
    )


def transaction(number: int | None) -> TransactionId | None:
    return None if number is None else TransactionId(str(number))


def readings(heard: Heard, said: tuple[MeterValue, ...]) -> tuple[Reading, ...]:
    return tuple(
        [  # a list, for there are many: a generator costs more than what it saves
            Reading(heard.plausible(value.timestamp) or heard.received, samples(heard, value.sampled_value or ()))
            for value in said
        ]
    )


def samples(heard: Heard, said: tuple[SampledValue, ...]) -> tuple[Sample, ...]:
    return tuple([found for value in said if (found := sample(heard, value)) is not None])


def sample(heard: Heard, said: SampledValue) -> Sample | None:
    """Return one value of a meter, or None if it says no number; signed data stay untouched (X-49)."""
    signed = said.format == "SignedData"
    value = said.value
    if not signed and not normalise.is_plain(value):
        found = normalise.number(value)
        if found is None and LIKE_SIGNED.match(value):
            heard.note("Q-96", "signed data that is not said to be")
            return sample(heard, msgspec.structs.replace(said, format="SignedData"))
        if found is None:
            return with_unit(heard, said)
        value, plain = found
        if not plain:
            heard.note("Q-85", "a value written otherwise")
    unit: str = "Celsius" if said.unit == "Celcius" else said.unit or ""
    if heard.is_peculiar and said.measurand.startswith("Energy"):
        unit = mislabelled(heard, unit)
    return Sample(value, said.measurand, unit, said.phase, said.context, said.location, signed)


LIKE_SIGNED = re.compile(
    r"\s*(?:OCMF\s*\||<\?xml|<signedMeterValue|<values|\{\s*\"(?:signedMeterData|encodingMethod)\")", re.IGNORECASE
)
"""How the containers of signed meter values begin (X-49)."""


def with_unit(heard: Heard, said: SampledValue) -> Sample | None:
    """Return a sample whose unit stands in its value, if it has no other (Q-85)."""
    found = normalise.number_with_unit(said.value)
    unit = None if found is None else normalise.word(get_args(Unit), found[1]) or found[1]
    if found is None or unit is None or said.unit not in {None, unit}:
        heard.note("Q-85", "a value that is no number")
        return None
    heard.note("Q-85", "a unit in a value")
    value, unit = found[0], found[1] if found[1] in SCALED else unit
    if unit in SCALED:
        unit, power = SCALED[unit]
        value = format(Decimal(value).scaleb(power), "f")
    return sample(heard, msgspec.structs.replace(said, value=value, unit=unit))


WRONG_LABELS = {"": "kWh", "Wh": "kWh", "varh": "kvarh"}


def mislabelled(heard: Heard, unit: str) -> str:
    """Return the unit that is meant by a station that mistakes Wh and kWh for one another (Q-88)."""
    quirks = heard.line.quirks
    meant = unit
    if quirks.kwh_said_as_wh:
        meant = WRONG_LABELS.get(unit, unit)
    elif quirks.wh_said_as_kwh:
        meant = {"kWh": "Wh", "kvarh": "varh"}.get(unit, unit)
    if meant != unit:
        heard.note("Q-88", f"{meant} that is labelled {unit or 'nothing'}")
    return meant


# ---- answers -------------------------------------------------------------------------------------------------------


class IdTagInfo(Struct, frozen=True, rename="camel", omit_defaults=True):
    """OCPP 1.6 §7.27."""

    status: TokenStatus
    expiry_date: str | UnsetType = UNSET
    parent_id_tag: str | UnsetType = UNSET


def id_tag_info(info: TokenInfo) -> IdTagInfo:
    """A parent id tag that does not fit is not sent (X-32)."""
    return IdTagInfo(
        info.status,
        timestamp(info.expires_at) if info.expires_at else UNSET,
        info.group if info.group and len(info.group) <= 20 else UNSET,
    )


def timestamp(moment: datetime) -> str:
    """Return the only form of a time that all stations understand: `2026-01-31T12:00:00.000Z` (Q-43)."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def boot_answer(report: Any, now: datetime) -> bytes:
    return b'{"status":"%b","currentTime":"%b","interval":%d}' % (
        report.status.encode(),
        timestamp(now).encode(),
        report.interval_s,
    )


def time_answer(_: Any, now: datetime) -> bytes:
    return b'{"currentTime":"%b"}' % timestamp(now).encode()


_FRACTION = re.compile(rb"(:\d\d)\.\d{3}Z")


def told(line: Line, answer: bytes) -> bytes:
    """Return an answer with the time as the station understands it (Q-43)."""
    return _FRACTION.sub(rb"\1Z", answer) if line.quirks.time_without_fraction else answer


def empty_answer(_: Any, __: datetime) -> bytes:
    return b"{}"


def status_answer(report: Any, _: datetime) -> bytes:
    return b'{"status":"%b"}' % report.status.encode()


def decided_elsewhere(_: Any, __: datetime) -> None:
    return None


def stop_answer(report: Any, _: datetime) -> bytes | None:
    """Only a stop that names a token waits for a decision."""
    return b"{}" if report.token is None else None


class Row(Generic[R]):
    """An action that stations ask of us: how it is read, what it reports, and how it is answered."""

    def __init__(
        self,
        request: type[R],
        report: Callable[[Heard, R], CallReport],
        answer: Callable[[Any, datetime], bytes | None],
    ) -> None:
        self.reader = normalise.Reader(request, REPAIRS)
        self.report, self.answer = report, answer


ACTIONS: dict[str, Row[Any]] = {
    "BootNotification": Row(BootNotification, booted, boot_answer),
    "Heartbeat": Row(Heartbeat, beat, time_answer),
    "Authorize": Row(Authorize, presented, decided_elsewhere),
    "StartTransaction": Row(StartTransaction, started, decided_elsewhere),
    "MeterValues": Row(MeterValues, read, empty_answer),
    "StopTransaction": Row(StopTransaction, ended, stop_answer),
    "StatusNotification": Row(StatusNotification, status_reported, empty_answer),
    "DataTransfer": Row(DataTransfer, transferred, status_answer),
    "DiagnosticsStatusNotification": Row(DiagnosticsStatusNotification, diagnostics, empty_answer),
    "FirmwareStatusNotification": Row(FirmwareStatusNotification, firmware, empty_answer),
    "SecurityEventNotification": Row(SecurityEventNotification, security_event, empty_answer),
    "SignCertificate": Row(SignCertificate, signing_requested, status_answer),
    "SignedFirmwareStatusNotification": Row(SignedFirmwareStatusNotification, signed_firmware, empty_answer),
    "LogStatusNotification": Row(LogStatusNotification, log_status, empty_answer),
}
"""What stations may ask of us."""

# fmt: off
NOT_SUPPORTED = frozenset(
    {
        "CancelReservation", "CertificateSigned", "ChangeAvailability",
        "ChangeConfiguration", "ClearCache", "ClearChargingProfile", "DeleteCertificate", "ExtendedTriggerMessage",
        "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics", "GetInstalledCertificateIds",
        "GetLocalListVersion", "GetLog", "InstallCertificate", "RemoteStartTransaction", "RemoteStopTransaction",
        "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage",
        "UnlockConnector", "UpdateFirmware",
    }
)
# fmt: on
"""Actions of OCPP 1.6 that go the other way, or that we do not take part in."""


def report(line: Line, call: Call, received: datetime) -> CallReport:
    """Return what a call of the station's reports; `CallRefused` if it can only be answered with an error."""
    row = ACTIONS.get(call.action)
    if row is None:
        code: ErrorCode = "NotSupported" if call.action in NOT_SUPPORTED else "NotImplemented"
        return refused(line, Broken(call, code, "This action is not one that we take part in."), received)
    try:
        said, violations = row.reader.read(call.payload, line.quirks.ways)
    except normalise.Unfit as unfit:
        return refused(line, Broken(call, unfit.code, unfit.description), received)
    return row.report(Heard(line, call, received, violations), said)


def refused(line: Line, broken: Broken, received: datetime) -> CallRefused:
    """Return the report of a call that is answered with an error."""
    heard = Heard(line, broken.call, received, [])
    return CallRefused(action=broken.call.action, code=broken.code, description=broken.description, **heard.common())


def answer(action: str, said: CallReport, now: datetime) -> bytes | None:
    """Return the payload that answers a call by itself; None if somebody else decides what the answer is."""
    return ACTIONS[action].answer(said, now)


class NoAnswer(Exception):
    """A decision that OCPP 1.6 has no words for."""


def decided(decision: AuthorizeAnswered | StartAnswered | StopAnswered) -> bytes:
    """Return the payload that tells the station what has been decided, or raise `NoAnswer`."""
    if isinstance(decision, StartAnswered):
        return start_answer(decision.info, decision.transaction)
    return token_answer(decision.info) if decision.info else b"{}"


def token_answer(info: TokenInfo) -> bytes:
    return msgspec.json.encode({"idTagInfo": id_tag_info(info)})


def start_answer(info: TokenInfo, given: TransactionId) -> bytes:
    """OCPP 1.6 §6.46: always with a transaction id, which is a positive 32-bit integer."""
    number = int(given) if given.isascii() and given.isdecimal() else 0
    if not 0 < number < 1 << 31:
        raise NoAnswer(f"{given} is no transaction id of OCPP 1.6")
    return msgspec.json.encode({"transactionId": number, "idTagInfo": id_tag_info(info)})


def proposed(start: TransactionStarted) -> TransactionId:
    """Return the transaction id for a start that nobody decided on: the same however often it is repeated.

    It lies from 2^30 on, where no decided one does.
    """
    at = "" if start.at_is_ours else start.at.astimezone(UTC).isoformat()
    content = f"{start.tenant}/{start.station}/{start.evse}/{start.connector}/{start.token}/{at}/{start.meter_wh}"
    digest = hashlib.blake2b(content.encode(), digest_size=4).digest()
    return TransactionId(str((1 << 30) + int.from_bytes(digest) % (1 << 30)))


def undecided(said: CallReport, status: TokenStatus) -> tuple[TransactionId | None, bytes]:
    """Return what a call is answered with that nobody decided on in time: a start's transaction id, and the payload."""
    if isinstance(said, TransactionStarted):
        given = proposed(said)
        return given, start_answer(TokenInfo(status), given)
    return None, token_answer(TokenInfo(status))


# ---- our calls -----------------------------------------------------------------------------------------------------


class RemoteStartTransaction(Struct, frozen=True, rename="camel", omit_defaults=True):
    """OCPP 1.6 §6.33."""

    id_tag: str
    connector_id: int | UnsetType = UNSET


class RemoteStopTransaction(Struct, frozen=True, rename="camel"):
    """OCPP 1.6 §6.35."""

    transaction_id: int


class TriggerMessage(Struct, frozen=True, rename="camel"):
    """OCPP 1.6 §6.51."""

    requested_message: str


class CannotAsk(Exception):
    """A call that OCPP 1.6 has no words for. The message says why."""


def ask(line: Line, asked: CallAsked, open_sealed: Callable[[Sealed], str]) -> Ask:
    """Return our call in OCPP 1.6, or raise `CannotAsk`. `CannotOpen` passes through."""
    match asked.call:
        case StartCharging() as start:
            uid, connector = tag(open_sealed(start.uid)), connector_of(line, start.evse, start.connector)
            said, shown = RemoteStartTransaction(uid, connector), RemoteStartTransaction("***", connector)
            return _ask(asked, "RemoteStartTransaction", said, shown, secret=uid)
        case StopCharging(transaction=given):
            return _ask(asked, "RemoteStopTransaction", RemoteStopTransaction(number(given)))
        case Trigger(message=message):
            return _ask(asked, "TriggerMessage", TriggerMessage(message))
        case TransferringData() as transfer:
            return _ask(asked, "DataTransfer", data_transfer(transfer))
        case ShowingPrice(text=text) as showing:
            uid = tag(open_sealed(showing.uid))
            return _ask(asked, "DataTransfer", costs.user_price(uid, text), costs.user_price("***", text), secret=uid)
        case ShowRunningCost() as shows:
            running = costs.running_cost(number(shows.transaction), timestamp(shows.as_of), shows)
            return _ask(asked, "DataTransfer", running)
        case ShowFinalCost() as shows:  # pragma: no branch
            return _ask(asked, "DataTransfer", costs.final_cost(number(shows.transaction), shows))


def tag(uid: str) -> str:
    """Return an id tag that fits, or raise `CannotAsk`."""
    if not 0 < len(uid) <= 20:
        raise CannotAsk("an id tag has 1 to 20 characters")
    return uid


def number(given: TransactionId) -> int:
    """Return the number that a transaction id is, or raise `CannotAsk`."""
    if not re.fullmatch(r"-?[0-9]{1,10}", given) or abs(int(given)) >= 1 << 31:
        raise CannotAsk("a transaction id is a 32-bit integer")
    return int(given)


def data_transfer(asked: TransferringData) -> costs.DataTransfer:
    """Return the call, or raise `CannotAsk`."""
    message = UNSET if asked.message is None else asked.message
    if not 0 < len(asked.vendor) <= 255 or (message is not UNSET and len(message) > 50):
        raise CannotAsk("a vendor has 1 to 255 characters, and a message at most 50")
    return costs.DataTransfer(asked.vendor, message, UNSET if asked.data is None else asked.data)


def _ask(asked: CallAsked, action: str, payload: Struct, shown: Struct | None = None, *, secret: str = "") -> Ask:
    id, shown = str(uuid4()), payload if shown is None else shown
    return Ask(
        id,
        asked.command,
        action,
        protocol.call_frame(id, action, payload),
        protocol.call_frame(id, action, shown),
        asked.expires_at,
        secret,
    )


def connector_of(line: Line, evse: int | None, connector: int | None) -> int | UnsetType:
    """Return 1.6's number of a connector; UNSET where any will do."""
    if evse is None or evse <= 0:
        return UNSET
    for number, (of_evse, id) in enumerate(line.ports, start=1):
        if of_evse == evse and connector in (None, id):
            return number
    return evse


AnswerWord = Literal["Accepted", "Rejected", "NotImplemented", "UnknownMessageId", "UnknownVendorId"]
WORDS: dict[str, tuple[AnswerWord, ...]] = {
    "TriggerMessage": ("Accepted", "Rejected", "NotImplemented"),
    "DataTransfer": ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"),
}
"""Which of them an action is answered; any other only Accepted or Rejected."""


class StatusAnswer(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What all actions so far are answered (OCPP 1.6 §6.12, §6.34, §6.36, §6.52)."""

    status: Annotated[AnswerWord, Meta(extra={"rule": "C-045"})] | None


class DataAnswer(StatusAnswer, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What DataTransfer is answered; what else a vendor says in it is in the frame."""

    data: Annotated[str, Meta(extra={"rule": "Q-119"})] | None = None


_ANSWER = normalise.Reader(StatusAnswer)
_DATA_ANSWER = normalise.Reader(DataAnswer)


def outcome(line: Line, answered: Answered, now: datetime) -> CallAnswered | CallFailed:
    """Return what the answer to our call says: one of the words for its action."""
    common: dict[str, Any] = {
        "at": now,
        "tenant": line.tenant,
        "station": line.station,
        "gateway": line.gateway,
        "reply_to": line.reply_to,
        "epoch": line.epoch,
        "command": answered.ask.command,
        "frame": answered.frame,
        "late": answered.late,
    }
    action = answered.ask.action
    said, noted = (_DATA_ANSWER if action == "DataTransfer" else _ANSWER).read(answered.payload)
    common["violations"] = (*answered.violations, *noted)
    words = WORDS.get(action, ("Accepted", "Rejected"))
    if said.status not in words:
        return CallFailed(**common, reason="Invalid", description=f"the answer is none of {', '.join(words)}")
    return CallAnswered(**common, status=str(said.status))
