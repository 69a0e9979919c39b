"""Log lines: JSON for machines, readable on a terminal. The libraries' own lines come out the same way."""

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

QUIET = {
    "aiokafka": logging.CRITICAL,  # logs each retry as an error (architecture §3); what fails for good is raised
    "websockets": logging.CRITICAL,  # a station's broken handshake is counted, not traced
    "uvicorn.access": logging.CRITICAL,
    "asyncio": logging.ERROR,
    "aiosqlite": logging.WARNING,  # writes every statement with its values
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,
    "faust": logging.WARNING,  # tells every step of every rebalance
    "mode": logging.WARNING,
}


def setup(service: str, *, style: str = "auto", level: str = "info") -> None:
    """Make all logging of this process come out as `style` on standard output."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _name(service),
    ]
    text = style == "text" or (style == "auto" and sys.stdout.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            timestamp_key="ts",
            colors=sys.stdout.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,  # the others show local variables, and secrets with them
        )
        if text
        else structlog.processors.JSONRenderer()
    )
    trace: list[structlog.typing.Processor] = [] if text else [structlog.processors.format_exc_info]
    numeric = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        cache_logger_on_first_use=True,
    )
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *trace, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(numeric)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


def _name(service: str) -> structlog.typing.Processor:
    def add(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        return {"service": service, **line}

    return add


log: structlog.stdlib.BoundLogger = structlog.get_logger("voltstream")
