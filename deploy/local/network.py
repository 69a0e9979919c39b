"""A simulated station's network: one OCPP 1.6 connection after another, spoken by the independent `ocpp` package.

That package validates every frame in both directions against OCPP's own schemas; what it cannot accept is a complaint.
"""

import asyncio
import base64
import logging
import random
from typing import Any, Protocol

import ocpp.messages
import websockets
from ocpp.exceptions import OCPPError
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, RemoteStartStopStatus

ocpp.messages.ASYNC_VALIDATION = False  # a process for each frame would be slower than the frames

ANSWER_WITHIN_S = 30
"""A call that is not answered within this has failed."""
RETRY_S = 2.0
TOO_MANY = 503

_SILENT = logging.getLogger("voltstream.stations")
_SILENT.setLevel(logging.CRITICAL + 1)
"""The package logs every frame; a person is told of complaints instead."""

Payload = Any
"""One of `ocpp.v16.call`."""


class Offline(Exception):
    """The network is away: nothing was said, or nobody answered."""


class Misspoken(Exception):
    """What came was no answer that OCPP allows. The message says what."""


class Owner(Protocol):
    """The station that a network belongs to."""

    async def connected(self) -> None:
        """A connection is open: say what has to be said first. Raises `Offline`, `Misspoken`."""

    async def alive(self) -> None:
        """It has been quiet for a while: give a sign of life. Raises `Offline`, `Misspoken`."""

    def asked_to_start(self, card: str) -> bool: ...
    def asked_to_stop(self, transaction: int) -> bool: ...
    def complain(self, what: str) -> None: ...


class Line(ChargePoint):  # type: ignore[misc]
    """One connection."""

    def __init__(self, identity: str, socket: Any, owner: Owner) -> None:
        super().__init__(identity, socket, response_timeout=ANSWER_WITHIN_S, logger=_SILENT)
        self._owner = owner

    async def listen(self) -> None:
        """Hear what arrives until the connection is over."""
        try:
            await self.start()
        except (websockets.ConnectionClosed, OSError):
            return

    async def route_message(self, raw: str) -> None:
        try:
            ocpp.messages.unpack(raw)
        except OCPPError as error:
            self._owner.complain(f"a frame that is no OCPP ({error}): {raw!r}")
        await super().route_message(raw)

    async def _handle_call(self, message: Any) -> Any:
        try:
            return await super()._handle_call(message)
        except OCPPError as error:
            self._owner.complain(f"a call that it cannot follow ({error}): {message}")
            raise

    @on(Action.remote_start_transaction)  # type: ignore[untyped-decorator]
    def on_remote_start(self, id_tag: str, connector_id: int = 1, **_: Any) -> call_result.RemoteStartTransaction:
        """Begin to charge if the connector is free (OCPP 1.6 §5.11)."""
        return call_result.RemoteStartTransaction(_accepted(connector_id == 1 and self._owner.asked_to_start(id_tag)))

    @on(Action.remote_stop_transaction)  # type: ignore[untyped-decorator]
    def on_remote_stop(self, transaction_id: int) -> call_result.RemoteStopTransaction:
        """End the charge if it is this one (OCPP 1.6 §5.12)."""
        return call_result.RemoteStopTransaction(_accepted(self._owner.asked_to_stop(transaction_id)))


def _accepted(yes: bool) -> RemoteStartStopStatus:
    return RemoteStartStopStatus.accepted if yes else RemoteStartStopStatus.rejected


class Network:
    """Connects again and again, as long as there is a network."""

    def __init__(self, identity: str, url: str, password: str, dice: random.Random, owner: Owner) -> None:
        self.online = asyncio.Event()
        """Set while a connection is open and the first words have been said."""
        self._identity, self._url, self._password, self._dice, self._owner = identity, url, password, dice, owner
        self._there = asyncio.Event()
        self._there.set()
        self._socket: websockets.ClientConnection | None = None
        self._line: Line | None = None
        self._listening: asyncio.Task[None] | None = None

    def lose(self) -> None:
        """Lose the network without a word to anybody, as when a cable is cut."""
        self._there.clear()
        self.online.clear()
        if self._socket is not None:
            self._socket.transport.abort()

    def find(self) -> None:
        """Let the network be there again."""
        self._there.set()

    async def run(self) -> None:
        """Connect for ever."""
        while True:
            await self._there.wait()
            try:
                async with self._connection() as socket:
                    await self._serve(socket)
            except websockets.InvalidStatus as refusal:
                if refusal.response.status_code != TOO_MANY:
                    self._owner.complain(f"a handshake refused with {refusal.response.status_code}")
            except (OSError, TimeoutError, websockets.WebSocketException, Offline, Misspoken):
                pass  # whatever it was: try again
            await asyncio.sleep(RETRY_S * self._dice.uniform(0.5, 1.5))

    def _connection(self) -> websockets.connect:
        proof = base64.b64encode(f"{self._identity}:{self._password}".encode()).decode()
        return websockets.connect(
            self._url,
            subprotocols=[websockets.Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": f"Basic {proof}"},
            compression=None,
            proxy=None,
        )

    async def _serve(self, socket: websockets.ClientConnection) -> None:
        self._socket, self._line = socket, Line(self._identity, socket, self._owner)
        self._listening = asyncio.create_task(self._line.listen())
        try:
            await self._owner.connected()
            self.online.set()
            while True:
                await asyncio.wait([self._listening], timeout=self._dice.uniform(8, 12))
                await self._owner.alive()
        finally:
            self.online.clear()
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def ask(self, payload: Payload) -> Any:
        """Return the answer to a call. Raises `Offline`, and `Misspoken` if what came is no answer."""
        line, listening = self._line, self._listening
        if line is None or listening is None or listening.done() or not self._there.is_set():
            raise Offline
        asking = asyncio.create_task(line.call(payload, suppress=False))
        try:
            await asyncio.wait([asking, listening], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait([asking])
        return self._answer(payload, asking)

    def _answer(self, payload: Payload, asking: asyncio.Task[Any]) -> Any:
        try:
            return asking.result()
        except (asyncio.CancelledError, TimeoutError, websockets.WebSocketException, OSError):
            raise Offline from None
        except OCPPError as error:
            what = f"{type(payload).__name__} answered with what OCPP does not allow ({type(error).__name__}: {error})"
            self._owner.complain(what)
            raise Misspoken(what) from error
