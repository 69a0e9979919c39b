"""A gateway on a real Kafka, and a test in the place of all other services."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest
from argon2 import PasswordHasher
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chassis.kafka import Log, TopicPartition, full, plain_consumer
from chassis.settings import Settings
from contracts.event import StationId, TenantId
from contracts.gateways import GatewayEvent
from contracts.reference import Station, StationForgotten, StationRecord
from contracts.stations import Call, ConnectionOpened, Report, StationEvent
from contracts.topics import GATEWAYS, REGISTRY, STATIONS
from services.gateway.server import Gateway, Pace, running

E = TypeVar("E", bound=StationEvent)
ACME = TenantId("acme")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PATIENCE = 10.0
START = '{"connectorId":1,"idTag":"04A1B2C3","meterStart":500,"timestamp":"2026-01-01T11:59:00Z"}'
SECRET = "s" * 32
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def settings_for(kafka: str) -> Settings:
    return Settings(
        kafka=kafka, topic_prefix=f"g{uuid4().hex[:8]}.", partitions=2, secret=SECRET, ocpp_port=0, health_port=0
    )


def hashed(password: bytes) -> str:
    return _HASHER.hash(password)


def station(identity: str, **fields: Any) -> Station:
    known: dict[str, Any] = {"at": NOON, "tenant": ACME, "version": 1, "password_hash": hashed(b"open sesame")}
    return Station(**known | fields, id=StationId(identity))


def basic(user: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()


def some_identity(prefix: str = "CP") -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


class Stage:
    """What a test sees of it."""

    def __init__(self, settings: Settings, gateway: Gateway, port: int, log: Log) -> None:
        self.gateway, self.port = gateway, port
        self.heard: list[StationEvent] = []
        self._ids: list[str] = []
        self._settings, self._log = settings, log
        self._news = asyncio.Condition()

    # ---- as the directory ----

    async def register(self, record: StationRecord) -> None:
        """Write to the registry, and return when the gateway knows."""
        await self._log.append(REGISTRY, record, id=str(uuid4()), source="/test")
        wanted = None if isinstance(record, StationForgotten) else record
        await self.until(lambda: self.gateway._registry.get(record.id) == wanted)

    # ---- as a decider ----

    async def tell(self, event: GatewayEvent) -> None:
        await self._log.append(GATEWAYS, event, id=str(uuid4()), source="/test")

    def reply(self, to: Report, **more: Any) -> dict[str, Any]:
        """What an answer to this report has in common with it."""
        common = {
            "at": NOON,
            "tenant": to.tenant,
            "station": to.station,
            "gateway": to.gateway,
            "reply_to": to.reply_to,
            "epoch": to.epoch,
        }
        return common | ({"message_id": to.message_id} if isinstance(to, Call) else {}) | more

    async def said(self, kind: type[E], identity: str, number: int = 1) -> E:
        """Return the `number`-th report of this kind and station, when it is in the log."""
        async with asyncio.timeout(PATIENCE), self._news:
            while True:
                found = [event for event in self.heard if isinstance(event, kind) and event.station == identity]
                if len(found) >= number:
                    return found[number - 1]
                await self._news.wait()

    def ids(self, kind: type[StationEvent], identity: str) -> list[str]:
        """Return the `ce_id` of each report of this kind and station."""
        pairs = zip(self.heard, self._ids, strict=True)
        return [id for event, id in pairs if isinstance(event, kind) and event.station == identity]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.heard if isinstance(event, kind)]

    def count(self, kind: type[StationEvent], identity: str) -> int:
        return sum(isinstance(event, kind) and event.station == identity for event in self.heard)

    # ---- as a station ----

    async def connect(self, identity: str, **more: Any) -> ClientConnection:
        how: dict[str, Any] = {"subprotocols": ["ocpp1.6"], "password": b"open sesame", "path": f"/ocpp/{identity}"}
        how |= more
        password = how.pop("password")
        headers = {} if password is None else {"Authorization": basic(identity, password)}
        url = f"ws://127.0.0.1:{self.port}{how.pop('path')}"
        return await connect(
            url,
            additional_headers=headers | how.pop("headers", {}),
            compression=None,
            proxy=None,
            open_timeout=60,
            **how,
        )

    async def connected(self, identity: str | None = None, **fields: Any) -> tuple[ClientConnection, ConnectionOpened]:
        """Register a station and connect it."""
        record = station(identity or some_identity(), **fields)
        await self.register(record)
        socket = await self.connect(record.id)
        return socket, await self.said(ConnectionOpened, record.id)

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not fact():
                await asyncio.sleep(0.01)

    async def listen(self) -> None:
        consumer = plain_consumer(self._settings)
        await consumer.start()
        try:
            places = [TopicPartition(full(self._settings, STATIONS.name), p) for p in range(self._settings.partitions)]
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            for place in places:
                await consumer.position(place)
            await self._take(consumer)
        finally:
            await consumer.stop()

    async def _take(self, consumer: Any) -> None:
        async with self._news:
            self._news.notify_all()
        while True:
            polled = await consumer.getmany(timeout_ms=500)
            async with self._news:
                for records in polled.values():
                    for record in records:
                        event = STATIONS.decode(record.value)
                        self._ids.append(dict(record.headers)["ce_id"].decode())
                        is_opened = isinstance(event, ConnectionOpened)
                        self.heard.append(msgspec.structs.replace(event, epoch=record.offset) if is_opened else event)
                self._news.notify_all()


@asynccontextmanager
async def stage(settings: Settings, **pace: Any) -> AsyncIterator[Stage]:
    """Raise the curtain: a gateway that accepts stations, and everything it writes being read."""
    log = Log(settings)
    await log.start()
    try:
        async with running(settings, Pace(**pace)) as it:
            shown = Stage(settings, it.gateway, it.port, log)
            listening = asyncio.create_task(shown.listen())
            try:
                async with asyncio.timeout(PATIENCE), shown._news:
                    await shown._news.wait()
                yield shown
            finally:
                listening.cancel()
                await asyncio.wait([listening])
    finally:
        await log.stop()


async def exchange(socket: ClientConnection, frame: str | bytes) -> Any:
    """Send a frame and return the next one, decoded."""
    await socket.send(frame)
    return await answer(socket)


async def answer(socket: ClientConnection) -> Any:
    async with asyncio.timeout(PATIENCE):
        return msgspec.json.decode(await socket.recv())


def start_call(id: str, **other: Any) -> str:
    return f'[2,"{id}","StartTransaction",{msgspec.json.encode(msgspec.json.decode(START) | other).decode()}]'


async def refused(at: Stage, identity: str, **how: Any) -> Any:
    """The response to a handshake that does not succeed."""
    with pytest.raises(InvalidStatus) as refusal:
        await at.connect(identity, **how)
    return refusal.value.response


async def closed(socket: ClientConnection) -> tuple[int | None, str, list[Any]]:
    """Read until the socket is closed; return its code and reason, and what came before."""
    frames = []
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionClosed):
            while True:
                frames.append(await socket.recv())
    return socket.close_code, socket.close_reason or "", frames


# ---- a station without a library ----

PING, CLOSE = 0x89, 0x88
"""The first bytes of frames."""


class Raw:
    """A WebSocket by hand, for what no client library does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader, self._writer = reader, writer
        first, *lines = head.strip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    @classmethod
    async def open(cls, at: Stage, identity: str, headers: list[str]) -> "Raw":
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        lines = [
            f"GET /ocpp/{identity} HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Authorization: {basic(identity, b'open sesame')}",
            *headers,
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer, head.decode())

    def send(self, text: str, *, first: int = 0x81) -> None:
        self.send_bytes(text.encode(), first)

    def send_bytes(self, data: bytes, first: int) -> None:
        assert len(data) < 1 << 16, "a longer one needs another head"
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self._writer.write(bytes([first]) + length + bytes(4) + data)

    async def frame(self) -> tuple[int, bytes]:
        """Return the first byte and the payload of the next frame."""
        async with asyncio.timeout(PATIENCE):
            first, length = await self._reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2))
            return first, await self._reader.readexactly(length)

    async def answer(self) -> Any:
        """Return what the next frame says that is no ping."""
        while (frame := await self.frame())[0] == PING:
            pass
        return msgspec.json.decode(frame[1])

    async def until_close_frame(self) -> int:
        """Return the code of the close frame that comes next, but for pings."""
        while (frame := await self.frame())[0] == PING:
            pass
        assert frame[0] == CLOSE
        return int.from_bytes(frame[1][:2])

    async def until_cut(self) -> None:
        """Wait for the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                await self._reader.read()

    @property
    def unsent(self) -> int:
        """So many bytes wait here, because the gateway takes no more."""
        return self._writer.transport.get_write_buffer_size()

    def close(self) -> None:
        self._writer.close()
