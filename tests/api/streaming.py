"""What writes to the log for live streams, and who listens to them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import httpx

from chassis import clickhouse, clock
from chassis.feed import Feed
from chassis.kafka import AIOKafkaProducer, Log, full, transactional_producer
from chassis.secrets import Secrets
from chassis.settings import Settings
from chassis.web import Web, bound
from contracts.cloudevents import Attributes, to_headers
from contracts.event import Event, SessionId, StationId, TenantId
from contracts.sessions import EnergyDelivered
from contracts.topics import Topic
from services.api.app import build
from services.api.backends import Backends
from services.api.queries import Queries
from services.api.told import TOPICS, told
from tests.api.network import FIRST_KEY, NOWHERE, Network


class Heard(NamedTuple):
    """One event of a stream."""

    type: str
    cursor: str
    told: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        said: dict[str, Any] = self.told["data"]
        return said


class Away(Exception):
    """There is no stream now."""


@dataclass
class Ear:
    """Reads one stream as a browser does: what is not whole when it is cut was not heard."""

    response: httpx.Response
    cursor: str = ""
    comments: list[str] = field(default_factory=list)
    retry_ms: int | None = None

    def __post_init__(self) -> None:
        self.events = self._events()

    async def _events(self) -> AsyncIterator[Heard]:
        said: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(":")
            match name, value.removeprefix(" "):
                case "", "":
                    if "id" in said:
                        self.cursor = said["id"]
                    if "data" in said:
                        yield Heard(said.get("event", "message"), self.cursor, json.loads(said["data"]))
                    said = {}
                case "", comment:
                    self.comments.append(comment)
                case "retry", number:
                    self.retry_ms = int(number)
                case _, rest:
                    said[name] = rest

    async def hear(self, count: int) -> list[Heard]:
        """Return the next events."""
        heard: list[Heard] = []
        async with asyncio.timeout(30):
            while len(heard) < count:
                heard.append(await anext(self.events))
        return heard


@asynccontextmanager
async def listening(client: httpx.AsyncClient, last: str | None = None, **query: Any) -> AsyncIterator[Ear]:
    """Open a stream, and return once it has begun."""
    headers = {"Last-Event-ID": last} if last else {}
    async with client.stream("GET", "/v1/stream", params=query, headers=headers) as response:
        if response.status_code != 200:
            said = (await response.aread()).decode()
            assert response.status_code == 503, said
            raise Away(said)
        yield Ear(response)


@asynccontextmanager
async def replica(
    settings: Settings, network: Network, *, window_bytes: int = 1 << 20
) -> AsyncIterator[httpx.AsyncClient]:
    """An api on a real port with a feed from a real Kafka, and a client with the first key."""
    feed = Feed(settings, TOPICS, told, window_bytes=window_bytes)
    secrets = Secrets(settings.secret.get_secret_value())
    db = clickhouse.connect(NOWHERE)
    app = build(Backends(settings, secrets, Queries(network.engine), db, network, feed=feed))
    web = Web(app, bound("127.0.0.1", 0, ""))
    await web.start()
    headers = {"Authorization": f"Bearer {FIRST_KEY}"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{web.port}", headers=headers, timeout=30, trust_env=False
        ) as client:
            yield client
    finally:
        app.state.backends.stopping.set()
        await web.stop()
        await feed.stop()
        await db.close()


class Writer:
    """Writes events as services do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = Log(settings)
        self._count = 0
        self._deciding: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        await self._log.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log.stop()
        if self._deciding:
            await self._deciding.stop()

    async def says(self, topic: Topic[Any], *events: Event) -> list[str]:
        """Append events, and return their ids."""
        ids = []
        for event in events:
            self._count += 1
            ids.append(f"e-{self._count}")
            await self._log.append(topic, event, id=ids[-1], source="/voltstream/tests")
        return ids

    async def decides(self, topic: Topic[Any], events: Sequence[Event], *, aborted: bool = False) -> list[str]:
        """Write events in a transaction, and return their ids."""
        producer = self._deciding or transactional_producer(self._settings, "tests")
        if self._deciding is None:
            await producer.start()
            self._deciding = producer
        ids = []
        await producer.begin_transaction()
        for event in events:
            self._count += 1
            ids.append(f"e-{self._count}")
            key = topic.key_of(event)
            kind = f"voltstream.{type(event).__name__}"
            said = Attributes(ids[-1], kind, "/voltstream/tests", key.decode(), event.at, clock.now())
            name = full(self._settings, topic.name)
            await producer.send(name, topic.encode(event), key=key, headers=to_headers(said))
        await (producer.abort_transaction() if aborted else producer.commit_transaction())
        return ids


def energy(number: int, station: str = "st-1", tenant: str = "default") -> EnergyDelivered:
    """The `number`-th thing that happens at a station."""
    return EnergyDelivered(
        at=clock.now(),
        tenant=TenantId(tenant),
        station=StationId(station),
        session=SessionId(f"s-{station}"),
        energy_wh=number,
        meter_wh=number,
    )


def numbers(heard: Sequence[Heard]) -> list[int]:
    return [event.data["energy_wh"] for event in heard]
