"""Fixtures that every test may ask for: a real Kafka, a real ClickHouse, real SQL."""

from tests.clickhouse_fixture import clickhouse, database, embedded
from tests.kafka_fixture import broker, kafka, topic_prefix

__all__ = ["broker", "clickhouse", "database", "embedded", "kafka", "topic_prefix"]
