import asyncio

from chassis import logs, service
from chassis.settings import BrokenSetting, load_or_exit
from services.analytics import worker

DESCRIPTION = """Writes every event of every topic to ClickHouse, exactly once in effect.

`migrate` only brings ClickHouse to today's shape, which a start does too.
"""


def main() -> None:
    parser = service.parser_of("analytics", DESCRIPTION)
    parser.add_argument("task", nargs="?", choices=["migrate"])
    if parser.parse_args().task is None:
        service.launch("analytics", worker.serve)
        return
    settings = load_or_exit()
    logs.setup("analytics", style=settings.log, level=settings.log_level)
    try:
        asyncio.run(worker.migrate(settings))
    except BrokenSetting as error:
        logs.log.error(str(error))
        raise SystemExit(1) from None
    logs.log.info("done", task="migrate")


if __name__ == "__main__":
    main()
