"""All of Voltstream on one machine: Kafka, ClickHouse and every service as child processes that are started again when they die.

system = build(Path(".voltstream"), settings, report=print)
await system.start()      # returns when every process is ready
await system.stop()
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from chassis import broker as kafka
from chassis.child import Child
from chassis.kafka import create_topics
from chassis.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("directory", "authorization", "sessions", "operations", "views", "analytics", "gateway", "api")
"""In the order in which they are started; they are stopped the other way round."""
EDGES = {"gateway": "ocpp_port", "api": "api_port"}
PATIENCE_S = 60


class CannotStart(Exception):
    """Something is in the way. The message says what, and what to do."""


@dataclass
class Part:
    """One process of the system."""

    name: str
    """The service, or the service and a number: `gateway-2`."""
    command: Sequence[str]
    environment: Mapping[str, str]
    health: str
    """The URL that answers 200 when it is ready."""
    log: Path
    child: Child | None = None
    starts: list[float] = field(default_factory=list)

    @property
    def service(self) -> str:
        return self.name.partition("-")[0]

    def start(self) -> None:
        """Start the process; its output is added to its log."""
        self.starts = [*self.starts[-9:], time.monotonic()]
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self.child = Child(self.command, folder=CHECKOUT, output=self.log, environment=self.environment)

    async def is_ready(self) -> bool:
        return (
            self.child is not None and self.child.exit_code is None and await asyncio.to_thread(_answers, self.health)
        )

    def last_words(self, lines: int = 12) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own, on the loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _unsaid(_: str) -> None: ...


class System:
    """The parts, and who starts them again."""

    def __init__(self, folder: Path, settings: Settings, names: Sequence[str], report: Callable[[str], None]) -> None:
        self.folder, self.settings, self._report = folder, settings, report
        self.logs = folder / "logs"
        for each in (folder, self.logs):
            each.mkdir(parents=True, exist_ok=True)
        self.secret = _kept(folder / "secret", lambda: secrets.token_urlsafe(48))
        self.admin_key = _kept(folder / "admin.key", lambda: f"vs_admin_{secrets.token_urlsafe(32)}")
        port = int(settings.kafka.rpartition(":")[2])
        self.kafka = kafka.build(folder / "kafka", port=port, report=report)
        self.parts = {name: self._part(name) for name in ("clickhouse", *names)}
        self._supervisor: asyncio.Task[None] | None = None
        self.restarts = True
        """Whether what dies is started again; a test that kills says no."""

    # ---- what the parts are ----------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Return the settings of every part."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
        plain = self.settings.model_dump(
            exclude={"sql", "clickhouse", "secret", "kafka_password", "clickhouse_password"}
        )
        ours = {f"VOLTSTREAM_{name.upper()}": str(value) for name, value in plain.items() if value not in ("", None)}
        return {
            **mine,
            **ours,
            "VOLTSTREAM_SQL": f"sqlite+aiosqlite:///{self.folder / 'voltstream.sqlite'}",
            "VOLTSTREAM_CLICKHOUSE": self.settings.clickhouse.get_secret_value(),
            "VOLTSTREAM_SECRET": self.secret,
            "VOLTSTREAM_ADMIN_DIGEST": hashlib.sha256(self.admin_key.encode()).hexdigest(),
            "VOLTSTREAM_LOG": "text",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }

    def _part(self, name: str) -> Part:
        log = self.logs / f"{name}.log"
        if name == "clickhouse":
            port = urlsplit(self.settings.clickhouse.get_secret_value()).port or 8123
            folder = str(self.folder / "clickhouse")
            command = [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", folder, "--port", str(port)]
            return Part(name, command, self.environment(), f"http://127.0.0.1:{port}/ping", log)
        service, _, number = name.partition("-")
        health = kafka.free_port()
        environment = {**self.environment(), "VOLTSTREAM_MEMBER": name, "VOLTSTREAM_HEALTH_PORT": str(health)}
        if number and service in EDGES:
            environment[f"VOLTSTREAM_{EDGES[service].upper()}"] = str(kafka.free_port())
        command = [sys.executable, "-m", f"services.{service}"]
        return Part(name, command, environment, f"http://127.0.0.1:{health}/readyz", log)

    def port_of(self, name: str) -> int:
        """Return where a gateway or an api listens."""
        return int(self.parts[name].environment[f"VOLTSTREAM_{EDGES[self.parts[name].service].upper()}"])

    # ---- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when everything is ready. Raises `CannotStart`, and then nothing is left running."""
        try:
            self._refuse_taken_ports()
            self.parts["clickhouse"].start()
            await self._start_kafka()
            await self._create_topics()
            for name, part in self.parts.items():
                if name != "clickhouse":
                    part.start()
            await self.until_ready()
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor")

    def _refuse_taken_ports(self) -> None:
        for name in self.parts:
            if self.parts[name].service in EDGES:
                port, setting = self.port_of(name), f"VOLTSTREAM_{EDGES[self.parts[name].service].upper()}"
            elif name == "clickhouse":
                port, setting = (
                    int(self.parts[name].command[-1]),
                    "VOLTSTREAM_CLICKHOUSE (http://127.0.0.1:PORT/voltstream)",
                )
            else:
                continue
            if not kafka.is_free(port):
                raise CannotStart(f"port {port} for {name} is taken: free it, or choose another with {setting}")

    async def _start_kafka(self) -> None:
        try:
            await self.kafka.start()
        except kafka.PortTaken as taken:
            raise CannotStart(f"{taken} with VOLTSTREAM_KAFKA=127.0.0.1:PORT") from taken
        except kafka.NoBroker as trouble:
            raise CannotStart(str(trouble)) from trouble

    async def _create_topics(self) -> None:
        settings = self.settings.model_copy(update={"kafka": self.kafka.bootstrap})
        if created := await create_topics(settings):
            self._report(f"created {len(created)} topics of {settings.partitions} partitions")

    async def until_ready(self, names: Sequence[str] | None = None) -> None:
        """Wait for the parts, saying now and then for which. Raises `CannotStart` if one ends or takes too long."""
        began, said = time.monotonic(), time.monotonic()
        waiting = dict.fromkeys(names or self.parts)
        while waiting:
            for name in list(waiting):
                part = self.parts[name]
                if await part.is_ready():
                    del waiting[name]
                elif part.child is None or part.child.exit_code is not None:
                    raise CannotStart(f"{name} ended before it was ready. The end of {part.log}:\n{part.last_words()}")
            if waiting and time.monotonic() - said > 2:
                said = time.monotonic()
                self._report(f"waiting for {', '.join(waiting)}: {said - began:.0f} s")
            if waiting and time.monotonic() - began > PATIENCE_S:
                name = next(iter(waiting))
                raise CannotStart(
                    f"{name} is not ready after {PATIENCE_S} s. The end of its log:\n{self.parts[name].last_words()}"
                )
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop the parts in the order that lets each say what it still has to say."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        names = [name for name in reversed(self.parts) if name != "clickhouse"]
        edges = [name for name in names if self.parts[name].service in EDGES]
        for group in (edges, [name for name in names if name not in edges], ["clickhouse"]):
            await asyncio.gather(*(self._stop_part(self.parts[name]) for name in group))
        await self.kafka.stop()

    async def _stop_part(self, part: Part) -> None:
        if part.child is not None and part.child.exit_code is None:
            await part.child.stop(patience=15)

    def kill(self, name: str) -> None:
        """SIGKILL a part, or Kafka."""
        if name == "kafka":
            self.kafka.kill()
        elif (child := self.parts[name].child) is not None:
            child.kill()

    async def start_again(self, name: str) -> None:
        """Start a part that has ended, and wait until it is ready."""
        if name == "kafka":
            await self.kafka.start()
        else:
            self.parts[name].start()
            await self.until_ready([name])

    async def _supervise(self) -> None:
        """Start again what has died: at once, and more slowly if it keeps dying."""
        while True:
            await asyncio.sleep(0.2)
            if not self.restarts:
                continue
            if self.kafka.pid is None:
                self._report("Kafka has ended: starting it again")
                with contextlib.suppress(kafka.NoBroker):
                    await self.kafka.start()
            for part in self.parts.values():
                if part.child is not None and part.child.exit_code is not None and _patient_enough(part):
                    self._report(
                        f"{part.name} has ended (exit code {part.child.exit_code}): starting it again; see {part.log}.1"
                    )
                    part.start()


def _patient_enough(part: Part) -> bool:
    recent = [start for start in part.starts if time.monotonic() - start < 60]
    pause = 0 if len(recent) < 3 else min(30, 2 ** len(recent))
    return time.monotonic() - part.starts[-1] >= pause


def _kept(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in a file that only its owner can read; make it the first time."""
    if not path.exists():
        with _exclusive(path) as file:
            os.write(file, make().encode() + b"\n")
    return path.read_text().strip()


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def build(
    folder: Path, settings: Settings, *, names: Sequence[str] = SERVICES, report: Callable[[str], None] = _unsaid
) -> System:
    """A system not yet started, with its data in `folder`. `names` may name a service twice: `gateway`, `gateway-2`."""
    return System(folder.resolve(), settings, names, report)
