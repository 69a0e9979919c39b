"""ClickHouse's HTTP interface over an `Engine`."""

import asyncio
import errno
import json
import signal
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis.embedded.engine import Answer, Engine
from chassis.embedded.errors import NOT_ENOUGH_SPACE, QUERY_WAS_CANCELLED, Failed
from chassis.embedded.request import authenticate, call_of

THREADS = 8
"""Statements that run at once; others wait."""
GRACE_S = 1
"""How long a stopping server waits for what is running."""

_IN_MEMORY_BYTES = 1024 * 1024
_CONTENT_TYPES = {
    "JSON": "application/json",
    "JSONCompact": "application/json",
    "JSONEachRow": "application/x-ndjson",
    "CSV": "text/csv",
    "TabSeparated": "text/tab-separated-values",
    "TSV": "text/tab-separated-values",
}


def application(engine: Engine, folder: Path, password: str) -> Starlette:
    """Build the ASGI application; large requests wait in nameless files in `folder`."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="query")

    async def query(request: Request) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        try:
            authenticate(request, password)
            if request.method != "POST" and not request.query_params.get("query"):
                return PlainTextResponse("Ok.\n")
            with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder)) as text:
                call = await call_of(request, text)
                return _answer(await asyncio.get_running_loop().run_in_executor(threads, engine.run, call), query_id)
        except Failed as failed:
            return _failure(failed, query_id)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return _failure(
                Failed(NOT_ENOUGH_SPACE, f"the disk that holds {folder} is full: make room on it"), query_id
            )
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it, and nothing was done
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            return _failure(Failed(QUERY_WAS_CANCELLED, "The server is stopping"), query_id)

    async def ok(_request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    routes = [Route("/ping", ok), Route("/replicas_status", ok), Route("/", query, methods=["GET", "POST"])]
    return Starlette(routes=routes)


def _answer(answer: Answer, query_id: str) -> Response:
    headers = {
        **_headers(query_id),
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in answer.summary.items()}),
    }
    return Response(
        answer.body, headers=headers, media_type=_CONTENT_TYPES.get(answer.format, "application/octet-stream")
    )


def _failure(failed: Failed, query_id: str) -> Response:
    headers = {**_headers(query_id), "X-ClickHouse-Exception-Code": str(failed.code)}
    if failed.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse"'
    return PlainTextResponse(f"{failed.text}\n", failed.status, headers)


def _headers(query_id: str) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": query_id.encode("ascii", "replace").decode(),
        "X-ClickHouse-Server-Display-Name": "embedded",
        "X-ClickHouse-Timezone": "UTC",
    }


class Server(uvicorn.Server):
    """Says when it is ready, and ends normally when it is told to stop."""

    def __init__(self, application: Starlette, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, self.handle_exit)
        yield
