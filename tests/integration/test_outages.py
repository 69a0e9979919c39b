"""Kafka, SQL and ClickHouse away at the start, gone and back: each service waits, says for what, and goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from chassis.broker import build
from chassis.kafka import create_topics
from chassis.settings import Settings
from deploy.local.system import SERVICES
from tests.api.network import FIRST_KEY
from tests.api.streaming import Ear, listening
from tests.integration.processes import Processes
from tests.sql_fixture import Postgres, postgres
from tests.station import Station, TurnedAway
from tests.system.network import SITE, ago, arrived, boot, start, status, stop, until

__all__ = ["postgres"]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

OF_KAFKA_ALONE = [name for name in SERVICES if name not in ("views", "api", "analytics")]
"""Who can work as long as Kafka is there."""
SITE_BODY = {"name": "Harbour", "time_zone": "Europe/Oslo", "currency": "NOK"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_of_them(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Processes]:
    """Processes that are not started, of a Kafka that has its topics and is not started either."""
    folder = tmp_path_factory.mktemp("outages")
    broker = build(folder / "kafka")
    async with broker:
        await create_topics(Settings(kafka=broker.bootstrap, partitions=1))
    them = Processes(folder, broker, postgres.url("postgres"), alert_faults=2, cdr_hold_s=0.1)
    yield them
    await them.stop()
    await broker.stop()


async def charge(them: Processes, identity: str) -> Any:
    """Charge at a new station, and return the session that REST shows."""
    await them.rest.put(f"/v1/sites/{SITE}", SITE_BODY)
    await them.rest.register(identity, security_profile=0)
    token, station = await them.rest.token(), Station(identity, (them.ocpp,))
    await arrived(station)
    await boot(station)
    transaction = await start(station, token.uid, ago(minutes=5), meter=1000)
    for _ in range(2):
        await status(station, 1, "Faulted", "GroundFailure")
        await status(station, 1, "Available")
    await stop(station, transaction, ago(minutes=1), 3000)
    await station.close()
    (session,) = await them.rest.until_sessions(identity, "ended")
    return session


@asynccontextmanager
async def heard_by(them: Processes) -> AsyncIterator[Ear]:
    """A live stream of everything."""
    headers, base = {"Authorization": f"Bearer {FIRST_KEY}"}, str(them.rest.client.base_url)
    async with (
        httpx.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as client,
        listening(client) as ear,
    ):
        yield ear


async def alerted(them: Processes, identity: str) -> None:
    async def alert() -> Any:
        return (await them.rest.get("/v1/alerts", station=identity))["items"] or None

    await until(alert, f"an alert of {identity}")


async def refused(them: Processes, method: str, path: str, body: Any = None) -> str:
    """Return why the api cannot answer, once it says so in order."""

    async def look() -> str | None:
        answer = await them.rest.client.request(method, path, json=body)
        if answer.status_code != 503:
            return None
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        return str(answer.json()["detail"])

    return await until(look, f"{method} {path}: 503")


async def test_without_what_it_needs_a_service_starts_waits_says_so_and_is_not_ready(
    all_of_them: Processes, postgres: Postgres
) -> None:
    them = all_of_them
    postgres.stop()
    for part in them.parts.values():
        part.start()
    try:
        await them.until_says(SERVICES, 503, "starting")
        for name in OF_KAFKA_ALONE:
            await them.until_logged(name, "waiting for Kafka")
        for name in ("views", "api"):
            await them.until_logged(name, "waiting for postgresql")
        await them.until_logged("analytics", "waiting for ClickHouse")
        await them.broker.start()
        await them.until_ready(OF_KAFKA_ALONE)
        await them.until_says(("views", "api", "analytics"), 503, "starting")
    finally:
        postgres.start()
    await them.until_ready(("views", "api"))
    await them.until_says(("analytics",), 503, "starting")
    them.start_clickhouse()
    await them.until_ready(SERVICES)
    assert (await charge(them, "CP-1"))["energy_wh"] == 2000
    await alerted(them, "CP-1")


async def test_without_kafka_nobody_is_ready_who_cannot_do_without_and_all_go_on_when_it_is_back(
    all_of_them: Processes,
) -> None:
    them = all_of_them
    async with heard_by(them) as ear:
        them.broker.kill()
        await them.until_says([name for name in SERVICES if name != "api"], 503, "waiting for Kafka")
        assert "Kafka" in await refused(them, "PUT", "/v1/sites/quay", SITE_BODY)
        assert (await them.rest.get(f"/v1/sites/{SITE}"))["name"] == "Harbour"
        assert (await them.health("api", "/readyz"))[0] == 200, "it reads as well as ever"
        with pytest.raises(TurnedAway) as turned:
            await Station("CP-1", (them.ocpp,)).connect()
        assert (turned.value.status, "Retry-After" in turned.value.headers) == (503, True)
        await them.broker.start()
        await them.until_ready(SERVICES)
        assert (await charge(them, "CP-2"))["energy_wh"] == 2000
        await alerted(them, "CP-2")
        async for heard in ear.events:
            if heard.type == "SessionEnded" and heard.data["station"] == "CP-2":
                break


async def test_without_sql_the_api_is_not_ready_says_so_in_every_answer_and_recovers(
    all_of_them: Processes, postgres: Postgres
) -> None:
    them = all_of_them
    postgres.stop()
    try:
        assert "SQL" in await refused(them, "GET", "/v1/stations")
        await them.until_says(("views", "api"), 503, "waiting for SQL")
        await them.until_ready([name for name in SERVICES if name not in ("views", "api")])
    finally:
        postgres.start()
    await them.until_ready(SERVICES)
    assert (await charge(them, "CP-3"))["energy_wh"] == 2000


async def test_without_clickhouse_the_past_is_away_and_nothing_else_and_none_of_it_is_lost(
    all_of_them: Processes,
) -> None:
    them = all_of_them
    them.kill_clickhouse()
    assert (await charge(them, "CP-4"))["energy_wh"] == 2000
    await them.until_says(("analytics",), 503, "waiting for ClickHouse")
    assert "ClickHouse" in await refused(them, "GET", "/v1/stations/CP-4/frames")
    await them.until_ready([name for name in SERVICES if name != "analytics"])
    them.start_clickhouse()
    await them.until_ready(SERVICES)

    async def frames() -> Any:
        found = (await them.rest.get("/v1/stations/CP-4/frames"))["items"]
        return found if any(frame["meaning"] == "TransactionEnded" for frame in found) else None

    await until(frames, "what was said meanwhile in ClickHouse")
