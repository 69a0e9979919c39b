"""Serving HTTP inside a process that has other things to do."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from chassis.errors import SaysWhatToDo


class PortTaken(SaysWhatToDo):
    """Something else listens there. The message says where, and which setting moves us."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield


def bound(host: str, port: int, setting: str) -> socket.socket:
    """Return a listening socket, or raise `PortTaken` naming the setting that chooses the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without it asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # only now is the port ours: two may have bound it
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            setting = setting.replace("_PORT", "_HOST")
        raise PortTaken(f"cannot listen on {host}:{port} ({error.strerror}): choose another with {setting}") from error
    return listener


class Web:
    """An ASGI application on a socket of its own."""

    def __init__(self, app: Any, listener: socket.socket, *, grace_s: int = 5) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=grace_s,
        )
        self._listener = listener
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Listen; returns when requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="web")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is being asked, and listen no more."""
        self._server.should_exit = True
        if self._task:
            await self._task
        self._listener.close()
