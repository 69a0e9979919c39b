"""docs/live-stream.md is true: its commands and its program run against a real Kafka."""

import asyncio
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import httpx

from chassis import clock
from chassis.kafka import create_topics
from contracts.event import SessionId, StationId, TenantId
from contracts.sessions import SessionEnded
from contracts.topics import SESSIONS
from tests.api.network import FIRST_KEY, Network, settings_of
from tests.api.streaming import Away, Writer, energy, listening, replica
from tests.api.test_guide import fits

GUIDE = (Path(__file__).parents[2] / "docs" / "live-stream.md").read_text("utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```\n(?:\n```json\n(.*?)^```\n)?", GUIDE, re.MULTILINE | re.DOTALL)
[PROGRAM] = re.findall(r"^```python\n(.*?)^```\n", GUIDE, re.MULTILINE | re.DOTALL)


def ended(number: int) -> SessionEnded:
    return SessionEnded(
        at=clock.now(),
        tenant=TenantId("default"),
        station=StationId("RDAM 123"),
        session=SessionId(f"s-{number}"),
        report="r",
        reason="Local",
        energy_wh=number,
    )


async def test_every_command_and_the_program_of_the_guide_hear_what_happens(
    kafka: str, topic_prefix: str, network: Network, tmp_path: Path
) -> None:
    settings = settings_of(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)

    async def happening(writer: Writer) -> None:
        number = 0
        while True:
            number += 1
            await writer.says(SESSIONS, energy(number, "RDAM 123"), ended(number))

    async with replica(settings, network) as client, Writer(settings) as writer:
        where = {"PATH": os.environ["PATH"], "URL": str(client.base_url).rstrip("/"), "KEY": FIRST_KEY}
        going_on = asyncio.create_task(happening(writer))
        try:
            assert len(COMMANDS) == 3
            await opens(client)
            for commands, said in COMMANDS:
                answer = await shell(commands, tmp_path, where)
                if said:
                    assert fits(json.loads(said), json.loads(answer)), answer
                else:
                    assert "\ndata: {" in answer
            await hears_all(where)
        finally:
            going_on.cancel()
            await asyncio.wait([going_on])


async def opens(client: httpx.AsyncClient) -> None:
    """Return once there are streams: until it has found the ends of the topics, a replica answers 503."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Away):
                async with listening(client) as ear:
                    await ear.hear(1)
                    return


async def shell(commands: str, folder: Path, where: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", commands, cwd=folder, env=where, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def hears_all(where: dict[str, str]) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=where, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        heard = [(await program.stdout.readline()).decode().split() for _ in range(20)]
    finally:
        program.kill()
        await program.wait()
    first = int(heard[0][2])
    assert heard == [["default/RDAM", "123", str(first + n)] for n in range(20)]
