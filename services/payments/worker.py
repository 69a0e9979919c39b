"""What payments runs: the router, which passes bills on to accounts; the teller; and the enforcer. All in one process."""

import asyncio
from typing import Any

from chassis.copies import Copies, Whole
from chassis.follow import Following
from chassis.kafka import CopyKeeper, partition_of_key
from chassis.loop import Loop
from chassis.service import Last, Service
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.bills import (
    BillDiscarded,
    CdrCredited,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    TariffBound,
    TariffMissing,
)
from contracts.event import Message
from contracts.topics import BILLS, CHARGING, POSTINGS
from services.payments import domain, enforcer, teller
from services.payments.stripe import Stripe


def router(settings: Settings) -> Stream:
    """Return what passes bills on to the accounts that pay for them, not yet started."""

    def regard(message: Message[Any], _: Copies) -> domain.Heard:
        return domain.Heard(message, partition_of_key(BILLS.key_of(message.event), settings.partitions))

    return Stream(
        name="payments",
        rules=domain,
        state=domain.State,
        inputs=(BILLS,),
        outputs=(POSTINGS,),
        rekeyed=True,
        regard=regard,
        hears=(
            TariffBound,
            CostUpdated,
            CdrIssued,
            CdrCredited,
            ChargedFree,
            TariffMissing,
            BillDiscarded,
            CdrWaived,
        ),
    )


def provider(settings: Settings) -> Stripe | None:
    """Return the provider that the settings name, if they name one."""
    key = settings.stripe_key.get_secret_value()
    if not key:
        return None
    return Stripe(key, return_url=settings.payment_return_url, api=settings.stripe_api)


async def serve(settings: Settings, service: Service) -> None:
    """Run all three until asked to stop."""
    account = provider(settings)
    try:
        await _run(settings, service, account)
    finally:
        if account is not None:
            await account.close()


async def _run(settings: Settings, service: Service, account: Stripe | None) -> None:
    ready, stopping = Last(3, service.ready), service.stopping
    keeper = CopyKeeper(settings, Whole(CHARGING))
    async with keeper as charging, asyncio.TaskGroup() as group:
        group.create_task(keeper.until(stopping))
        group.create_task(Loop(router(settings), settings).run(ready, stopping))
        group.create_task(Following(teller.build(account), settings, stopping).run(ready))
        group.create_task(Following(enforcer.build(charging), settings, stopping).run(ready))
