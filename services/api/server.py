"""The process: a port, and what is behind it. It answers at once, and says what is still away."""

import asyncio
import contextlib

from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import clickhouse, sql
from chassis.logs import log
from chassis.secrets import Secrets
from chassis.service import Service
from chassis.settings import Settings
from chassis.web import Web, bound
from contracts.tables import REVISION
from services.api.app import build
from services.api.backends import Backends, KafkaJournal
from services.api.queries import Queries


async def serve(settings: Settings, service: Service) -> None:
    """Serve until the service is told to stop."""
    secrets = Secrets(settings.secret.get_secret_value())
    engine = sql.build(settings, connections=20)
    db = clickhouse.connect(settings.clickhouse.get_secret_value(), timeout_s=30)
    journal = KafkaJournal(settings)
    backends = Backends(settings, secrets, Queries(engine), db, journal, service.stopping)
    web = Web(build(backends), bound(settings.api_host, settings.api_port, "VOLTSTREAM_API_PORT"))
    await web.start()
    log.info(
        "REST", url=f"http://{settings.api_host}:{web.port}/v1", docs=f"http://{settings.api_host}:{web.port}/docs"
    )
    try:
        async with asyncio.TaskGroup() as all_of_them:
            work = all_of_them.create_task(_until_ready(engine, journal, service))
            await service.stopping.wait()
            work.cancel()
    finally:
        await web.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await journal.stop()
        await db.close()
        await engine.dispose()


async def _until_ready(engine: AsyncEngine, journal: KafkaJournal, service: Service) -> None:
    await sql.until_migrated(engine, REVISION, report=log.warning)
    await journal.start()
    service.ready()
