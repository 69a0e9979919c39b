"""One station's OCPP-J connection, without its socket and its clock (OCPP 1.6-J §4).

Give it each frame that arrives, and it says what has happened; ask it for the frames to send. It never waits, and time
reaches it as an argument. Ids T-… are rules of our catalogue.
"""

import re
from collections import deque
from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from contracts.event import CommandId
from contracts.stations import Frame, Violation
from services.gateway import errors, normalise
from services.gateway.errors import ErrorCode

ALWAYS_ANSWERED = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
"""What a station throws away when it is refused: never answered with an error. Each says when it happened, so equal
bytes under one id are a repetition, however long ago the first was answered."""

Kind = Literal["call", "answer", "error"]
_NUMBERS: tuple[tuple[int, Kind], ...] = ((2, "call"), (3, "answer"), (4, "error"))
_KINDS: dict[bytes, Kind] = {
    written.encode(): kind
    for number, kind in _NUMBERS
    for written in (f"{number}", f'"{number}"', f'" {number}"', f'"{number} "', f"{number}.0")
}
"""What the first element of a message says it is, as stations write it (Q-31)."""

LONGEST_ACTION = 64
"""In characters: what is longer is no name of an action, however it is spelt."""

REMEMBERED = 16
"""So many calls, of the station's and of ours, are remembered after they are over."""


class Call(Struct, frozen=True):
    """A request of the station's. `id` is JSON as the station wrote it, so that the answer echoes it (T-41)."""

    id: str
    action: str
    payload: bytes
    frame: Frame
    digest: int
    violations: tuple[Violation, ...] = ()


class Broken(Struct, frozen=True):
    """A request that has an id, but cannot be understood: it is answered with an error."""

    call: Call
    code: ErrorCode
    description: str


class Repeated(Struct, frozen=True):
    """A request said again word by word (T-42): `answer` is what the first was answered, or None if it will be yet."""

    answer: bytes | None


class Ask(Struct, frozen=True):
    """A call of ours. `shown` is its frame for the log: as it is sent, but without what is secret."""

    id: str
    command: CommandId
    action: str
    frame: bytes
    shown: bytes
    expires_at: datetime
    secret: str = ""


class Answered(Struct, frozen=True):
    """The station answered our call."""

    ask: Ask
    payload: bytes
    frame: Frame
    late: bool = False
    violations: tuple[Violation, ...] = ()


class Refused(Struct, frozen=True):
    """The station answered our call with an error."""

    ask: Ask
    code: str
    description: str
    frame: Frame
    late: bool = False
    violations: tuple[Violation, ...] = ()


class Unread(Struct, frozen=True):
    """A frame that nothing can be made of, and that is not answered."""

    frame: Frame
    reason: str
    violations: tuple[Violation, ...] = ()


Happening = Call | Broken | Repeated | Answered | Refused | Unread


class _Heard(Struct):
    digest: int
    action: str
    answer: bytes | None = None


class Connection:
    """Our end of the conversation: at most one call of ours is open at a time (T-43)."""

    def __init__(self, *, patience: timedelta = timedelta(seconds=30)) -> None:
        self.deadline: datetime | None = None
        """Until when our open call may be answered."""
        self.is_lenient = False
        """Whether an answer under another id answers the call that is open (T-45)."""
        self.rest = b""
        """What else was in the frame that was received last: it is to be received next (T-40)."""
        self._patience = patience
        self._heard: dict[str, _Heard] = {}
        self._open: Ask | None = None
        self._queue: deque[Ask] = deque()
        self._given_up: dict[str, Ask] = {}

    # ---- the station's calls ----

    def receive(self, data: bytes) -> Happening | None:
        """Return what a frame of the station's means; None for an empty one, which only keeps the line open (T-50)."""
        read = normalise.envelope(data)
        violations, self.rest = read.violations, read.rest
        match [bytes(part) for part in read.parts]:
            case []:
                if not data.strip(b"\0 \t\r\n"):
                    return None
                return Unread(read.frame, "no JSON array", (*violations, Violation("T-48")))
            case [number, id, *rest] if (kind := _KINDS.get(number)) is not None:
                if len(number) > 1:
                    violations += (Violation("Q-31", "message type as text"),)
                if kind == "answer":
                    return self._result(id, rest, read.frame, violations)
                if kind == "error":
                    return self._error(id, rest, read.frame, violations)
                if _echoable(id):
                    return self._call(data, read, id.decode(), rest, violations + _of_id(id))
        return Unread(read.frame, "no message of OCPP-J", (*violations, Violation("T-47")))

    def answer(self, call: Call, payload: bytes) -> bytes:
        """Return the frame that answers a call of the station's."""
        return self._answered(call, b"[3,%b,%b]" % (call.id.encode(), payload))

    def refuse(self, call: Call, code: str, description: str) -> bytes:
        """Return the frame that answers a call of the station's with an error (T-53)."""
        said = msgspec.json.encode([code, description.encode("ascii", "replace").decode()[:255]])
        return self._answered(call, b"[4,%b,%b,{}]" % (call.id.encode(), said[1:-1]))

    def _answered(self, call: Call, answer: bytes) -> bytes:
        heard = self._heard.get(call.id)
        if heard is not None and heard.digest == call.digest:
            if call.action in ALWAYS_ANSWERED:
                heard.answer = answer
            else:
                del self._heard[call.id]
        return answer

    def _call(
        self, data: bytes, read: normalise.Envelope, id: str, rest: list[bytes], violations: tuple[Violation, ...]
    ) -> Call | Broken | Repeated:
        action, violations = _action(rest, violations)
        payload = rest[1] if len(rest) > 1 else b"null"
        if payload == b"null" and action is not None:
            payload, violations = b"{}", (*violations, Violation("Q-32", "no payload"))
        if len(rest) > 2:
            violations += (Violation("T-40", "more elements than a call has"),)
        if read.is_doubtful:
            violations += (Violation("T-48", "no JSON"),)
        digest = hash(data)
        if (heard := self._heard.get(id)) is not None:
            if heard.digest == digest:
                return Repeated(heard.answer)
            violations += (Violation("T-42", "the id of another call"),)
        self._remember(id, _Heard(digest, action or ""))
        call = Call(id, action or "", payload, read.frame, digest, violations)
        if action is None:
            return Broken(call, "FormationViolation", "A call names an action.")
        if read.is_doubtful and action not in ALWAYS_ANSWERED:
            return Broken(call, "FormationViolation", "No JSON array.")
        return call

    def _remember(self, id: str, heard: _Heard) -> None:
        self._heard.pop(id, None)
        self._heard[id] = heard
        if len(self._heard) > REMEMBERED:
            del self._heard[next(iter(self._heard))]

    # ---- our calls ----

    def ask(self, ask: Ask) -> None:
        """Line up a call of ours; `next_ask` says when it is its turn."""
        self._queue.append(ask)

    def overdue(self, now: datetime) -> list[Ask]:
        """Take out and return the calls in the queue that are not worth sending any more."""
        late = [ask for ask in self._queue if ask.expires_at <= now]
        if late:
            self._queue = deque(ask for ask in self._queue if ask.expires_at > now)
        return late

    def next_ask(self, now: datetime) -> Ask | None:
        """Return the next call of ours to send, if none is open."""
        if self._open or not self._queue:
            return None
        self._open = self._queue.popleft()
        self.deadline = now + self._patience
        return self._open

    def expire(self, now: datetime) -> Ask | None:
        """Give up on the open call once its deadline has passed; a late answer will still be recognised (T-44)."""
        if self._open is None or self.deadline is None or now < self.deadline:
            return None
        ask = self._close()
        self._given_up[ask.id] = ask
        if len(self._given_up) > REMEMBERED:
            del self._given_up[next(iter(self._given_up))]
        return ask

    def abandon(self) -> tuple[Ask | None, list[Ask]]:
        """The connection is over: return the call that was open, and those that were never sent (T-46)."""
        opened, waiting = self._open, list(self._queue)
        self._open, self.deadline = None, None
        self._queue.clear()
        return opened, waiting

    @property
    def is_asking(self) -> bool:
        """Whether a call of ours is open."""
        return self._open is not None

    def _result(
        self, id: bytes, rest: list[bytes], frame: Frame, violations: tuple[Violation, ...]
    ) -> Answered | Unread:
        ask, late, noted = self._settle(id)
        if ask is None:
            return Unread(frame, "answers no call of ours", (*violations, Violation("T-44")))
        payload = rest[0] if rest else b"null"
        if payload == b"null":
            payload, violations = b"{}", (*violations, Violation("Q-32", "no payload"))
        return Answered(ask, payload, _without(ask.secret, frame), late, violations + noted)

    def _error(self, id: bytes, rest: list[bytes], frame: Frame, violations: tuple[Violation, ...]) -> Refused | Unread:
        ask, late, noted = self._settle(id)
        if ask is None:
            return Unread(frame, "an error that answers no call of ours", (*violations, Violation("T-44")))
        said, description = [*(normalise.string(part) or "" for part in rest[:2]), "", ""][:2]
        code = errors.understood(said)
        if code != said or code not in get_args(ErrorCode) or len(rest) != 3 or rest[2][:1] != b"{":
            noted += (Violation("Q-33", "an error of another form"),)
        code, description = _masked(ask.secret, code), _masked(ask.secret, description)
        return Refused(ask, code, description[:255], _without(ask.secret, frame), late, violations + noted)

    def _settle(self, raw: bytes) -> tuple[Ask | None, bool, tuple[Violation, ...]]:
        """Return which call of ours is answered, whether that is late, and what is odd about the id."""
        id = normalise.string(raw)
        if self._open is not None and self._open.id == id:
            return self._close(), False, ()
        late = self._given_up.pop(id or "", None)
        if late is None and self._open is not None and self.is_lenient:
            return self._close(), False, (Violation("Q-29", "the id is none of ours"),)
        return late, True, ()

    def _close(self) -> Ask:
        assert self._open, "no call is open"
        ask, self._open, self.deadline = self._open, None, None
        return ask


def call_frame(id: str, action: str, payload: Struct) -> bytes:
    """Return the frame of a call of ours."""
    return msgspec.json.encode([2, id, action, payload])


def _action(rest: list[bytes], violations: tuple[Violation, ...]) -> tuple[str | None, tuple[Violation, ...]]:
    """Return which action a call names, if it names one. What must not be refused is known in other letters too, and as
    OCPP's own texts call it: `StopTransaction.req` (Q-26).
    """
    said = normalise.string(rest[0]) if rest else None
    if said is None or said in ALWAYS_ANSWERED or len(said) > LONGEST_ACTION:
        return said, violations
    bare = re.sub(r"[\W_]*req(?:uest)?[\W_]*$", "", said, flags=re.IGNORECASE)
    meant = normalise.word(tuple(ALWAYS_ANSWERED), bare)
    if meant is None:
        return said, violations
    return meant, (*violations, Violation("Q-26", "an action spelt otherwise"))


def _echoable(id: bytes) -> bool:
    return id[:1] not in b"[{"


def _of_id(id: bytes) -> tuple[Violation, ...]:
    if id[:1] == b'"' and 2 < len(id) <= 38:
        return ()
    return (Violation("Q-27", "an id is a text of 1 to 36 characters"),)


def _without(secret: str, frame: Frame) -> Frame:
    """Stations echo what they were asked: what is secret is not kept (architecture §7)."""
    if not secret:
        return frame
    if frame.base64 is not None:
        return Frame(base64=re.sub(re.escape(secret.encode()), b"***", frame.base64, flags=re.IGNORECASE))
    return Frame(_masked(secret, frame.text))


def _masked(secret: str, text: str) -> str:
    """Return `text` without what is secret, in whatever letters it is said."""
    return re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE) if secret else text
