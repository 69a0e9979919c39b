"""Every service in this process, on a real Kafka, ClickHouse and SQLite: one partition, so that all happens in one order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr

from chassis.loop import Loop
from chassis.service import Service
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.topics import DECIDERS
from services.accounts import worker as accounts
from services.analytics import worker as analytics
from services.api import server as api
from services.authorization import worker as authorization
from services.billing import worker as billing
from services.directory import worker as directory
from services.gateway.server import Pace, running
from services.invoicing import worker as invoicing
from services.monitoring import worker as monitoring
from services.operations import worker as operations
from services.payments import worker as payments
from services.rerating import worker as rerating
from services.sessions import worker as sessions
from services.views import worker as views
from tests.api.network import FIRST_KEY
from tests.api.streaming import Away, Ear, listening
from tests.station import Station
from tests.system.network import SITE, Rest, Token, arrived, boot, until

DECIDING: dict[str, Callable[[Settings], Stream]] = {
    "directory": directory.build,
    "authorization": authorization.build,
    "sessions": sessions.build,
    "operations": operations.build,
    "billing": billing.build,
    "payments": payments.router,
    "accounts": accounts.build,
    "drafting": invoicing.build_carrier,
    "invoicing": invoicing.build,
}
assert tuple(DECIDING) == DECIDERS
SERVING: dict[str, Callable[[Settings, Service], Awaitable[None]]] = {
    "payments": payments.serve,
    "invoicing": invoicing.serve,
    "rerating": rerating.serve,
    "monitoring": monitoring.serve,
    "views": views.serve,
    "analytics": analytics.serve,
}


def settings_of(kafka: str, topic_prefix: str, sql: str, clickhouse: str) -> Settings:
    return Settings(
        kafka=kafka,
        topic_prefix=topic_prefix,
        partitions=1,
        session_timeout_ms=6000,
        sql=SecretStr(sql),
        clickhouse=SecretStr(clickhouse),
        secret=SecretStr("a-secret-of-the-tests-and-of-nobody-else"),
        admin_digest=sha256(FIRST_KEY.encode()).hexdigest(),
        api_port=0,
        ocpp_port=0,
        cdr_hold_s=0.1,
        alert_faults=2,
        alert_faults_within_s=600,
    )


@dataclass
class Everything:
    """All services, and who uses them."""

    settings: Settings
    tasks: dict[str, asyncio.Task[None]]
    rest: Rest
    ocpp: str
    ear: Ear
    stop: Callable[[], Awaitable[None]]
    """Stop all of it."""
    stations: list[Station] = field(default_factory=list)

    def check(self) -> None:
        """Raise what has ended a service, if anything has."""
        for name, task in self.tasks.items():
            if task.done():
                raise AssertionError(f"{name} has ended") from task.exception()

    async def until(self, look: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Return what `look` sees as soon as it sees something, unless a service ends before."""

        async def looked() -> Any:
            self.check()
            return await look()

        return await until(looked, what)

    async def station(self, identity: str | None = None) -> Station:
        """Return a station that is connected and has booted."""
        station = Station(identity or f"CP-{uuid4().hex[:8]}", (self.ocpp,), None)
        await self.rest.register(station.identity, security_profile=0)
        self.stations.append(station)
        await arrived(station)
        await boot(station)
        return station

    async def token(self) -> Token:
        return await self.rest.token()


@asynccontextmanager
async def everything(settings: Settings) -> AsyncIterator[Everything]:
    """Run all services while it is entered."""
    async with AsyncExitStack() as stack:
        tasks: dict[str, asyncio.Task[None]] = {}
        stopping: list[asyncio.Event] = []

        async def stopped() -> None:
            for event in stopping:
                event.set()
            await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 60)

        stack.push_async_callback(stopped)
        alone = {name: build for name, build in DECIDING.items() if name not in (*SERVING, "drafting")}
        services = {name: Service(name) for name in (*alone, *SERVING)}
        stopping += [service.stopping for service in services.values()]
        for name, build in alone.items():
            run = Loop(build(settings), settings).run(services[name].ready, services[name].stopping)
            tasks[name] = asyncio.create_task(run, name=name)
        for name, serve in SERVING.items():
            tasks[name] = asyncio.create_task(_run(serve, settings, services[name]), name=name)
        for name, service in services.items():
            await _ready(service, tasks[name])
        gateway = await stack.enter_async_context(running(settings, Pace(drain=0.2)))
        url = await _api(settings, tasks, stopping)
        rest = Rest(url, FIRST_KEY)
        stack.push_async_callback(rest.client.aclose)
        await rest.put(f"/v1/sites/{SITE}", {"name": "Harbour", "time_zone": "Europe/Oslo", "currency": "NOK"})
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {FIRST_KEY}"}, timeout=60)
        )
        ear = await until(lambda: _heard(stack, client), "the live stream")
        it = Everything(settings, tasks, rest, f"ws://127.0.0.1:{gateway.port}/ocpp", ear, stack.aclose)

        async def left() -> None:
            await asyncio.gather(*(station.close() for station in it.stations))

        stack.push_async_callback(left)
        yield it


async def _heard(stack: AsyncExitStack, client: httpx.AsyncClient) -> Ear | None:
    """Return a live stream; None while Kafka has yet to say where its topics end."""
    try:
        return await stack.enter_async_context(listening(client))
    except Away:
        return None


async def _run(serve: Callable[[Settings, Service], Awaitable[None]], settings: Settings, service: Service) -> None:
    await serve(settings, service)


async def _ready(service: Service, task: asyncio.Task[None]) -> None:
    async def look() -> bool | None:
        if task.done():
            task.result()
        return service.is_ready or None

    await until(look, f"{service.name} is ready", within=60)


async def _api(settings: Settings, tasks: dict[str, asyncio.Task[None]], stopping: list[asyncio.Event]) -> str:
    service, address = Service("api"), asyncio.get_running_loop().create_future()
    tasks["api"] = asyncio.create_task(api.serve(settings, service, address.set_result), name="api")
    stopping.append(service.stopping)
    await _ready(service, tasks["api"])
    return str(await address)
