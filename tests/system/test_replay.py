"""Replay: what a busy day with kills has left is, byte for byte, what the log says; and comparing sends nothing."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis import kafka
from chassis.kafka import TopicPartition, full
from contracts.topics import DECIDERS
from deploy.local.part import CHECKOUT
from deploy.local.system import System, build
from tests.system.network import (
    Driver,
    Network,
    Yard,
    arrived,
    boot,
    is_shown_exactly,
    run_network,
    stop_network,
    until,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def after_the_day(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Kafka and ClickHouse of a deployment whose services have worked, been killed, and stopped."""
    folder = tmp_path_factory.mktemp("replay")
    network = await run_network(folder)
    try:
        await a_busy_day(network)
    finally:
        await stop_network(network)
    system = build(folder, network.system.settings, names=())
    await system.start()
    yield system
    await system.stop()


async def a_busy_day(network: Network) -> None:
    yard = Yard(network)
    drivers = [await a_driver(yard, number) for number in range(8)]
    for victim in ("sessions", "kafka", "views", "operations", "analytics", "authorization"):
        async with network.killed(victim):
            for driver in drivers:
                driver.unplug(driver.plug_in())
    await asyncio.gather(*(driver.station.delivered() for driver in drivers))
    await asyncio.gather(*(is_shown_exactly(network, driver) for driver in drivers))
    await network.rest.delete(f"/v1/tokens/{(await yard.token()).id}")
    await yard.close()
    await until(lambda: clickhouse_has_all(network), "ClickHouse has what the log has")


async def clickhouse_has_all(network: Network) -> bool | None:
    said = {record.headers["ce_id"].decode() for record in await network.records("stations", "readings")}
    db = network.clickhouse()
    try:
        stored = {row["id"] for row in await db.query("SELECT id FROM events WHERE topic IN ('stations', 'readings')")}
    finally:
        await db.close()
    return True if said <= stored else None


async def a_driver(yard: Yard, number: int) -> Driver:
    station, token = await yard.registered(), await yard.token()
    await arrived(station)
    await boot(station)
    return Driver(station, token, number)


async def replayed(system: System) -> tuple[int | None, list[str]]:
    """Return the exit code and the lines of `python -m deploy.local.replay`."""
    command = [sys.executable, "-m", "deploy.local.replay", "--folder", str(system.folder)]
    environment = {**system.environment(), "VOLTSTREAM_KAFKA": system.kafka.bootstrap}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 150)
    return process.returncode, out.decode().splitlines()


async def ends(system: System) -> dict[TopicPartition, int]:
    """Return where each partition of each topic ends."""
    settings = system.settings.model_copy(update={"kafka": system.kafka.bootstrap})
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    try:
        names = [name for name in await consumer.topics() if name.startswith(settings.topic_prefix)]
        places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        return dict(await consumer.end_offsets(places))
    finally:
        await consumer.stop()


async def test_everything_is_what_the_log_says_and_nothing_is_sent(after_the_day: System) -> None:
    before = await ends(after_the_day)
    code, lines = await replayed(after_the_day)
    assert code == 0, "\n".join(lines)
    assert lines[-1] == "identical"
    counted = {line.split(":")[0]: line.split(": ")[1] for line in lines[:-1]}
    assert {f"{name}.state" for name in DECIDERS} <= counted.keys()
    assert counted["sessions.state"] == "8 of 8 equal"
    assert counted["sql.sessions"] == "48 of 48 equal"
    assert int(counted["clickhouse.stations"].split()[0]) >= 8 * (2 + 6 * 3)
    assert int(counted["clickhouse.readings, by sample"].split()[0]) >= 48
    assert await ends(after_the_day) == before


async def test_what_differs_is_named(after_the_day: System) -> None:
    await a_wrong_state(after_the_day)
    a_wrong_row(after_the_day.folder / "voltstream.sqlite")
    code, lines = await replayed(after_the_day)
    assert code == 1
    assert lines[-1] == "2 differences"
    assert any(line.startswith("  acme/nobody: kept, but the log") for line in lines)
    assert any("energy_wh" in line and "424242" in line for line in lines)


async def a_wrong_state(system: System) -> None:
    settings = system.settings.model_copy(update={"kafka": system.kafka.bootstrap})
    producer = kafka.AIOKafkaProducer(**kafka.connection(settings))
    await producer.start()
    try:
        value = b'{"version":1,"state":{"type":"Station","last":7}}'
        name = full(settings, "sessions.state")
        await producer.send_and_wait(name, value, key=b"acme/nobody", partition=0)
    finally:
        await producer.stop()


def a_wrong_row(file: Path) -> None:
    with sqlite3.connect(file) as database:
        one = database.execute("SELECT id FROM sessions ORDER BY id LIMIT 1").fetchone()
        database.execute("UPDATE sessions SET energy_wh = 424242 WHERE id = ?", one)
