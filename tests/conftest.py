"""Fixtures that every test may ask for: a real Kafka, a real ClickHouse, real SQL."""

import pytest
import structlog

from tests.clickhouse_fixture import clickhouse, database, embedded
from tests.kafka_fixture import broker, kafka, topic_prefix

__all__ = ["broker", "clickhouse", "database", "embedded", "kafka", "topic_prefix"]

# By default a traceback is drawn with all local variables, for seconds in which no heartbeat gets through.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    cache_logger_on_first_use=False,
)

WHOLE = ("tests/system/", "tests/local/", "tests/docs/")
"""Folders whose files run one after the other: each file starts whole systems, or all of them share one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files run beside each other; the longest work begins first."""
    for item in items:
        path = item.nodeid.partition("::")[0]
        group = next((folder for folder in WHOLE if path.startswith(folder)), path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE))
