"""One station's connection: what it says is appended to the log, and only then answered, in the order of its calls."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from chassis import clock, metrics
from chassis.kafka import Address, Place, Settled, Unavailable
from chassis.secrets import CannotOpen
from contracts.event import StationId, TenantId, minted_ids
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
    Violation,
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
MOST_IN_A_FRAME = 16
"""So many messages in one frame are heard."""
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

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        """Give each message to `heard` as it comes; return when the socket has closed and all has been heard."""

    def say(self, frame: bytes) -> None:
        """Send a message, if the socket is still open."""

    def hold(self, is_held: bool) -> None:
        """Read no more from the socket, or read again."""

    async def close(self, code: int, reason: str) -> None:
        """Close it; the station has a moment to say its last."""


class Home(Protocol):
    """What a connection needs of its gateway."""

    undecided_after: float
    patience: timedelta
    accepted: set[StationId]
    """The stations whose boot was accepted here, of those that may say nothing before."""

    def address(self, tenant: TenantId, station: StationId, /) -> Address:
        """Return where in the log the events of a station go."""

    def post(self, to: Address, event: StationEvent, id: str, received: datetime, settled: Settled) -> None:
        """Put an event into the log; `settled` is told when it is acknowledged. Raises `Unavailable`, `TooLarge`."""

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

    __slots__ = (
        "_settled",
        "call",
        "error",
        "frame",
        "given_up",
        "id",
        "is_due",
        "is_settled",
        "payload",
        "report",
        "since",
    )

    def __init__(
        self, id: str, since: float, report: CallReport | None, call: Call | None, settled: Callable[[], None]
    ) -> None:
        self.id, self.since, self.report, self.call, self._settled = id, since, report, call, settled
        self.is_settled = False
        """It is in the log, or needs not be; or there is an error."""
        self.error: BaseException | None = None
        self.payload: bytes | None = None
        """The answer's, once there is one."""
        self.frame: bytes | None = None
        """The whole answer, where it is known beforehand; empty: there is none."""
        self.is_due = False
        """Others had time enough to decide on the answer."""
        self.given_up = False
        """Nobody has: a decision that comes now is too late."""

    def settle(self, _: int, error: BaseException | None) -> None:
        """The log has it for good, or never will."""
        self.is_settled, self.error = True, error
        self._settled()


class StationConnection:
    """The asyncio shell around a `protocol.Connection`.

    A report's way is all in functions that never wait: `hear` takes a frame in and posts its report, the log tells `Waiting`
    that it has it, `_advance` answers in order. An error of ours in any of them ends the connection; `run` raises it.
    """

    def __init__(self, home: Home, socket: Socket, line: Line, cause: str) -> None:
        self.is_over = False
        self.is_closing = False
        self._home, self._socket = home, socket
        self._address = home.address(line.tenant, line.station)
        said = line.record.habits.patience_s
        self._patience = home.patience if said is None else timedelta(seconds=said)
        self._protocol = protocol.Connection(patience=self._patience)
        self.line = line
        self._loop = asyncio.get_running_loop()
        self._ids = minted_ids(cause)
        self._waiting: deque[Waiting] = deque()
        self._unheard: deque[bytes] = deque()
        """What has arrived while too much waits for its answer."""
        self._heard_all: asyncio.Future[None] | None = None
        self._is_deaf = False
        """What arrives now is not heard: the station will say it again, on another connection."""
        self._error: BaseException | None = None
        self._settled: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._sampled: datetime | None = None
        self._quiet_until = 0.0
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
        self._leave_alone()
        self._home.opened(self)
        try:
            await self._socket.listen(self.hear)
            while self._unheard and not self._is_deaf:
                self._heard_all = self._loop.create_future()
                await self._heard_all
        finally:
            self.is_over = True
            if self._giving_up is not None:
                await asyncio.wait([self._giving_up])
            await self._end()
            self._home.closed(self)
        if self._error is not None:
            raise self._error

    def _broken(self, error: BaseException) -> None:
        """An error of ours: the connection ends, and `run` raises it."""
        self._error = self._error or error
        self._hear_no_more()
        self.is_over = True
        self._home.spawn(self.close(1011, "internal error", "error"))

    def _hear_no_more(self) -> None:
        self._is_deaf = True
        self._unheard.clear()
        if self._heard_all is not None and not self._heard_all.done():
            self._heard_all.set_result(None)

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
        self._hear_no_more()
        self._home.interrupted()
        self._home.spawn(self.close(1012, "try again later", "unacknowledged"))

    def overdue(self, before: float) -> bool:
        """Whether something of this station's was not acknowledged that was sent before then."""
        for waiting in self._waiting:
            if waiting.since >= before:
                return False
            if not waiting.is_settled:
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
        return next(self._ids)

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

    def hear(self, data: bytes) -> None:
        """Take in a frame of the station's."""
        if self._is_deaf:
            return
        if self._unheard or len(self._waiting) >= MOST_UNANSWERED:
            self._unheard.append(data)
            self._socket.hold(True)
            return
        try:
            self._hear(data)
        except Unavailable:
            self._give_way()
        except TooLarge:
            self._hear_no_more()
            self._home.spawn(self.close(1009, "more than the log takes", "too_large"))
        except BaseException as error:  # noqa: BLE001 - as a task would
            self._broken(error)
        if self._waiting and self._waiting[0].is_settled:
            self._advance()

    def _hear(self, data: bytes) -> None:
        """Take in a message, and the others that some stations put into the same frame (T-40)."""
        for _ in range(MOST_IN_A_FRAME):
            self._hear_one(data)
            if not (data := self._protocol.rest):
                break

    def _hear_one(self, data: bytes) -> None:
        received = clock.now()
        match self._protocol.receive(data):
            case Call() as call:
                self._called(call, received)
            case Broken() as broken:
                self._post(v16.refused(self.line, broken, received), broken.call, received)
            case Repeated(answer):
                self._repeat(answer)
            case Answered() as answered:
                self._post(v16.outcome(self.line, answered, received), None, received)
                self._settle(answered.late)
            case Refused() as refused:
                self._post(self._refusal(refused, received), None, received)
                self._settle(refused.late)
            case Unread(frame, reason, violations):
                report = FrameUnread(**self._common(received), frame=frame, reason=reason, violations=violations)
                self._post(report, None, received)
            case None:
                pass

    def _called(self, call: Call, received: datetime) -> None:
        metrics_of(call.action).inc()
        if call.action != "BootNotification" and self._is_before_boot():
            if self.line.record.habits.before_boot == "refused":
                unbooted = Broken(call, "SecurityError", "Boot first.")
                self._post(v16.refused(self.line, unbooted, received), call, received)
                return
            noted = Violation("T-68", "its boot is not accepted")
            call = msgspec.structs.replace(call, violations=(*call.violations, noted))
        if call.action == "Heartbeat":
            self._beat(call, received)
        else:
            report = v16.report(self.line, call, received)
            if isinstance(report, StationBooted):
                self.line = v16.knowing(self.line, self.line.record, v16.hardware_of(report))
                self._booted(report)
            self._post(report, call, received)

    def _is_before_boot(self) -> bool:
        """Whether the station may not speak of other things yet; one that only reconnects may (T-65, T-68)."""
        record = self.line.record
        return record.boot_status != "Accepted" or (
            record.habits.before_boot == "refused" and record.id not in self._home.accepted
        )

    def _booted(self, report: StationBooted) -> None:
        self._leave_alone()
        if report.status != "Accepted":
            self._home.accepted.discard(report.station)
        elif self.line.record.habits.before_boot == "refused":
            self._home.accepted.add(report.station)

    def _leave_alone(self) -> None:
        """From now on nothing is asked of the station for as long as it wants (T-69)."""
        self._quiet_until = self._loop.time() + self.line.record.habits.quiet_s

    def _beat(self, call: Call, received: datetime) -> None:
        """A heartbeat needs no log; of those that are written down anyway, none waits for it."""
        if self._is_sample(received):
            report = v16.report(self.line, call, received)
            self._home.post(self._address, report, self._next_id(), received, unheeded)
        payload = v16.told(self.line, v16.time_answer(None, received))
        if not self._waiting:
            self._socket.say(self._protocol.answer(call, payload))
            return
        self._line_up(None, call, is_settled=True).payload = payload

    def _is_sample(self, received: datetime) -> bool:
        if self._sampled is not None and received - self._sampled < HEARTBEAT_SAMPLE:
            return False
        self._sampled = received
        return True

    def _post(self, report: Any, call: Call | None, received: datetime) -> None:
        """Append a report; its answer, if it has one, follows when it is acknowledged."""
        waiting = self._line_up(report if call else None, call)
        if call is None:
            waiting.frame = b""
        elif not isinstance(report, CallRefused):
            payload = v16.answer(call.action, report, received)
            waiting.payload = None if payload is None else v16.told(self.line, payload)
            if waiting.payload is None:
                self._loop.call_later(self._home.undecided_after, self._due, waiting)
        self._home.post(self._address, report, waiting.id, received, waiting.settle)

    def _due(self, waiting: Waiting) -> None:
        waiting.is_due = True
        self._advance()

    def _repeat(self, answer: bytes | None) -> None:
        """What is being answered anyway will be; what was answered is answered the same."""
        if answer is not None:
            self._line_up(None, None, is_settled=True).frame = answer

    def _line_up(self, report: CallReport | None, call: Call | None, *, is_settled: bool = False) -> Waiting:
        """Return the last in the line of what is answered; what needs no log has no id."""
        waiting = Waiting("" if is_settled else next(self._ids), self._loop.time(), report, call, self._advance)
        waiting.is_settled = is_settled
        self._waiting.append(waiting)
        return waiting

    # ---- what we answer ----

    def _advance(self) -> None:
        """Answer what can be answered, in the order of the calls, and hear what had no room before."""
        try:
            while self._waiting and not self.is_over and (answer := self._answer_to(self._waiting[0])) is not None:
                self._done(self._waiting.popleft())
                if answer:
                    self._socket.say(answer)
        except BaseException as error:  # noqa: BLE001 - as a task would
            self._broken(error)
        if self._unheard and len(self._waiting) < MOST_UNANSWERED:
            self._hear_the_rest()

    def _hear_the_rest(self) -> None:
        unheard, self._unheard = self._unheard, deque()
        while unheard and len(self._waiting) < MOST_UNANSWERED and not self._is_deaf:
            self.hear(unheard.popleft())
        unheard.extend(self._unheard)
        self._unheard = unheard if not self._is_deaf else deque()
        if not self._unheard:
            self._socket.hold(False)
            if self._heard_all is not None and not self._heard_all.done():
                self._heard_all.set_result(None)

    def _answer_to(self, head: Waiting) -> bytes | None:
        """Return the frame that answers; empty if there is none to send, None if it cannot be answered yet."""
        if not head.is_settled:
            return None
        if head.error is not None:
            self.is_over = True
            self._give_way()
            return None
        if head.frame is not None:
            return head.frame
        assert head.call is not None, "only calls are answered"
        if isinstance(head.report, CallRefused):
            metrics.OCPP_ERRORS.labels(head.report.code).inc()
            return self._protocol.refuse(head.call, head.report.code, head.report.description)
        if head.payload is not None:
            return self._protocol.answer(head.call, head.payload)
        if head.is_due and not head.given_up and not self.is_closing:
            head.given_up = True
            self._giving_up = self._home.spawn(self._give_up(head))
        return None

    async def _give_up(self, waiting: Waiting) -> None:
        """Nobody has decided in time: say so, and answer all the same (architecture §4)."""
        assert waiting.report is not None, "what waits for a decision has been reported"
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
            self._advance()

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
                self._advance()
                return True
        return False

    def _done(self, waiting: Waiting) -> None:
        if waiting.call is not None:
            outcome = "undecided" if waiting.given_up else "answered"
            if isinstance(waiting.report, CallRefused):
                outcome = "refused"
            duration_of(waiting.call.action, outcome).observe(self._loop.time() - waiting.since)

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
            while (wait := self._quiet_until - self._loop.time()) > 0:
                await asyncio.sleep(wait)
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
            self._socket.say(ask.frame)
            await self._until_settled()

    async def _until_settled(self) -> None:
        assert self._settled is not None, "a call is open"
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
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


def unheeded(_: int, __: BaseException | None) -> None:
    """Nobody waits for this one."""


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
