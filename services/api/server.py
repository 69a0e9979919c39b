"""The process: a port, and what is behind it. It answers at once, and says what is still away."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.feed import Feed
from chassis.logs import log
from chassis.progress import NEEDS
from chassis.secrets import Secrets
from chassis.service import Service
from chassis.settings import Settings
from chassis.web import Web, bound
from contracts.tables import REVISION
from services.api.app import build
from services.api.backends import Backends, KafkaJournal, archive
from services.api.queries import Away, Queries
from services.api.told import TOPICS, told
from services.invoicing.parties import read

LOOK_EVERY_S = 2.0
"""How often SQL is asked whether it is there."""
CONNECTIONS = 20
"""To SQL: what a process with two cores can keep busy, waits included."""


def _unheard(_: str) -> None: ...


async def serve(settings: Settings, service: Service, listening: Callable[[str], None] = _unheard) -> None:
    """Serve until the service is told to stop. `listening` hears the address."""
    secrets, sellers = Secrets(settings.secret.get_secret_value()), read(settings.sellers)
    engine, db = sql.build(settings, connections=CONNECTIONS), archive(settings)
    listener = bound(settings.api_host, settings.api_port, "VOLTSTREAM_API_PORT")
    journal = KafkaJournal(settings)
    feed = Feed(settings, TOPICS, told)
    behind = Backends(
        settings, secrets, Queries(engine), db, journal, feed=feed, stopping=service.stopping, sellers=sellers
    )
    web = Web(build(behind), listener)
    await web.start()
    address = f"http://{settings.api_host}:{web.port}"
    log.info("REST", url=f"{address}/v1", docs=f"{address}/docs")
    listening(address)
    waiting = asyncio.create_task(_until_ready(engine, journal, behind.queries, service))
    try:
        await _until_stopping(service, waiting)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await web.stop()
        await feed.stop()
        await journal.stop()
        await db.close()
        await engine.dispose()


async def _until_ready(engine: AsyncEngine, journal: KafkaJournal, queries: Queries, service: Service) -> None:
    """Make it ready, and then look for ever whether it still is: without SQL it has an answer to nothing."""
    await sql.until_migrated(engine, REVISION, report=log.warning)
    await journal.start()
    service.ready()
    while True:
        try:
            await queries.answers()
        except (Away, SQLAlchemyError):
            NEEDS.away("SQL")
        else:
            NEEDS.back("SQL")
        await asyncio.sleep(LOOK_EVERY_S)


async def _until_stopping(service: Service, waiting: asyncio.Task[None]) -> None:
    """Return when the process is asked to stop; raise what keeps it from ever being ready."""
    asked = asyncio.create_task(service.stopping.wait())
    try:
        await asyncio.wait([asked, waiting], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        await asked
    finally:
        asked.cancel()
