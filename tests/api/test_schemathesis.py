"""Whatever schemathesis makes of the description, no answer is a defect of ours, and each is one of those described."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chassis import clickhouse as db
from chassis.web import Web, bound
from contracts.topics import SESSIONS
from services.analytics.worker import SCHEMA
from services.api.app import describe
from tests.api.network import FIRST_KEY, Network, app_of
from tests.api.test_repairs import done
from tests.api.test_stations import OURS
from tests.sql_fixture import engine_at
from tests.views.given import started

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BEARER = {"Authorization": f"Bearer {FIRST_KEY}"}
EXAMPLES = 6
LONGEST = 4_000
"""Of a query's characters, which may be twelve times as many in a URL: one of more than 64 KiB is cut off by the server."""

DESCRIBED = schemathesis.openapi.from_dict(describe().openapi())
UNDER_TEST = DESCRIBED.exclude(operation_id=["stream", "ready"])
"""A stream does not end, and is tried by tests of its own; whether the process is ready is none of a client's business."""


class Running:
    """The application in a thread of its own, over a real ClickHouse."""

    def __init__(self, file: Path, archive: str) -> None:
        self._file, self._archive = file, archive
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._up: Queue[str] = Queue()
        self._thread = Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> str:
        self._thread.start()
        return self._up.get(timeout=60)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        connected = db.connect(self._archive)
        await db.migrate(connected, SCHEMA)
        await connected.close()
        engine = engine_at(f"sqlite+aiosqlite:///{self._file}")
        network = Network(engine)
        await network.begin()
        network.repairs = done
        await network.says(SESSIONS, started("a", **OURS))
        app = app_of(network, archive=self._archive)
        app.state.backends.stopping.set()  # so that no wait waits
        web = Web(app, bound("127.0.0.1", 0, ""))
        await web.start()
        self._up.put(f"http://127.0.0.1:{web.port}")
        await self._over.wait()
        await web.stop()
        await app.state.backends.clickhouse.close()
        await engine.dispose()


@pytest.fixture(scope="module")
def url(empty: Path, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = Path(shutil.copy(empty, tmp_path_factory.mktemp("schemathesis")))
    with Running(file, f"{clickhouse.rstrip('/')}/t{uuid4().hex[:12]}") as url:
        yield url


@UNDER_TEST.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_answered_with_a_defect_or_otherwise_than_described(case: Case[Any], url: str) -> None:
    assume(len(str(case.as_transport_kwargs(base_url=url).get("params"))) < LONGEST)
    case.call_and_validate(base_url=url, headers=BEARER, checks=CHECKS)
