"""Windows over topics, by Faust: the only module that knows it (docs/decisions/0009).

Of Faust this uses the group, the fetching, the flow control and the stream. It does not use what loses or doubles under
SIGKILL: its acknowledgements (a record whose handler raised counts as done), its tables (they drift), its producer. Instead:

- everything is read committed, and the inputs of one partition number go to one member;
- what a `Watch` knows is found again at every assignment, in the last stretch of the log and in the outputs already written;
- each output is appended, and acknowledged, before the next record is heard; only then are offsets committed;
- a watch that raises stops the process: nothing is skipped.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import faust
from faust.app.base import BootStrategy
from faust.transport.drivers import aiokafka as driver

from chassis import clock, kafka, metrics
from chassis.kafka import KafkaError, Log, TopicPartition, full, record_of
from chassis.logs import log
from chassis.progress import PROGRESS
from chassis.settings import Settings
from contracts.cloudevents import Unreadable
from contracts.event import Event, Message, derived_id
from contracts.topics import Topic

LATE = timedelta(seconds=10)
"""A record may come so long after it was made; time passes for a watch only so long after it did for us."""
SKEW = timedelta(hours=1)
"""Outputs are looked for that much earlier than they can be."""
PACE_S = 0.1
"""So long after records were fetched nothing more is: what comes meanwhile is fetched together."""
MOST_WAITING = 64
"""So many fetches of a partition wait for us before Faust fetches no more."""
BREATH = 100
"""After so many records others have a turn."""
TICK_S = 1.0
COMMIT_EVERY_S = 5.0
STOP_WITHIN_S = 15


class Watch(Protocol):
    """What is known of one partition of one topic. Pure: it hears of time."""

    def follow(self, fact: Any, /) -> None:
        """Take in an output that has been written before."""

    def remember(self, message: Message[Any], /) -> None:
        """Hear a message that has been decided on before."""

    def hear(self, message: Message[Any], /) -> list[tuple[str, Event]]:
        """Return what follows from a message, each with its id."""

    def pass_time(self, until: datetime, place: int, /) -> list[tuple[str, Event]]:
        """Return what follows from having heard everything until a moment; `place` is the last offset heard."""

    def deadline(self) -> datetime | None:
        """Return from when on something follows from time alone."""


@dataclass(frozen=True)
class Windows:
    """What a service that watches rates reads, by which rules, and what it writes."""

    name: str
    inputs: tuple[Topic[Any], ...]
    output: Topic[Any]
    hears: tuple[type[Event], ...]
    watch: Callable[[Topic[Any]], Watch]
    """A new watch over a partition of one of the inputs."""
    horizon: Mapping[str, timedelta]
    """By an input's name: nothing that lies further back matters to a watch."""
    lasting: timedelta
    """No output that lies further back matters."""


# ---- Faust, as far as it is ours -----------------------------------------------------------------------------------


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, _: Any) -> Any:
        """Faust's own would read what was aborted, and tear the inputs of a partition number apart."""
        return self.app.shell.consumer()  # type: ignore[attr-defined]

    async def committed(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Return how far the group has come."""
        return await self.call_thread(self._committed, list(places))  # type: ignore[no-any-return]

    async def _committed(self, places: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        consumer = self._ensure_consumer()
        return {place: await consumer.committed(place) for place in places}

    async def keep(self, reached: dict[TopicPartition, int]) -> None:
        """Commit how far we have come. What prevents it is no loss: it is heard again."""
        await self.call_thread(kafka.commit_for_lag, self._ensure_consumer(), reached)


class _Consumer(driver.Consumer):
    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Begin anew where the group is, after every change of the group."""
        places = {TopicPartition(*place) for place in self.assignment()}
        reached = await self.app.shell.begin(places, await self._thread.committed(places))  # type: ignore[attr-defined]
        self._read_offset.clear()
        await self.seek_wait(reached)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Leave out what means nothing to the rules before Faust spends a task on it, and take much at a time."""
        if found := await super()._getmany(active_partitions, timeout):
            await asyncio.sleep(PACE_S)
        return self.app.shell.sift(found)  # type: ignore[attr-defined]

    async def keep(self, reached: dict[TopicPartition, int]) -> None:
        await self._thread.keep(reached)

    async def verify_all_partitions_active(self) -> None:
        """Faust compares two clocks here; `/healthz` knows better."""


class _Transport(driver.Transport):
    Consumer = _Consumer


class _App(faust.App):
    BootStrategy = _Boot
    shell: "Shell"

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """There are no tables, and so nothing to keep in a folder."""

    async def _producer_flush(self, logger: Any) -> None:
        """There is no producer."""


# ---- one assignment ------------------------------------------------------------------------------------------------


class Turn:
    """What we know between two changes of the group."""

    def __init__(self, windows: Windows, topics: Mapping[str, Topic[Any]], reached: dict[TopicPartition, int]) -> None:
        self._fetched = dict(reached)
        self._newest: dict[TopicPartition, datetime | None] = dict.fromkeys(reached)
        self._waiting: dict[TopicPartition, deque[tuple[int, datetime | None]]] = {place: deque() for place in reached}
        """The offsets of what is to be heard, each with the time of the record before it."""
        self._carried: dict[TopicPartition, deque[list[Any]]] = {place: deque() for place in reached}
        """What Faust hands over together: records of which the last stands for all."""
        self.passed: dict[TopicPartition, int] = {}
        """From where on another may go on: what follows from all that lies before, and from its time, is written."""
        self.watches = {place: windows.watch(topics[place.topic]) for place in reached}
        self.restoring: asyncio.Task[None] | None = None

    def sift(self, place: TopicPartition, found: list[Any], heard: frozenset[bytes]) -> list[Any]:
        """Return what is to be heard of records in order, each once."""
        if place not in self._fetched:
            return []
        new = [record for record in found if record.offset >= self._fetched[place]]
        kept, newest, before = [], self._newest[place], None
        for record in new:
            if type_of(record.headers) in heard:
                newest = (before and recorded_time_of(before.headers)) or newest
                kept.append(record)
                self._waiting[place].append((record.offset, newest))
            before = record
        if before is not None:
            self._newest[place] = recorded_time_of(before.headers) or newest
            self._fetched[place] = before.offset + 1
        return kept

    def pack(self, place: TopicPartition, records: list[Any]) -> Any:
        """Return the record that stands for all of these: a task and a dozen calls of Faust's for each would cost more than the rules."""
        self._carried[place].append(records)
        return records[-1]

    def unpack(self, place: TopicPartition, offset: int) -> list[Any]:
        """Return what is to be heard up to the record that stands for it; nothing if that has been or is left from an earlier turn."""
        carried, found = self._carried.get(place, deque()), []
        while carried and carried[0][-1].offset <= offset:
            found += carried.popleft()
        return found

    def is_next(self, place: TopicPartition, offset: int) -> bool:
        """Whether this is what is to be heard now; what is not is left from an earlier turn. Raises if records are missing."""
        waiting = self._waiting.get(place)
        if not waiting or offset < waiting[0][0]:
            return False
        if offset > waiting[0][0]:
            missing = waiting[0][0]
            raise RuntimeError(f"{place.topic}, partition {place.partition}: {missing} should come before {offset}")
        return True

    def heard(self, place: TopicPartition) -> None:
        """What was next has been heard, and what followed from it is written."""
        self._waiting[place].popleft()

    def is_restored(self) -> bool:
        return self.restoring is not None and self.restoring.done()

    def reached(self, place: TopicPartition) -> int:
        """Return the offset that comes next."""
        waiting = self._waiting[place]
        return waiting[0][0] if waiting else self._fetched[place]

    def time(self, place: TopicPartition) -> datetime | None:
        """Return the time of the record before what comes next. None: there has been none in this turn."""
        waiting = self._waiting[place]
        return waiting[0][1] if waiting else self._newest[place]


def type_of(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    for name, value in headers:
        if name == "ce_type":
            return value or b""
    return b""


def recorded_time_of(headers: Iterable[tuple[str, bytes | None]]) -> datetime | None:
    """Return when we learnt of a record. None: it does not say so."""
    for name, value in headers:
        if name == "ce_recordedtime":
            with suppress(ValueError):
                moment = datetime.fromisoformat((value or b"").decode())
                return moment if moment.tzinfo else None
    return None


# ---- the process ---------------------------------------------------------------------------------------------------


class Shell:
    """Runs the watches of the partitions that are ours."""

    def __init__(self, windows: Windows, settings: Settings) -> None:
        self._windows, self._settings = windows, settings
        self._topics = {full(settings, topic.name): topic for topic in windows.inputs}
        self._heard = frozenset(f"voltstream.{cls.__name__}".encode() for cls in windows.hears)
        self._log: Log
        self._ends: Any
        """Says where partitions end."""
        self._turn = Turn(windows, self._topics, {})
        self._deciding = asyncio.Lock()
        """What is decided on is written before anything else is decided on."""
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready: Callable[[], None] = lambda: None
        self._kept: dict[TopicPartition, int] = {}
        self._app = self._build()

    def _build(self) -> _App:
        app = _App(
            full(self._settings, group_of(self._windows)),
            broker=f"kafka://{self._settings.kafka.split(',')[0]}",
            store="memory://",
            autodiscover=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            loop=asyncio.get_running_loop(),
            stream_buffer_maxsize=MOST_WAITING,
        )
        app.shell = self
        raw = app.topic(
            *self._topics,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,  # Faust acknowledges nothing: we do, after the work
        )
        app.agent(raw, name="hear")(self._hear_all)
        return app

    def consumer(self) -> Any:
        """Return the member of the group that Faust fetches by."""
        return kafka.group_consumer(self._settings, group_of(self._windows), reset="earliest")

    async def run(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        """Run until `stopping` is set. Raises whatever a watch raises, and nothing of that record is acknowledged."""
        self._ready = ready
        names = [*(topic.name for topic in self._windows.inputs), self._windows.output.name]
        await kafka.check_topics(self._settings, names)
        async with AsyncExitStack() as stack:
            await self._connect(stack)
            waited: list[asyncio.Future[Any]] = [
                self._failed,
                asyncio.create_task(stopping.wait()),
                asyncio.create_task(self._tick(), name="time"),
                asyncio.create_task(kafka.watched(self._ends), name="watch Kafka"),
                asyncio.create_task(self._app.wait_until_stopped(), name="Faust"),
            ]
            stack.push_async_callback(_cancelled, *waited)
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for first in done:
                first.result()
            if not stopping.is_set():
                raise self._app.crash_reason or RuntimeError("Faust has stopped by itself")
            async with self._deciding:
                turn = self._turn
                for place in turn.watches:
                    await self._pass(turn, place, _until(turn.time(place)))
                await self._keep()

    async def _connect(self, stack: AsyncExitStack) -> None:
        """Start Faust last, so that it stops first."""
        self._log, self._ends = Log(self._settings, linger_ms=0), kafka.plain_consumer(self._settings)
        stack.push_async_callback(kafka.departed, self._ends)
        stack.push_async_callback(self._log.stop)
        await self._log.start()
        await kafka.started(self._ends, "ends of topics")
        stack.push_async_callback(self._stop)
        await self._app.start()

    async def _stop(self) -> None:
        PROGRESS.over(self._windows.name)
        if self._turn.restoring:
            await _cancelled(self._turn.restoring)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._app.stop()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    # ---- the group moves -------------------------------------------------------------------------------------------

    async def begin(
        self, places: set[TopicPartition], committed: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, int]:
        """Forget what we knew, find it again in the log, and return where to go on. Raises `LogTruncated`."""
        known = {place: offset for place, offset in committed.items() if offset is not None}
        try:
            first = await self._ends.beginning_offsets(list(places)) if places else {}
            await kafka.check_not_truncated(self._ends, known)
        except BaseException as error:
            self._fail(error)
            raise
        if self._turn.restoring:
            self._turn.restoring.cancel()
        reached = {place: known.get(place, first[place]) for place in places}
        self._turn = Turn(self._windows, self._topics, reached)
        self._turn.restoring = asyncio.create_task(
            self._restore(self._turn, reached, first, set(known)), name="restore"
        )
        self._turn.restoring.add_done_callback(self._restored)
        return reached

    def _restored(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if error := task.exception():
            self._fail(error)
        else:
            self._ready()

    async def _restore(
        self,
        turn: Turn,
        reached: dict[TopicPartition, int],
        first: Mapping[TopicPartition, int],
        known: set[TopicPartition],
    ) -> None:
        """Find what the watches know again: in the outputs of late, and in the last stretch before where they go on.

        `first` says where the log begins: asked here, once it is assigned any, the answers would wait behind a fetch.
        """
        reader = kafka.plain_consumer(self._settings)
        await kafka.started(reader, "the last stretch")
        try:
            if not reached:
                return
            reader.assign(list(reached))
            moments = {
                place: await _moment_before(reader, place, offset, first[place]) for place, offset in reached.items()
            }
            begins = await self._begins(reader, moments, reached)
            await self._follow(reader, turn, moments, known)
            reader.assign(list(reached))
            spans = {place: (begins[place], offset) for place, offset in reached.items()}
            async for place, raw in _between(reader, spans):
                PROGRESS.beat(self._windows.name)
                if type_of(raw.headers) in self._heard and (message := self._read(self._topics[place.topic], raw)):
                    turn.watches[place].remember(message)
        finally:
            await kafka.departed(reader)

    async def _begins(
        self, reader: Any, moments: Mapping[TopicPartition, datetime | None], reached: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        horizon = {place: self._windows.horizon[self._topics[place.topic].name] for place in moments}
        since = {place: _ms(at - horizon[place]) for place, at in moments.items() if at is not None}
        found = await reader.offsets_for_times(since) if since else {}
        return {
            place: min(there.offset if (there := found.get(place)) else offset, offset)
            for place, offset in reached.items()
        }

    async def _follow(
        self, reader: Any, turn: Turn, moments: Mapping[TopicPartition, datetime | None], known: set[TopicPartition]
    ) -> None:
        """Tell the watches what has been written. Who begins at the log's beginning hears of everything."""
        output = self._windows.output
        name = full(self._settings, output.name)
        since: dict[TopicPartition, datetime | None] = {}
        for place, at in moments.items():
            where = TopicPartition(name, place.partition)
            earliest = at - self._windows.lasting - SKEW if at and place in known else None
            before = since.get(where, earliest)
            since[where] = None if before is None or earliest is None else min(before, earliest)
        reader.assign(list(since))
        ends = await reader.end_offsets(list(since))
        first = await reader.beginning_offsets(list(since))
        found = await reader.offsets_for_times({place: _ms(at) for place, at in since.items() if at is not None})
        begins = {
            place: first[place] if at is None else there.offset if (there := found.get(place)) else ends[place]
            for place, at in since.items()
        }
        async for place, raw in _between(reader, {place: (begins[place], ends[place]) for place in since}):
            PROGRESS.beat(self._windows.name)
            if message := self._read(output, raw):
                for input, watch in turn.watches.items():
                    if input.partition == place.partition:
                        watch.follow(message.event)

    def _read(self, topic: Topic[Any], raw: Any) -> Message[Any] | None:
        """Return what a record says; what nobody can read is counted, and kept by those who decide on it."""
        record = record_of(topic, raw)
        try:
            return record.message()
        except Unreadable as why:
            metrics.UNREADABLE.labels(topic.name).inc()
            log.error("unreadable", topic=topic.name, partition=raw.partition, offset=raw.offset, why=str(why))
            return None

    # ---- records ---------------------------------------------------------------------------------------------------

    def sift(self, found: Mapping[Any, list[Any]]) -> dict[Any, list[Any]]:
        """Return what means something to the rules, of what was fetched."""
        PROGRESS.beat(self._windows.name)
        kept = {}
        for place, records in found.items():
            metrics.EVENTS_CONSUMED.labels(self._topics[place.topic].name).inc(len(records))
            if some := self._turn.sift(TopicPartition(*place), records, self._heard):
                kept[place] = [self._turn.pack(TopicPartition(*place), some)]
        return kept

    async def _hear_all(self, stream: Any) -> None:
        """Hear every record. What goes wrong ends the process: Faust would go on with the next."""
        try:
            async for event in stream.noack().events():
                await self._hear_some(
                    TopicPartition(event.message.topic, event.message.partition), event.message.offset
                )
        except Exception as error:  # noqa: BLE001  (it is raised where the process is run)
            self._fail(error)
            await asyncio.Event().wait()

    async def _hear_some(self, place: TopicPartition, offset: int) -> None:
        turn = self._turn
        for count, raw in enumerate(turn.unpack(place, offset)):
            async with self._deciding:
                await self._hear(turn, place, raw)
            if count % BREATH == BREATH - 1:
                await asyncio.sleep(0)

    async def _hear(self, turn: Turn, place: TopicPartition, raw: Any) -> None:
        if turn.restoring and not turn.restoring.done():
            await asyncio.wait([turn.restoring])
        if turn is not self._turn or not turn.is_next(place, raw.offset):
            return
        if turn.restoring and (turn.restoring.cancelled() or turn.restoring.exception()):
            return  # the process is about to end
        topic = self._topics[place.topic]
        if message := self._read(topic, raw):
            await self._write(turn.watches[place].hear(message))
            age = (clock.now() - message.recorded_at).total_seconds()
            metrics.EVENT_AGE.labels(topic.name).observe(max(0.0, age))
        turn.heard(place)

    async def _write(self, outputs: list[tuple[str, Event]]) -> None:
        """Append what follows, one after the other, however long Kafka is away."""
        for id, event in outputs:
            while True:
                try:
                    source = f"/voltstream/{self._windows.name}"
                    await self._log.append(self._windows.output, event, id=id, source=source)
                except kafka.Unavailable as why:
                    log.warning("appended again later", what=type(event).__name__, why=str(why))
                    await asyncio.sleep(0.5)
                else:
                    break

    # ---- time ------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Let time pass for the watches, and keep how far we are."""
        turns = 0
        while True:
            await asyncio.sleep(TICK_S)
            turns += 1
            try:
                await self._pass_time()
            except KafkaError as error:
                log.warning("Kafka does not say where topics end", why=repr(error))
            if turns % int(COMMIT_EVERY_S / TICK_S) == 0:
                await self._keep()

    async def _pass_time(self) -> None:
        """Let time pass: up to now where all has been heard, and elsewhere as far as the records have come."""
        turn, until = self._turn, clock.now() - LATE
        if not turn.is_restored():
            return
        for place, watch in turn.watches.items():
            reached = turn.reached(place)
            is_due = (ends := watch.deadline()) is not None and ends <= until
            all_heard = is_due and await self._heard_all(place, reached)
            async with self._deciding:
                all_heard = all_heard and turn.reached(place) == reached
                await self._pass(turn, place, until if all_heard else _until(turn.time(place)))

    async def _pass(self, turn: Turn, place: TopicPartition, until: datetime | None) -> None:
        """Write what ends by a moment; then another may go on from here."""
        watch, reached = turn.watches[place], turn.reached(place)
        if turn is not self._turn or not turn.is_restored():
            return
        if until and (ends := watch.deadline()) is not None and ends <= until:
            await self._write(watch.pass_time(until, reached - 1))
        turn.passed[place] = reached

    async def _heard_all(self, place: TopicPartition, reached: int) -> bool:
        """Whether nothing that is committed lies beyond; ends of transactions are nothing."""
        end = (await self._ends.end_offsets([place]))[place]
        self._ends.assign([place])
        async with aclosing(_between(self._ends, {place: (reached, end)})) as records:
            async for _ in records:
                return False
        return True

    async def _keep(self) -> None:
        """Commit only what time has passed for too: from there `_restore` can find all that is open."""
        reached = dict(self._turn.passed)
        if reached and reached != self._kept:
            self._kept = reached
            await self._app.consumer.keep(reached)  # type: ignore[attr-defined]


def group_of(windows: Windows) -> str:
    """Return the group's name. Another list of inputs is another group."""
    names = " ".join(topic.name for topic in windows.inputs)
    return f"{windows.name}.{derived_id(names, windows.name, 'group')[:4]}"


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _until(heard: datetime | None) -> datetime | None:
    """Return up to when all has been heard in a partition where a record of this moment has been."""
    return heard and heard - LATE


def _ms(moment: datetime) -> int:
    return max(0, int(moment.timestamp() * 1000))


async def _moment_before(reader: Any, place: TopicPartition, offset: int, first: int) -> datetime | None:
    """Return when we learnt of a record shortly before an offset. None: nothing lies before it, as the log begins at `first`."""
    stretch = 1
    while offset > first:
        async with aclosing(_between(reader, {place: (max(first, offset - stretch), offset)})) as records:
            async for _, raw in records:
                if moment := recorded_time_of(raw.headers):
                    return moment
        if offset - stretch <= first:
            break
        stretch *= 8
    return None


async def _between(
    reader: Any, spans: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncGenerator[tuple[TopicPartition, Any], None]:
    """Yield the committed records of each span of offsets, those of one partition in order."""
    left = {place: after for place, (first, after) in spans.items() if first < after}
    for place in left:
        reader.seek(place, spans[place][0])
    while left:
        for place, records in (await reader.getmany(*left, timeout_ms=200, max_records=5000)).items():
            for raw in records:
                if raw.offset < left[place]:
                    yield place, raw
        for place in [place for place, after in left.items() if await reader.position(place) >= after]:
            del left[place]


async def run(windows: Windows, settings: Settings, ready: Callable[[], None], stopping: asyncio.Event) -> None:
    """Run a service that watches rates, until it is asked to stop."""
    await Shell(windows, settings).run(ready, stopping)
