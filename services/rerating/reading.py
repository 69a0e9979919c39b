"""Reads a partition of `bills` for a job."""

from collections import Counter
from collections.abc import AsyncGenerator

from chassis.kafka import Record
from chassis.settings import Settings
from chassis.spans import Extent, batches
from contracts.bills import BillEvent
from contracts.cloudevents import Unreadable
from contracts.event import Event, SessionId, TenantId
from contracts.topics import BILLS
from services.rerating.past import HEARD, REVISED

WORK = "re-rating"


def heard(record: Record, tenant: bytes, wanted: frozenset[bytes]) -> BillEvent | None:
    """Return what a record says, if it is of this tenant and of one of these kinds. What cannot be read says nothing."""
    if record.value is None or not record.key.startswith(tenant) or _kind(record) not in wanted:
        return None
    try:
        return BILLS.decode(record.value)
    except Unreadable:
        return None


def _kind(record: Record) -> bytes:
    return next((value for name, value in record.headers if name == "ce_type"), b"")


def kinds(classes: tuple[type[Event], ...]) -> frozenset[bytes]:
    """Return what the headers of these events say of their kind."""
    return frozenset(f"voltstream.{each.__name__}".encode() for each in classes)


_HEARD, _REVISED = kinds(HEARD), kinds(REVISED)


async def revisions(settings: Settings, tenant: TenantId, extent: Extent) -> Counter[SessionId]:
    """Return how often the CDR of a session was not the last word. Only few records need be decoded for that."""
    found: Counter[SessionId] = Counter()
    async for records in batches(settings, BILLS, extent, WORK):
        events = (heard(record, _prefix(tenant), _REVISED) for record in records)
        found.update(event.session for event in events if event is not None)
    return found


async def bills(
    settings: Settings, tenant: TenantId, extent: Extent
) -> AsyncGenerator[list[tuple[int, BillEvent | None]]]:
    """Yield what a part of a partition says, some at a time, each with its offset."""
    async for records in batches(settings, BILLS, extent, WORK):
        yield [(record.offset, heard(record, _prefix(tenant), _HEARD)) for record in records]


def _prefix(tenant: TenantId) -> bytes:
    return f"{tenant}/".encode()
