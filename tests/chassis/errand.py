"""A service small enough to see through, to run as a process of its own: `python -m tests.chassis.errand WHAT`."""

import asyncio
import sys

from chassis.errors import SaysWhatToDo
from chassis.kafka import Log, check_topics
from chassis.logs import log
from chassis.service import Service, launch, parser_of
from chassis.settings import Settings


class Broken(SaysWhatToDo): ...


async def waiting(settings: Settings, service: Service) -> None:
    """Ready at once, until it is asked to stop."""
    log.info("at work", settings=settings)
    service.ready()
    await service.stopping.wait()


async def for_kafka(settings: Settings, service: Service) -> None:
    """Ready as soon as Kafka is there."""
    await check_topics(settings, [])
    producer = Log(settings)
    await producer.start()
    try:
        service.ready()
        await service.stopping.wait()
    finally:
        await producer.stop()


async def slow_to_start(_: Settings, __: Service) -> None:
    log.info("at work")
    await asyncio.Event().wait()


async def slow_to_stop(_: Settings, service: Service) -> None:
    """Takes for ever to stop."""
    service.ready()
    await service.stopping.wait()
    log.info("stopping")
    await asyncio.Event().wait()


async def wrong(_: Settings, __: Service) -> None:
    raise Broken("the moon is in the wrong house: wait a day")


async def wrong_in_a_group(settings: Settings, service: Service) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(wrong(settings, service))


async def crash(settings: Settings, _: Service) -> None:
    secret = settings.secret.get_secret_value()
    raise ZeroDivisionError(f"nobody expected this of {len(secret)} characters")


if __name__ == "__main__":
    what = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in globals() else "waiting"
    parser_of("errand", "Runs an errand.").parse_args()
    launch("errand", globals()[what])
