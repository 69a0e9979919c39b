"""The process: a port, and what is behind it. It answers at once, and says what is still away."""

import asyncio
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import clickhouse, sql
from chassis.clickhouse import ClickHouse
from chassis.feed import Feed
from chassis.logs import log
from chassis.secrets import Secrets
from chassis.service import Service
from chassis.settings import BrokenSetting, Settings
from chassis.web import Web, bound
from contracts.tables import REVISION
from services.api.app import build
from services.api.backends import Backends, KafkaJournal
from services.api.queries import Queries
from services.api.told import TOPICS, told

CONNECTIONS = 20
"""To SQL: what a process with two cores can keep busy, waits included."""


def _unheard(_: str) -> None: ...


async def serve(settings: Settings, service: Service, listening: Callable[[str], None] = _unheard) -> None:
    """Serve until the service is told to stop. `listening` hears the address."""
    secrets = Secrets(settings.secret.get_secret_value())
    engine, db = sql.build(settings, connections=CONNECTIONS), archive(settings)
    listener = bound(settings.api_host, settings.api_port, "VOLTSTREAM_API_PORT")
    journal = KafkaJournal(settings)
    feed = Feed(settings, TOPICS, told)
    behind = Backends(settings, secrets, Queries(engine), db, journal, feed=feed, stopping=service.stopping)
    web = Web(build(behind), listener)
    await web.start()
    address = f"http://{settings.api_host}:{web.port}"
    log.info("REST", url=f"{address}/v1", docs=f"{address}/docs")
    listening(address)
    waiting = asyncio.create_task(_until_ready(engine, journal, service))
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


def archive(settings: Settings) -> ClickHouse:
    """Build the ClickHouse that the settings name."""
    try:
        return clickhouse.connect(settings.clickhouse.get_secret_value(), timeout_s=30)
    except ValueError as error:
        raise BrokenSetting(f"VOLTSTREAM_CLICKHOUSE: {error}") from None


async def _until_ready(engine: AsyncEngine, journal: KafkaJournal, service: Service) -> None:
    await sql.until_migrated(engine, REVISION, report=log.warning)
    await journal.start()
    service.ready()


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
