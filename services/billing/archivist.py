"""Looks up in the log what was billed of sessions that billing has forgotten, and tells it (CDR-06).

A follower, so perhaps twice: billing takes in what it is told once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.follow import Follower
from chassis.kafka import Record, partition_of_key
from chassis.logs import log
from chassis.settings import Settings
from chassis.spans import batches, extents
from contracts.bills import BillEvent, LateUsageHeard
from contracts.cloudevents import Unreadable
from contracts.event import Message
from contracts.reviews import PastBillFound
from contracts.topics import BILLS, REVIEWS
from services.billing import remembered

BEFORE = timedelta(days=7)
"""Most sessions began less long before they ended: so much of the log is read first, and all of it only if that is too little."""
WORK = "archivist"


def build(settings: Settings) -> Follower:
    """Return the archivist, not yet started."""

    async def carry_out(message: Message[LateUsageHeard]) -> Sequence[PastBillFound]:
        late = message.event
        billed = remembered.billed(late.session, await bills_of(settings, late))
        if billed is None:
            log.warning("nothing was billed that could be corrected", station=late.station, session=late.session)
            return []
        return [
            PastBillFound(
                at=message.recorded_at,
                tenant=late.tenant,
                station=late.station,
                session=late.session,
                billed=billed,
                late=late,
            )
        ]

    return Follower("billing.archivist", BILLS, (REVIEWS,), carry_out, hears=(LateUsageHeard,))


async def bills_of(settings: Settings, late: LateUsageHeard) -> list[BillEvent]:
    """Return all bills of a session that there are by now."""
    recent = await _bills_since(settings, late, late.at - BEFORE)
    return recent if remembered.is_whole(recent) else await _bills_since(settings, late, None)


async def _bills_since(settings: Settings, late: LateUsageHeard, since: datetime | None) -> list[BillEvent]:
    part = partition_of_key(BILLS.key_of(late), settings.partitions)
    [extent] = await extents(settings, BILLS, [part], since)
    found: list[BillEvent] = []
    async for records in batches(settings, BILLS, extent, WORK):
        found += (bill for record in records if (bill := _bill(record, late)) is not None)
    return found


def _bill(record: Record, late: LateUsageHeard) -> BillEvent | None:
    """Return what a record says of the session. Only what has its id in it need be decoded; what cannot be read says nothing."""
    if record.value is None or record.key != BILLS.key_of(late) or late.session.encode() not in record.value:
        return None
    try:
        event: Any = BILLS.decode(record.value)
    except Unreadable:
        return None
    return event if event.session == late.session else None
