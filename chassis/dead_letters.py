"""`python -m chassis.dead_letters`: what has been put aside because a rule raised, and how to feed it through again."""

import argparse
import asyncio
from contextlib import suppress

import msgspec

from chassis import clock, kafka, logs
from chassis.errors import SaysWhatToDo
from chassis.kafka import TopicPartition, full
from chassis.logs import log
from chassis.loop import PARKED, Parked, Replay
from chassis.settings import Settings, describe, load_or_exit
from contracts.cloudevents import Attributes, to_headers
from contracts.event import derived_id
from contracts.topics import DECIDERS


async def parked_keys(settings: Settings, service: str) -> dict[bytes, tuple[int, Parked]]:
    """Return the parked keys of a service, each with its partition and why. Raises `WrongTopics`."""
    await kafka.check_topics(settings, [f"{service}.state", f"{service}.parked"])
    name = full(settings, f"{service}.state")
    places = [TopicPartition(name, partition) for partition in range(settings.partitions)]
    found: dict[bytes, tuple[int, Parked]] = {}
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, "dead letters")
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            while await consumer.position(place) < ends[place]:
                for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                    if (record.key or b"").startswith(PARKED):
                        _hear(found, record.key.removeprefix(PARKED), record.value, place.partition)
    finally:
        await kafka.departed(consumer)
    return found


def _hear(found: dict[bytes, tuple[int, Parked]], key: bytes, value: bytes | None, partition: int) -> None:
    """Take in a record of a state topic, as the service itself does."""
    with suppress(ValueError):
        why = None if value is None else msgspec.json.decode(value, type=Parked)
        found.pop(key, None)
        if why is not None:
            found[key] = (partition, why)


async def replay(settings: Settings, service: str, key: bytes, partition: int) -> None:
    """Ask the service to feed a key's parked records through its rules, in order and once."""
    now = clock.now()
    producer = kafka.AIOKafkaProducer(**kafka.connection(settings), enable_idempotence=True)
    await kafka.started(producer, "dead letters")
    try:
        cause = derived_id(f"{key.decode()}/{now.isoformat()}", service, "replay")
        headers = Attributes(cause, "voltstream.Replay", "/voltstream/dead-letters", key.decode(), now, now)
        value = msgspec.json.encode(Replay(now))
        name = full(settings, f"{service}.parked")
        await producer.send_and_wait(name, value, key=key, partition=partition, headers=to_headers(headers))
    finally:
        await kafka.abandoned(producer)


async def _run(settings: Settings, action: str, service: str, station: str) -> int:
    try:
        return await _act(settings, action, service, station)
    except SaysWhatToDo as wrong:
        log.error(str(wrong))
        return 1


async def _act(settings: Settings, action: str, service: str, station: str) -> int:
    services = [service] if service else list(DECIDERS)
    asked = 0
    for name in services:
        for key, (partition, why) in (await parked_keys(settings, name)).items():
            text = key.decode(errors="replace")
            if action == "list":
                print(f"{name}\t{text}\tsince {why.since.isoformat()}\t{why.error}")
            elif station in (text, text.partition("/")[2]):
                await replay(settings, name, key, partition)
                log.info("asked to replay", by=name, key=text)
                asked += 1
    if action == "replay" and not asked:
        log.error("nothing of it is parked", station=station, services=services)
        return 1
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m chassis.dead_letters",
        description="List the keys whose records are put aside because a rule raised, or feed them through the rules again.",
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--service", choices=DECIDERS, default="", help="only this service (default: all)")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|replay")
    actions.add_parser("list", help="list parked keys and why they are")
    again = actions.add_parser(
        "replay", help="after the repair: feed a station's records through the rules, once and in order"
    )
    again.add_argument("station", help="the station's identity, or tenant/identity where several tenants matter")
    options = parser.parse_args()
    settings = load_or_exit()
    logs.setup("dead-letters", style=settings.log, level=settings.log_level)
    try:
        code = asyncio.run(_run(settings, options.action, options.service, getattr(options, "station", "")))
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


if __name__ == "__main__":
    main()
