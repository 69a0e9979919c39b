"""The exactly-once loop: read, decide, and commit outputs, state and offsets in one Kafka transaction (architecture §3).

One `Partition` runs per partition number, over that number of every input. What must be done in which order:

1. its producer starts, which fences the former owner, so what is read afterwards is all there will ever be of it;
2. the states and the reached offsets are read back from `<service>.state`;
3. batches are decided; outputs, changed states and offsets are committed together;
4. answers follow the commit, so that none contradicts it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from heapq import heappop, heappush
from typing import Any

import msgspec

from chassis import clock, kafka, metrics
from chassis.copies import Copies
from chassis.errors import SaysWhatToDo
from chassis.inbox import Inbox, Intake
from chassis.kafka import CopyKeeper, KafkaError, Log, Record, TopicPartition, full, partition_of_key, record_of
from chassis.logs import log
from chassis.parts import Form, Found
from chassis.progress import PROGRESS
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.cloudevents import Attributes, Unreadable, to_headers
from contracts.event import Event, Message, Ticked, derived_id
from contracts.topics import CATALOGUE, Topic

MAX_RECORDS = 500
LINGER_S = 0.05
STATE_LIMIT = 128 * 1024
OUTPUT_LIMIT = 3_500_000
OFFSETS = b"~offsets"
PARKED = b"~parked/"
OFFSETS_AT_LEAST_EVERY_S = 60
COMMIT_FOR_LAG_EVERY_S = 5
CUT = 1 << 20
"""So much of the value is kept of a record that is too large to be written again."""
PARKED_AT_MOST = 10
"""Keys that one partition may park in a minute without being more than 1 % of them: below this, it is no bad release."""


class StateTooLarge(Exception):
    """A state would not fit its record."""


class OutputTooLarge(Exception):
    """An event would not fit its record."""


class TooManyParked(SaysWhatToDo):
    """So many keys fail at once that the rules must be at fault, not the records."""


class StateUnreadable(SaysWhatToDo):
    """The state topic does not say any more how far the service has come."""


class RuleFailed(Exception):
    """A rule raised for this record."""

    def __init__(self, record: Record | None, key: bytes, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.record, self.key, self.error = record, key, error


class Replay(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """On `<service>.parked`: feed this record's key through the rules again, and unpark it."""

    requested_at: datetime


class Parked(msgspec.Struct, frozen=True):
    """Why and since where the records of a key are put aside."""

    since: datetime
    error: str
    first: int
    """From which offset of `<service>.parked` on the records of the key wait."""


class Reached(msgspec.Struct, frozen=True):
    """How far a partition has come: the next offset of each input, and how many outputs it has written."""

    offsets: dict[str, int]
    sequence: int


@dataclass
class Held:
    """What is known of a partition number at the last commit."""

    states: dict[bytes, Any] = field(default_factory=dict)
    otherwise: dict[bytes, frozenset[str]] = field(default_factory=dict)
    """Keys whose states are not in the log as we would write them, and which parts of them are: next time they are written
    whole."""
    parked: dict[bytes, Parked] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    sequence: int = 0
    last: int = -1
    """Where our last record in the state topic lies: if no other follows it, this is the truth."""


@dataclass
class Outcome:
    """What a batch comes to. Nothing of it counts before the commit."""

    states: dict[bytes, Any] = field(default_factory=dict)
    outputs: list[tuple[Event, bytes | None, str, str | None]] = field(default_factory=list)
    """Each with its record's value, its id and its trace."""
    answers: list[tuple[Event, str, str | None]] = field(default_factory=list)
    parked: dict[bytes, Parked | None] = field(default_factory=dict)
    put_aside: list[tuple[Record, str]] = field(default_factory=list)
    unread: list[tuple[Record, str]] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    written: dict[bytes, bytes | None] = field(default_factory=dict)
    """The changed states as they go into the log."""
    sizes: dict[bytes, int] = field(default_factory=dict)
    """How large each of them is, as a whole."""

    def needs_a_transaction(self) -> bool:
        return bool(self.states or self.outputs or self.parked or self.put_aside or self.unread)


class Partition:
    """One partition number of a stream, while it is ours."""

    def __init__(self, loop: "Loop", number: int, held: Held) -> None:
        self.loop, self.number, self.held = loop, number, held
        self.stream, self.settings = loop.stream, loop.settings
        self.stopping = asyncio.Event()
        self.inbox = self._fresh_inbox()
        self._deadlines: list[tuple[datetime, bytes]] = []
        self._scheduled: dict[bytes, datetime] = {}
        self._written_at = 0.0
        self._offsets_kept: dict[str, int] = {}
        self._failing: list[float] = []
        self._order = {full(self.settings, topic.name): topic for topic in CATALOGUE if topic in self.stream.inputs}
        self._ranks = {topic.name: CATALOGUE.index(topic) for topic in self.stream.inputs}
        self._parked = TopicPartition(full(self.settings, loop.parked.name), number)
        self._places = [*(TopicPartition(name, number) for name in self._order), self._parked]
        self._topic_of = {cls: topic for topic in (*self.stream.outputs, *self.stream.answers) for cls in topic.classes}
        self._answers = {cls for topic in self.stream.answers for cls in topic.classes}
        self._name = f"partition {number}"
        self._state = TopicPartition(full(self.settings, f"{self.stream.name}.state"), number)
        self._form = Form(self.stream)

    # ---- owning ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the partition until told to stop; begin anew whenever another owner or Kafka interrupts."""
        while not self.stopping.is_set():
            try:
                await self._own()
            except (kafka.ProducerFenced, kafka.InvalidProducerEpoch, kafka.OutOfOrderSequenceNumber) as error:
                log.warning("fenced: beginning anew", partition=self.number, why=type(error).__name__)
                self._forget()
                await self._pause(self.settings.session_timeout_ms / 3000)
            except KafkaError as error:
                log.warning("Kafka interrupted: beginning anew", partition=self.number, why=repr(error))
                self._forget()
                await self._pause(0.2)

    def stop(self) -> None:
        """Let the batch in hand be the last."""
        self.stopping.set()
        self.inbox.close()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _forget(self) -> None:
        self.held = Held()
        self.loop.held.pop(self.number, None)

    async def _own(self) -> None:
        producer = kafka.transactional_producer(self.settings, f"{self.stream.name}-{self.number}")
        try:
            await kafka.started(
                producer, f"{self.stream.name}-{self.number}"
            )  # fences the former owner, ends what it left open
            await self._restore()
            await self._seek()
            try:
                await self._work(producer)
            finally:
                PROGRESS.over(self._name)
                self.loop.intake.close(self.inbox)
                self._pause_inputs()
        finally:
            await kafka.abandoned(producer)

    def _assigned(self) -> list[TopicPartition]:
        held = self.loop.consumer.assignment()
        return [place for place in self._places if place in held]

    def _fresh_inbox(self) -> Inbox:
        return Inbox(pause=self._pause_inputs, resume=self._resume_inputs)

    def _pause_inputs(self) -> None:
        self.loop.consumer.pause(*self._assigned())

    def _resume_inputs(self) -> None:
        self.loop.consumer.resume(*self._assigned())

    async def _is_still_true(self) -> bool:
        """Whether nobody has written a state since we did. A transaction's marker after our last record is nobody."""
        if self.held.last < 0:
            return False
        newer = committed(self.settings, self.loop.parked, self._state, "states", first=self.held.last + 1)
        async with contextlib.aclosing(newer) as records:
            async for _ in records:
                return False
        return True

    async def _restore(self) -> None:
        """Read the partition's states back, up to what has been committed, unless what we hold is still the truth."""
        if await self._is_still_true():
            self._reschedule()
            return
        self.held = Held()
        found = Found()
        lost: dict[bytes, int] = {}
        what = f"{self.stream.name}-{self.number}"
        async for record in committed(self.settings, self.loop.parked, self._state, what):
            try:
                self._take_back(record.key, record.value, found)
            except (ValueError, RecursionError):
                lost[record.key] = record.offset
            self.held.last = record.offset
        self._check_offsets(lost)
        if unread := self._read_states(found):
            await self._fold_anew(unread)
        self._reschedule()
        metrics.STATES.labels(self.stream.name).set(sum(len(p.held.states) for p in self.loop.partitions.values()))

    def _reschedule(self) -> None:
        self._deadlines.clear()
        self._scheduled.clear()
        self._schedule_all(list(self.held.states))

    def _check_offsets(self, lost: dict[bytes, int]) -> None:
        """What nobody of us has written is passed over, unless our own word on how far we are has gone with it."""
        if lost:
            log.error("unreadable records in the state topic", topic=self._state.topic, offsets=[*lost.values()][:10])
        if OFFSETS in lost and not self.held.offsets:
            raise StateUnreadable(
                f"{self._state.topic}, partition {self.number}: what should say how far it is cannot be read (offset "
                f"{lost[OFFSETS]}), and going on would begin anew. Only the service itself may write to this topic"
            )

    def _take_back(self, key: bytes, value: bytes | None, found: Found) -> None:
        if key == OFFSETS:
            reached = msgspec.json.decode(value or b"", type=Reached)
            self.held.offsets, self.held.sequence = reached.offsets, reached.sequence
        elif key.startswith(PARKED):
            parked = None if value is None else msgspec.json.decode(value, type=Parked)
            self.held.parked.pop(key.removeprefix(PARKED), None)
            if parked is not None:
                self.held.parked[key.removeprefix(PARKED)] = parked
        else:
            found.take(key, value)

    def _read_states(self, found: Found) -> set[bytes]:
        """Take over the states that were found, and return the keys of those that cannot be read."""
        unread: set[bytes] = set()
        for key, value in found.states.items():
            parts = found.parts.get(key, {})
            try:
                self.held.states[key], as_ours = self._form.read(value, parts)
            except (ValueError, KeyError, RecursionError):  # another shape than ours and our neighbours'
                unread.add(key)
                as_ours = False
            if not as_ours:
                self.held.otherwise[key] = frozenset(parts)
        return unread

    async def _fold_anew(self, keys: set[bytes]) -> None:
        """Derive states that cannot be read from the outputs they once came with."""
        log.warning("folding states anew", partition=self.number, states=len(keys))
        rows: list[tuple[int, bytes, Event]] = []
        for topic in self.stream.outputs:
            place = TopicPartition(full(self.settings, topic.name), self.number)
            async for record in committed(self.settings, topic, place, f"fold {topic.name}"):
                if record.value is not None and (sequence := sequence_of(record)) is not None:
                    event = topic.decode(record.value)
                    key = self.stream.key_of_state(event).encode() if self.stream.key_of_state else record.key
                    if key in keys:
                        rows.append((sequence, key, event))
        for _, key, event in sorted(rows, key=lambda row: row[0]):
            self.held.states[key] = self.stream.rules.evolve(
                self.held.states.get(key, self.stream.rules.initial), event
            )

    async def _seek(self) -> None:
        consumer, places = self.loop.consumer, self._assigned()
        first = await consumer.beginning_offsets(places)
        names = {place: place.topic.removeprefix(self.settings.topic_prefix) for place in places}
        known = {place: self.held.offsets[name] for place, name in names.items() if name in self.held.offsets}
        await kafka.check_not_truncated(consumer, known)
        for place in places:
            consumer.seek(place, known.get(place, first[place]))
        consumer.resume(*places)
        self.inbox = self._fresh_inbox()
        self.loop.intake.open(places, self.inbox)

    # ---- working ---------------------------------------------------------------------------------------------------

    async def _work(self, producer: Any) -> None:
        self.loop.owned(self.number)
        self._written_at, self._offsets_kept = asyncio.get_running_loop().time(), dict(self.held.offsets)
        while not self.stopping.is_set():
            PROGRESS.beat(self._name)
            records = await self._read()
            due = await self._due()
            if not records and not due:
                await self._commit(producer, Outcome(offsets=dict(self.held.offsets)))
                continue
            for record in records:
                if record.topic is self.loop.parked:
                    await self._hear_parked(producer, record)
            await self._commit(producer, self._decide_all(records, due))
            # A tick that changed nothing is looked at again, but not at once.
            self._schedule_all([key for _, key in due], not_before=clock.now() + timedelta(seconds=1))
        if self.held.offsets != self._offsets_kept:
            await self._transact(producer, Outcome(offsets=self.held.offsets))

    async def _read(self) -> list[Record]:
        """Return the next batch: at once if somebody waits for it, else after lingering a little."""
        if not self._assigned():
            await asyncio.sleep(0.05)
            return []
        now = asyncio.get_running_loop().time
        records = self._records(await self.inbox.take(MAX_RECORDS, self._patience_s()))
        came = now()
        while 0 < len(records) < MAX_RECORDS and (left := self._lingers_until(records, came) - now()) > 0:
            records += self._records(await self.inbox.take(MAX_RECORDS - len(records), left))
            if self.stopping.is_set():
                return []  # they are read again, by whoever comes next: nothing must hold a rebalance up
        return sorted(records, key=self._rank)

    def _lingers_until(self, records: list[Record], came: float) -> float:
        """Return when a batch is to go: at once if somebody waits for it."""
        return 0.0 if any(self._awaited(record) for record in records) else came + LINGER_S

    def _patience_s(self) -> float:
        if not self._deadlines:
            return 0.5
        until = (self._deadlines[0][0] - clock.now()).total_seconds()
        return max(0.01, min(0.5, until))

    def _records(self, raws: list[Any]) -> list[Record]:
        return [
            Record(
                self._order.get(raw.topic, self.loop.parked),
                raw.partition,
                raw.offset,
                raw.key or b"",
                raw.value,
                raw.headers,
                raw.timestamp,
            )
            for raw in raws
        ]

    def _rank(self, record: Record) -> tuple[int, int]:
        return (self._ranks.get(record.topic.name, -1), record.offset)

    def _awaited(self, record: Record) -> bool:
        return _type_of(record) in self.loop.awaited

    async def _due(self) -> list[tuple[datetime, bytes]]:
        """Return the deadlines that have passed, if we have heard everything that was said before."""
        if not self._deadlines or self._deadlines[0][0] > clock.now() or not await self._caught_up():
            return []
        now = clock.now()
        due: list[tuple[datetime, bytes]] = []
        while self._deadlines and self._deadlines[0][0] <= now and len(due) < MAX_RECORDS:
            entry, key = heappop(self._deadlines)
            if self._scheduled.get(key) != entry:
                continue  # an earlier one has taken its place
            del self._scheduled[key]
            actual = self._deadline_of(key)
            if actual is not None and actual <= now:
                due.append((actual, key))
            elif actual is not None:
                self._schedule(key, actual)
        return due

    async def _caught_up(self) -> bool:
        if self.inbox:
            return False
        consumer = self.loop.consumer
        for place in self._assigned():
            stable = consumer.last_stable_offset(place)
            if stable is None or await consumer.position(place) < stable:
                return False
        return True

    def _deadline_of(self, key: bytes) -> datetime | None:
        if not self.stream.deadline or key in self.held.parked or key not in self.held.states:
            return None
        return self.stream.deadline(self.held.states[key], self.loop.copies)

    def _schedule_all(self, keys: Iterable[bytes], *, not_before: datetime | None = None) -> None:
        for key in keys if self.stream.deadline else ():
            if (deadline := self._deadline_of(key)) is not None:
                self._schedule(key, max(deadline, not_before) if not_before else deadline)

    def _schedule(self, key: bytes, deadline: datetime) -> None:
        """Look at a key's deadline at this moment: one entry per key, and a later one only once the earlier has come."""
        known = self._scheduled.get(key)
        if known is None or deadline < known:
            self._scheduled[key] = deadline
            heappush(self._deadlines, (deadline, key))

    # ---- deciding --------------------------------------------------------------------------------------------------

    def _decide_all(self, records: list[Record], due: list[tuple[datetime, bytes]]) -> Outcome:
        """Return what a batch comes to. A rule that raises is tried once more, from the committed state; then it parks."""
        try:
            return self._attempt(records, due, park=False)
        except RuleFailed as failed:
            log.warning(
                "a rule raised: trying once more", partition=self.number, why=str(failed), key=_named(failed.key)
            )
        outcome = self._attempt(records, due, park=True)
        while large := self._too_large(outcome):
            outcome = self._attempt(records, due, park=True, refused=large)
        return outcome

    def _attempt(
        self,
        records: list[Record],
        due: list[tuple[datetime, bytes]],
        *,
        park: bool,
        refused: frozenset[bytes] = frozenset(),
    ) -> Outcome:
        """Hear a batch. The keys in `refused` are parked from its beginning on: their states would be too large."""
        outcome = Outcome(offsets=dict(self.held.offsets))
        for record in records:
            outcome.offsets[record.topic.name] = record.offset + 1
            if record.topic is self.loop.parked:
                continue
            if record.key in refused and not self.is_parked(record.key, outcome):
                self._park(record, record.key, StateTooLarge(f"more than {STATE_LIMIT} bytes"), outcome)
                continue
            self._hear(record, outcome, park=park)
        for deadline, key in due:
            if key not in refused and self._is_still_due(key, deadline, outcome):
                cause = derived_id(f"{key.decode()}/{deadline.isoformat()}", self.stream.name, "tick")
                message = Message(Ticked(at=deadline), cause, clock.now(), key=key.decode())
                self._guarded(None, key, message, None, outcome, park=park)
        self._write_states(outcome)
        if not park and (large := self._too_large(outcome)):
            key = next(iter(large))
            raise RuleFailed(None, key, StateTooLarge(f"more than {STATE_LIMIT} bytes"))
        return outcome

    def _is_still_due(self, key: bytes, deadline: datetime, outcome: Outcome) -> bool:
        """Whether what the same batch has said has not moved the deadline, or parked its key."""
        if self.is_parked(key, outcome) or not self.stream.deadline:
            return False
        state = outcome.states.get(key, self.held.states.get(key))
        now = None if state is None else self.stream.deadline(state, self.loop.copies)
        return now is not None and now <= deadline

    @staticmethod
    def _too_large(outcome: Outcome) -> frozenset[bytes]:
        return frozenset(key for key, size in outcome.sizes.items() if size > STATE_LIMIT)

    def _hear(self, record: Record, outcome: Outcome, *, park: bool) -> None:
        if self.is_parked(record.key, outcome):
            self._put_aside(record, "behind a parked record", outcome)
            return
        if not self._means_something(record):
            return
        try:
            attributes, message = record.attributes(), record.message()
        except Unreadable as error:
            outcome.unread.append((record, str(error)))
            return
        _age(record.topic.name).observe(max(0.0, (clock.now() - attributes.recorded_time).total_seconds()))
        self._guarded(record, record.key, message, attributes.traceparent, outcome, park=park)

    def _means_something(self, record: Record) -> bool:
        """Whether the rules hear it. What is no event of its topic is looked at too: somebody must keep it."""
        if self.loop.heard and (kind := _type_of(record)) not in self.loop.heard:
            return kind not in record.topic.types
        return record.value is not None or not record.topic.compacted

    def is_parked(self, key: bytes, outcome: Outcome) -> bool:
        return (outcome.parked[key] if key in outcome.parked else self.held.parked.get(key)) is not None

    def _guarded(
        self,
        record: Record | None,
        key: bytes,
        message: Message[Any],
        trace: str | None,
        outcome: Outcome,
        *,
        park: bool,
    ) -> None:
        try:
            self._apply(key, message, trace, outcome)
        except Exception as error:  # whatever a rule raises is its record's fault
            if not park:
                raise RuleFailed(record, key, error) from error
            self._park(record, key, error, outcome)

    def _apply(
        self, key: bytes, message: Message[Any], trace: str | None, outcome: Outcome, *, measured: bool = False
    ) -> None:
        """Decide on one message. Raises before anything of it is in `outcome`. `measured`: also if its state is too large."""
        before = outcome.states.get(key, self.held.states.get(key, self.stream.rules.initial))
        events = self.stream.rules.decide(before, self.stream.regard(message, self.loop.copies))
        after = before
        outputs: list[tuple[Event, bytes | None, str, str | None]] = []
        answers: list[tuple[Event, str, str | None]] = []
        for number, event in enumerate(events):
            id = derived_id(message.id, self.stream.name, number)
            topic = self._topic_of[type(event)]  # an event that no topic carries is a fault of the rules
            if type(event) in self._answers:
                answers.append((event, id, trace))
                continue
            after = self.stream.rules.evolve(after, event)
            value = topic.encode(event)
            if value is not None and len(value) > OUTPUT_LIMIT:
                raise OutputTooLarge(f"{type(event).__name__} takes {len(value)} bytes")
            outputs.append((event, value, id, trace))
        if after != before:
            if measured and (size := self._form.size(after)) > STATE_LIMIT:
                raise StateTooLarge(f"{size} bytes, more than {STATE_LIMIT}")
            outcome.states[key] = after
        outcome.outputs += outputs
        outcome.answers += answers

    def _write_states(self, outcome: Outcome) -> None:
        outcome.written, outcome.sizes = {}, {}
        for key, state in outcome.states.items():
            before = None if key in self.held.otherwise else self.held.states.get(key)
            records = self._form.write(key, state, before, self.held.otherwise.get(key, ()))
            outcome.written |= records
            outcome.sizes[key] = self._form.size(state) if self.stream.apart else len(records[key] or b"")

    def _park(self, record: Record | None, key: bytes, error: Exception, outcome: Outcome) -> None:
        loop = asyncio.get_running_loop()
        self._failing = [*(t for t in self._failing if loop.time() - t < 60), loop.time()]
        if len(self._failing) > max(PARKED_AT_MOST, len(self.held.states) // 100):
            raise TooManyParked(f"{len(self._failing)} keys failed within a minute; the last: {error!r}") from error
        why = f"{type(error).__name__}: {error}"
        log.error(
            "parked: its records are put aside until `python -m chassis.dead_letters replay`",
            service=self.stream.name,
            key=_named(key),
            why=why,
            exc_info=error,
        )
        first = outcome.offsets.get(self.loop.parked.name, 0)
        outcome.parked[key] = Parked(clock.now(), why, first)
        if record is not None:
            self._put_aside(record, why, outcome)

    @staticmethod
    def _put_aside(record: Record, why: str, outcome: Outcome) -> None:
        """Let a record of a parked key wait; one that could not be written again whole is none of ours."""
        if record.is_swollen():
            outcome.unread.append((record, f"larger than any record of ours, and {why}"))
        else:
            outcome.put_aside.append((record, why))

    # ---- committing ------------------------------------------------------------------------------------------------

    def _is_time_to_keep_offsets(self, outcome: Outcome) -> bool:
        """Whether so much time has passed since the last transaction that what means nothing counts too."""
        quiet_for = asyncio.get_running_loop().time() - self._written_at
        return quiet_for > OFFSETS_AT_LEAST_EVERY_S and outcome.offsets != self._offsets_kept

    async def _commit(self, producer: Any, outcome: Outcome) -> None:
        """Make an outcome true, all of it or nothing; then answer."""
        if outcome.needs_a_transaction() or self._is_time_to_keep_offsets(outcome):
            await self._transact(producer, outcome)
        self._adopt(outcome)
        for event, id, trace in outcome.answers:
            await self._answer(event, id, trace)

    async def _answer(self, event: Event, id: str, trace: str | None) -> None:
        topic = self._topic_of[type(event)]
        if topic.partition and not 0 <= topic.partition(event) < self.settings.partitions:
            log.error("an answer to nowhere is dropped", topic=topic.name, partition=topic.partition(event))
            return
        source = f"/voltstream/{self.stream.name}"
        sent = await self.loop.answers.send(topic, event, id=id, source=source, traceparent=trace)
        sent.add_done_callback(_unheeded)

    async def _transact(self, producer: Any, outcome: Outcome) -> None:
        sequence = self.held.sequence
        PROGRESS.over(self._name)  # it takes as long as Kafka takes
        try:
            async with producer.transaction():
                for sequence, (event, value, id, trace) in enumerate(outcome.outputs, self.held.sequence + 1):
                    await self._send_output(producer, event, value, id, trace, sequence)
                for record, why in outcome.put_aside:
                    await self._send_aside(producer, self._parked.topic, record, why)
                for record, why in outcome.unread:
                    await self._send_aside(producer, full(self.settings, f"{record.topic.name}.unread"), record, why)
                last = await self._send_states(producer, outcome, sequence)
        except BaseException:
            metrics.TRANSACTIONS.labels(self.stream.name, "aborted").inc()
            raise
        metrics.TRANSACTIONS.labels(self.stream.name, "committed").inc()
        self.held.sequence, self.held.last = sequence, last.result().offset
        self._written_at, self._offsets_kept = asyncio.get_running_loop().time(), outcome.offsets

    async def _send_output(
        self, producer: Any, event: Event, value: bytes | None, id: str, trace: str | None, sequence: int
    ) -> None:
        topic: Topic[Any] = self._topic_of[type(event)]
        key = topic.key_of(event)
        attributes = Attributes(
            id=id,
            type=f"voltstream.{type(event).__name__}",
            source=f"/voltstream/{self.stream.name}",
            subject=key.decode(),
            time=event.at,
            recorded_time=clock.now(),
            traceparent=trace,
            sequence=None if self.stream.rekeyed else sequence,
        )
        await producer.send(
            full(self.settings, topic.name),
            value,
            key=key,
            partition=partition_of_key(key, self.settings.partitions) if self.stream.rekeyed else self.number,
            headers=to_headers(attributes),
        )
        _produced(topic.name).inc()

    async def _send_states(self, producer: Any, outcome: Outcome, sequence: int) -> "asyncio.Future[Any]":
        """Return what will say where the last of them lies."""
        name = full(self.settings, f"{self.stream.name}.state")
        largest = max(outcome.sizes.values(), default=0)
        for key, value in outcome.written.items():
            await producer.send(name, value, key=key, partition=self.number)
        for key, parked in outcome.parked.items():
            await producer.send(name, parked and msgspec.json.encode(parked), key=PARKED + key, partition=self.number)
        reached = msgspec.json.encode(Reached(outcome.offsets, sequence))
        if largest > metrics_of_state.get(self.stream.name, 0):
            metrics_of_state[self.stream.name] = largest
            metrics.STATE_BYTES.labels(self.stream.name).set(largest)
        last: asyncio.Future[Any] = await producer.send(name, reached, key=OFFSETS, partition=self.number)
        return last

    async def _send_aside(self, producer: Any, name: str, record: Record, why: str) -> None:
        """Write a record whole to where it waits, and say where it came from."""
        headers = [
            ("dlq_topic", record.topic.name.encode()),
            ("dlq_partition", str(record.partition).encode()),
            ("dlq_offset", str(record.offset).encode()),
            ("dlq_error", why[:500].encode()),
        ]
        if record.is_swollen():
            headers.append(("dlq_bytes", str(len(record.value or b"")).encode()))
            record = replace(record, key=record.key[:CUT], value=record.value and record.value[:CUT], headers=())
        await producer.send(
            name,
            record.value,
            key=record.key,
            partition=self.number,
            headers=[*record.headers, *headers],
            timestamp_ms=record.timestamp_ms,
        )
        if name == self._parked.topic:
            metrics.PARKED_RECORDS.labels(self.stream.name).inc()
        else:
            _tell_unread(record, why)

    def _adopt(self, outcome: Outcome) -> None:
        self.held.states |= outcome.states
        for key in outcome.states if self.held.otherwise else ():
            self.held.otherwise.pop(key, None)
        self.held.offsets = outcome.offsets
        for key, parked in outcome.parked.items():
            if parked is None:
                self.held.parked.pop(key, None)
            else:
                self.held.parked[key] = parked
        self._schedule_all([*outcome.states, *outcome.parked])
        if outcome.parked:
            metrics.PARKED_KEYS.labels(self.stream.name).set(
                sum(len(p.held.parked) for p in self.loop.partitions.values())
            )
        reached = {
            TopicPartition(full(self.settings, name), self.number): offset for name, offset in outcome.offsets.items()
        }
        self.loop.reached |= reached

    # ---- dead letters ----------------------------------------------------------------------------------------------

    async def _hear_parked(self, producer: Any, record: Record) -> None:
        """Feed a key's parked records through the rules, if this record asks for it."""
        if _type_of(record) != "voltstream.Replay" or (parked := self.held.parked.get(record.key)) is None:
            return
        waiting = await self._waiting(record.key, parked.first)
        log.info("replaying", key=_named(record.key), records=len(waiting), partition=self.number)
        while waiting:
            batch = [waiting.popleft() for _ in range(min(MAX_RECORDS, len(waiting)))]
            after = batch[-1][0] + 1
            outcome = Outcome(
                offsets=dict(self.held.offsets), parked={record.key: Parked(parked.since, parked.error, after)}
            )
            for offset, original in batch:
                try:
                    self._replay_one(original, outcome)
                except Exception as error:  # noqa: BLE001  (the repair did not repair it: it waits on, from here)
                    why = f"{type(error).__name__}: {error}"
                    log.error("still parked", key=_named(record.key), why=why, exc_info=error)
                    outcome.parked[record.key] = Parked(parked.since, why, offset)
                    self._write_states(outcome)
                    await self._commit(producer, outcome)
                    return
            if not waiting:
                outcome.parked[record.key] = None
            self._write_states(outcome)
            await self._commit(producer, outcome)
        if record.key in self.held.parked:
            await self._commit(producer, Outcome(offsets=dict(self.held.offsets), parked={record.key: None}))
        log.info("replayed", key=_named(record.key), partition=self.number)

    async def _waiting(self, key: bytes, first: int) -> deque[tuple[int, Record]]:
        found: deque[tuple[int, Record]] = deque()
        async for record in committed(self.settings, self.loop.parked, self._parked, "dead letters", first=first):
            if record.key == key and (original := self._original(record)) is not None:
                found.append((record.offset, original))
        return found

    def _original(self, record: Record) -> Record | None:
        """Return what has been put aside, as it was; None for what has not been put there by us."""
        headers = dict(record.headers)
        try:
            topic = self._order[full(self.settings, headers["dlq_topic"].decode())]
            return replace(record, topic=topic, partition=self.number, offset=int(headers["dlq_offset"]))
        except (KeyError, ValueError, TypeError, AttributeError):
            return None

    def _replay_one(self, record: Record, outcome: Outcome) -> None:
        if not self._means_something(record):
            return
        try:
            message = record.message()
        except Unreadable as error:
            outcome.unread.append((record, str(error)))
            return
        self._apply(record.key, message, record.attributes().traceparent, outcome, measured=True)


def sequence_of(record: Record) -> int | None:
    """Return the place of a decider's output among all of them; None: nobody that decides has written it."""
    try:
        return record.attributes().sequence
    except Unreadable:
        return None


metrics_of_state: dict[str, int] = {}
_age, _produced = cache(metrics.EVENT_AGE.labels), cache(metrics.EVENTS_PRODUCED.labels)


def _unheeded(sent: "asyncio.Future[Any]") -> None:
    """An answer that Kafka did not take is derived again when the station repeats itself."""
    if not sent.cancelled() and (error := sent.exception()):
        log.warning("an answer was not taken", why=repr(error))


def _tell_unread(record: Record, why: str) -> None:
    metrics.UNREADABLE.labels(record.topic.name).inc()
    log.error(
        "unreadable: kept in its topic's .unread",
        topic=record.topic.name,
        partition=record.partition,
        offset=record.offset,
        why=why[:500],
    )


def _type_of(record: Record) -> str:
    for name, value in record.headers:
        if name == "ce_type":
            return (value or b"").decode(errors="replace")
    return ""


def _named(key: bytes) -> str:
    return key.decode(errors="replace")


async def committed(
    settings: Settings, topic: Topic[Any], place: TopicPartition, what: str, first: int = 0
) -> AsyncGenerator[Record, None]:
    """Yield every committed record of a partition as it is now, from `first` on, saying how far it is."""
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, what)
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        begin = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, max(first, begin))
        while await consumer.position(place) < end:
            for raw in (await consumer.getmany(place, timeout_ms=200, max_records=2000)).get(place, []):
                yield record_of(topic, raw)
                if raw.offset % 50_000 == 0 and raw.offset > first:
                    log.info("reading back", what=what, offset=raw.offset, of=end)
    finally:
        await kafka.departed(consumer)


class Loop(kafka.ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Runs a `Partition` for each partition number that is ours, and only while it is."""

    def __init__(self, stream: Stream, settings: Settings) -> None:
        self.stream, self.settings = stream, settings
        self.parked: Topic[Any] = Topic(f"{stream.name}.parked", Replay, key=lambda _: "")
        """An input of its own service: a request to replay comes that way."""
        self.consumer: Any
        self.intake: Intake
        self.answers: Log
        self.copies: Copies = Copies()
        self.partitions: dict[int, Partition] = {}
        self.held: dict[int, Held] = {}
        self.reached: dict[TopicPartition, int] = {}
        self.heard = {f"voltstream.{cls.__name__}" for cls in stream.hears}
        said = {cls for topic in stream.inputs for cls in topic.classes if cls.awaited}
        said &= set(stream.hears) or said  # who hears nothing of it lets nobody wait
        said -= set(stream.unhurried)
        self.awaited = {f"voltstream.{cls.__name__}" for cls in said} | {"voltstream.Replay"}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owned: set[int] = set()
        self._stopped = False
        self._ready: Callable[[], None] = lambda: None

    async def run(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        """Run until `stopping` is set. Raises what is no record's fault."""
        self._ready = ready
        names = [*(t.name for t in self.stream.inputs), *(t.name for t in self.stream.outputs)]
        await kafka.check_topics(self.settings, [*names, f"{self.stream.name}.state", f"{self.stream.name}.parked"])
        await kafka.check_topics(self.settings, [whole.topic.name for whole in self.stream.copies])
        keeper = CopyKeeper(self.settings, *self.stream.copies)
        async with AsyncExitStack() as stack:
            self.copies = await stack.enter_async_context(keeper)
            await self._connect(stack)
            chores: list[asyncio.Task[Any]] = [
                asyncio.create_task(self._tell_lag()),
                asyncio.create_task(kafka.watched(self.consumer), name="watch Kafka"),
                asyncio.create_task(stopping.wait()),
            ]
            for chore in chores:
                stack.callback(chore.cancel)
            waited = [self._failed, *chores, *([keeper.task] if keeper.task else [])]
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for first in done:
                first.result()

    async def _connect(self, stack: AsyncExitStack) -> None:
        """Join the group. Partitions stop first, the group is left after them: nobody else starts while we still write."""
        self.answers = Log(self.settings, linger_ms=0)
        await self.answers.start()
        stack.push_async_callback(self.answers.stop)
        self.consumer = kafka.group_consumer(self.settings, group_of(self.stream))
        self.intake = Intake(self.consumer, pace_ms=self.stream.pace_ms)
        stack.push_async_callback(kafka.departed, self.consumer)
        stack.push_async_callback(self._stop)
        names = [*(topic.name for topic in self.stream.inputs), self.parked.name]
        self.consumer.subscribe([full(self.settings, name) for name in names], listener=self)
        await kafka.started(self.consumer, f"group {group_of(self.stream)}")
        intake = asyncio.create_task(self.intake.run(), name="intake")
        intake.add_done_callback(self._stop_if_failed)
        stack.callback(intake.cancel)

    async def _stop(self) -> None:
        self._stopped = True
        await self._stop_partitions()
        if self._failed.done():
            self._failed.exception()

    def owned(self, number: int) -> None:
        """Take note that a partition is at work; with all of them, the service is ready."""
        self._owned.add(number)
        if self._owned >= set(self._tasks):
            self._ready()

    async def _tell_lag(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_FOR_LAG_EVERY_S)
            if self.reached:
                await kafka.commit_for_lag(self.consumer, dict(self.reached))

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        await self._stop_partitions()

    async def _stop_partitions(self) -> None:
        """Let every partition finish the batch in hand; what takes too long is cancelled and forgotten."""
        for partition in self.partitions.values():
            partition.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=self.settings.session_timeout_ms / 2000)
            for number, task in self._tasks.items():
                if task in late:
                    task.cancel()
                    self.partitions[number].held = Held()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self.held |= {number: partition.held for number, partition in self.partitions.items()}
        self.partitions.clear()
        self._tasks.clear()
        self._owned.clear()
        self.reached.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = set(assigned)
        if self._stopped:
            return
        self.consumer.pause(*places)  # until its state has been restored
        topics = {place.topic for place in places}
        numbers = {place.partition for place in places}
        if places and len(places) != len(topics) * len(numbers):
            self._fail(RuntimeError("the group gave us the inputs of one partition number in pieces"))
            return
        for number in sorted(numbers):
            partition = Partition(self, number, self.held.pop(number, Held()))
            self.partitions[number] = partition
            task = asyncio.create_task(partition.run(), name=f"{self.stream.name}-{number}")
            task.add_done_callback(self._stop_if_failed)
            self._tasks[number] = task
        if not places:
            self._ready()  # a member without partitions stands by

    def _stop_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


def group_of(stream: Stream) -> str:
    """Return the group's name. Another list of inputs is another group: a mixed one would tear partition numbers apart."""
    names = [topic.name for topic in stream.inputs]
    return f"{stream.name}.{derived_id(' '.join(names), stream.name, 'group')[:4]}"
