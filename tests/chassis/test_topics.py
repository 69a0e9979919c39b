"""`python -m chassis.topics`."""

import json

from chassis.kafka import all_topics, check_topics
from chassis.settings import Settings
from contracts.topics import CATALOGUE, DECIDERS
from tests.chassis.test_service import outcome


async def test_list_names_every_topic_as_it_is_in_the_cluster() -> None:
    code, out, error = await outcome("chassis.topics", "list", topic_prefix="mine.")
    assert (code, error) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} == {f"mine.{name}" for name in all_topics()}
    assert "mine.stations max.message.bytes=4194304 retention.ms=604800000" in out.splitlines()
    assert any(line.startswith("mine.tokens ") and "cleanup.policy=compact" in line for line in out.splitlines())


def test_every_topic_of_the_catalogue_and_every_decider_has_what_it_needs() -> None:
    expected = {name for topic in CATALOGUE for name in (topic.name, f"{topic.name}.unread")}
    assert set(all_topics()) == expected | {f"{name}.{what}" for name in DECIDERS for what in ("state", "parked")}
    assert all_topics()["sessions"] == {"max.message.bytes": "4194304", "retention.ms": "-1"}


async def test_create_creates_them_and_says_how_many(kafka: str, topic_prefix: str) -> None:
    code, out, error = await outcome("chassis.topics", "create", kafka=kafka, topic_prefix=topic_prefix, partitions="2")
    assert (code, error) == (0, "")
    assert json.loads(out)["created"] == len(all_topics())
    await check_topics(Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2), all_topics())


async def test_what_cannot_be_created_is_one_line_and_no_traceback(kafka: str, topic_prefix: str) -> None:
    code, out, error = await outcome(
        "chassis.topics", "create", kafka=kafka, topic_prefix=topic_prefix, partitions="2", replication="3"
    )
    assert (code, error) == (1, "")
    assert "VOLTSTREAM_REPLICATION" in json.loads(out)["event"]
