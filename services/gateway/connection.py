"""One station's connection: what it says is appended to the log, and only then answered, in the order of its calls."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from chassis import clock, metrics
from chassis.kafka import Place, Unavailable
from chassis.secrets import CannotOpen
from contracts.event import derived_id
from contracts.gateways import AuthorizeAnswered, CallAsked, StartAnswered, StopAnswered
from contracts.stations import (
    AnsweredUndecided,
    CallFailed,
    CallRefused,
    CallSent,
    ConnectionOpened,
    Frame,
    FrameUnread,
    StationBooted,
    StationEvent,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from contracts.stations import (
    ConnectionClosed as HasClosed,
)
from services.gateway import protocol, v16
from services.gateway.protocol import Answered, Ask, Broken, Call, Refused, Repeated, Unread
from services.gateway.v16 import CallReport, Line

VERSION = "ocpp1.6"
MOST_UNANSWERED = 64
"""So many calls of a station may wait for their answers before no more is read from its socket (T-54)."""
HEARTBEAT_SAMPLE = timedelta(minutes=5)
"""Of all heartbeats, one in this time is written down."""

Decision = AuthorizeAnswered | StartAnswered | StopAnswered
DECIDES: dict[type, type[Decision]] = {
    TokenPresented: AuthorizeAnswered,
    TransactionStarted: StartAnswered,
    TransactionEnded: StopAnswered,
}
"""What answers what."""


class TooLarge(Exception):
    """A report is larger than the log takes."""


class Socket(Protocol):
    """A station's WebSocket."""

    @property
    def close_code(self) -> int | None: ...

    @property
    def close_reason(self) -> str | None: ...

    async def hear(self) -> bytes | None:
        """Return the next message; None when the socket has closed and all has been heard."""

    async def say(self, frame: bytes) -> None:
        """Send a message, if the socket is still open."""

    async def close(self, code: int, reason: str) -> None:
        """Close it; the station has a moment to say its last."""


class Home(Protocol):
    """What a connection needs of its gateway."""

    undecided_after: float
    patience: timedelta

    async def send(self, event: StationEvent, id: str, received: datetime) -> asyncio.Future[Any]:
        """Put an event into the log; the future is done when it is acknowledged. Raises `Unavailable`, `TooLarge`."""

    async def append(self, event: StationEvent, id: str) -> Place:
        """Put an event into the log and wait until it is acknowledged. Raises `Unavailable`."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do this besides."""

    def opened(self, connection: "StationConnection") -> None:
        """The connection has its epoch."""

    def closed(self, connection: "StationConnection") -> None:
        """The connection is over."""

    def interrupted(self) -> None:
        """The log does not acknowledge."""

    def say_later(self, event: StationEvent, id: str) -> None:
        """Append this as soon as the log acknowledges again."""


class Waiting:
    """A frame of the station's on its way: in the log, then answered."""

    __slots__ = ("call", "frame", "given_up", "id", "is_due", "payload", "place", "report", "since")

    def __init__(self, id: str, since: float, report: CallReport | None, call: Call | None) -> None:
        self.id, self.since, self.report, self.call = id, since, report, call
        self.place: asyncio.Future[Any] | None = None
        """Done when it is in the log."""
        self.payload: bytes | None = None
        """The answer's, once there is one."""
        self.frame: bytes | None = None
        """The whole answer, where it is known beforehand; empty: there is none."""
        self.is_due = False
        """Others had time enough to decide on the answer."""
        self.given_up = False
        """Nobody has: a decision that comes now is too late."""


class StationConnection:
    """The asyncio shell around a `protocol.Connection`."""

    def __init__(self, home: Home, socket: Socket, line: Line, cause: str) -> None:
        self.is_over = False
        self.is_closing = False
        self._home, self._socket, self._cause = home, socket, cause
        self._protocol = protocol.Connection(patience=home.patience)
        self.line = line
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._waiting: deque[Waiting] = deque()
        self._poked: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._settled: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._sampled: datetime | None = None
        self._close_code, self._close_reason = 1006, "station"

    # ---- life ----

    async def run(self, opened: ConnectionOpened) -> None:
        """Serve the station until its socket closes."""
        try:
            place = await self._home.append(opened, self._next_id())
        except Unavailable:
            self._home.interrupted()
            await self.close(1012, "try again later", "unacknowledged")
            return
        self.line = msgspec.structs.replace(self.line, epoch=place.offset)
        self._home.opened(self)
        answering = asyncio.create_task(self._answer())
        answering.add_done_callback(self._answered_for_the_last_time)
        try:
            await self._read()
        finally:
            self.is_over = True
            self._poke()
            await asyncio.wait([answering])
            await self._end()
            self._home.closed(self)
        await answering

    def _answered_for_the_last_time(self, _: asyncio.Task[None]) -> None:
        if not self.is_over:  # an error of ours: `run` raises it
            self._home.spawn(self.close(1011, "internal error", "error"))

    @property
    def line(self) -> Line:
        """The connection as its reports name it, and what is known of its station."""
        return self._line

    @line.setter
    def line(self, line: Line) -> None:
        self._line = v16.knowing(line, line.record)
        self._protocol.is_lenient = self._line.quirks.lenient_correlation

    async def close(self, code: int, text: str, reason: str) -> None:
        """Close the socket; what still arrives on it is heard. `reason` is ours, for the metrics."""
        if not self.is_closing:
            self.is_closing, self._close_code, self._close_reason = True, code, reason
            await self._socket.close(code, text)

    def _give_way(self) -> None:
        """The log does not acknowledge: the station should keep what it has to say, and try again later."""
        self._home.interrupted()
        self._home.spawn(self.close(1012, "try again later", "unacknowledged"))

    def overdue(self, before: float) -> bool:
        """Whether something of this station's was not acknowledged that was sent before then."""
        for waiting in self._waiting:
            if waiting.since >= before:
                return False
            if waiting.id and (waiting.place is None or not waiting.place.done()):
                return True
        return False

    async def _end(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        opened, queued = self._protocol.abandon()
        for ask in queued:
            await self._say(self._failed(ask, "NotSent"))
        if opened is not None:
            await self._say(self._failed(opened, "Disconnected"))
        code = self._socket.close_code or self._close_code
        metrics.GATEWAY_DISCONNECTS.labels(code if code in KNOWN_CODES else "other", self._close_reason).inc()
        await self._say(HasClosed(**self._common(clock.now()), code=code, reason=self._socket.close_reason or ""))

    async def _say(self, event: StationEvent) -> None:
        """Append what must be said of a connection even if the log is away for a while."""
        id = self._next_id()
        try:
            await self._home.append(event, id)
        except Unavailable:
            self._home.interrupted()
            self._home.say_later(event, id)

    def _next_id(self) -> str:
        self._number += 1
        return derived_id(self._cause, "gateway", self._number)

    def _common(self, at: datetime) -> dict[str, Any]:
        line = self.line
        return {
            "at": at,
            "tenant": line.tenant,
            "station": line.station,
            "gateway": line.gateway,
            "reply_to": line.reply_to,
            "epoch": line.epoch,
        }

    # ---- what the station says ----

    async def _read(self) -> None:
        while (data := await self._socket.hear()) is not None:
            try:
                await self._hear(data)
            except Unavailable:
                self._give_way()
                return
            except TooLarge:
                self._home.spawn(self.close(1009, "more than the log takes", "too_large"))
                return

    async def _hear(self, data: bytes) -> None:
        received = clock.now()
        match self._protocol.receive(data):
            case Call() as call:
                await self._called(call, received)
            case Broken() as broken:
                await self._post(v16.refused(self.line, broken, received), broken.call, received)
            case Repeated(answer):
                await self._repeat(answer)
            case Answered() as answered:
                await self._post(v16.outcome(self.line, answered, received), None, received)
                self._settle(answered.late)
            case Refused() as refused:
                await self._post(self._refusal(refused, received), None, received)
                self._settle(refused.late)
            case Unread(frame, reason, violations):
                report = FrameUnread(**self._common(received), frame=frame, reason=reason, violations=violations)
                await self._post(report, None, received)
            case None:
                pass

    async def _called(self, call: Call, received: datetime) -> None:
        metrics_of(call.action).inc()
        if call.action == "Heartbeat":
            await self._beat(call, received)
        else:
            report = v16.report(self.line, call, received)
            if isinstance(report, StationBooted):
                self.line = v16.knowing(self.line, self.line.record, v16.hardware_of(report))
            await self._post(report, call, received)

    async def _beat(self, call: Call, received: datetime) -> None:
        """A heartbeat needs no log; of those that are written down anyway, none waits for it."""
        if self._is_sample(received):
            place = await self._home.send(v16.report(self.line, call, received), self._next_id(), received)
            place.add_done_callback(self._acknowledged)
        payload = v16.told(self.line, v16.time_answer(None, received))
        if not self._waiting:
            await self._socket.say(self._protocol.answer(call, payload))
            return
        waiting = Waiting("", self._loop.time(), None, call)
        waiting.payload = payload
        await self._line_up(waiting)

    def _is_sample(self, received: datetime) -> bool:
        if self._sampled is not None and received - self._sampled < HEARTBEAT_SAMPLE:
            return False
        self._sampled = received
        return True

    async def _post(self, report: Any, call: Call | None, received: datetime) -> None:
        """Append a report; its answer, if it has one, follows when it is acknowledged."""
        waiting = Waiting(self._next_id(), self._loop.time(), report if call else None, call)
        if call is None:
            waiting.frame = b""
        elif not isinstance(report, CallRefused):
            payload = v16.answer(call.action, report, received)
            waiting.payload = None if payload is None else v16.told(self.line, payload)
            if waiting.payload is None:
                self._loop.call_later(self._home.undecided_after, self._due, waiting)
        await self._line_up(waiting)
        waiting.place = await self._home.send(report, waiting.id, received)
        waiting.place.add_done_callback(self._acknowledged)

    def _due(self, waiting: Waiting) -> None:
        waiting.is_due = True
        self._poke()

    async def _repeat(self, answer: bytes | None) -> None:
        """What is being answered anyway will be; what was answered is answered the same."""
        if answer is not None:
            waiting = Waiting("", self._loop.time(), None, None)
            waiting.frame = answer
            await self._line_up(waiting)

    async def _line_up(self, waiting: Waiting) -> None:
        while len(self._waiting) >= MOST_UNANSWERED and not self.is_over:
            self._room = self._loop.create_future()
            await self._room
        self._waiting.append(waiting)
        if waiting.place is None and waiting.id == "":
            self._poke()

    def _acknowledged(self, place: asyncio.Future[Any]) -> None:
        if not place.cancelled():
            place.exception()  # looked at, so that nobody misses it; `_answer` deals with it
        self._poke()

    # ---- what we answer ----

    async def _answer(self) -> None:
        while not self.is_over:
            if self._waiting and (answer := await self._answer_to(self._waiting[0])) is not None:
                self._done(self._waiting.popleft())
                if answer:
                    await self._socket.say(answer)
                continue
            self._poked = self._loop.create_future()
            await self._poked

    async def _answer_to(self, head: Waiting) -> bytes | None:
        """Return the frame that answers; empty if there is none to send, None if it cannot be answered yet."""
        if head.id:
            if head.place is None or not head.place.done():
                return None
            if head.place.cancelled() or head.place.exception() is not None:
                self.is_over = True
                self._give_way()
                return None
        if head.frame is not None:
            return head.frame
        assert head.call is not None, "only calls are answered"
        if isinstance(head.report, CallRefused):
            metrics.OCPP_ERRORS.labels(head.report.code).inc()
            return self._protocol.refuse(head.call, head.report.code, head.report.description)
        if head.payload is None and head.is_due and not self.is_closing:
            await self._give_up(head)
        return None if head.payload is None else self._protocol.answer(head.call, head.payload)

    async def _give_up(self, waiting: Waiting) -> None:
        """Nobody has decided in time: say so, and answer all the same (architecture §4)."""
        assert waiting.report is not None, "what waits for a decision has been reported"
        waiting.given_up = True
        status = self.line.record.when_undecided
        given, payload = v16.undecided(waiting.report, status)
        undecided = AnsweredUndecided(
            **self._common(clock.now()),
            report=waiting.id,
            message_id=waiting.report.message_id,
            status=status,
            transaction=given,
        )
        try:
            await self._home.append(undecided, self._next_id())
        except Unavailable:
            self.is_over = True
            self._give_way()
        else:
            metrics.GATEWAY_UNDECIDED.labels(metrics_action(waiting.call)).inc()
            waiting.payload = payload

    def decide(self, decision: Decision) -> bool:
        """Take in what a call is to be answered. False if no call waits for it any more."""
        for waiting in self._waiting:
            if (
                waiting.payload is None
                and not waiting.given_up
                and waiting.report is not None
                and waiting.report.message_id == decision.message_id
                and decision.report in ("", waiting.id)
                and DECIDES.get(type(waiting.report)) is type(decision)
            ):
                waiting.payload = v16.decided(decision)
                self._poke()
                return True
        return False

    def _done(self, waiting: Waiting) -> None:
        if waiting.call is not None:
            outcome = "undecided" if waiting.given_up else "answered"
            if isinstance(waiting.report, CallRefused):
                outcome = "refused"
            duration_of(waiting.call.action, outcome).observe(self._loop.time() - waiting.since)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _poke(self) -> None:
        if self._poked is not None and not self._poked.done():
            self._poked.set_result(None)
        if self.is_over and self._room is not None and not self._room.done():
            self._room.set_result(None)

    # ---- what we ask ----

    def ask(self, asked: CallAsked, open_sealed: Any) -> None:
        """Line up a call of ours."""
        try:
            ask = v16.ask(self.line, asked, open_sealed)
        except (v16.CannotAsk, CannotOpen) as why:
            failed = CallFailed(
                **self._common(clock.now()), command=asked.command, reason="Invalid", description=str(why)
            )
            self._home.spawn(self._say(failed))
            return
        self._protocol.ask(ask)
        if self._asking is None or self._asking.done():
            self._asking = self._home.spawn(self._ask())

    async def _ask(self) -> None:
        """Make our calls, one after the other, until the queue is empty."""
        while True:
            for late in self._protocol.overdue(clock.now()):
                await self._say(self._failed(late, "NotSent"))
            ask = self._protocol.next_ask(clock.now())
            if ask is None:
                return
            self._settled = self._loop.create_future()
            sent = CallSent(
                **self._common(clock.now()),
                command=ask.command,
                message_id=f'"{ask.id}"',
                frame=Frame(text=ask.shown.decode()),
            )
            try:
                await self._home.append(sent, self._next_id())
            except Unavailable:
                self._give_way()  # the call fails with the connection
                return
            metrics.OCPP_MESSAGES.labels("out", ask.action, VERSION).inc()
            await self._socket.say(ask.frame)
            await self._until_settled()

    async def _until_settled(self) -> None:
        assert self._settled is not None, "a call is open"
        try:
            async with asyncio.timeout(self._home.patience.total_seconds()):
                await self._settled
        except TimeoutError:
            deadline = self._protocol.deadline
            if deadline is not None and (ask := self._protocol.expire(deadline)) is not None:
                await self._say(self._failed(ask, "TimedOut"))

    def _settle(self, late: bool) -> None:
        if not late and self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    def _failed(self, ask: Ask, reason: Any) -> CallFailed:
        return CallFailed(**self._common(clock.now()), command=ask.command, reason=reason)

    def _refusal(self, refused: Refused, received: datetime) -> CallFailed:
        return CallFailed(
            **self._common(received),
            command=refused.ask.command,
            reason="CallError",
            code=refused.code,
            description=refused.description,
            frame=refused.frame,
            late=refused.late,
            violations=refused.violations,
        )


KNOWN_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012})

_COUNTED = {action: metrics.OCPP_MESSAGES.labels("in", action, VERSION) for action in (*v16.ACTIONS, "other")}
_MEASURED = {
    (action, outcome): metrics.OCPP_CALL_DURATION.labels(action, outcome)
    for action in (*v16.ACTIONS, "other")
    for outcome in ("answered", "undecided", "refused")
}


def metrics_of(action: str) -> Any:
    """Return the counter of an action; stations name whatever they like, so others share one."""
    return _COUNTED.get(action) or _COUNTED["other"]


def metrics_action(call: Call | None) -> str:
    return call.action if call is not None and call.action in v16.ACTIONS else "other"


def duration_of(action: str, outcome: str) -> Any:
    return _MEASURED[action if action in v16.ACTIONS else "other", outcome]
