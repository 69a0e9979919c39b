"""From the command line to a running system, and to an end that leaves nothing behind."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from chassis.settings import Settings, describe, load_or_exit
from deploy.local.system import CannotStart, System, build

PARTITIONS = 4
LOOPBACK = frozenset({"127.0.0.1", "localhost"})
CHOSEN_HERE = (
    "secret", "admin_digest", "clickhouse_password", "clickhouse_cluster", "member", "health_port", "replication",
    "kafka_security", "kafka_mechanism", "kafka_username", "kafka_password", "kafka_ca",
)  # fmt: skip
"""Settings that make no sense here: everything runs on this machine, and its secrets are in the folder."""

Scene = Callable[[System], Awaitable[None]]


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """Return a command line that knows the folder and lists the settings."""
    parser = argparse.ArgumentParser(
        prog=f"python -m deploy.local{name}",
        description=description,
        epilog=f"{describe()}\n\n{_here()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path(".voltstream"), help="where the data stays (%(default)s)")
    return parser


def _here() -> str:
    """Return what is different in a run on this machine."""
    fixed = "\n".join(f"  VOLTSTREAM_{name.upper()}" for name in CHOSEN_HERE)
    return f"Here VOLTSTREAM_PARTITIONS is {PARTITIONS} unless you set it, and these cannot be set:\n{fixed}"


def run(folder: Path, scene: Scene | None = None) -> int:
    """Run everything until Ctrl-C, or until `scene` is over; returns the exit code."""
    os.environ.setdefault("VOLTSTREAM_PARTITIONS", str(PARTITIONS))
    settings = load_or_exit()
    try:
        refuse_strange(settings)
        system = build(folder, settings, report=say)
    except CannotStart as trouble:
        return _refusal(str(trouble))
    except OSError as error:
        return _refusal(f"cannot use {folder}: {error.strerror}. Choose another folder with --folder")
    return asyncio.run(_run(system, scene))


def refuse_strange(settings: Settings) -> None:
    """Raise `CannotStart` for settings that only a deployment elsewhere can follow."""
    for name in CHOSEN_HERE:
        if name in settings.model_fields_set:
            raise CannotStart(f"VOLTSTREAM_{name.upper()} cannot be chosen for a run on this machine: unset it")
    host, _, _ = settings.kafka.rpartition(":")
    if host not in LOOPBACK:
        raise CannotStart("VOLTSTREAM_KAFKA must be 127.0.0.1:PORT: a run on this machine starts a Kafka of its own")
    _refuse_distant_clickhouse(settings.clickhouse.get_secret_value())


def _refuse_distant_clickhouse(url: str) -> None:
    try:
        where = urlsplit(url)
        right = where.scheme == "http" and where.hostname in LOOPBACK and where.port != 0 and where.username is None
    except ValueError:
        right = False
    if not right:
        raise CannotStart(
            "VOLTSTREAM_CLICKHOUSE must be http://127.0.0.1:PORT/voltstream: a run on this machine starts a ClickHouse of "
            "its own, and chooses its password"
        )


def _refusal(why: str) -> int:
    print(f"Voltstream cannot start: {why}", file=sys.stderr)
    return 1


async def _run(system: System, scene: Scene | None) -> int:
    asked = _asked_to_stop(system)
    life = asyncio.create_task(_live(system, scene))
    stop = asyncio.create_task(asked.wait())
    await asyncio.wait([life, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not life.done():
        life.cancel()
        await asyncio.wait([life])
    else:
        asked.set()  # from now on, Ctrl-C means: at once
    return await _end(system, life)


async def _end(system: System, life: asyncio.Task[None]) -> int:
    trouble = None if life.cancelled() else life.exception()
    await system.stop()
    if isinstance(trouble, CannotStart):
        return _refusal(str(trouble))
    if trouble is not None:
        raise trouble
    say("stopped")
    return 0


async def _live(system: System, scene: Scene | None) -> None:
    began = time.monotonic()
    say(f"Voltstream starts; its data is in {system.folder}")
    await system.start()
    print(greeting(system, time.monotonic() - began), flush=True)
    await (scene(system) if scene is not None else asyncio.Event().wait())


def _asked_to_stop(system: System) -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set. The second time everything is killed, the third time we end too."""
    asked = asyncio.Event()
    times = 0

    def ask() -> None:
        nonlocal times
        times += 1
        if times > 2:
            os._exit(130)  # the children end with us
        if asked.is_set():
            say("killing what still runs")
            system.kill_all()
        else:
            say("stopping")
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def shown(path: Path) -> Path:
    """Return a path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def greeting(system: System, seconds: float) -> str:
    """Return what a newcomer needs to know."""
    api, folder = system.api_url, shown(system.folder)
    key = folder / "admin.key"
    return f"""
Voltstream is ready, after {seconds:.1f} s.

  stations connect to   {system.ocpp_url}/STATION   (OCPP 1.6-J)
  REST API              {api}/v1   (try it: {api}/docs)
  first API key         in {key}
  ClickHouse            http://127.0.0.1:{system.port_of("clickhouse")}   (user default, password in {folder}/clickhouse.password)
  logs                  in {folder}/logs

  curl -H "Authorization: Bearer $(cat {key})" {api}/v1/me

Ctrl-C stops it; the data stays in {folder}.
"""
