"""The process, on a real port, with a real Kafka, the real directory and the real views."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import AsyncClient
from pydantic import SecretStr

from chassis.kafka import create_topics
from chassis.loop import Loop
from chassis.service import Service
from chassis.settings import BrokenSetting, Settings
from chassis.web import PortTaken
from services.api.server import serve
from services.directory import worker as directory
from services.views import worker as views
from tests.api.network import FIRST_KEY, settings_of
from tests.api.test_sites import HARBOUR


def settings_at(kafka: str, topic_prefix: str, url: str) -> Settings:
    return settings_of(
        kafka=kafka,
        topic_prefix=topic_prefix,
        partitions=2,
        session_timeout_ms=6000,
        sql=SecretStr(url),
        api_port=0,
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[AsyncClient, Service]]:
    """The api, listening, and a client with the first key."""
    service, address = Service("api"), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, service, address.set_result))
    await asyncio.wait([task, address], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    headers = {"Authorization": f"Bearer {FIRST_KEY}"}
    try:
        async with AsyncClient(base_url=await address, headers=headers, timeout=30) as client:
            yield client, service
    finally:
        service.stopping.set()
        await task


@asynccontextmanager
async def deciding(settings: Settings) -> AsyncIterator[None]:
    """The directory and the views, both ready."""
    stop, decided, seen = asyncio.Event(), asyncio.Event(), Service("views")
    tasks = [
        asyncio.create_task(Loop(directory.build(settings), settings).run(decided.set, stop)),
        asyncio.create_task(views.serve(settings, seen)),
    ]
    async with asyncio.timeout(60):
        await decided.wait()
    try:
        yield
    finally:
        stop.set()
        seen.stopping.set()
        await asyncio.gather(*tasks)


async def until_ready(service: Service) -> None:
    async with asyncio.timeout(60):
        while not service.is_ready:
            await asyncio.sleep(0.02)


async def test_a_write_goes_through_the_log_and_back(kafka: str, topic_prefix: str, sqlite_url: str) -> None:
    settings = settings_at(kafka, topic_prefix, sqlite_url)
    await create_topics(settings)
    async with deciding(settings), serving(settings) as (client, service):
        await until_ready(service)
        answers = await asyncio.gather(*(client.put(f"/v1/sites/s-{n}", json=HARBOUR) for n in range(20)))
        assert [answer.status_code for answer in answers] == [201] * 20
        assert len((await client.get("/v1/sites")).json()["items"]) == 20
        station = await client.put("/v1/stations/RDAM%20123%25%7C", json={"site": "s-1"})
        assert (station.status_code, station.json()["id"]) == (201, "RDAM 123%|")
        assert (await client.get("/v1/stations/RDAM%20123%25%7C")).json() == station.json()
        shown = (await client.post("/v1/stations/RDAM%20123%25%7C/credentials")).json()
        assert shown["url"] == "wss://ocpp.example.com/ocpp/RDAM%20123%25%7C"
        key = (await client.post("/v1/access-keys", json={"scopes": ["read"], "tenant": "acme"})).json()["key"]
        bearer = {"Authorization": f"Bearer {key}"}
        assert (await client.get("/v1/sites", headers=bearer)).json()["items"] == []
        assert (await client.delete("/v1/stations/RDAM%20123%25%7C")).status_code == 204
        race = [client.put("/v1/sites/race", json=HARBOUR, headers={"If-None-Match": "*"}) for _ in range(10)]
        assert sorted(answer.status_code for answer in await asyncio.gather(*race)) == [201] + [412] * 9


async def test_it_answers_what_it_can_while_others_are_away(sqlite_url: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings = settings_at(f"127.0.0.1:{unused.getsockname()[1]}", "nothing.", sqlite_url)
        async with serving(settings) as (client, service):
            assert (await client.get("/v1/me")).status_code == 200
            sites = await client.get("/v1/sites")
            assert (sites.status_code, "SQL" in sites.json()["detail"]) == (503, True)
            assert (await client.get("/readyz")).status_code == 503
            await views.migrate(settings)
            assert (await client.get("/v1/sites")).status_code == 200
            written = await client.put("/v1/sites/a", json=HARBOUR)
            assert (written.status_code, "Kafka" in written.json()["detail"]) == (503, True)
            assert not service.is_ready


async def test_a_taken_port_is_named_with_its_setting(sqlite_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = settings_of(api_port=taken.getsockname()[1], sql=SecretStr(sqlite_url))
        with pytest.raises(PortTaken, match="VOLTSTREAM_API_PORT"):
            await serve(settings, Service("api"))


async def test_a_wrong_clickhouse_is_named_and_not_repeated(sqlite_url: str) -> None:
    settings = settings_of(api_port=0, sql=SecretStr(sqlite_url), clickhouse=SecretStr("clickhouse://u:s3cret@h/d"))
    with pytest.raises(BrokenSetting, match="VOLTSTREAM_CLICKHOUSE") as broken:
        await serve(settings, Service("api"))
    assert "s3cret" not in str(broken.value)


def test_the_process_lists_its_settings() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "services.api", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert "VOLTSTREAM_API_PORT" in shown
    assert "openapi" in shown


def test_the_process_stops_when_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("api")
    environment = {
        "PATH": "/usr/bin:/bin",
        "VOLTSTREAM_SQL": f"sqlite+aiosqlite:///{folder}/views.sqlite",
        "VOLTSTREAM_SECRET": "a-secret-of-the-tests-and-of-nobody-else",
        "VOLTSTREAM_KAFKA": "127.0.0.1:9",
        "VOLTSTREAM_API_PORT": "0",
        "VOLTSTREAM_LOG": "json",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.api"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if '"event": "REST"' in line:
                break
        process.send_signal(signal.SIGTERM)
        said += process.stdout.readlines()
        assert process.wait(30) == 0, "".join(said)
    assert '"event": "stopped"' in said[-1]
    assert "Traceback" not in "".join(said)
