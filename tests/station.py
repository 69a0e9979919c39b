"""A charging station for tests: exact OCPP 1.6-J frames over a real WebSocket, and the habits of real stations.

station = Station("CP-1", ("ws://127.0.0.1:9000/ocpp",), password=b"open sesame")
await station.connect()
answer = await station.call("Heartbeat")  # the payload of the answer
station.keep("MeterValues", {...})  # put in its queue, and sent until it is answered, over whatever connections
await station.delivered()
await station.close()
"""

import asyncio
import base64
import json
import random
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

Payload = Mapping[str, Any]

PATIENCE_S = 20.0
"""How long a station waits for an answer, as most do."""
ATTEMPTS = 3
"""`TransactionMessageAttempts`: after so many silences or errors on an open connection a message is thrown away."""


class TurnedAway(Exception):
    """The handshake was answered with something else than a WebSocket."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers = status, headers


class Refused(Exception):
    """The call was answered with an error."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code


class Silent(Exception):
    """No answer came in time, though the connection is open."""


class Cut(Exception):
    """The connection ended before the answer came."""


@dataclass(frozen=True)
class Asked:
    """A call that the station hears."""

    id: str
    action: str
    payload: dict[str, Any]
    frame: str


@dataclass(frozen=True)
class Exchange:
    """A frame that was answered, and its answer."""

    sent: str
    answer: str


@dataclass
class Transaction:
    """What a station remembers of a charge; where a kept payload holds one, its id is filled in when it is sent."""

    id: int | None = None
    status: str | None = None


class Link:
    """One connection of a station."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.asked: asyncio.Queue[Asked] = asyncio.Queue()
        self.heard: list[str] = []
        """Every frame that came, in order."""
        self.frozen = False
        self._news = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self.ended = asyncio.create_task(self._listen())

    @property
    def is_open(self) -> bool:
        return not self.ended.done()

    async def heard_more(self) -> None:
        """Return when another frame has come, or none will."""
        self._news.clear()
        news = asyncio.create_task(self._news.wait())
        await asyncio.wait([news, self.ended], return_when=asyncio.FIRST_COMPLETED)
        news.cancel()

    async def send(self, frame: str) -> None:
        """Send a frame, and wait for nothing. Raises `Cut`."""
        try:
            await self.socket.send(frame)
        except ConnectionClosed as error:
            raise Cut(str(error)) from error

    async def exchange(self, frame: str, *, patience: float = PATIENCE_S) -> str:
        """Send a call and return the frame that answers it. Raises `Cut` or `Silent`."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[json.dumps(json.loads(frame)[1])] = answer
        if not self.is_open:
            raise Cut("the connection is closed")
        await self.send(frame)
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError as error:
            raise Silent(f"no answer within {patience:g} s to {frame[:80]}") from error

    def abort(self) -> None:
        """Reset the connection (RST), as a power failure or a bad network does."""
        if self.socket.transport.is_closing():
            return
        raw = self.socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.transport.abort()

    def freeze(self) -> None:
        """Hear nothing any more, without closing anything: half-open."""
        self.frozen = True
        self.socket.transport.pause_reading()

    async def _listen(self) -> None:
        try:
            while True:
                frame = await self.socket.recv(decode=True)
                assert isinstance(frame, str), "OCPP-J is text"
                self._hear(frame)
        except ConnectionClosed as closed:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Cut(str(closed)))
                    answer.exception()  # looked at, in case nobody waits any more

    def _hear(self, frame: str) -> None:
        self.heard.append(frame)
        self._news.set()
        kind, id, *rest = json.loads(frame)
        if kind == 2:
            self.asked.put_nowait(Asked(id, rest[0], rest[1], frame))
        elif (answer := self._waiting.pop(json.dumps(id), None)) is not None and not answer.done():
            answer.set_result(frame)


def payload_of(answer: str) -> dict[str, Any]:
    """Return the payload of an answer, or raise `Refused`."""
    kind, _, *rest = json.loads(answer)
    if kind == 4:
        raise Refused(rest[0], rest[1])
    assert isinstance(rest[0], dict), answer
    return rest[0]


@dataclass(frozen=True)
class _Kept:
    action: str
    payload: Payload
    began: Transaction | None
    id: str


@dataclass
class Station:
    """A station: its identity, where it connects, and what it has said and heard."""

    identity: str
    urls: tuple[str, ...]
    password: bytes | None = None
    same_ids: bool = True
    """Whether a message that is said again has the id that it had before; real stations do either."""
    answered: list[Exchange] = field(default_factory=list)
    """Every call that was answered, over all connections."""
    lost: list[str] = field(default_factory=list)
    """The actions of kept messages that were thrown away unanswered."""

    def __post_init__(self) -> None:
        self.link: Link | None = None
        self.links: list[Link] = []
        self._ids = count(1)
        self._kept: asyncio.Queue[_Kept] = asyncio.Queue()
        self._delivery: asyncio.Task[None] | None = None
        self._turns: Iterator[str] = cycle(self.urls)

    # ---- connections ----

    async def connect(
        self,
        url: str | None = None,
        *,
        path: str | None = None,
        subprotocols: tuple[str, ...] = ("ocpp1.6",),
        local_address: str | None = None,
    ) -> Link:
        """Open a connection. An older one is left as it is. Raises `TurnedAway`, `OSError` and what a bad handshake raises."""
        headers = {} if self.password is None else {"Authorization": basic(self.identity, self.password)}
        base = url or self.urls[0]
        try:
            opened = await connect(
                f"{base}/{quote(self.identity, safe='') if path is None else path}",
                subprotocols=[Subprotocol(name) for name in subprotocols],
                additional_headers=headers,
                compression=None,
                ping_interval=None,
                proxy=None,
                open_timeout=60,
                close_timeout=2,
                local_addr=(local_address, 0) if local_address else None,
            )
        except InvalidStatus as refused:
            raise TurnedAway(refused.response.status_code, dict(refused.response.headers.raw_items())) from refused
        self.link = Link(opened)
        self.links.append(self.link)
        return self.link

    @property
    def current(self) -> Link:
        """The newest connection."""
        assert self.link is not None, "the station has never connected"
        return self.link

    def abort(self) -> None:
        """Reset the connection."""
        self.current.abort()

    async def close(self) -> None:
        """Close every connection, and stop delivering."""
        if self._delivery is not None:
            self._delivery.cancel()
            await asyncio.gather(self._delivery, return_exceptions=True)
        for link in self.links:
            if link.frozen:
                link.abort()
            await link.socket.close()
            await link.ended

    # ---- calls ----

    def frame(self, action: str, payload: Payload, *, id: str | None = None) -> str:
        """Return a call's frame, as the station would write it."""
        return json.dumps([2, id or f"{self.identity}-{next(self._ids)}", action, payload], separators=(",", ":"))

    async def exchange(self, frame: str, *, patience: float = PATIENCE_S) -> str:
        """Send a call's frame on the newest connection and return the frame that answers it."""
        answer = await self.current.exchange(frame, patience=patience)
        self.answered.append(Exchange(frame, answer))
        return answer

    async def call(
        self, action: str, payload: Payload | None = None, *, id: str | None = None, patience: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Return the payload that answers a call. Raises `Refused`, `Silent` or `Cut`."""
        return payload_of(await self.exchange(self.frame(action, payload or {}, id=id), patience=patience))

    async def asked(self, *, within: float = PATIENCE_S) -> Asked:
        """Return the next call that is made to the station."""
        return await asyncio.wait_for(self.current.asked.get(), within)

    async def reply(self, asked: Asked, payload: Payload) -> None:
        """Answer a call."""
        await self.current.send(json.dumps([3, asked.id, payload], separators=(",", ":")))

    # ---- the queue ----

    def keep(self, action: str, payload: Payload, *, began: Transaction | None = None) -> None:
        """Queue a message that must arrive. `began`: the transaction that the answer gives an id."""
        if self._delivery is None:
            self._delivery = asyncio.create_task(self._deliver())
        self._kept.put_nowait(_Kept(action, payload, began, f"{self.identity}-{next(self._ids)}"))

    async def delivered(self) -> None:
        """Wait until the queue is empty: everything was answered, or is in `lost`."""
        if self._delivery is None:
            return
        empty = asyncio.create_task(self._kept.join())
        try:
            await asyncio.wait([empty, self._delivery], return_when=asyncio.FIRST_COMPLETED)
            if self._delivery.done():
                self._delivery.result()
        finally:
            empty.cancel()

    async def _deliver(self) -> None:
        while True:
            message = await self._kept.get()
            await self._insist(message)
            self._kept.task_done()

    async def _insist(self, message: _Kept) -> None:
        payload = {
            name: value.id if isinstance(value, Transaction) else value for name, value in message.payload.items()
        }
        frame = self.frame(message.action, payload, id=message.id)
        attempts = 0
        while attempts < ATTEMPTS:
            try:
                await self._connected()
                answer = payload_of(await self.exchange(frame))
            except Cut:
                await asyncio.wait([self.current.ended])  # offline it only waits
            except (Silent, Refused):
                attempts += 1
            else:
                if message.began is not None:
                    message.began.id, message.began.status = answer["transactionId"], answer["idTagInfo"]["status"]
                return
            finally:
                if not self.same_ids:
                    frame = self.frame(message.action, payload)
        self.lost.append(message.action)

    async def _connected(self) -> None:
        while self.link is None or not self.link.is_open:
            with suppress(TurnedAway, OSError, InvalidHandshake, ConnectionClosed):
                await self.connect(next(self._turns))
                return
            await asyncio.sleep(random.uniform(0.2, 0.6))


def basic(user: str, password: bytes) -> str:
    """Return the header that says who the station is."""
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()
