"""Fixtures that every test may ask for: a real Kafka, a real ClickHouse, real SQL."""

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
