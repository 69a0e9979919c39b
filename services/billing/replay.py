"""Every bill of the log worked out anew, and compared with what was billed."""

from chassis.kafka import TopicPartition, full
from chassis.loop import committed
from chassis.replay import Verdict
from chassis.settings import Settings
from contracts.bills import CdrHeld, CdrIssued
from contracts.topics import BILLS
from services.billing.audit import Again, encoded


async def compared(settings: Settings) -> Verdict:
    """Return what came of pricing every session of the log again, byte for byte."""
    verdict = Verdict("bills, priced again")
    for partition in range(settings.partitions):
        await _compare(settings, TopicPartition(full(settings, BILLS.name), partition), verdict)
    return verdict


async def _compare(settings: Settings, place: TopicPartition, verdict: Verdict) -> None:
    log = Again()
    async for record in committed(settings, BILLS, place, "bills"):
        event = BILLS.decode(record.value or b"")
        now = log.hear(event)
        if now is not None and isinstance(event, CdrIssued | CdrHeld):
            verdict.compare(f"{event.station} {event.session}", encoded(event.priced), encoded(now))
