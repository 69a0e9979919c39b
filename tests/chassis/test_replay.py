"""Replay of states: what a decider keeps is the fold of its outputs, and what is not is named."""

import pytest
import pytest_asyncio

from chassis import kafka as kafka_
from chassis import replay
from chassis.kafka import Log, TopicPartition, full
from chassis.replay import Verdict
from chassis.settings import Settings
from contracts.topics import STATIONS
from tests.chassis import toy
from tests.chassis.test_loop import counted, everything, in_parts, raw_send, running, say, until

pytestmark = pytest.mark.timeout(90)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka_.create_topics(settings)
    return settings


@pytest.mark.parametrize("stream", [toy.stream, in_parts])
async def test_states_are_the_fold_of_the_outputs_and_a_wrong_one_is_named(settings: Settings, stream: object) -> None:
    assert callable(stream)
    log = Log(settings, linger_ms=0)
    await log.start()
    async with running(stream(), settings):
        for number in range(3):
            for station in ("A", "B", "slow"):
                await say(log, toy.read(station), f"{station}{number}")
        await until(counted(settings, {"A": [1, 2, 3], "B": [1, 2, 3]}))
        at_work = await replay.states(stream(), settings)
        assert not at_work.different
    await log.stop()
    verdict = await replay.states(stream(), settings)
    assert verdict.lines() == ["sessions.state: 3 of 3 equal"]
    *_, state = [r for r in await everything(settings, "sessions.state") if r.key == b"acme/A"]
    fewer = (state.value or b"").replace(b'"count":3', b'"count":2')
    await raw_send(settings, "sessions.state", fewer, key=b"acme/A", partition=state.partition)
    await raw_send(settings, "sessions.state", fewer, key=b"acme/Nobody", partition=state.partition)
    before = await _ends(settings)
    wrong = await replay.states(stream(), settings)
    assert wrong.equal == 2
    assert [line.split(":")[0] for line in wrong.different] == ["acme/A", "acme/Nobody"]
    assert await _ends(settings) == before


async def _ends(settings: Settings) -> dict[TopicPartition, int]:
    consumer = kafka_.plain_consumer(settings)
    await consumer.start()
    try:
        names = [full(settings, name) for name in ("sessions", "sessions.state", "sessions.parked")]
        return dict(await consumer.end_offsets([TopicPartition(name, n) for name in names for n in range(4)]))
    finally:
        await consumer.stop()


async def test_chunks_are_every_record_before_an_offset(settings: Settings) -> None:
    log = Log(settings, linger_ms=0)
    await log.start()
    places = [await say(log, toy.read("A"), f"a{number}") for number in range(5)]
    await log.stop()
    until_offsets = {("stations", number): 0 for number in range(4)} | {("stations", places[0].partition): 3}
    found = [chunk async for batch in replay.chunks(settings, (STATIONS,), until_offsets) for chunk in batch]
    assert [record.offset for chunk in found for record in chunk.records] == [0, 1, 2]
    assert found[-1].after == 3


def test_the_first_differences_are_shown_and_the_rest_counted() -> None:
    verdict = Verdict("things")
    verdict.compare("same", 1, 1)
    for number in range(7):
        verdict.compare(f"thing {number}", number, None)
    assert verdict.lines()[0] == "things: 1 of 8 equal"
    assert verdict.lines()[1] == "  thing 0: kept, but the log knows nothing of it"
    assert verdict.lines()[-1] == "  and 2 more"
