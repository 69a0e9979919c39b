"""What a station's session state takes in the log: the largest state, its largest record, and bytes written per frame.

Two stations through the rules of sessions, each frame in a transaction of its own, which is the worst case: one with 10,000
sessions, one with a session of 24 hours that is read every 10 seconds. The floor is the state written whole, as one record.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from benchmarks.harness import Figure, Ground, Mark
from chassis.loop import OFFSETS, STATE_LIMIT, Reached
from chassis.parts import Form
from chassis.settings import Settings
from contracts.authorizations import TokenDecided, TokenInfo
from contracts.event import Event, GatewayId, StationId, TenantId, TokenId, TransactionId, derived_id
from contracts.stations import Frame, MetersRead, Reading, Sample, TransactionEnded, TransactionStarted
from contracts.topics import GATEWAYS
from services.sessions import domain, worker
from services.sessions.heard import Heard

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SESSIONS, FRAMES_PER_SESSION = 10_000, 6
DAY_OF_FRAMES = 24 * 60 * 6
KEY = b"acme/ST1"
WHO: dict[str, Any] = {"tenant": TenantId("acme"), "station": StationId("ST1")}
FROM: dict[str, Any] = {
    **WHO,
    "gateway": GatewayId("g"),
    "reply_to": 0,
    "epoch": 1,
    "message_id": '"x"',
    "frame": Frame(),
}
CARD = TokenId("0123456789abcdef" * 2)
MARK = Mark(at_most=0.2)


@dataclass
class Written:
    """What the log has taken of one station's state."""

    frames: int = 0
    bytes: int = 0
    """With the record of the offsets, which each transaction writes."""
    whole: int = 0
    """What it would have been without parts."""
    largest_state: int = 0
    largest_record: int = 0

    def figures(self, name: str, mark: Mark | None = None) -> list[Figure]:
        per_frame, whole = self.bytes / self.frames, self.whole / self.frames
        return [
            Figure(f"records: bytes per frame, {name}", per_frame, "bytes", floor=whole, mark=mark),
            Figure(f"records: largest record, {name}", self.largest_record, "bytes", mark=Mark(at_most=STATE_LIMIT)),
            Figure(f"records: largest state, {name}", self.largest_state, "bytes", mark=Mark(at_most=STATE_LIMIT)),
        ]


class Station:
    """One station's state, and its records."""

    def __init__(self) -> None:
        self.state: Any = domain.initial
        self.written = Written()
        self._form = Form(worker.build(Settings()))
        self._answers = GATEWAYS.classes
        self._offsets = len(OFFSETS) + len(
            msgspec.json.encode(Reached({"stations": 10**7, "authorizations": 10**7}, 10**8))
        )

    def hear(self, event: Event, id: str, *, frame: bool = True) -> None:
        before = self.state
        for said in domain.decide(self.state, Heard(event, id)):
            if not isinstance(said, self._answers):
                self.state = domain.evolve(self.state, said)
        self.written.frames += frame
        if self.state == before:
            return
        records = self._form.write(KEY, self.state, before)
        sizes = [len(key) + len(value or b"") for key, value in records.items()]
        size = self._form.size(self.state)
        self.written.bytes += sum(sizes) + self._offsets
        self.written.whole += size + len(KEY) + self._offsets
        self.written.largest_state = max(self.written.largest_state, size)
        self.written.largest_record = max(self.written.largest_record, *map(len, filter(None, records.values())))


def read(number: int, at: datetime, wh: int) -> MetersRead:
    """Return a reading of four samples."""
    measurands = ("Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage")
    samples = tuple(Sample(str(wh), measurand) for measurand in measurands)
    return MetersRead(
        at=at, **FROM, evse=1, connector=1, transaction=TransactionId(str(number)), readings=(Reading(at, samples),)
    )


def session(number: int, at: datetime, wh: int, frames: int) -> Iterator[tuple[Event, str, bool]]:
    """Yield what is heard of one session: its start, the decision, readings every 10 s, its stop."""
    start = f"start {number}"
    yield TransactionStarted(at=at, **FROM, evse=1, connector=1, token=CARD, meter_wh=wh), start, True
    decided = TokenDecided(at=at, **WHO, report=derived(start), purpose="start", token=CARD, info=TokenInfo("Accepted"))
    yield decided, f"decision {number}", False
    for frame in range(1, frames + 1):
        yield read(number, at + timedelta(seconds=10 * frame), wh + frame), f"reading {number}/{frame}", True
    end = at + timedelta(seconds=10 * frames + 5)
    yield (
        TransactionEnded(
            at=end, **FROM, transaction=TransactionId(str(number)), meter_wh=wh + frames + 1, reason="Local"
        ),
        f"stop {number}",
        True,
    )


def derived(what: str) -> str:
    return derived_id(what, "benchmark", 0)


def many_sessions(count: int) -> Written:
    """Return what a station with so many sessions has written."""
    station, wh = Station(), 0
    for number in range(1, count + 1):
        for event, id, frame in session(number, NOON + timedelta(minutes=5 * number), wh, FRAMES_PER_SESSION - 2):
            station.hear(event, derived(id), frame=frame)
        wh += FRAMES_PER_SESSION
    return station.written


def long_session(frames: int) -> Written:
    """Return what a station in whose session the meter is read so often has written."""
    station = Station()
    for event, id, frame in session(1, NOON, 0, frames):
        station.hear(event, derived(id), frame=frame)
    return station.written


async def measure(ground: Ground) -> list[Figure]:
    """Return the figures of both stations."""
    ground.say(f"{SESSIONS:,} sessions of {FRAMES_PER_SESSION} frames")
    many = await asyncio.to_thread(many_sessions, SESSIONS)
    ground.say(f"one session of {DAY_OF_FRAMES:,} frames")
    long = await asyncio.to_thread(long_session, DAY_OF_FRAMES)
    return [*many.figures("10,000 sessions", MARK), *long.figures("24 h session")]
