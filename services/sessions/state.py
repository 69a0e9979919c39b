"""What is remembered of one station: little enough to be written with every change of it.

Everything is bounded, at the worst of all at once by about 100 KiB; an ordinary station takes 5 to 30.
"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct, field

from contracts.authorizations import Purpose, TokenInfo
from contracts.event import GatewayId, Instant, RepairId, SessionId, SiteId, StationId, TenantId, TokenId, TransactionId
from services.sessions.ledger import Line
from services.sessions.meter import Meter

OPEN = 32
"""Sessions that can be open at once: more than any station has connectors."""
CLOSED = 64
"""Sessions that are over and that something may still be said about."""
ENDED = 16
"""Those of them with a real stop: only a repetition of it, or a late reading, can come yet."""
REPORTS = 32
"""The latest starts and stops, by their `ce_id`, so that a decision finds its session."""
WAITING = 16
"""Answers that are owed, and decisions that came early."""
FRAMES = 64
"""The latest `MetersRead`, as digests of 8 bytes, so that one said again is not taken twice."""
MARKS = 128
"""The latest samples of sessions that go on, as marks of 4 bytes, so that a stop that says them again is told from one that says more."""
NAMES = 4
"""Former transaction ids of a session."""
LONGEST_MESSAGE_ID = 255
"""In characters: a call with a longer one is left to the gateway."""
LONGEST_TRANSACTION = 40
"""In characters: nobody was given a longer id (OCPP 2.x allows 36)."""


SILENCE = timedelta(days=7)
"""A session of which nothing has been heard for so long is presumed to be over."""
REPAIRS = 16
"""The latest repairs, so that one asked for again is not done twice."""
STRANGERS = 8
"""Transactions that nobody began here, of which a meter was read."""
LINES = 40
"""Connectors whose register is followed for the energy ledger."""


class Begun(Meter, frozen=True, kw_only=True, omit_defaults=True):
    """A session whose start has been heard, with its meter."""

    id: SessionId
    transaction: TransactionId
    names: tuple[TransactionId, ...] = ()
    evse: int
    connector: int
    token: TokenId
    started_at: Instant
    said_at: Instant | None = None
    """When it started by the station's clock, where that cannot be right."""
    heard_at: Instant | None = None
    site: SiteId | None = None
    time_zone: str = "UTC"
    info: TokenInfo | None = None
    """What the station has been told about the token."""
    start_flags: tuple[str, ...] = ()
    """What its start was flagged with, and what its end must say too."""
    on_line: bool = False
    """Its register is the one that its connector's energy is followed by."""

    @property
    def since(self) -> Instant:
        """When it started, by the clock that its samples are stamped with."""
        return self.said_at or self.started_at

    def is_called(self, transaction: TransactionId) -> bool:
        return transaction == self.transaction or transaction in self.names


class Charging(Begun, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It goes on. `newest`: the newest time of each series of samples, in ms since 1970."""

    newest: dict[str, int] = field(default_factory=dict)
    until: Instant | None = None
    """When it is looked at again: is it over although no stop came?"""
    suspected: str = ""
    """Why it may be over."""
    marked_before: int | None = None
    """How many samples had been marked when it started; None: not all of its own have been."""
    lively: bool = False
    """Something has been heard of it since it was looked at."""
    meter_until: Instant | None = None
    """When its meter is looked at: is it still read?"""
    metered: bool = False
    """It has been read since it was looked at."""

    @property
    def accepted(self) -> bool:
        return self.info is not None and self.info.status == "Accepted"


class Presumed(Begun, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It must be over, but nobody has said so."""


class Guess(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be known of a stop that was taken for a session's, should it turn out to be another's (X-23)."""

    report: str
    reason: str
    token: TokenId | None = None


class Ended(Begun, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Its stop has been heard. `guessed`: that stop did not name it, so one that does counts instead (X-23)."""

    stopped_at: Instant
    stop_wh: int | None = None
    guessed: bool = False
    stop_said_at: Instant | None = None
    stop_name: TransactionId = TransactionId("")
    """What a stop that did not name it called it."""
    guess: Guess | None = None
    """That stop, until one that names the session shows that it was none of its own."""

    @property
    def said(self) -> Instant:
        """When it stopped, by the station's clock."""
        return self.stop_said_at or self.stopped_at


class Discarded(Begun, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Somebody has said that it counts for nothing."""


class Quarantined(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A stop whose start has not been heard."""

    id: SessionId
    report: str
    transaction: TransactionId
    stopped_at: Instant
    stop_wh: int | None = None
    token: TokenId | None = None
    reason: str
    said_at: Instant | None = None
    energy_wh: int | None = None
    on_line: bool = False
    """Its energy moved the register that its connector's energy is followed by."""

    @property
    def said(self) -> Instant:
        """When it stopped, by the station's clock."""
        return self.said_at or self.stopped_at


class Settled(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A stop that was in quarantine until somebody attached or discarded it. `session`: the one it counts for, or its own."""

    id: SessionId
    session: SessionId
    transaction: TransactionId
    said: Instant
    stop_wh: int | None = None


Closed = Presumed | Ended | Discarded | Quarantined | Settled
Session = Charging | Closed


class Stranger(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A transaction that nobody began here, by the first that was heard of its meter (X-22)."""

    report: str
    transaction: TransactionId
    evse: int
    connector: int
    at: Instant
    wh: int


class Owed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that a station waits for."""

    report: str
    session: SessionId
    purpose: Purpose
    message_id: str
    gateway: GatewayId
    reply_to: int
    epoch: int


class Early(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision about a report that has not been heard yet."""

    report: str
    at: Instant
    purpose: Purpose
    info: TokenInfo
    undecided: bool = False
    transaction: TransactionId | None = None


class Station(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """What has become of a station's transactions. `last` is the last transaction id that was given."""

    last: int = 0
    open: tuple[Charging, ...] = ()
    closed: tuple[Closed, ...] = ()
    past: bytes = b""
    frames: bytes = b""
    reports: tuple[tuple[str, SessionId], ...] = ()
    owed: tuple[Owed, ...] = ()
    early: tuple[Early, ...] = ()
    tenant: TenantId = TenantId("")
    station: StationId = StationId("")
    lines: tuple[Line, ...] = ()
    marks: bytes = b""
    marked: int = 0
    """How many samples have been marked ever."""
    strangers: tuple[Stranger, ...] = ()
    lags: tuple[tuple[int, int], ...] = ()
    """How long after the station's times we have heard of things lately (`clocks.Lag`)."""
    behind_s: int = 0
    """By how much its clock is known to be behind ours."""
    repairs: tuple[tuple[RepairId, str], ...] = ()
    """Each with its fingerprint."""

    def sessions(self) -> Iterator[Session]:
        """Return all that are remembered: those that go on, then the others, the latest first."""
        yield from self.open
        yield from reversed(self.closed)

    def session(self, id: SessionId) -> Session | None:
        return next((session for session in self.sessions() if session.id == id), None)

    def called(self, transaction: TransactionId) -> Charging | Presumed | Ended | Discarded | None:
        """Return the session that the station calls so by any of its ids; placeholders name none (X-12)."""
        if not is_name(transaction):
            return None
        begun = (session for session in self.sessions() if isinstance(session, Begun))
        return next((session for session in begun if session.is_called(transaction)), None)

    def open_at(self, evse: int, connector: int) -> Charging | None:
        return next((s for s in self.open if (s.evse, s.connector) == (evse, connector)), None)

    def reported(self, report: str) -> SessionId | None:
        """Return the session that a start or stop was about."""
        return next((session for id, session in self.reports if id == report), None)

    def stranger(self, transaction: TransactionId | None) -> Stranger | None:
        return next((stranger for stranger in self.strangers if stranger.transaction == transaction), None)

    def early_for(self, report: str) -> list[Early]:
        """Return what was decided early about a report; what the station has been told already comes first."""
        return sorted((early for early in self.early if early.report == report), key=lambda early: not early.undecided)

    def owed_for(self, report: str) -> Owed | None:
        return next((owed for owed in self.owed if owed.report == report), None)


State = Station


def blocks(closed: tuple[Closed, ...]) -> Iterator[tuple[str, tuple[Closed, ...]]]:
    """Yield sessions that are over one by one, to be kept apart (`Stream.apart`): each is there once."""
    for session in closed:
        yield session.id, (session,)


def is_name(transaction: TransactionId) -> bool:
    """Return whether an id names anything: 0 and -1 stand for none, and nobody was given one that long."""
    return transaction not in {"", "0"} and not transaction.startswith("-") and len(transaction) <= LONGEST_TRANSACTION
