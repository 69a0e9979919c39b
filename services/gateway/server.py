"""The gateway's process: where stations connect, and where what is for them arrives.

It holds nothing that it could not rebuild: sockets, and a copy of the registry (architecture §4).
"""

import asyncio
import gc
import logging
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from math import ceil
from typing import Any, Protocol, cast

from msgspec import Struct, structs
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from chassis import clock, metrics
from chassis.copies import Copy, Whole
from chassis.kafka import (
    Address,
    CopyKeeper,
    KafkaError,
    Log,
    MessageSizeTooLargeError,
    Place,
    Settled,
    Tail,
    Unavailable,
    check_topics,
    new_traceparent,
    partition_of_gateway,
)
from chassis.logs import log as lines
from chassis.progress import NEEDS
from chassis.secrets import Secrets
from chassis.service import Service
from chassis.settings import Settings
from chassis.web import PortTaken
from contracts.event import GatewayId, StationId, TenantId, derived_id
from contracts.gateways import CallAsked, CloseAsked, GatewayAlive, GatewayEvent, GatewayGone
from contracts.reference import Station, StationRecord
from contracts.stations import (
    CallFailed,
    ConnectionOpened,
    HandshakeRefused,
    IdentityConflictSuspected,
    ReconnectLoopSuspected,
    StationEvent,
)
from contracts.topics import ALIVE, GATEWAYS, REGISTRY, STATIONS, Topic
from services.gateway import handshake, v16
from services.gateway.admission import Admission, Door, Policy, Refusal, unavailable
from services.gateway.connection import Decision, StationConnection, TooLarge
from services.gateway.limits import Bucket, Flow, Loops
from services.gateway.liveness import liveness_of
from services.gateway.wire import Wire

SOURCE = "/voltstream/gateway"
ALIVE_EVERY = 5.0
"""Seconds between two signs of life."""
ABNORMAL = 1006
"""The code of a connection that ended without a close frame of the station's."""
TLS_HANDSHAKE = b"\x16\x03"
"""How TLS begins: a handshake record of any version."""
SOON_S, LOOP = 120, 5
"""A station that leaves within so many seconds, so often in a row after the same frame of ours, is in a loop (Q-14)."""
TOLD_EVERY_S, MOST_REFUSALS = 600, 10_000
"""A refused handshake of a known station is told so seldom for each reason, and for so many stations."""
SHOWN = 200
"""So much of the last frames of each connection is kept, to tell what a station dislikes (Q-14)."""
SLICE, SLICE_S = 20, 0.1
"""Sockets are closed in slices of at least so many, so many seconds apart."""


class Edge(Protocol):
    """What a socket needs of its gateway."""

    pace: "Pace"

    def never_asked(self, socket: "StationSocket") -> None:
        """Whoever connected has not sent a request of HTTP."""

    def silent(self, socket: "StationSocket") -> None:
        """The station has said nothing for too long."""


class StationSocket(Wire):
    """A WebSocket that knows whose it is."""

    admission: Admission | None = None
    connection: StationConnection | None = None
    has_begun = False
    """Something has arrived."""
    is_tls = False
    """It began as TLS does."""
    _aborted_with: int | None = None
    _looking: asyncio.TimerHandle | None = None
    _last_heard = _last_said = b""

    def __init__(self, *parts: Any, edge: Edge, **how: Any) -> None:
        super().__init__(*parts, **how)
        self._edge = edge
        self._heard_at = self._pinged_at = self.loop.time()
        self._flow = Flow(edge.pace.frames_per_s, edge.pace.frames_at_once)

    @property
    def record(self) -> Station:
        """What the directory says of the station, once it is let in."""
        assert self.admission is not None, "nobody knows who it is before that"
        return self.admission.station if self.connection is None else self.connection.line.record

    async def handshake(self, *parts: Any, **how: Any) -> None:
        """Perform the opening handshake; tell the gateway of what was none."""
        try:
            await super().handshake(*parts, **how)
        finally:
            if self.request is None:
                self._edge.never_asked(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes. TLS is not waited for: it never becomes HTTP (T-13)."""
        self._heard_at = self.loop.time()
        if not self.has_begun:
            self.has_begun, self.is_tls = True, data.startswith(TLS_HANDSHAKE)
            if self.is_tls:
                self.transport.abort()
                return
        super().data_received(data)

    @property
    def close_code(self) -> int | None:
        """How it was closed: the station's code, or ours if the station said nothing any more."""
        if self._aborted_with is not None:
            return self._aborted_with
        sent = self.protocol.close_sent
        return sent.code if sent is not None and super().close_code == ABNORMAL else super().close_code

    def rest(self) -> float:
        """Return for how many seconds to hear nothing more: what it sends next stays in its own buffers (T-54)."""
        if wait := self._flow.wait(self.loop.time()):
            metrics.GATEWAY_THROTTLED.inc()
        return wait

    def _take(self, message: bytes) -> None:
        self._last_heard = message[:SHOWN]
        super()._take(message)

    def say(self, frame: bytes) -> None:
        """Send a message, if the socket is still open."""
        self._last_said = frame[:SHOWN]
        super().say(frame)

    def last_exchange(self) -> str:
        """Return what was said to the station last: which call, or the answer to which; empty: nothing."""
        return named_of(self._last_heard, self._last_said)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it as this station can bear (Q-13)."""
        if self.record.habits.drain == "close":
            await super().close(code, reason)
        elif self.state is State.OPEN:
            self._aborted_with = code
            self.transport.abort()
            await self.wait_closed()

    def start_keepalive(self) -> None:
        """Watch over the station from now on, instead of the library (T-60, T-61)."""
        self._look()

    def _look(self) -> None:
        if self.state is not State.OPEN:
            return
        now, pace = self.loop.time(), self._edge.pace
        if self._resting is not None or self._is_held:
            self._heard_at = now  # it is we who do not listen
        look = liveness_of(self.record, pace.ping, pace.pong_within).look(now, self._heard_at, self._pinged_at)
        if look.dead:
            self._edge.silent(self)
            return
        if look.ping:
            self._pinged_at = now
            self.protocol.send_ping(b"")
            self.send_data()
        self._looking = self.loop.call_later(look.again, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody has to be watched over any more."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)


class Pace(Policy, frozen=True, kw_only=True):
    """How long a gateway waits, in seconds, and how much it lets through."""

    undecided_after: float = 8
    append_within: float = 5
    patience: float = 30
    """For answers to our calls."""
    alive_every: float = ALIVE_EVERY
    opened_within: float = 10
    """What has not asked for a WebSocket by then is cut off."""
    ping: float = 45
    """Between two pings, after silence; a station may have habits of its own."""
    pong_within: float = 30
    frames_per_s: float = 20
    """Of one station in the long run, `frames_at_once` of them at once; 0: as many as it likes."""
    frames_at_once: float = 100
    drain: float = 5
    """Over so many seconds the stations are sent away, so that not all return at once (T-66)."""
    drained_within: float = 15
    """After that, so long for those that do not leave."""


class Gateway:
    """All stations of this process."""

    def __init__(
        self,
        id: GatewayId,
        reply_to: int,
        log: Log,
        registry: Copy[StationRecord],
        secrets: Secrets,
        pace: Pace,
    ) -> None:
        self.id, self.reply_to = id, reply_to
        self.undecided_after, self.patience = pace.undecided_after, timedelta(seconds=pace.patience)
        self._log, self._registry, self._secrets, self.pace = log, registry, secrets, pace
        self._loop = asyncio.get_running_loop()
        self.door = Door(registry, pace, self._loop.time)
        self._told = Bucket(1, 20)
        self._loops = Loops()
        self._refusals: dict[tuple[StationId, str], float] = {}
        self._mentioned = 0
        self.accepted: set[StationId] = set()
        self._started_at = clock.now()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._live: dict[tuple[StationId, int], StationConnection] = {}
        self._newest: dict[StationId, StationConnection] = {}
        self._opening: dict[StationId, list[GatewayEvent]] = {}
        self._unsaid: list[tuple[StationEvent, str]] = []
        self.is_acknowledged = True
        """Whether Kafka takes what stations say."""
        self._draining = False
        self._probe = asyncio.Event()

    # ---- the handshake (T-01 to T-26) ----

    async def process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Decide on an opening handshake: None lets it in."""
        assert isinstance(socket, StationSocket), "sockets are made for stations"
        try:
            if self._draining or not self.is_acknowledged:
                raise unavailable("draining" if self._draining else "unacknowledged")
            socket.admission = await self.door.admit(address_of(socket), request.path, request.headers)
        except Refusal as refusal:
            self._refused(socket, refusal.result, refusal.status)
            if refusal.station is not None and refusal.result in {"unauthorized", "wrong_profile"}:
                self._tell_refused(refusal.station, refusal.result, address_of(socket))
            response = socket.respond(refusal.status, f"{refusal.status.phrase}\n")
            for name, value in refusal.headers.items():
                response.headers[name.replace("_", "-")] = value
            return response
        return None

    def process_response(self, socket: ServerConnection, _: Request, response: Response) -> None:
        """Count those who are in, and those whose WebSocket is none."""
        assert isinstance(socket, StationSocket), "sockets are made for stations"
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            metrics.GATEWAY_CONNECTS.labels("accepted").inc()
        elif socket.admission is not None:
            self._refused(socket, "bad_handshake", HTTPStatus(response.status_code))

    def never_asked(self, socket: "StationSocket") -> None:
        """Count what is no HTTP at all, and of whom (Q-03). Who only looks whether the port is open is nobody."""
        if not socket.has_begun:
            return
        result = "tls" if socket.is_tls else "slow" if socket.protocol.handshake_exc is None else "no_http"
        with suppress(Refusal):
            self.door.count_failure(address_of(socket))
        self._refused(socket, result, None)

    def _refused(self, socket: "StationSocket", why: str, status: HTTPStatus | None) -> None:
        """Count, and tell whoever sets a station up what it fails at; a storm does not fill the log."""
        metrics.GATEWAY_CONNECTS.labels(why).inc()
        if self._told.take(self._loop.time()):
            named = handshake.identities(socket.request.path, None)[:1] if socket.request else []
            identity = repr(named[0][:64]) if named else "none"
            lines.info("refused", why=why, station=identity, status=status and status.value, of=address_of(socket))

    def select_subprotocol(self, socket: ServerConnection, _: object) -> Subprotocol | None:
        """Echo the chosen subprotocol in the station's spelling."""
        assert isinstance(socket, StationSocket), "sockets are made for stations"
        echo = socket.admission.choice.echo if socket.admission else None
        return None if echo is None else Subprotocol(echo)

    # ---- connections ----

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one station until its socket closes."""
        assert isinstance(socket, StationSocket), "sockets are made for stations"
        admission = socket.admission
        assert admission is not None, "whoever is served was admitted"
        if admission.choice.protocol is None:
            metrics.GATEWAY_DISCONNECTS.labels(1002, "no_subprotocol").inc()
            self._tell_refused(admission.station, "no_subprotocol", admission.address)
            await socket.close(1002, "no common subprotocol")
            return
        self._count += 1
        connection = StationConnection(self, socket, self._line(admission.station), f"{self.id}/{self._count}")
        socket.connection = connection
        gauge = metrics.GATEWAY_CONNECTIONS.labels(admission.choice.protocol, admission.station.security_profile)
        gauge.inc()
        self._opening.setdefault(admission.station.id, [])
        since = self._loop.time()
        try:
            await connection.run(self._opened(admission))
            self._left(connection, socket, since)
        finally:
            if connection.line.epoch == 0:  # it never opened
                self._opening.pop(admission.station.id, None)
            gauge.dec()

    def _opened(self, admission: Admission) -> ConnectionOpened:
        assert admission.choice.protocol is not None, "checked before"
        return ConnectionOpened(
            at=clock.now(),
            tenant=admission.station.tenant,
            station=admission.station.id,
            gateway=self.id,
            reply_to=self.reply_to,
            epoch=0,
            protocol=admission.choice.protocol,
            security_profile=admission.station.security_profile,
            remote_address=admission.address,
            violations=admission.violations,
        )

    def _line(self, station: Station) -> v16.Line:
        return v16.Line(
            station.tenant,
            station.id,
            self.id,
            self.reply_to,
            station,
            self._secrets,
            ports=v16.ports_of(station),
        )

    def opened(self, connection: StationConnection) -> None:
        """The newest connection of a station wins, by its epoch (T-62)."""
        station, epoch = connection.line.station, connection.line.epoch
        self._live[station, epoch] = connection
        before = self._newest.get(station)
        if before is None or before.line.epoch < epoch:
            self._newest[station] = connection
        if before is not None:
            older = before if before.line.epoch < epoch else connection
            self.spawn(older.close(1001, "superseded", "superseded"))
            self._replaced(connection)
        for event in self._opening.pop(station, []):
            self.hear(event)
        self._compare(connection)  # it may have changed meanwhile

    def _replaced(self, connection: StationConnection) -> None:
        """Notice two devices under one identity (T-64)."""
        flaps, line = self.door.flaps, connection.line
        if times := flaps.replaced(line.station, self._loop.time()):
            common = self._common(line.tenant, line.station, line.epoch)
            self._mention(IdentityConflictSuspected(**common, replacements=times, within_s=int(flaps.within)))

    def _left(self, connection: StationConnection, socket: StationSocket, since: float) -> None:
        """Notice a station that leaves again and again soon after the same frame of ours (Q-14)."""
        line, after = connection.line, socket.last_exchange()
        if connection.is_closing or not after or self._loop.time() - since > SOON_S:
            self._loops.stayed(line.station)
            return
        times = self._loops.left(line.station, after)
        if times % LOOP == 0:
            common = self._common(line.tenant, line.station, line.epoch)
            self._mention(ReconnectLoopSuspected(**common, after=after, times=times))

    def _tell_refused(self, station: Station, why: str, address: str) -> None:
        """Say of a station that is known what its handshake fails at; now and then only."""
        now = self._loop.time()
        if now - self._refusals.get((station.id, why), now - TOLD_EVERY_S) < TOLD_EVERY_S:
            return
        self._refusals.pop((station.id, why), None)
        self._refusals[station.id, why] = now
        if len(self._refusals) > MOST_REFUSALS:
            del self._refusals[next(iter(self._refusals))]
        self._mention(HandshakeRefused(**self._common(station.tenant, station.id, 0), why=why, remote_address=address))

    def _common(self, tenant: TenantId, station: StationId, epoch: int) -> dict[str, Any]:
        place = {"gateway": self.id, "reply_to": self.reply_to}
        return {"at": clock.now(), "tenant": tenant, "station": station, "epoch": epoch, **place}

    def _mention(self, event: StationEvent) -> None:
        """Append what is worth knowing, and no harm if it is lost."""
        self._mentioned += 1
        self.spawn(self._append_anyhow(event, derived_id(f"{self.id}/mentioned/{self._mentioned}", "gateway", 1)))

    async def _append_anyhow(self, event: StationEvent, id: str) -> None:
        with suppress(Unavailable):
            await self.append(event, id)

    def silent(self, socket: StationSocket) -> None:
        """A station that says nothing is gone: its socket is closed, and cut off if it does not answer that (T-61, T-62)."""
        if socket.connection is not None:
            self.spawn(socket.connection.close(1001, "no sign of life", "silent"))

    def closed(self, connection: StationConnection) -> None:
        """Forget a connection; a newer one of the same station stays (T-63)."""
        station, epoch = connection.line.station, connection.line.epoch
        self._live.pop((station, epoch), None)
        if self._newest.get(station) is connection:
            del self._newest[station]

    def changed(self, _: Topic[Any], key: bytes) -> None:
        """The registry says something new of a station."""
        connection = self._newest.get(StationId(without_tenant(key).decode()))
        if connection is not None:
            self._compare(connection)

    def _compare(self, connection: StationConnection) -> None:
        """Whoever may no longer be there must shake hands again."""
        try:
            record = self.door.registered(connection.line.station)
        except Refusal:
            return  # it stays as it was known
        if record is not None and credentials_of(record) == credentials_of(connection.line.record):
            connection.line = structs.replace(connection.line, record=record, ports=v16.ports_of(record))
        else:
            self.spawn(connection.close(1008, "credentials changed", "registry"))

    # ---- the log ----

    def address(self, tenant: TenantId, station: StationId) -> Address:
        """Return where in the log the events of a station go."""
        return self._log.address(STATIONS, f"{tenant}/{station}".encode(), SOURCE)

    def post(self, to: Address, event: StationEvent, id: str, received: datetime, settled: Settled) -> None:
        """Put an event into the log; `settled` is told when it is acknowledged. Raises `Unavailable`, `TooLarge`."""
        try:
            self._log.post(to, event, id=id, traceparent=new_traceparent(), recorded_at=received, settled=settled)
        except MessageSizeTooLargeError as error:
            raise TooLarge from error
        except KafkaError as error:
            raise Unavailable(str(error)) from error

    async def append(self, event: StationEvent, id: str) -> Place:
        """Put an event of our own into the log and wait until it is acknowledged. Raises `Unavailable`.

        One that is appended again, because it may not have landed, is the same to the last header but its trace.
        """
        return await self._log.append(
            STATIONS,
            event,
            id=id,
            source=SOURCE,
            traceparent=new_traceparent(),
            recorded_at=event.at,
            timeout=self.pace.append_within,
        )

    def interrupted(self) -> None:
        """The log does not acknowledge: send stations away, so that they keep what they have to say (T-07, architecture §4)."""
        if not self.is_acknowledged:
            return
        lines.error("Kafka does not acknowledge: refusing stations until it does")
        self.is_acknowledged = False
        NEEDS.away("Kafka")
        metrics.GATEWAY_ACKNOWLEDGED.set(0)
        self._probe.set()
        self.spawn(self._close_all("unacknowledged", lambda: not self.is_acknowledged))

    def say_later(self, event: StationEvent, id: str) -> None:
        """Append this as soon as the log acknowledges again."""
        self._unsaid.append((event, id))

    async def live(self) -> None:
        """Give signs of life for ever; each is also a question whether the log acknowledges."""
        while True:
            try:
                await self._sign(self._alive())
                await self._recovered()
            except Unavailable:
                self.interrupted()
            self._probe.clear()
            try:
                async with asyncio.timeout(self.pace.alive_every if self.is_acknowledged else 0.5):
                    await self._probe.wait()
            except TimeoutError:
                continue

    async def watch(self) -> None:
        """Look for ever whether something waits for its acknowledgement for too long."""
        while True:
            await asyncio.sleep(min(0.5, self.pace.append_within / 4))
            before = self._loop.time() - self.pace.append_within
            stuck = [connection for connection in self._live.values() if connection.overdue(before)]
            for connection in stuck:
                self.spawn(connection.close(1012, "try again later", "unacknowledged"))
            if stuck:
                self.interrupted()

    async def _recovered(self) -> None:
        while self._unsaid:
            some = self._unsaid[:1000]
            await asyncio.gather(*(self.append(event, id) for event, id in some))
            del self._unsaid[: len(some)]
        if not self.is_acknowledged:
            lines.info("Kafka acknowledges again: stations are welcome")
            self.is_acknowledged = True
            NEEDS.back("Kafka")
        metrics.GATEWAY_ACKNOWLEDGED.set(1)

    def _alive(self) -> GatewayAlive:
        return GatewayAlive(
            at=clock.now(),
            gateway=self.id,
            reply_to=self.reply_to,
            started_at=self._started_at,
            connections=len(self._live),
        )

    async def _sign(self, sign: GatewayAlive | GatewayGone) -> None:
        id = derived_id(f"{self.id}/{sign.at.isoformat()}", "gateway", type(sign).__name__)
        await self._log.append(ALIVE, sign, id=id, source=SOURCE, timeout=self.pace.append_within)

    # ---- what is for stations ----

    async def listen_to(self, tail: Tail[GatewayEvent]) -> None:
        """Take in for ever what services want of stations."""
        async for message in tail:
            self.hear(message.event)

    def hear(self, event: GatewayEvent) -> None:
        """Give an event to the connection it is for; drop and count what is for nobody here."""
        if event.gateway != self.id:
            return self._drop("foreign")
        connection = self._live.get((event.station, event.epoch))
        if connection is not None:
            return self._give(connection, event)
        if event.station in self._opening:
            self._opening[event.station].append(event)
            return None
        if isinstance(event, CallAsked):
            self.spawn(self._not_sent(event))
        return self._drop("gone")

    def _give(self, connection: StationConnection, event: GatewayEvent) -> None:
        match event:
            case CallAsked() if connection.is_over:
                self.spawn(self._not_sent(event))
            case CallAsked():
                connection.ask(event, self._secrets.open)
            case CloseAsked():
                self._replaced(connection)
                self.spawn(connection.close(1001, "superseded", "superseded"))
            case _:
                self._decide(connection, event)

    def _decide(self, connection: StationConnection, decision: Decision) -> None:
        try:
            if not connection.decide(decision):
                self._drop("late")
        except v16.NoAnswer as why:
            lines.error("a decision cannot be told", why=str(why))
            self._drop("unspeakable")

    async def _not_sent(self, asked: CallAsked) -> None:
        failed = CallFailed(
            at=clock.now(),
            tenant=asked.tenant,
            station=asked.station,
            gateway=self.id,
            reply_to=self.reply_to,
            epoch=asked.epoch,
            command=asked.command,
            reason="NotSent",
            description="the connection is gone",
        )
        id = derived_id(f"{self.id}/{asked.command}/{asked.epoch}", "gateway", "not sent")
        try:
            await self.append(failed, id)
        except Unavailable:
            self.interrupted()
            self.say_later(failed, id)

    def _drop(self, reason: str) -> None:
        metrics.GATEWAY_DROPPED.labels(reason).inc()

    # ---- the end ----

    async def drain(self) -> None:
        """Refuse new stations and send away those that are here, in slices."""
        self._draining = True
        deadline = self._loop.time() + self.pace.drain + self.pace.drained_within
        while (self._live or self._opening) and self._loop.time() < deadline:
            await self._close_all("draining", lambda: True)
            await asyncio.sleep(0.05)

    async def gone(self) -> None:
        """Say goodbye, after the last report."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self.door.close()
        try:
            await self._recovered()
            await self._sign(GatewayGone(at=clock.now(), gateway=self.id))
        except Unavailable:
            lines.warning("Kafka does not acknowledge: operations will infer what was connected here")
        NEEDS.back("Kafka")

    async def _close_all(self, reason: str, wanted: Callable[[], bool]) -> None:
        connections = [connection for connection in self._live.values() if not connection.is_closing]
        size = max(SLICE, ceil(len(connections) * SLICE_S / self.pace.drain))
        for start in range(0, len(connections), size):
            if not wanted():
                return
            for connection in connections[start : start + size]:
                self.spawn(connection.close(1012, "service restart", reason))
            await asyncio.sleep(SLICE_S)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do this besides."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def named_of(heard: bytes, said: bytes) -> str:
    """Return what the beginning of a frame of ours is, by its own words and those of the call that came before."""
    found = _BEGINNING.match(said)
    if found is None:
        return ""
    kind, id, action = found[1], found[2], found[3]
    if kind == b"2":
        return f"the call {action.decode()}" if action else "a call"
    call = _BEGINNING.match(heard)
    of = f"to {call[3].decode()}" if call is not None and call[2] == id and call[3] else "to an earlier call"
    return f"the {'answer' if kind == b'3' else 'error'} {of}"


_BEGINNING = re.compile(rb'\[\s*"?([234])"?\s*,\s*("[^"]*"|[^,]*)\s*,\s*(?:"(\w{1,64})")?')


def address_of(socket: ServerConnection) -> str:
    peer = socket.remote_address
    return str(peer[0]) if peer else ""


def credentials_of(station: Station) -> tuple[object, ...]:
    """Return what a connection was admitted by."""
    return station.tenant, station.password_hash, station.security_profile, station.protocol


def without_tenant(key: bytes) -> bytes:
    """Return the station of a registry's key: identities are unique in the deployment."""
    return key.partition(b"/")[2]


def bound(host: str, port: int) -> socket.socket:
    """Return a socket to listen on, which other gateways may share, or raise `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without it asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another port with VOLTSTREAM_OCPP_PORT"
        ) from error
    return listener


@asynccontextmanager
async def listening(gateway: Gateway, listener: socket.socket) -> AsyncIterator[None]:
    """Accept stations while it is entered."""
    quiet = logging.getLogger("voltstream.gateway.sockets")
    quiet.setLevel(logging.ERROR)  # at debug it would write passwords
    server = await listen(
        gateway.serve,
        sock=listener,
        select_subprotocol=gateway.select_subprotocol,
        process_request=gateway.process_request,
        process_response=gateway.process_response,
        create_connection=cast("type[ServerConnection]", partial(StationSocket, edge=gateway)),
        compression=None,
        server_header=None,
        open_timeout=gateway.pace.opened_within,
        close_timeout=2,
        max_size=1 << 20,
        max_queue=16,
        logger=quiet,
        backlog=4096,
    )
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def new_id(settings: Settings) -> GatewayId:
    """Return the name of this run of this process."""
    return GatewayId(f"{settings.member or socket.gethostname()}-{os.urandom(4).hex()}")


class Running(Struct, frozen=True):
    """A gateway that accepts stations."""

    gateway: Gateway
    port: int


@asynccontextmanager
async def running(settings: Settings, pace: Pace) -> AsyncIterator[Running]:
    """Run a gateway while it is entered; on leaving it is drained."""
    secrets = Secrets(settings.secret.get_secret_value())
    listener = bound(settings.ocpp_host, settings.ocpp_port)
    id = new_id(settings)
    reply_to = partition_of_gateway(id, settings.partitions)
    keeper = CopyKeeper(settings, Whole(REGISTRY, rekey=without_tenant))
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        await check_topics(settings, [topic.name for topic in (STATIONS, GATEWAYS, ALIVE, REGISTRY)])
        log = Log(settings)
        stack.push_async_callback(log.stop)
        await log.start()
        copies = await stack.enter_async_context(keeper)
        tail = await stack.enter_async_context(Tail(settings, GATEWAYS, reply_to))
        gateway = Gateway(id, reply_to, log, copies.of(REGISTRY), secrets, pace)
        keeper.changed = gateway.changed
        async with asyncio.TaskGroup() as group:
            chores = [group.create_task(work) for work in (gateway.live(), gateway.watch(), gateway.listen_to(tail))]
            assert keeper.task is not None, "the registry is followed"
            chores.append(group.create_task(_finished(keeper.task)))
            async with listening(gateway, listener):
                yield Running(gateway, listener.getsockname()[1])
                await gateway.drain()
            await gateway.gone()
            for chore in chores:
                chore.cancel()


async def _finished(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


def spare_the_collector() -> None:
    """Let Python look seldom for garbage in cycles: reports make none, connections little, and what is there by now stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pace_of(settings: Settings) -> Pace:
    """Return what the deployment wants of its gateways."""
    return Pace(
        undecided_after=settings.undecided_after_s,
        ping=settings.ocpp_ping_s,
        pong_within=settings.ocpp_pong_within_s,
        frames_per_s=settings.ocpp_frames_per_s,
        frames_at_once=settings.ocpp_frames_at_once,
        drain=settings.ocpp_drain_s,
        handshakes=settings.ocpp_handshakes_per_s,
        burst=settings.ocpp_handshakes_at_once,
        protocol=settings.ocpp_default_protocol or None,
        hide_unknown=settings.ocpp_hide_unknown_stations,
        passwordless=settings.ocpp_passwordless_stations,
    )


async def serve(settings: Settings, service: Service) -> None:
    """Run the gateway until it is asked to stop."""
    async with running(settings, pace_of(settings)) as it:
        spare_the_collector()
        lines.info("stations are welcome", port=it.port, gateway=it.gateway.id)
        service.ready()
        await service.stopping.wait()
