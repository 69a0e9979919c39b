"""A consumer of the live stream that is cut again and again under load, while replicas of the api are killed."""

import asyncio
import os
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from chassis.broker import free_port
from chassis.child import Child
from chassis.kafka import create_topics
from chassis.settings import Settings
from contracts.topics import OPERATIONS, SESSIONS
from deploy.local.part import CHECKOUT
from services.views import worker as views
from tests.api.network import FIRST_KEY, settings_of
from tests.api.streaming import Away, Heard, Writer, energy, listening
from tests.api.test_stream import status

CUTS = 20
KILLS = 6
"""Of these cuts."""
STATIONS = [f"st-{n:02}" for n in range(30)]
ASKED = {"type": "EnergyDelivered,ConnectorStatusChanged"}
BEARER = {"Authorization": f"Bearer {FIRST_KEY}"}


class Replica:
    """A process of the api, which can be killed and comes back at the same address."""

    def __init__(self, settings: Settings, folder: Path, number: int) -> None:
        self._port = free_port()
        self._output = folder / f"api-{number}.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "VOLTSTREAM_KAFKA": settings.kafka,
            "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
            "VOLTSTREAM_PARTITIONS": str(settings.partitions),
            "VOLTSTREAM_SQL": settings.sql.get_secret_value(),
            "VOLTSTREAM_SECRET": settings.secret.get_secret_value(),
            "VOLTSTREAM_ADMIN_DIGEST": settings.admin_digest,
            "VOLTSTREAM_API_PORT": str(self._port),
        }
        self._child = self._started()
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", headers=BEARER, timeout=30, trust_env=False
        )

    def _started(self) -> Child:
        command = [sys.executable, "-m", "services.api"]
        return Child(command, folder=CHECKOUT, output=self._output, environment=self._environment)

    def kill(self) -> None:
        """End it by SIGKILL and start it again."""
        self._child.kill()
        self._child = self._started()

    async def stop(self) -> None:
        self._child.kill()
        await self.client.aclose()


@asynccontextmanager
async def load(settings: Settings) -> AsyncIterator[dict[str, list[str]]]:
    """Let things happen at many stations until it is left; what is yielded fills with what was written of each."""
    written: defaultdict[str, list[str]] = defaultdict(list)
    dice, over = random.Random(1), asyncio.Event()

    async def write() -> None:
        number = 0
        async with Writer(settings) as writer:
            while not over.is_set():
                number += 1
                chosen = dice.choices(STATIONS, k=25)
                await writer.decides(SESSIONS, [energy(-1, station) for station in chosen[:3]], aborted=True)
                ids = await writer.decides(SESSIONS, [energy(number, station) for station in chosen])
                for station, id in zip(chosen, ids, strict=True):
                    written[f"sessions/{station}"].append(id)
                for station in chosen[:10]:
                    written[f"operations/{station}"] += await writer.says(OPERATIONS, status(station))

    writing = asyncio.create_task(write())
    try:
        yield written
    finally:
        over.set()
        await writing


class Consumer:
    """Keeps what it hears, and the cursor after the last event that it heard."""

    def __init__(self) -> None:
        self.heard: defaultdict[str, list[str]] = defaultdict(list)
        self.count = 0
        self.cursor = ""
        self.broken = 0
        """Streams that broke under it."""

    async def begin(self, replica: Replica) -> None:
        """Learn where now is."""
        while not self.cursor:
            with suppress(httpx.TransportError):
                async with replica.client.stream("GET", "/v1/stream", params=ASKED) as response:
                    async for line in response.aiter_lines():
                        if line.startswith("id: "):
                            self.cursor = line.removeprefix("id: ")
                            break
            await asyncio.sleep(0.05)

    async def hear(self, replica: Replica, until: int, *, kill: bool = False) -> None:
        """Hear events until there are so many, and leave; or kill the replica then, and hear what still comes of it."""
        while self.count < until:
            try:
                async with listening(replica.client, self.cursor, **ASKED) as ear:
                    async for event in ear.events:
                        self._keep(event)
                        if self.count >= until and not kill:
                            return
                        if self.count == until:
                            replica.kill()
            except (httpx.TransportError, Away):
                self.broken += self.count >= until
                await asyncio.sleep(0.05)

    def _keep(self, event: Heard) -> None:
        topic = "sessions" if event.type == "EnergyDelivered" else "operations"
        self.heard[f"{topic}/{event.data['station']}"].append(event.told["id"])
        self.count += 1
        self.cursor = event.cursor


@pytest.mark.timeout(240)
async def test_a_consumer_that_is_cut_20_times_under_load_hears_every_event_once_and_in_order(
    kafka: str, topic_prefix: str, sqlite_url: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka=kafka, topic_prefix=topic_prefix, partitions=4, sql=SecretStr(sqlite_url))
    await create_topics(settings)
    await views.migrate(settings)
    replicas = [Replica(settings, tmp_path, number) for number in range(2)]
    dice, consumer = random.Random(2), Consumer()
    try:
        await consumer.begin(replicas[0])
        async with load(settings) as written:
            for cut in range(CUTS):
                kill = cut % (CUTS // KILLS) == 0
                await consumer.hear(replicas[cut % 2], consumer.count + dice.randint(1, 400), kill=kill)
        everything = sum(map(len, written.values()))
        await consumer.hear(replicas[0], everything)
        assert consumer.heard == written
        assert consumer.count == everything > 1000
        assert consumer.broken >= KILLS
    finally:
        for each in replicas:
            await each.stop()
