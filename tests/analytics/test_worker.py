"""The service against a real Kafka and a real ClickHouse: killed, repeated, left alone; nothing lost, nothing doubled."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from pydantic import SecretStr
from structlog.testing import capture_logs

from chassis import clickhouse, kafka
from chassis.child import Child
from chassis.clickhouse import ClickHouse, Unavailable
from chassis.kafka import Log, LogTruncated, Record, TopicPartition, full
from chassis.settings import Settings
from contracts.event import Event, derived_id
from contracts.gateways import ToGateway
from contracts.topics import READINGS, STATIONS
from services.analytics.sink import Sink, Span, plan
from services.analytics.worker import SCHEMA, TOPICS, Archive, connect, migrate, reread
from tests.analytics.given import CLASSES, bodies, chunk, counts, filled, heartbeat, number, stored, taken
from tests.clickhouse_fixture import START_S, Embedded

pytestmark = pytest.mark.timeout(300)

PARTITIONS = 2


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str, clickhouse: str, database: str) -> Settings:
    return await prepared(kafka, topic_prefix, f"{clickhouse}/{database}")


async def prepared(kafka_at: str, prefix: str, url: str) -> Settings:
    values: dict[str, Any] = {"clickhouse": url, "partitions": PARTITIONS, "session_timeout_ms": 6000}
    settings = Settings(kafka=kafka_at, topic_prefix=prefix, member="one", **values)
    await kafka.create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    async with writing(settings) as log:
        yield log


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    yield log
    await log.stop()


@pytest_asyncio.fixture
async def db(settings: Settings) -> AsyncIterator[ClickHouse]:
    await migrate(settings)
    db = connect(settings)
    yield db
    await db.command(f"DROP DATABASE IF EXISTS {db.address.database}")
    await db.close()


async def say(log: Log, first: int, count: int, stations: int = 8) -> None:
    """Append `count` frames and as many readings of two samples each."""
    waiting: list[asyncio.Future[Any]] = []
    for n in range(first, first + count):
        station = f"ST{n % stations}"
        reading = msgspec.structs.replace(taken(str(n), "1", seconds=n), station=station)
        frame = heartbeat(f"[{n}]", station)
        waiting.append(await log.send(STATIONS, frame, id=derived_id(str(n), "test", 0), source="/test"))
        waiting.append(await log.send(READINGS, reading, id=derived_id(str(n), "test", 1), source="/test"))
    await asyncio.gather(*waiting)


@asynccontextmanager
async def running(archive: Archive) -> AsyncIterator[None]:
    ready, stop = asyncio.Event(), archive._stopping
    task = asyncio.create_task(archive.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    try:
        yield
    finally:
        stop.set()
        await task


async def until(db: ClickHouse, sql: str, wanted: int, *, every_s: float = 0.05) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                if await number(db, sql) >= wanted:
                    return
            await asyncio.sleep(every_s)


async def everything(settings: Settings) -> list[Record]:
    """Return all records of all topics."""
    places = [
        TopicPartition(full(settings, name), partition) for name in TOPICS for partition in range(settings.partitions)
    ]
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    await consumer.stop()
    spans = [
        Span(place.topic.removeprefix(settings.topic_prefix), place.partition, 0, end) for place, end in ends.items()
    ]
    return await reread(settings, [span for span in spans if span.after])


def here(event: Event) -> Event:
    """Let an event go to a partition that there is."""
    return msgspec.structs.replace(event, reply_to=0) if isinstance(event, ToGateway) else event


# Everything, once


async def test_every_event_of_every_topic_lands_once_with_its_exact_bytes(
    settings: Settings, log: Log, db: ClickHouse
) -> None:
    for n, (topic, cls) in enumerate(CLASSES):
        await log.append(topic, here(filled(cls)), id=f"e{n}", source="/test", timeout=30)
    async with running(Archive(settings, db)):
        await until(db, "count() FROM events", len(CLASSES))
    assert await stored(db) == bodies(await everything(settings))
    assert await number(db, "count() FROM events") == len(CLASSES)
    assert await number(db, "uniqExact(topic) FROM events") == len(TOPICS)
    assert await number(db, "countIf(unread != '') FROM events") == 0


async def test_a_restart_goes_on_where_the_last_batch_ended(settings: Settings, log: Log, db: ClickHouse) -> None:
    for first in (0, 50, 100):
        await say(log, first, 50)
        async with running(Archive(settings, db)):
            await until(db, "count() FROM readings", 2 * (first + 50))
    assert await counts(db) == (300, 300, 300, 300)
    assert await number(db, "countIf(NOT done) FROM positions FINAL") == 0


async def test_two_members_share_the_work(settings: Settings, log: Log, db: ClickHouse) -> None:
    await say(log, 0, 100)
    other = settings.model_copy(update={"member": "two"})
    async with running(Archive(settings, db)), running(Archive(other, db)):
        await say(log, 100, 100)
        await until(db, "count() FROM readings", 400)
    assert await stored(db) == bodies(await everything(settings))
    assert await number(db, "count() FROM readings FINAL") == 400


async def test_what_is_redelivered_changes_nothing(settings: Settings, log: Log, db: ClickHouse) -> None:
    await say(log, 0, 30)
    records = await everything(settings)
    chunks = [
        chunk([r for r in records if r.topic is t and r.partition == p]) for t in (STATIONS, READINGS) for p in (0, 1)
    ]
    archive = Archive(settings, db)
    for _ in range(2):
        await archive.take(chunks)
    await Archive(settings, db).take(chunks)  # one that knows no positions
    assert await counts(db) == (60, 60, 60, 60)
    await Archive(settings, db).take([chunk(each.records[3:]) for each in chunks])  # cut elsewhere: the net
    assert (await counts(db))[1::2] == (60, 60)
    assert await number(db, "count() FROM events") == 108


# Cut short


class Killed(Exception):
    pass


class Dying(ClickHouse):
    """A ClickHouse whose caller dies before or after the insert of this number."""

    def __init__(self, settings: Settings, last: int, *, after: bool) -> None:
        address = clickhouse.address(settings.clickhouse.get_secret_value())
        super().__init__(address, threads=1, timeout_s=60)
        self._left, self._after = last, after

    async def insert_json(
        self, table: str, rows: bytes, *, token: str, settings: clickhouse.Settings | None = None
    ) -> int:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        written = await super().insert_json(table, rows, token=token, settings=settings)
        if self._left < 0:
            raise Killed
        return written


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("last", [0, 1, 2])
async def test_a_batch_that_is_cut_short_anywhere_is_finished_by_whoever_comes(
    settings: Settings, log: Log, db: ClickHouse, last: int, *, after: bool
) -> None:
    await say(log, 0, 20)
    records = await everything(settings)
    dying = Dying(settings, last, after=after)
    with pytest.raises(Killed):
        await Archive(settings, dying).take(
            [chunk([each for each in records if each.partition == 0 and each.topic is READINGS])]
        )
    await dying.close()
    await say(log, 20, 20)  # so that the next batch would be cut elsewhere
    async with running(Archive(settings, db)):
        await until(db, "count() FROM readings", 80)
    assert await counts(db) == (80, 80, 80, 80)
    assert await stored(db) == bodies(await everything(settings))


# Killed


@asynccontextmanager
async def process(settings: Settings, output: Path, *arguments: str) -> AsyncIterator[Child]:
    """`python -m services.analytics`, as an operator would start it."""
    values: Mapping[str, str] = {
        "VOLTSTREAM_KAFKA": settings.kafka,
        "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "VOLTSTREAM_PARTITIONS": str(settings.partitions),
        "VOLTSTREAM_CLICKHOUSE": settings.clickhouse.get_secret_value(),
        "VOLTSTREAM_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
        "VOLTSTREAM_MEMBER": settings.member,
        "VOLTSTREAM_LOG": "json",
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
    child = Child(
        [sys.executable, "-m", "services.analytics", *arguments],
        folder=Path(__file__).parents[2],
        output=output,
        environment=ours | dict(values),
    )
    try:
        yield child
    finally:
        if child.exit_code is None:
            await child.stop(patience=20)


OPEN = "countIf(NOT done) FROM positions FINAL"


async def kill_in_the_middle_of_a_batch(child: Child, db: ClickHouse) -> None:
    await until(db, "countIf(NOT done) = 0 FROM positions FINAL", 1)  # it has finished what the one before it left
    while True:
        await until(db, OPEN, 1, every_s=0)
        os.kill(child.pid, signal.SIGSTOP)
        if await number(db, OPEN):
            child.kill()
            return
        os.kill(child.pid, signal.SIGCONT)


async def test_killed_again_and_again_it_loses_and_doubles_nothing(
    settings: Settings, log: Log, db: ClickHouse, tmp_path: Path
) -> None:
    said = 0
    for kill in range(3):
        async with process(settings, tmp_path / f"{kill}.log") as child:
            killing = asyncio.create_task(kill_in_the_middle_of_a_batch(child, db))
            while not killing.done():
                await say(log, said, 10)
                said += 10
            await killing
    async with process(settings, tmp_path / "last.log") as child:
        await until(db, "count() FROM readings", 2 * said)
        await until(db, "count() FROM events", 2 * said)
        assert await child.stop(patience=20) == 0, (tmp_path / "last.log").read_text()
    assert await counts(db) == (2 * said,) * 4
    assert await stored(db) == bodies(await everything(settings))
    assert await number(db, "sum(value) FROM readings") == sum(range(said)) + said
    assert "finishing a batch" in "".join((tmp_path / f"{name}.log").read_text() for name in (1, 2, "last"))


async def test_clickhouse_killed_loses_nothing_and_is_waited_for(
    kafka: str, topic_prefix: str, tmp_path: Path, embedded: Callable[[], Embedded]
) -> None:
    first = embedded().ready()
    settings = await prepared(kafka, topic_prefix, f"{first.url}/volt")
    db = connect(settings)
    with capture_logs() as logs:
        async with writing(settings) as log, running(Archive(settings, db)):
            await say(log, 0, 300)
            await until(db, "count() FROM events", 1)
            first.kill()
            await say(log, 300, 300)
            async with asyncio.timeout(30):
                while not any(line["event"] == "waiting for ClickHouse" for line in logs):
                    await asyncio.sleep(0.05)
            async with same_port(tmp_path / "clickhouse", first.url):
                await until(db, "count() FROM readings", 1200)
                assert await counts(db) == (1200, 1200, 1200, 1200)
    await db.close()


@asynccontextmanager
async def same_port(folder: Path, url: str) -> AsyncIterator[None]:
    """ClickHouse again, where it was."""
    output = folder.with_name("again.log")
    command = [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", str(folder)]
    child = Child([*command, "--port", url.rpartition(":")[2]], folder=Path(__file__).parents[2], output=output)
    try:
        async with asyncio.timeout(START_S):
            while "is ready" not in output.read_text():
                assert child.exit_code is None, output.read_text()
                await asyncio.sleep(0.05)
        yield
    finally:
        await child.stop(patience=20)


async def test_it_can_be_stopped_while_clickhouse_is_away(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"clickhouse": SecretStr("http://127.0.0.1:1/volt")})
    db = connect(nowhere)
    archive = Archive(nowhere, db)
    with capture_logs() as logs:
        task = asyncio.create_task(archive.run(lambda: None))
        async with asyncio.timeout(30):
            while not any(line["event"] == "waiting for ClickHouse" for line in logs):
                await asyncio.sleep(0.01)
        archive._stopping.set()
        await asyncio.wait_for(task, 20)
    await db.close()


# What has expired


async def expire(settings: Settings, topic: str, partition: int, before: int) -> None:
    """Let Kafka forget what lies before an offset."""
    from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    await admin.start()
    place = TopicPartition(full(settings, topic), partition)
    await admin.delete_records({place: RecordsToDelete(before_offset=before)})
    await admin.close()


async def test_records_that_have_expired_unread_stop_it(settings: Settings, log: Log, db: ClickHouse) -> None:
    await say(log, 0, 20, stations=1)
    async with running(Archive(settings, db)):
        await until(db, "count() FROM readings", 40)
    await say(log, 20, 20, stations=1)
    (row,) = await db.query("SELECT partition FROM positions FINAL WHERE topic = 'stations'")
    await expire(settings, "stations", row["partition"], 30)
    with pytest.raises(LogTruncated, match="offset 20 comes next, but the log begins at 30"):
        await asyncio.wait_for(Archive(settings, db).run(lambda: None), 30)


async def test_a_log_that_is_another_one_stops_it(settings: Settings, log: Log, db: ClickHouse) -> None:
    await say(log, 0, 20, stations=1)
    (partition,) = {record.partition for record in await everything(settings)}
    await Sink(db).begin(plan([Span("stations", partition, 10, 30)]))
    with pytest.raises(LogTruncated, match="the log ends at 20"):
        await asyncio.wait_for(Archive(settings, db).run(lambda: None), 30)


async def test_what_is_stored_may_expire(settings: Settings, log: Log, db: ClickHouse) -> None:
    for count in (20, 21):
        await say(log, 20 * (count - 20), 20, stations=1)
        async with running(Archive(settings, db)):
            await until(db, "count() FROM readings", 40 * (count - 19))
        (row,) = await db.query("SELECT partition, after FROM positions FINAL WHERE topic = 'stations'")
        await expire(settings, "stations", row["partition"], row["after"])
    assert await counts(db) == (80, 80, 80, 80)


async def test_the_first_start_begins_where_the_log_does(settings: Settings, log: Log, db: ClickHouse) -> None:
    await say(log, 0, 20, stations=1)
    (partition,) = {record.partition for record in await everything(settings)}
    await expire(settings, "stations", partition, 15)
    async with running(Archive(settings, db)):
        await until(db, "count() FROM events", 25)
    assert await counts(db) == (25, 25, 40, 40)


# The command


async def test_migrate_is_a_command_and_two_at_once_are_one(settings: Settings, tmp_path: Path) -> None:
    async with (
        process(settings, tmp_path / "1.log", "migrate") as one,
        process(settings, tmp_path / "2.log", "migrate") as two,
    ):
        assert [await one.ended(), await two.ended()] == [0, 0], (tmp_path / "1.log").read_text()
    db = connect(settings)
    assert await number(db, "count() FROM migrations") == len(list(SCHEMA.glob("*.sql")))
    await db.command(f"DROP DATABASE {db.address.database}")
    await db.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [("ftp://planted@nowhere", "must look like"), ("http://default:planted@{}/volt", "Authentication failed")],
)
async def test_a_clickhouse_that_cannot_be_used_is_named_with_the_reason(
    settings: Settings, tmp_path: Path, url: str, why: str
) -> None:
    guarded = Embedded(tmp_path / "guarded", environment={"VOLTSTREAM_CLICKHOUSE_PASSWORD": "another"}).ready()
    broken = settings.model_copy(update={"clickhouse": SecretStr(url.format(guarded.url.removeprefix("http://")))})
    for arguments in ([], ["migrate"]):
        output = tmp_path / f"{len(arguments)}.log"
        async with process(broken, output, *arguments) as child:
            assert await asyncio.wait_for(child.ended(), 30) == 1
        said = output.read_text()
        assert "VOLTSTREAM_CLICKHOUSE: " in said
        assert why in said
        assert "Traceback" not in said
        assert "planted" not in said
    guarded.kill()
