"""Fixtures that every test may ask for: a real Kafka, a real ClickHouse, real SQL."""

from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.scheduler.loadscope import LoadScopeScheduling

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

# How busy a machine is says nothing of a rule. (In CI, and for mutants, hypothesis has a profile already.)
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() == "default":
    settings.load_profile("busy")

WHOLE = ("tests/system/", "tests/torture/", "tests/local/", "tests/docs/")
"""Folders whose files run one after the other: each file starts whole systems, or all of them share one."""


class Files(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands a whole file, or a whole folder of WHOLE, to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in WHOLE if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    """Let files run beside each other, but not what shares a system."""
    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest work begin first."""
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE))
