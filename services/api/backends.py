"""What the resources work with, and how they come by it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from chassis import clickhouse
from chassis.clickhouse import ClickHouse
from chassis.feed import Feed
from chassis.kafka import Log, Place, Unavailable
from chassis.secrets import Secrets
from chassis.settings import BrokenSetting, Settings
from contracts.event import Event
from contracts.topics import Topic
from services.api.queries import Queries
from services.api.told import Told
from services.invoicing.parties import Seller

SOURCE = "/voltstream/api"


class Journal(Protocol):
    """Where changes and commands are written."""

    async def append(self, topic: Topic[Any], event: Event, id: str, trace: str) -> Place:
        """Return once `event` is there for good; raises `chassis.kafka.Unavailable`."""


class KafkaJournal:
    """Writes to Kafka, which may not have been reached yet."""

    def __init__(self, settings: Settings) -> None:
        self._log = Log(settings)
        self._there = False

    async def start(self) -> None:
        """Connect, however long it takes."""
        await self._log.start()
        self._there = True

    async def stop(self) -> None:
        """Send what is waiting, and disconnect."""
        await self._log.stop()

    async def append(self, topic: Topic[Any], event: Event, id: str, trace: str) -> Place:
        if not self._there:
            raise Unavailable("Kafka has not been reached yet: nothing was written")
        return await self._log.append(topic, event, id=id, source=SOURCE, traceparent=trace)


@dataclass(frozen=True)
class Backends:
    """Everything outside of this process."""

    settings: Settings
    secrets: Secrets
    queries: Queries
    clickhouse: ClickHouse
    journal: Journal
    feed: Feed[Told] | None = None
    """What live streams listen to; None: there are none."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when waits must end."""
    patience_s: float = 10
    """How long a write waits until the view shows it."""
    sellers: Mapping[str, Seller] = field(default_factory=dict)
    """Who sells, by tenant."""


async def backends(request: Request) -> Backends:
    found: Backends = request.app.state.backends
    return found


Behind = Annotated[Backends, Depends(backends)]


def archive(settings: Settings) -> ClickHouse:
    """Build the ClickHouse that the settings name."""
    try:
        return clickhouse.connect(settings.clickhouse.get_secret_value(), timeout_s=30)
    except ValueError as error:
        raise BrokenSetting(f"VOLTSTREAM_CLICKHOUSE: {error}") from None
