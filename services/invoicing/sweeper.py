"""Comes back to what has had a number for ten minutes and has no document yet, such as when its seller was not named."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from chassis import clock
from chassis.kafka import Log, Unavailable
from chassis.logs import log
from chassis.settings import Settings
from contracts.event import derived_id
from contracts.invoices import InvoiceRendered
from contracts.topics import PAPERS
from services.invoicing.printer import NotYet, Printer

EVERY_S = 60.0
AFTER = timedelta(minutes=10)
AT_ONCE = 500
SOURCE = "/voltstream/rendering"


async def sweep(printer: Printer, settings: Settings, stopping: asyncio.Event, every_s: float = EVERY_S) -> None:
    """Write what is left over, again and again, until asked to stop."""
    out = Log(settings, linger_ms=0)
    await out.start()
    try:
        while not await _asked_to_stop_within(every_s, stopping):
            try:
                async for paper in left_over(printer):
                    id = derived_id(f"{paper.tenant}/{paper.invoice}", "rendering", "left over")
                    await out.append(PAPERS, paper, id=id, source=SOURCE, timeout=30)
            except (NotYet, Unavailable) as why:
                log.warning("what was left over is looked at again later", why=str(why))
    finally:
        await out.stop()


async def left_over(printer: Printer) -> AsyncIterator[InvoiceRendered]:
    """Yield the documents that were left over and can be written now."""
    for issued in await printer.left_over(clock.now() - AFTER, AT_ONCE):
        try:
            yield await printer.render(issued)
        except NotYet as why:
            log.warning("still not written", invoice=issued.name, tenant=issued.tenant, why=str(why))


async def _asked_to_stop_within(seconds: float, stopping: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await stopping.wait()
    except TimeoutError:
        return False
