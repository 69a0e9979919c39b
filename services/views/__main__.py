import asyncio

from chassis import logs, service
from chassis.settings import load_or_exit
from chassis.sql import Unusable
from services.views import worker

TASKS = {"migrate": worker.migrate, "rebuild": worker.rebuild}
DESCRIPTION = """Keeps the SQL read model: what is true now.

`migrate` only brings the database to today's shape, which a start does too. `rebuild` empties the tables: the service,
running or started next, reads the whole log into them anew.
"""


def main() -> None:
    parser = service.parser_of("views", DESCRIPTION)
    parser.add_argument("task", nargs="?", choices=TASKS)
    task = parser.parse_args().task
    if task is None:
        service.launch("views", worker.serve)
        return
    settings = load_or_exit()
    logs.setup("views", style=settings.log, level=settings.log_level)
    try:
        asyncio.run(TASKS[task](settings))
    except Unusable as error:
        logs.log.error(str(error))
        raise SystemExit(1) from None
    logs.log.info("done", task=task)


if __name__ == "__main__":
    main()
