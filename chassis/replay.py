"""Replay: what the log says, worked out anew and compared with what is there. It decides nothing, sends nothing, changes nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chassis import kafka
from chassis.kafka import Chunk, Record, TopicPartition, full, record_of
from chassis.loop import OFFSETS, PARKED, Reached, committed, sequence_of
from chassis.parts import Form, Found, part_key
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.topics import Topic

SHOWN = 5
"""So many differences of a thing are named."""

Places = Mapping[tuple[str, int], int]
"""An offset for each partition; topics without the deployment's prefix."""


@dataclass
class Verdict:
    """What came of one comparison."""

    what: str
    equal: int = 0
    different: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def compare(self, name: str, kept: object, replayed: object) -> None:
        """Count a thing that is kept, and what the log makes of it; None: there is none."""
        if kept == replayed:
            self.equal += 1
        elif replayed is None:
            self.different.append(f"{name}: kept, but the log knows nothing of it")
        elif kept is None:
            self.different.append(f"{name}: in the log, but not kept")
        else:
            self.different.append(f"{name}: kept {_short(kept)}, but the log makes it {_short(replayed)}")

    def lines(self) -> list[str]:
        """Return what to print."""
        shown = [f"  {line}" for line in self.different[:SHOWN]]
        more = len(self.different) - SHOWN
        return [
            f"{self.what}: {self.equal} of {self.equal + len(self.different)} equal",
            *shown,
            *([f"  and {more} more"] if more > 0 else []),
            *(f"  {note}" for note in self.notes),
        ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


# ---- states --------------------------------------------------------------------------------------------------------


async def states(stream: Stream, settings: Settings) -> Verdict:
    """Fold a decider's outputs, and compare with the states it keeps, byte for byte.

    Of a service at work, the states as of some commit are compared with the outputs until then.
    """
    verdict = Verdict(f"{stream.name}.state")
    form = Form(stream)
    for number in range(settings.partitions):
        found, reached = await _kept(stream, settings, number)
        folded = await _folded(stream, settings, number, reached.sequence, verdict)
        for key in sorted(folded.keys() | found.states.keys()):
            kept = _as_written(form, key, found)
            verdict.compare(key.decode(errors="replace"), kept, form.write(key, folded[key]) if key in folded else None)
    return verdict


def _as_written(form: Form, key: bytes, found: Found) -> Mapping[bytes, bytes | None] | None:
    """Return the records of a state as they lie in the log; those of another release as we would write them."""
    if key not in found.states:
        return None
    parts = found.parts.get(key, {})
    lying: dict[bytes, bytes | None] = {key: found.states[key]}
    lying |= {part_key(name, key): value for name, value in parts.items()}
    try:
        state, as_ours = form.read(found.states[key], parts)
    except (ValueError, KeyError, RecursionError):
        return lying
    return lying if as_ours else form.write(key, state)


async def _kept(stream: Stream, settings: Settings, number: int) -> tuple[Found, Reached]:
    found, reached = Found(), Reached({}, 0)
    place = TopicPartition(full(settings, f"{stream.name}.state"), number)
    async for record in committed(settings, stream.outputs[0], place, f"{stream.name}.state"):
        if record.key == OFFSETS:
            with suppress(ValueError):
                reached = msgspec.json.decode(record.value or b"", type=Reached)
        elif not record.key.startswith(PARKED):
            found.take(record.key, record.value)
    return found, reached


async def _folded(stream: Stream, settings: Settings, number: int, sequence: int, verdict: Verdict) -> dict[bytes, Any]:
    """Return the states that the outputs up to a sequence number make."""
    rows: list[tuple[int, Topic[Any], Record]] = []
    for topic in stream.outputs:
        place = TopicPartition(full(settings, topic.name), number)
        begin: int | None = None
        async for record in committed(settings, topic, place, f"fold {topic.name}"):
            begin = record.offset if begin is None else begin
            at = sequence_of(record)
            if record.value is not None and at is not None and at <= sequence:
                rows.append((at, topic, record))
        if begin and topic.kept_days is not None:
            verdict.notes.append(
                f"{topic.name}, partition {number}, begins at offset {begin}: what was before is not folded"
            )
    states: dict[bytes, Any] = {}
    for _, topic, record in sorted(rows, key=lambda row: row[0]):
        event = topic.decode(record.value or b"")
        key = stream.key_of_state(event).encode() if stream.key_of_state else record.key
        before = states.get(key, stream.rules.initial)
        if (after := stream.rules.evolve(before, event)) != before:
            states[key] = after
    return states


# ---- what is read from the log -------------------------------------------------------------------------------------


async def begins(settings: Settings, until: Places) -> dict[tuple[str, int], int]:
    """Return where each partition begins now."""
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, "replay")
    try:
        places = {TopicPartition(full(settings, name), number): (name, number) for name, number in until}
        return {places[place]: offset for place, offset in (await consumer.beginning_offsets(list(places))).items()}
    finally:
        await kafka.departed(consumer)


async def chunks(settings: Settings, topics: tuple[Topic[Any], ...], until: Places) -> AsyncIterator[list[Chunk]]:
    """Yield all committed records before these offsets, as a service without a group reads them."""
    named = {topic.name: topic for topic in topics}
    places = {TopicPartition(full(settings, name), number): (name, number) for name, number in until}
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, "replay")
    try:
        consumer.assign(list(places))
        behind = {
            place
            for place, first in (await consumer.beginning_offsets(list(places))).items()
            if first < until[places[place]]
        }
        consumer.pause(*(places.keys() - behind))
        await consumer.seek_to_beginning(*places)
        while behind:
            polled = await consumer.getmany(timeout_ms=200, max_records=2000)
            batch = [_chunk(named[places[place][0]], raws, until[places[place]]) for place, raws in polled.items()]
            if found := [chunk for chunk in batch if chunk.records]:
                yield found
            over = {place for place in behind if await consumer.position(place) >= until[places[place]]}
            consumer.pause(*over)
            behind -= over
    finally:
        await kafka.departed(consumer)


def _chunk(topic: Topic[Any], raws: list[Any], until: int) -> Chunk:
    records = [record_of(topic, raw) for raw in raws if raw.offset < until]
    return Chunk(topic, raws[0].partition, records, records[-1].offset + 1 if records else 0)
