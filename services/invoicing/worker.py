"""What invoicing runs, all in one process: the carrier of drafts, the decider of their numbers, and the renderer of documents."""

import asyncio

from chassis import sql
from chassis.copies import Copies, Whole
from chassis.follow import Following
from chassis.kafka import CopyKeeper, partition_of_key
from chassis.loop import Loop
from chassis.secrets import Secrets
from chassis.service import Last, Service
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message
from contracts.invoices import NumberAsked
from contracts.ledger import InvoiceDrafted
from contracts.postings import Source
from contracts.topics import ACCOUNTS, DRAFTS, INVOICES, LEDGER, SITES, of_account
from services.invoicing import carrier, domain, renderer, sweeper
from services.invoicing.books import Books
from services.invoicing.carrier import Lying
from services.invoicing.parties import read
from services.invoicing.pdf import Press
from services.invoicing.printer import Printer


def build_carrier(settings: Settings) -> Stream:
    """Return what carries drafts over, not yet started."""

    def regard(message: Message[InvoiceDrafted], _: Copies) -> Lying:
        part = partition_of_key(of_account(message.event).encode(), settings.partitions)
        return Lying(message.event, Source(part, message.offset))

    return Stream(
        name="drafting",
        rules=carrier,
        state=carrier.State,
        inputs=(LEDGER,),
        outputs=(DRAFTS,),
        rekeyed=True,
        regard=regard,
        hears=(InvoiceDrafted,),
    )


def build(_: Settings) -> Stream:
    """Return the decider of numbers, not yet started."""
    return Stream(
        name="invoicing",
        rules=domain,
        state=domain.State,
        inputs=(DRAFTS,),
        outputs=(INVOICES,),
        hears=(NumberAsked,),
        apart={"lately": domain.blocks},
    )


async def serve(settings: Settings, service: Service) -> None:
    """Run everything until asked to stop."""
    sellers, secrets = read(settings.sellers), Secrets(settings.secret.get_secret_value())
    engine = sql.build(settings)
    keeper = CopyKeeper(settings, Whole(ACCOUNTS), Whole(SITES))
    try:
        async with keeper as copies:
            await _run(
                settings, service, Printer(sellers, Books(engine, copies, secrets), Press(settings.fonts)), keeper
            )
    finally:
        await engine.dispose()


async def _run(settings: Settings, service: Service, printer: Printer, keeper: CopyKeeper) -> None:
    ready, stopping = Last(3, service.ready), service.stopping
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.until(stopping))
        group.create_task(Loop(build(settings), settings).run(ready, stopping))
        group.create_task(Loop(build_carrier(settings), settings).run(ready, stopping))
        group.create_task(Following(renderer.build(printer), settings, stopping).run(ready))
        group.create_task(sweeper.sweep(printer, settings, stopping))
