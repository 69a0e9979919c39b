"""A process from its command line to its end."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from chassis import service
from chassis.progress import PATIENCE_S, Needs, Progress
from chassis.service import Service
from chassis.settings import Settings

SECRET = "0123456789abcdef-the-deployments-secret"
PASSWORD = "hunter2-of-postgres"
KEPT = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}


class Errand:
    """A running `tests.chassis.errand`, and the lines it has said."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def said(self, event: str) -> dict[str, Any]:
        """Return the first line that says this."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"it never said {event!r}, but {self.lines}")

    async def ended(self) -> int:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            rest = await self.process.stdout.read()
            self.lines += [json.loads(line) for line in rest.splitlines()]
            return await self.process.wait()


@asynccontextmanager
async def errand(*arguments: str, **settings: str) -> AsyncIterator[Errand]:
    environment = {**KEPT, **{f"VOLTSTREAM_{name.upper()}": value for name, value in settings.items()}}
    process = await launched("tests.chassis.errand", *arguments, environment=environment)
    try:
        yield Errand(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def launched(module: str, *arguments: str, environment: Mapping[str, str] = KEPT) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )


async def outcome(module: str, *arguments: str, **settings: str) -> tuple[int | None, str, str]:
    """Return the exit code, standard output and standard error of a process that ends by itself."""
    environment = {**KEPT, **{f"VOLTSTREAM_{name.upper()}": value for name, value in settings.items()}}
    process = await launched(module, *arguments, environment=environment)
    async with asyncio.timeout(30):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def get(line: dict[str, Any], path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(line["health"].removesuffix("/readyz") + path)


# ---- the command line --------------------------------------------------------------------------------------------


async def test_help_lists_every_setting() -> None:
    code, out, _ = await outcome("services.directory", "--help")
    assert code == 0
    assert set(re.findall(r"VOLTSTREAM_\w+", out)) >= {f"VOLTSTREAM_{name.upper()}" for name in Settings.model_fields}


async def test_a_broken_setting_ends_with_78_and_a_sentence_that_names_it_and_not_its_value() -> None:
    code, out, error = await outcome("services.directory", secret="too-short-a-secret", partitions="many", kafka="here")
    assert (code, out) == (78, "")
    assert "VOLTSTREAM_SECRET: should have at least 32 characters" in error
    assert "VOLTSTREAM_PARTITIONS" in error
    assert "VOLTSTREAM_KAFKA: should be host:port" in error
    assert "too-short-a-secret" not in error
    assert "Traceback" not in error


async def test_an_unknown_setting_is_named() -> None:
    code, _, error = await outcome("services.directory", kafak="127.0.0.1:1")
    assert code == 78
    assert "VOLTSTREAM_KAFAK: there is no such setting" in error


# ---- running -----------------------------------------------------------------------------------------------------


async def test_health_says_alive_at_once_ready_when_it_is_and_stopping_when_it_is_not_any_more() -> None:
    async with errand("slow_to_stop") as it:
        starting = await it.said("starting")
        await it.said("ready")
        assert (await get(starting, "/healthz")).status_code == 200
        assert (await get(starting, "/readyz")).status_code == 200
        it.process.terminate()
        await it.said("stopping")
        stopping = await get(starting, "/readyz")
        assert (stopping.status_code, stopping.text) == (503, "stopping\n")
        assert (await get(starting, "/healthz")).status_code == 200


async def test_a_service_that_is_not_ready_says_so_and_gives_its_metrics() -> None:
    async with errand("slow_to_start") as it:
        starting = await it.said("starting")
        await it.said("at work")
        assert (await get(starting, "/readyz")).status_code == 503
        assert (await get(starting, "/healthz")).status_code == 200
        metrics = await get(starting, "/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "voltstream_event_loop_lag_seconds" in metrics.text


async def test_every_line_is_json_and_none_holds_a_secret() -> None:
    sql = f"postgresql+asyncpg://voltstream:{PASSWORD}@127.0.0.1/x"
    async with errand("waiting", secret=SECRET, sql=sql) as it:
        await it.said("ready")
        it.process.terminate()
        assert await it.ended() == 0
    text = json.dumps(it.lines)
    assert SECRET not in text
    assert PASSWORD not in text
    assert {"ts", "level", "event", "service"} <= set(it.lines[0])
    assert {line["service"] for line in it.lines} == {"errand"}


async def test_a_crash_is_a_log_line_with_its_traceback_and_without_local_variables() -> None:
    async with errand("crash", secret=SECRET, log="text") as it:
        out, error = await it.process.communicate()
    text = (out + error).decode()
    assert it.process.returncode == 1
    assert "crashed" in text
    assert "ZeroDivisionError" in text
    assert SECRET not in text


async def test_a_crash_in_json_is_one_line() -> None:
    async with errand("crash", secret=SECRET) as it:
        line = await it.said("crashed")
        assert await it.ended() == 1
    assert line["level"] == "critical"
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize("how", ["wrong", "wrong_in_a_group"])
async def test_what_an_operator_can_mend_is_a_sentence(how: str) -> None:
    async with errand(how) as it:
        line = await it.said("the moon is in the wrong house: wait a day")
        assert await it.ended() == 1
        assert it.process.stderr is not None
        assert await it.process.stderr.read() == b""
    assert (line["level"], line["stopped_by"]) == ("error", "Broken")


async def test_a_taken_port_is_a_sentence_that_names_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, error = await outcome("tests.chassis.errand", health_port=str(port))
    assert code == 1
    line = json.loads(out)
    assert f"cannot listen on 127.0.0.1:{port}" in line["event"]
    assert "VOLTSTREAM_HEALTH_PORT" in line["event"]
    assert error == ""


# ---- stopping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", ["waiting", "slow_to_start"])
async def test_a_signal_ends_it_in_order_whether_it_is_ready_or_not(what: str, number: signal.Signals) -> None:
    async with errand(what) as it:
        await it.said("at work")
        it.process.send_signal(number)
        assert await it.ended() == 0
        assert it.process.stderr is not None
        assert await it.process.stderr.read() == b""
    assert it.lines[-1]["event"] == "stopped"


async def test_a_signal_ends_it_while_it_waits_for_a_kafka_that_is_not_there() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and deaf: every connection is refused
        async with errand("for_kafka", kafka=f"127.0.0.1:{nobody.getsockname()[1]}") as it:
            waiting = await it.said("waiting for Kafka")
            it.process.terminate()
            assert await it.ended() == 0
            assert it.process.stderr is not None
            assert await it.process.stderr.read() == b""
    assert "VOLTSTREAM_KAFKA" in waiting["hint"]
    assert it.lines[-1]["event"] == "stopped"
    assert not [line for line in it.lines if line["level"] == "error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_that_comes_while_a_service_is_being_imported_ends_it_without_a_word(
    number: signal.Signals,
) -> None:
    """As soon as its handler is there: `/proc` tells which signals a process catches."""
    process = await launched("services.directory")
    try:
        await catching(process.pid, number)
        process.send_signal(number)
        async with asyncio.timeout(30):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert error == b""
    assert not out or json.loads(out.splitlines()[-1])["event"] == "stopped"


async def catching(pid: int, number: signal.Signals) -> None:
    async with asyncio.timeout(30):
        while True:
            with open(f"/proc/{pid}/status") as status:  # noqa: ASYNC230, PTH123
                caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
            # Python itself catches SIGINT from the beginning: what we wait for is the first that only we catch
            if caught >> (signal.SIGTERM - 1) & 1 and caught >> (number - 1) & 1:
                return
            await asyncio.sleep(0.001)


async def test_signals_at_any_moment_of_a_start_end_it_with_0_and_no_traceback() -> None:
    for moment in range(6):
        process = await launched("services.directory", environment={**KEPT, "VOLTSTREAM_KAFKA": "127.0.0.1:1"})
        await catching(process.pid, signal.SIGTERM)
        await asyncio.sleep(moment / 6)  # not for a fact: any moment must do
        process.terminate()
        async with asyncio.timeout(30):
            out, error = await process.communicate()
        assert (process.returncode, error) == (0, b""), out


async def test_work_that_does_not_end_when_it_should_is_cut_off_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "STOP_WITHIN_S", 0.05)
    it = Service("errand")
    it.ready()
    it.stopping.set()
    work = asyncio.create_task(_for_ever())
    with pytest.raises(service.Unfinished, match="cut off"):
        await service._until_stopped(work, it)
    assert work.cancelled()


async def _for_ever() -> None:
    await asyncio.Event().wait()


# ---- progress ----------------------------------------------------------------------------------------------------


def test_work_is_stuck_when_it_has_not_beaten_for_a_minute_and_never_when_it_is_over() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    progress.beat("views")
    progress.beat("copies")
    now[0] = PATIENCE_S
    assert progress.stuck() == []
    progress.beat("copies")
    now[0] += 1
    assert progress.stuck() == ["views"]
    progress.over("views")
    assert progress.stuck() == []


async def test_a_stuck_service_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(service, "PROGRESS", Progress(lambda: now[0]))
    it = Service("errand")
    transport = httpx.ASGITransport(service._health(it))
    async with httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        assert (await client.get("/healthz")).status_code == 200
        it.beat()
        now[0] = PATIENCE_S + 1
        response = await client.get("/healthz")
        assert (response.status_code, response.text) == (503, "stuck: errand\n")
        it.beat()
        assert (await client.get("/healthz")).status_code == 200


def test_what_is_away_is_named_until_it_is_back() -> None:
    needs = Needs()
    for what in ("SQL", "Kafka", "Kafka"):
        needs.away(what)
    assert needs.missing() == ["Kafka", "SQL"]
    needs.back("Kafka")
    needs.back("Kafka")
    assert needs.missing() == ["SQL"]
