"""Every frame of the log through today's rules, beside what was made of it when it came: the gate for a change of them.

It reads `stations` from its beginning to where it ends now, and writes nothing anywhere. A station's record is what the
registry says today; how a boot was answered is taken from its report, for that was a decision and no translation.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields, replace

from chassis import kafka, logs
from chassis.copies import Copy, Whole
from chassis.errors import SaysWhatToDo
from chassis.kafka import CopyKeeper, TopicPartition, full
from chassis.secrets import Secrets
from chassis.settings import Settings, load_or_exit
from contracts.cloudevents import Unreadable, from_headers
from contracts.event import CommandId, StationId
from contracts.reference import Station, StationRecord
from contracts.stations import (
    CallFailed,
    CallRefused,
    CallSent,
    ConnectionClosed,
    ConnectionOpened,
    Frame,
    FrameUnread,
    Report,
    Said,
    StationBooted,
    StationEvent,
)
from contracts.topics import REGISTRY, STATIONS
from services.gateway import v16
from services.gateway.profiles import Hardware
from services.gateway.protocol import Answered, Ask, Broken, Call, Connection, Refused, Unread
from services.gateway.v16 import Line

OF_HISTORY = frozenset({"T-42", "T-68"})
"""Rules that depend on what is not in the log: most heartbeats, and which stations a process has heard to boot."""
LONGEST = 160
"""So many characters of a value are shown."""


class Wire(Struct):
    """What the frames of a connection are read with."""

    is_whole: bool = False
    """The log has its beginning."""
    hardware: Hardware | None = None
    asks: dict[CommandId, Ask] = {}


class Difference(Struct, frozen=True):
    """A frame of which today's rules make something else."""

    place: str
    station: StationId
    what: str


class Result(Struct):
    """What came of it."""

    frames: int = 0
    same: int = 0
    left_out: int = 0
    """Frames of connections that began before the log does, where that may be why they differ."""
    unreadable: int = 0
    differences: int = 0
    shown: list[Difference] = []

    def __str__(self) -> str:
        return f"frames {self.frames}, same {self.same}, different {self.differences}"


Kept = Said | CallFailed
"""What may be made of a frame."""


def frame_of(kept: Kept) -> Frame | None:
    """Return the frame that a report was made of, if it was made of one."""
    return kept.frame


def again(line: Line, kept: Kept, ask: Ask | None, received: datetime) -> Report | None:
    """Return what today's rules report of the frame in `kept`; None: nothing."""
    frame = frame_of(kept)
    assert frame is not None, "it was made of a frame"
    connection = Connection()
    connection.is_lenient = line.quirks.lenient_correlation
    if ask is not None:
        _open(connection, ask, received, late=getattr(kept, "late", False))
    common: dict[str, Any] = {
        "at": received,
        "tenant": line.tenant,
        "station": line.station,
        "gateway": line.gateway,
        "reply_to": line.reply_to,
        "epoch": line.epoch,
    }
    match connection.receive(frame.base64 if frame.base64 is not None else frame.text.encode()):
        case Call() as call if isinstance(kept, CallRefused) and kept.code == "SecurityError":
            return v16.refused(line, Broken(call, "SecurityError", kept.description), received)
        case Call() as call:
            return v16.report(line, call, received)
        case Broken() as broken:
            return v16.refused(line, broken, received)
        case Answered() as answered:
            return v16.outcome(line, answered, received)
        case Refused() as refused:
            return CallFailed(
                **common,
                command=refused.ask.command,
                reason="CallError",
                code=refused.code,
                description=refused.description,
                frame=refused.frame,
                late=refused.late,
                violations=refused.violations,
            )
        case Unread(unread, reason, violations):
            return FrameUnread(**common, frame=unread, reason=reason, violations=violations)
        case _:
            return None


def _open(connection: Connection, ask: Ask, received: datetime, *, late: bool) -> None:
    """Let a call of ours be open, or given up."""
    connection.ask(ask)
    connection.next_ask(received)
    if late and connection.deadline is not None:
        connection.expire(connection.deadline)


def differing(kept: Report, now: Report | None) -> str:
    """Return in what two reports differ; empty: in nothing."""
    if now is None or type(now) is not type(kept):
        return f"{type(kept).__name__} -> {'nothing' if now is None else type(now).__name__}"
    old, new = _timeless(kept), _timeless(now)
    if msgspec.json.encode(old) == msgspec.json.encode(new):
        return ""
    pairs = ((field.name, getattr(old, field.name), getattr(new, field.name)) for field in fields(old))
    found = (f"{name}: {_short(one)} -> {_short(other)}" for name, one, other in pairs if one != other)
    return f"{type(kept).__name__}: {'; '.join(found)}"


def _timeless(event: Report) -> Report:
    violations = getattr(event, "violations", None)
    if not violations or all(violation.rule not in OF_HISTORY for violation in violations):
        return event
    left = tuple(violation for violation in violations if violation.rule not in OF_HISTORY)
    return replace(event, violations=left)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class Reading:
    """A partition's reports, one after the other."""

    def __init__(self, registry: Copy[StationRecord], secrets: Secrets, result: Result, *, most: int) -> None:
        self._registry, self._secrets, self._result, self._most = registry, secrets, result, most
        self._wires: dict[tuple[StationId, int], Wire] = {}

    def take(self, event: StationEvent, received: datetime, place: str, offset: int) -> None:
        """Compare a report with what its frame says today, and keep what later ones are read with."""
        match event:
            case ConnectionOpened(station=station):
                self._wires[station, offset] = Wire(is_whole=True)
            case ConnectionClosed(station=station, epoch=epoch):
                self._wires.pop((station, epoch), None)
            case CallSent():
                self._wire(event).asks[event.command] = ask_of(event)
            case Said() | CallFailed() if frame_of(event) is not None:
                self._compare(event, received, place)
            case _:
                pass

    def _wire(self, event: Report) -> Wire:
        return self._wires.setdefault((event.station, event.epoch), Wire())

    def _compare(self, kept: Kept, received: datetime, place: str) -> None:
        wire, result = self._wire(kept), self._result
        line = self._line(kept, wire)
        ask = self._asked(kept, wire)
        now = again(line, kept, ask, received)
        if isinstance(now, StationBooted):
            wire.hardware = v16.hardware_of(now)
        what = differing(kept, now)
        if what and not wire.is_whole:
            result.left_out += 1
            return
        result.frames += 1
        if not what:
            result.same += 1
            return
        result.differences += 1
        if len(result.shown) < self._most:
            result.shown.append(Difference(place, kept.station, what))

    def _line(self, kept: Kept, wire: Wire) -> Line:
        known = self._registry.get(kept.station)
        record = (
            known if isinstance(known, Station) else Station(at=kept.at, tenant=kept.tenant, version=0, id=kept.station)
        )
        if isinstance(kept, StationBooted):
            record = replace(record, boot_status=kept.status, heartbeat_s=kept.interval_s)
        line = Line(kept.tenant, kept.station, kept.gateway, kept.reply_to, record, self._secrets, kept.epoch)
        return v16.knowing(line, record, wire.hardware)

    @staticmethod
    def _asked(kept: Kept, wire: Wire) -> Ask | None:
        command = getattr(kept, "command", None)
        return None if command is None else wire.asks.get(command)


def ask_of(sent: CallSent) -> Ask:
    """Return our call as it was sent, without what is secret in it."""
    shown = sent.frame.text.encode()
    id, action = msgspec.json.decode(shown)[1:3]
    return Ask(id, sent.command, action, shown, shown, sent.at)


async def _records(settings: Settings, partition: int) -> AsyncIterator[Any]:
    """Yield what a partition of `stations` holds, up to where it ends now."""
    place = TopicPartition(full(settings, STATIONS.name), partition)
    consumer = kafka.plain_consumer(settings, committed=False)
    await kafka.started(consumer, "retranslate")
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=500, max_records=5000)).get(place, []):
                if record.offset < end:
                    yield record
    finally:
        await kafka.departed(consumer)


async def retranslated(settings: Settings, *, most: int) -> Result:
    """Return how today's rules differ from what was made of the frames in the log. Raises `WrongTopics`."""
    await kafka.check_topics(settings, [STATIONS.name, REGISTRY.name])
    secrets, result = Secrets(settings.secret.get_secret_value()), Result()
    async with CopyKeeper(settings, Whole(REGISTRY, rekey=_station)) as copies:
        for partition in range(settings.partitions):
            reading = Reading(copies.of(REGISTRY), secrets, result, most=most)
            async for record in _records(settings, partition):
                try:
                    event = STATIONS.decode(record.value or b"")
                    received = from_headers(record.headers).recorded_time
                except Unreadable:
                    result.unreadable += 1
                    continue
                reading.take(event, received, f"{STATIONS.name}-{partition}@{record.offset}", record.offset)
    return result


def _station(key: bytes) -> bytes:
    return key.partition(b"/")[2]


def main(most: int) -> int:
    """Print the differences, at most so many, and a line that counts them. The exit code says whether there are any."""
    settings = load_or_exit()
    logs.setup("retranslate", style=settings.log, level=settings.log_level)
    try:
        result = asyncio.run(retranslated(settings, most=most))
    except SaysWhatToDo as wrong:
        logs.log.error(str(wrong))
        return 1
    for each in result.shown:
        print(f"{each.place}\t{each.station}\t{each.what}")
    if result.left_out:
        print(f"left out: {result.left_out} frames of connections that are older than the log", file=sys.stderr)
    if result.unreadable:
        print(f"unreadable: {result.unreadable} records", file=sys.stderr)
    print(result)
    return 1 if result.differences else 0
