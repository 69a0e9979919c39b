"""How a process runs: `--help`, settings, logs, health, signals, and an end that says why."""

# ruff: noqa: E402  (a signal may come while the rest is imported)

from chassis import signals

signals.end_early()

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis import logs, metrics
from chassis.errors import SaysWhatToDo
from chassis.logs import log
from chassis.loop import Loop
from chassis.progress import NEEDS, PROGRESS
from chassis.settings import Settings, describe, load_or_exit
from chassis.stream import Stream
from chassis.web import Web, bound

STOP_WITHIN_S = 45
"""What has not ended so long after it was asked to is cancelled; Kubernetes kills after 60 s."""


class Service:
    """What a running process tells the world: that it is ready, and that it is asked to stop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        self.is_ready = False

    def ready(self) -> None:
        """From now on traffic and work are welcome."""
        if not self.is_ready:
            self.is_ready = True
            log.info("ready")

    def beat(self) -> None:
        """The work goes on. Whoever has called this once must do so every 60 s, or `/healthz` says that it is stuck."""
        PROGRESS.beat(self.name)


class Last:
    """Calls on when the last of several has called."""

    def __init__(self, several: int, call: Callable[[], None]) -> None:
        self._several, self._call = several, call

    def __call__(self) -> None:
        self._several -= 1
        if self._several == 0:
            self._call()


Serve = Callable[[Settings, Service], Awaitable[None]]


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """Return the command line of a service: `--help` lists the settings."""
    return argparse.ArgumentParser(
        prog=f"python -m services.{name}",
        description=description,
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(name: str, description: str, serve: Serve) -> None:
    """Run a service until it is told to stop; the process's exit code says how it ended."""
    parser_of(name, description).parse_args()
    launch(name, serve)


def run_decider(name: str, description: str, build: Callable[[Settings], Stream]) -> None:
    """Run a service that decides."""

    async def serve(settings: Settings, service: Service) -> None:
        await Loop(build(settings), settings).run(service.ready, service.stopping)

    run(name, description, serve)


def launch(name: str, serve: Serve) -> None:
    """Read the settings and run `serve` with signals, logs and health around it."""
    signals.keep()
    settings = load_or_exit()
    logs.setup(name, style=settings.log, level=settings.log_level)
    sys.excepthook = _crashed
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # events make no cycles, and by default Python looks for some every 700 objects
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_guarded(name, serve, settings))
        signals.ignore()
    signals.ignore()  # the loop has put back what it found
    sys.stdout.flush()
    raise SystemExit(code)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody expected is a log line like any other, and its traceback is in it."""
    log.critical("crashed", exc_info=(kind, error, trace))
    sys.stdout.flush()


async def _guarded(name: str, serve: Serve, settings: Settings) -> int:
    """Return the exit code. What nobody expected is raised."""
    try:
        await supervise(name, serve, settings)
    except (SaysWhatToDo, ExceptionGroup) as error:
        reasons = list(_leaves(error))
        if not all(isinstance(reason, SaysWhatToDo) for reason in reasons):
            raise
        for reason in reasons:
            log.error(str(reason), stopped_by=type(reason).__name__)
        return 1
    log.info("stopped")
    return 0


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a group of errors, such as a TaskGroup's, consists of."""
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


class Unfinished(SaysWhatToDo):
    """The work did not end when it was asked to."""


async def supervise(name: str, serve: Serve, settings: Settings) -> None:
    """Run `serve` beside the health server until it returns, raises, or a signal asks it to stop."""
    service = Service(name)
    loop = asyncio.get_running_loop()
    for number in signals.ASKED:
        loop.add_signal_handler(number, service.stopping.set)
    if signals.kept():
        return
    web = Web(_health(service), bound(settings.health_host, settings.health_port, "VOLTSTREAM_HEALTH_PORT"), grace_s=1)
    await web.start()
    log.info("starting", pid=os.getpid(), health=f"http://{settings.health_host}:{web.port}/readyz")
    pulse = asyncio.create_task(_pulse(loop))
    try:
        await _until_stopped(asyncio.create_task(_running(serve, settings, service)), service)
    finally:
        pulse.cancel()
        await web.stop()


async def _running(serve: Serve, settings: Settings, service: Service) -> None:
    await serve(settings, service)


async def _until_stopped(work: asyncio.Task[None], service: Service) -> None:
    """Wait for the work. Once asked to stop it is given time if it is ready, and cancelled if it is not or takes too long."""
    asked: asyncio.Task[object] = asyncio.create_task(service.stopping.wait())
    both: list[asyncio.Task[object]] = [work, asked]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if service.is_ready and service.stopping.is_set():
        await asyncio.wait([work], timeout=STOP_WITHIN_S)
    late = service.is_ready and not work.done()
    if not work.done():
        work.cancel()  # it may be waiting for something that never comes
        await asyncio.wait([work], timeout=STOP_WITHIN_S)
    if late or not work.done():
        raise Unfinished(f"it did not end within {STOP_WITHIN_S} s of being asked to, and was cut off")
    if not (work.cancelled() and service.stopping.is_set()):
        work.result()


async def _pulse(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        before = loop.time()
        await asyncio.sleep(1)
        metrics.LOOP_LAG.set(max(0.0, loop.time() - before - 1))


def _health(service: Service) -> Starlette:
    async def healthz(_: Request) -> Response:
        stuck = PROGRESS.stuck()
        return PlainTextResponse(f"stuck: {', '.join(stuck)}\n", 503) if stuck else PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        if service.stopping.is_set():
            return PlainTextResponse("stopping\n", 503)
        if not service.is_ready:
            return PlainTextResponse("starting\n", 503)
        missing = NEEDS.missing()
        return (
            PlainTextResponse(f"waiting for {', '.join(missing)}\n", 503) if missing else PlainTextResponse("ready\n")
        )

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)],
    )
