"""What a station says of itself: its hardware, and the status of its connectors."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from contracts.event import CommandId, Message, derived_id
from contracts.gateways import CallAsked, Trigger
from contracts.operations import BootAskedFor, ConnectorStatusChanged, InventoryReported
from contracts.stations import Call, CallRefused, ConnectorStatusReported, StationBooted
from services.operations.station import Boot, Connector, Known, Online, Outcome

SINCE = datetime(2015, 1, 1, tzinfo=UTC)
"""No status is older: such a clock has not been set."""
AHEAD = timedelta(minutes=5)
"""A clock that is further ahead of ours says nothing (Q-100, Q-102)."""
MOST_CONNECTORS = 64
"""A station with more is not followed beyond them."""
WORTH_ASKING = timedelta(minutes=15)
"""So long a station is asked who it is, if it wants to be left alone at first (T-69)."""
LONGEST = 50
"""So many characters of what a station says are compared and kept (OCPP 1.6 allows no more)."""


def booted(known: Known, boot: StationBooted) -> list[Outcome]:
    """Return what the station is, unless a newer boot has said so (M-01)."""
    before = known.boot
    if before is not None and (boot.epoch, boot.at) <= (before.epoch, before.at):
        return []
    reported = InventoryReported(
        at=boot.at,
        tenant=boot.tenant,
        station=boot.station,
        vendor=boot.vendor,
        model=boot.model,
        serial_number=boot.serial_number or boot.box_serial_number,
        firmware_version=boot.firmware_version,
        iccid=boot.iccid,
        imsi=boot.imsi,
        meter_type=boot.meter_type,
        meter_serial_number=boot.meter_serial_number,
        boot_status=boot.status,
        epoch=boot.epoch,
    )
    return [replace(reported, changed=is_other_hardware(before, reported))]


def is_other_hardware(before: Boot | None, now: InventoryReported) -> bool:
    """Tell whether vendor, model or serial number differ; what one of the two did not say does not."""
    if before is None:
        return False
    pairs = (
        (before.vendor, now.vendor),
        (before.model, now.model),
        (before.serial_number, now.serial_number),
    )
    return any(old and new and old != new[:LONGEST] for old, new in pairs)


def status(known: Known, report: ConnectorStatusReported, heard_at: datetime) -> list[Outcome]:
    """Return the connector's status if it is news: not older than what is known, and not the same (X-50, M-07)."""
    at, ours = moment(report, heard_at)
    changed = ConnectorStatusChanged(
        at=at,
        tenant=report.tenant,
        station=report.station,
        evse=report.evse,
        connector=report.connector,
        status=report.status,
        error_code=report.error_code,
        info=report.info,
        vendor_id=report.vendor_id,
        vendor_error_code=report.vendor_error_code,
        at_is_ours=ours,
    )
    before = connector_of(known, report.evse, report.connector)
    if before is None:
        return [changed] if len(known.connectors) < MOST_CONNECTORS else []
    late = before.at is not None and not ours and at < before.at
    return [] if late or replace(connector(changed), at=before.at) == before else [changed]


def moment(report: ConnectorStatusReported, heard_at: datetime) -> tuple[datetime, bool]:
    """Return when a status counts from, and whether that is by our clock. Nothing happens after it was heard of."""
    if report.at_is_ours or not SINCE <= report.at <= heard_at + AHEAD:
        return heard_at, True
    return min(report.at, heard_at), False


def unbooted(known: Known, said: Call, message: Message[Any]) -> list[Outcome]:
    """Return what follows if a station speaks that has never booted: it counts as accepted, and is asked once who it is.

    A station that only reconnects needs not boot again, and may not be asked to (T-65, T-68).
    """
    connection = known.connection
    if known.boot is not None or known.boot_asked or isinstance(said, CallRefused):
        return []
    if not isinstance(connection, Online) or said.epoch != connection.epoch:
        return []
    here: dict[str, Any] = {"at": message.recorded_at, "tenant": known.tenant, "station": known.station}
    asked = CallAsked(
        **here,
        gateway=connection.gateway,
        reply_to=connection.reply_to,
        epoch=connection.epoch,
        command=CommandId(derived_id(message.id, "operations", "boot")),
        call=Trigger("BootNotification"),
        expires_at=message.recorded_at + WORTH_ASKING,
    )
    return [BootAskedFor(**here, epoch=connection.epoch), asked]


def evolve(known: Known, event: InventoryReported | BootAskedFor | ConnectorStatusChanged) -> Known:
    """Return the station after it has said something of itself."""
    if isinstance(event, BootAskedFor):
        return replace(known, boot_asked=True)
    if isinstance(event, InventoryReported):
        return replace(known, boot=boot(known.boot, event), cannot=())
    before = connector_of(known, event.evse, event.connector)
    now = connector(event)
    if before and event.at_is_ours:
        now = replace(now, at=before.at)
    others = tuple(other for other in known.connectors if other != before)
    return replace(known, connectors=tuple(sorted((*others, now), key=place)))


def boot(before: Boot | None, now: InventoryReported) -> Boot:
    """Return the boot, with what an earlier one said of the hardware where this one says nothing."""
    return Boot(
        at=now.at,
        epoch=now.epoch,
        status=now.boot_status,
        vendor=now.vendor[:LONGEST] or (before.vendor if before else ""),
        model=now.model[:LONGEST] or (before.model if before else ""),
        serial_number=clipped(now.serial_number) or (before.serial_number if before else None),
    )


def connector(event: ConnectorStatusChanged) -> Connector:
    return Connector(
        evse=event.evse,
        connector=event.connector,
        at=None if event.at_is_ours else event.at,
        status=event.status[:LONGEST],
        error_code=event.error_code[:LONGEST],
        info=clipped(event.info),
        vendor_error_code=clipped(event.vendor_error_code),
    )


def connector_of(known: Known, evse: int, number: int) -> Connector | None:
    return next((one for one in known.connectors if place(one) == (evse, number)), None)


def place(one: Connector) -> tuple[int, int]:
    return one.evse, one.connector


def clipped(text: str | None) -> str | None:
    return text[:LONGEST] if text else None
