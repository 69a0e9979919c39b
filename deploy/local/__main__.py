"""`make run`: Voltstream on this machine, until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from chassis.settings import Settings, describe, load_or_exit
from deploy.local.system import CannotStart, System, build

PARTITIONS = 4


def main() -> int:
    options = _parser().parse_args()
    os.environ.setdefault("VOLTSTREAM_PARTITIONS", str(PARTITIONS))
    settings = load_or_exit()
    try:
        return asyncio.run(_run(options.folder, settings))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Run a real Kafka, an embedded ClickHouse and every service on this machine, until Ctrl-C.",
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path(".voltstream"), help="where the data stays (%(default)s)")
    return parser


async def _run(folder: Path, settings: Settings) -> int:
    try:
        system = build(folder, settings, report=say)
    except OSError as error:
        print(f"cannot use {folder}: {error.strerror}", file=sys.stderr)
        return 1
    stop = asked_to_stop()
    starting = asyncio.create_task(system.start())
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
    try:
        if not starting.done():
            starting.cancel()
        await starting
        print(greeting(system), flush=True)
        await waiting
    except CannotStart as trouble:
        print(f"Voltstream cannot start: {trouble}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        pass
    finally:
        waiting.cancel()
    say("stopping")
    await system.stop()
    say("stopped")
    return 0


def asked_to_stop() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set. A second Ctrl-C ends everything at once."""
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            os._exit(130)  # the children end with us
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def greeting(system: System) -> str:
    """Return what a newcomer needs to know."""
    api = f"http://{system.settings.api_host}:{system.port_of('api')}"
    gateway = f"ws://{system.settings.ocpp_host}:{system.port_of('gateway')}/ocpp"
    key = system.folder / "admin.key"
    shown = key.relative_to(Path.cwd()) if key.is_relative_to(Path.cwd()) else key
    return f"""
Voltstream is ready.

  stations connect to   {gateway}/STATION   (OCPP 1.6-J)
  REST API              {api}/v1   (try it: {api}/docs)
  first API key         in {shown}
  logs                  in {shown.parent}/logs

  curl -H "Authorization: Bearer $(cat {shown})" {api}/v1/me

Ctrl-C stops it; the data stays in {shown.parent}."""


if __name__ == "__main__":
    sys.exit(main())
