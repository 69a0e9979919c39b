"""Some thousand frames that no station should send, at a real gateway (C-106)."""

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest

from chassis.kafka import create_topics
from chassis.settings import Settings
from tests.gateway.mutants import mutant
from tests.gateway.stage import PATIENCE, Stage, settings_for, stage


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """A deployment of this module's own."""
    made = settings_for(kafka)
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


def id_of(data: bytes) -> Any:
    """Return the id of a call that everybody can read; None of any other frame."""
    try:
        said = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    is_call = isinstance(said, list) and len(said) > 1 and said[0] == 2 and type(said[0]) is int
    return said[1] if is_call and isinstance(said[1], str) and said[1].startswith("id-") else None


async def strange(at: Stage, seed: int, frames: int) -> tuple[Counter[str], Counter[str]]:
    """Send strange frames on one connection, and a heartbeat after them; return the calls that one can read, and the answers."""
    dice = random.Random(seed)
    socket, _ = await at.connected()
    sent = [mutant(dice, f"id-{dice.getrandbits(48):012x}") for _ in range(frames)]

    async def say() -> None:
        for data in sent:
            try:
                await socket.send(data.decode())
            except UnicodeDecodeError:
                await socket.send(data)
        await socket.send('[2,"the end","Heartbeat",{}]')

    saying = asyncio.create_task(say())
    answers: list[Any] = []
    while not answers or answers[-1] != "the end":
        async with asyncio.timeout(PATIENCE):
            answers.append(json.loads(await socket.recv())[1])
    await saying
    await socket.close()
    readable = Counter(id for data in sent if (id := id_of(data)) is not None)
    return readable, Counter(id for id in answers if isinstance(id, str))


@pytest.mark.covers("C-106", "C-040")
async def test_of_thousands_of_strange_frames_every_readable_call_is_answered_once(settings: Settings) -> None:
    async with stage(settings, undecided_after=0.05, frames_per_s=0) as at:
        for readable, answered in await asyncio.gather(*(strange(at, seed, 1000) for seed in range(4))):
            assert sum(readable.values()) > 350
            assert {id: (readable[id], answered[id]) for id in readable if answered[id] != readable[id]} == {}
