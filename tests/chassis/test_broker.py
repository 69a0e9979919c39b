import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis import broker as module
from chassis.broker import (
    Broker,
    BrokerDied,
    BrokerSilent,
    DiskFull,
    FolderInUse,
    JarsMissing,
    NoJava,
    PortTaken,
    answers,
    build,
    find_java,
    free_port,
)


async def create(bootstrap: str, topic: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def write(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    async with producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    async with consumer, asyncio.timeout(60):
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return [(await consumer.getone()).value for _ in range(count)]


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "chassis.broker", "--folder", str(folder), *arguments]
    checkout = Path(module.__file__).parent.parent
    with subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for_its_port(running: subprocess.Popen[str]) -> int:
    assert running.stdout is not None
    for line in running.stdout:
        if found := re.search(r"Kafka answers on 127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError("it ended before it answered")


async def test_the_sessions_broker_serves_what_is_written_to_it(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "stations"
    await create(kafka, topic, partitions=4)
    await write(kafka, topic, b"one", b"two")
    assert await read(kafka, topic, 2) == [b"one", b"two"]


async def test_every_acknowledged_record_survives_that_kafka_is_killed(broker: Broker) -> None:
    bootstrap = broker.bootstrap
    await create(bootstrap, "stations")
    await write(bootstrap, "stations", b"one", b"two")
    broker.kill()
    assert broker.pid is None
    assert not await answers(broker.port)
    await broker.start()
    assert broker.bootstrap == bootstrap
    await write(bootstrap, "stations", b"three")
    assert await read(bootstrap, "stations", 3) == [b"one", b"two", b"three"]


async def test_a_transaction_commits_and_a_stop_is_clean(broker: Broker) -> None:
    await create(broker.bootstrap, "sessions")
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="sessions-0", retry_backoff_ms=4)
    async with producer, producer.transaction():
        await producer.send_and_wait("sessions", b"ended", partition=0)
    await broker.stop()
    assert await broker.ended() == 128 + signal.SIGTERM  # what Java returns when asked to end
    assert (broker.folder / "data" / ".kafka_cleanshutdown").exists()
    assert " ERROR " not in broker.last_words(1_000)
    await broker.start()
    assert await read(broker.bootstrap, "sessions", 1) == [b"ended"]


async def test_a_broker_never_started_can_be_stopped_and_killed(tmp_path: Path) -> None:
    idle = build(tmp_path)
    await idle.stop()
    idle.kill()
    assert await idle.ended() is None
    assert idle.pid is None
    assert idle.last_words() == ""


async def test_a_folder_has_one_broker(broker: Broker) -> None:
    with pytest.raises(FolderInUse, match=f"process {os.getpid()} runs a broker on .*kafka: stop it"):
        await build(broker.folder).start()
    assert await answers(broker.port)


async def test_progress_is_told_and_the_folder_is_formatted_once(tmp_path: Path) -> None:
    said: list[str] = []
    broker = build(tmp_path, report=said.append)
    async with broker:
        identity = (tmp_path / "data" / "meta.properties").read_text()
    async with broker:
        assert (tmp_path / "data" / "meta.properties").read_text() == identity
    told = [line for line in said if not line.startswith("waiting for Kafka")]
    assert [re.sub(r"[\d.]+ s$", "N s", line) for line in told] == [
        f"formatting Kafka's storage in {tmp_path / 'data'} (once)",
        *[f"starting Kafka on {broker.bootstrap}", f"Kafka answers on {broker.bootstrap} after N s"] * 2,
    ]


async def test_a_port_on_which_somebody_listens_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"cannot listen on 127\.0\.0\.1:{port} .*give Kafka another port"):
            await build(tmp_path, port=port).start()


async def test_a_broker_that_dies_at_its_start_shows_why(tmp_path: Path) -> None:
    broken = build(tmp_path, settings={"log.cleanup.policy": "nonsense"})
    with pytest.raises(BrokerDied, match=r"(?s)exit code 1.*nonsense"):
        await broken.start()
    assert broken.pid is None
    assert not (tmp_path / "data").exists()


async def test_a_broker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = build(tmp_path, patience=0)
    with pytest.raises(BrokerSilent, match="has not answered on"):
        await slow.start()
    assert slow.pid is None


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    formatting = asyncio.Event()
    broker = build(tmp_path, report=lambda _line: formatting.set())
    starting = asyncio.create_task(broker.start())
    await formatting.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert broker.pid is None
    async with broker:  # neither is the folder locked, nor half formatted
        assert await answers(broker.port)


async def test_without_jars_it_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(JarsMissing, match="run `make install`"):
        await build(tmp_path, jars=tmp_path / "nowhere").start()


async def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(NoJava, match=r"no `java` on PATH\. Kafka needs Java 17 or newer: install a JRE"):
        await build(tmp_path / "kafka").start()


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ('java version "1.8.0_292"', "is Java 8. Kafka needs Java 17"),
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11. Kafka needs Java 17"),
        ("Unable to locate a Java Runtime.", "does not say which version it is: Unable to locate"),
    ],
)
async def test_a_java_that_will_not_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, message: str
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(NoJava, match=re.escape(message)):
        await find_java()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_another_program_on_the_port_is_no_kafka(reply: bytes) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert not await answers(server.sockets[0].getsockname()[1])


async def test_nobody_answers_on_a_free_port() -> None:
    assert not await answers(free_port())


def test_a_free_port_is_given_once_though_nobody_listens_there_yet() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == 500


async def test_kafka_ends_when_its_parent_is_killed_and_the_folder_can_be_used_again(tmp_path: Path) -> None:
    with program(tmp_path, "--port", "0") as running:
        port = await asyncio.to_thread(wait_for_its_port, running)
        running.kill()
    async with build(tmp_path):  # which waits for the folder's lock, and that ends with the former Kafka
        assert not await answers(port)


async def test_the_program_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    port = free_port()
    with program(tmp_path, "--port", str(port)) as running:
        assert await asyncio.to_thread(wait_for_its_port, running) == port
        running.send_signal(signal.SIGINT)
        said, _ = await asyncio.to_thread(running.communicate)
    assert said == "stopping Kafka\n"
    assert running.returncode == 0
    assert not await answers(port)


def test_the_program_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    with program(tmp_path, "--jars", str(tmp_path)) as running:
        said, _ = running.communicate()
    assert said == f"Kafka's jars are not in {tmp_path}: run `make install`\n"
    assert running.returncode == 1


def test_the_program_explains_its_arguments(tmp_path: Path) -> None:
    with program(tmp_path, "--help") as running:
        said, _ = running.communicate()
    assert "Run the local Kafka until Ctrl-C." in said
    assert running.returncode == 0


async def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM_BYTES", 1 << 62)
    with pytest.raises(DiskFull, match=f"the disk that holds {tmp_path} is full.* make room on it"):
        await build(tmp_path).start()
