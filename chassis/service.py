"""How a process runs: `--help`, settings, logs, health, signals, and an end that says why."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis import logs, metrics
from chassis.kafka import LogTruncated, WrongTopics
from chassis.logs import log
from chassis.loop import Loop, TooManyParked
from chassis.secrets import NoSecret
from chassis.settings import BrokenSetting, Settings, describe, load_or_exit
from chassis.stream import Stream
from chassis.web import PortTaken, Web, bound

SAYS_WHAT_TO_DO = (BrokenSetting, LogTruncated, NoSecret, PortTaken, TooManyParked, WrongTopics)
"""Errors whose message is all an operator needs; any other ends the process with its traceback."""


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
    settings = load_or_exit()
    logs.setup(name, style=settings.log, level=settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_guarded(name, serve, settings))
    sys.stdout.flush()
    raise SystemExit(code)


async def _guarded(name: str, serve: Serve, settings: Settings) -> int:
    try:
        await supervise(name, serve, settings)
    except SAYS_WHAT_TO_DO as error:
        log.error(str(error), stopped_by=type(error).__name__)
        return 1
    log.info("stopped")
    return 0


async def supervise(name: str, serve: Serve, settings: Settings) -> None:
    """Run `serve` beside the health server until it returns, raises, or a signal asks it to stop."""
    service = Service(name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
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
    """Wait for the work; once asked to stop, give what does not listen a moment, then cancel it."""
    asked: asyncio.Task[object] = asyncio.create_task(service.stopping.wait())
    both: list[asyncio.Task[object]] = [work, asked]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not work.done() and not service.is_ready:
        work.cancel()  # it may be waiting for something that never comes
    with contextlib.suppress(asyncio.CancelledError):
        await work
    asked.cancel()


async def _pulse(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        before = loop.time()
        await asyncio.sleep(1)
        metrics.LOOP_LAG.set(max(0.0, loop.time() - before - 1))


def _health(service: Service) -> Starlette:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        if service.stopping.is_set():
            return PlainTextResponse("stopping\n", 503)
        return PlainTextResponse("ready\n") if service.is_ready else PlainTextResponse("starting\n", 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)],
    )
