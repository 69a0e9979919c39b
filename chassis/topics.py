"""`python -m chassis.topics create`: the topics of the catalogue, in Kafka."""

import argparse
import asyncio

from chassis import logs
from chassis.errors import SaysWhatToDo
from chassis.kafka import all_topics, create_topics, full
from chassis.logs import log
from chassis.settings import Settings, describe, load_or_exit


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m chassis.topics",
        description="Create Voltstream's topics, or list them.",
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action", choices=["create", "list"], help="create what is missing and check the rest; or list all"
    )
    action = parser.parse_args().action
    settings = load_or_exit()
    logs.setup("topics", style=settings.log, level=settings.log_level)
    if action == "list":
        for name, how in all_topics().items():
            print(full(settings, name), *(f"{key}={value}" for key, value in how.items()))
        return
    try:
        code = asyncio.run(_create(settings))
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


async def _create(settings: Settings) -> int:
    try:
        created = await create_topics(settings)
    except SaysWhatToDo as wrong:
        log.error(str(wrong))
        return 1
    log.info("topics are there", created=len(created), partitions=settings.partitions)
    return 0


if __name__ == "__main__":
    main()
