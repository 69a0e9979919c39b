"""SQL is rebuilt from what is kept, after the frames have expired from the log."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.kafka import TopicPartition, connection, full, plain_consumer
from contracts.topics import DECIDERS
from tests.system.network import (
    Driver,
    Network,
    Yard,
    ago,
    authorize,
    meter,
    shows,
    start,
    status,
    stop,
    until,
    values_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXPIRES = ("stations", "readings")


async def test_sql_is_rebuilt_after_the_frames_have_expired(network: Network, fleet: list[Driver], yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    transaction = await start(station, token.uid, ago(seconds=90), meter=0)
    await meter(station, transaction, ago(seconds=60), 1_000)
    await yard.session(station, state="charging")
    await asyncio.gather(*(something_for_everybody(driver) for driver in fleet))
    for driver in fleet:
        await network.rest.until_station(driver.station.identity, lambda shown: shown["evses"], "its connector")
    before = await all_that_is(network)
    assert {shown["id"] for shown in before["/v1/stations"]} >= {driver.station.identity for driver in fleet}

    await until(lambda: clickhouse_has_all(network), "ClickHouse has what is about to expire")
    await until(lambda: expired(network), "the frames have expired")

    await network.run("services.views", "rebuild")

    async def rebuilt() -> bool | None:
        return True if await all_that_is(network) == before else None

    await until(rebuilt, "everything is as it was")
    # What decides goes on from its state, and needs nothing that has expired.
    async with network.killed("sessions"):
        pass
    assert await stop(station, transaction, ago(seconds=1), 2_500) == {}
    assert shows(await yard.session(station), energy_wh=2_500, final=True)


async def all_that_is(network: Network) -> dict[str, list[Any]]:
    """Return all that REST shows of what is, connectors included."""
    paths = ("/v1/sites", "/v1/stations", "/v1/tokens", "/v1/sessions", "/v1/unknown-tokens", "/v1/access-keys")
    return {path: await network.rest.everything(path) for path in paths}


async def clickhouse_has_all(network: Network) -> bool | None:
    wanted = {record.headers["ce_id"].decode() for record in await network.records(*EXPIRES)}
    db = network.clickhouse()
    try:
        rows = await db.query("SELECT id FROM events WHERE topic IN ('stations', 'readings')")
    finally:
        await db.close()
    return True if wanted <= {row["id"] for row in rows} else None


async def something_for_everybody(driver: Driver) -> None:
    """Say what makes each decider keep how far it is."""
    await status(driver.station, 1, "Available")
    await authorize(driver.station, driver.token.uid)
    await driver.station.call("MeterValues", values_of(0, ago(seconds=0), 10_000_000))


TOLD_ONCE = ("ConnectionOpened", "StationBooted", "TransactionStarted", "TransactionEnded")


async def expired(network: Network) -> bool | None:
    """Delete what every decider has behind it, as retention does; return whether nothing is left to derive anything from."""
    await expire(network)
    left = [record.headers["ce_type"].decode() for record in await network.records("stations")]
    return None if any(type.endswith(TOLD_ONCE) for type in left) else True


async def expire(network: Network) -> None:
    admin = AIOKafkaAdminClient(**connection(network.settings))
    await admin.start()
    try:
        until_offset = await behind_all(network)
        assert until_offset
        await admin.delete_records({place: RecordsToDelete(offset) for place, offset in until_offset.items()})
    finally:
        await admin.close()


async def behind_all(network: Network) -> dict[TopicPartition, int]:
    """Return, for each partition of what expires, the offset that the slowest of all deciders has kept."""
    kept: dict[tuple[str, int], dict[str, int]] = {}
    for service in DECIDERS:
        for record in await network.records(f"{service}.state"):
            if record.key == b"~offsets" and record.value:
                for topic, offset in json.loads(record.value)["offsets"].items():
                    kept.setdefault((topic, record.partition), {})[service] = offset
    consumer = plain_consumer(network.settings)
    await consumer.start()
    try:
        places = [
            TopicPartition(full(network.settings, name), number)
            for name in EXPIRES
            for number in range(network.settings.partitions)
        ]
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    names = {place: place.topic.removeprefix(network.settings.topic_prefix) for place in places}
    return {place: min([ends[place], *kept.get((names[place], place.partition), {}).values()]) for place in places}
