"""Writes documents: what has a number becomes a PDF and its XML. At least once; the same both times, so the first counts.

A session or an account may not be in the tables yet when its invoice has its number, as they are kept by somebody else: then it waits a
minute. What cannot be written even then, such as without a seller, is named and left to the sweeper, so that others need not wait for it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from chassis.follow import Follower
from chassis.logs import log
from chassis.progress import PROGRESS
from contracts.event import Event, Message
from contracts.invoices import InvoiceIssued, InvoiceRendered
from contracts.topics import INVOICES, PAPERS
from services.invoicing.printer import NoSeller, NotYet, Printer

NAME = "rendering"
PATIENCE_S = 60.0
RETRY_S = 1.0


def build(printer: Printer, patience_s: float = PATIENCE_S) -> Follower:
    """Return who writes documents, not yet at work."""

    async def carry_out(message: Message[Any]) -> Iterable[Event]:
        issued: InvoiceIssued = message.event
        return await patiently(printer, issued, patience_s)

    return Follower(name=NAME, topic=INVOICES, outputs=(PAPERS,), carry_out=carry_out, hears=(InvoiceIssued,))


async def patiently(printer: Printer, issued: InvoiceIssued, patience_s: float) -> list[InvoiceRendered]:
    """Return the document, or nothing if it cannot be written within `patience_s` seconds."""
    until = asyncio.get_running_loop().time() + patience_s
    while True:
        PROGRESS.beat(NAME)
        try:
            return [await printer.render(issued)]
        except NotYet as why:
            if isinstance(why, NoSeller) or asyncio.get_running_loop().time() >= until:
                log.error("not written; tried again later", invoice=issued.name, tenant=issued.tenant, why=str(why))
                return []
        await asyncio.sleep(RETRY_S)
