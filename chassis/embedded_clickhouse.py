"""An embedded ClickHouse for one machine: chDB behind ClickHouse's own HTTP protocol, in one process.

Whoever reaches its port can read files as the user it runs as: it listens on the loopback interface only.
"""

import argparse
import asyncio
import ctypes
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chassis.embedded.engine import Engine, open_folder
from chassis.embedded.errors import Failed
from chassis.embedded.lock import NotHeld, held
from chassis.embedded.server import Server, application

_PR_SET_PDEATHSIG = 1
_LISTENING = "127.0.0.1"


class CannotStart(Exception):
    """A sentence that says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C also ends it while chDB opens the folder and no Python runs
    try:
        if options.with_parent:
            _end_with_parent()
        folder = options.folder.resolve()
        with held(folder), _bound(options.port) as listening:
            _serve(folder, listening)
    except (CannotStart, NotHeld) as reason:
        print(f"ClickHouse cannot start: {reason}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chassis.embedded_clickhouse",
        description="An embedded ClickHouse (chDB) that speaks ClickHouse's HTTP protocol on 127.0.0.1. "
        "SIGTERM or Ctrl-C stop it; a folder survives even SIGKILL.",
        epilog="With VOLTSTREAM_CLICKHOUSE_PASSWORD in the environment, callers need user 'default' and that password.",
    )
    parser.add_argument("--folder", type=Path, required=True, help="where the data is kept; made if missing")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 takes a free one and prints it")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the thread that started this process ends (Linux)"
    )
    return parser


def _end_with_parent() -> None:
    if sys.platform != "linux":
        raise CannotStart("--with-parent works on Linux only: leave it out")
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise CannotStart("the process that started it has ended")


def _bound(port: int) -> socket.socket:
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle's delay of 40 ms off only if this is said
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_LISTENING, port))
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CannotStart(f"port {port} is taken: stop what uses it, or choose another --port") from error
        raise CannotStart(f"port {port} cannot be used: {error}") from error
    return listening


def _open(folder: Path) -> Engine:
    os.environ["TZ"] = "UTC"  # days and hours must not depend on where this machine stands
    time.tzset()
    try:
        return open_folder(folder / "data")
    except ModuleNotFoundError as error:
        raise CannotStart("chDB is not installed: pip install 'voltstream[embedded]'") from error
    except Failed as failed:
        raise CannotStart(f"chDB cannot open {folder / 'data'}: {failed}") from failed


def _serve(folder: Path, listening: socket.socket) -> None:
    url = "http://{}:{}".format(*listening.getsockname())
    print(f"ClickHouse opens {folder}", flush=True)
    engine = _open(folder)
    password = os.environ.get("VOLTSTREAM_CLICKHOUSE_PASSWORD", "")
    server = Server(
        application(engine, folder, password), ready=lambda: print(f"ClickHouse is ready on {url}", flush=True)
    )
    asyncio.run(server.serve(sockets=[listening]))
    engine.close()
    print("ClickHouse has stopped", flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a query that still runs would keep Python waiting; what is acknowledged is stored
