"""All of Voltstream on one machine: Kafka, ClickHouse and every service as child processes that are started again when they die.

system = build(Path(".voltstream"), settings, report=print)
await system.start()      # returns when every process is ready
await system.stop()
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chassis import broker as kafka
from chassis.kafka import WrongTopics, create_topics
from chassis.settings import Settings
from deploy.local.folder import Folder, InUse
from deploy.local.part import Address, Part, patient_enough
from deploy.local.plan import EDGES, Plan

SERVICES = (
    "directory",
    "authorization",
    "sessions",
    "operations",
    "billing",
    "accounts",
    "payments",
    "invoicing",
    "rerating",
    "monitoring",
    "views",
    "analytics",
    "gateway",
    "api",
)
"""In the order in which they are started; they are stopped the other way round."""
PATIENCE_S = 180
LEFTOVERS_S = 15
"""How long the processes of a run that was killed may take to end: they notice, and end within 5 s or are killed."""


class CannotStart(Exception):
    """Something is in the way. The message says what, and what to do."""


def _unsaid(_: str) -> None: ...


class System:
    """The parts, and who starts them again."""

    def __init__(self, folder: Path, settings: Settings, names: Sequence[str], report: Callable[[str], None]) -> None:
        self._kept = Folder(folder)
        self._plan = Plan(self._kept, settings)
        self.folder, self.settings, self._report = self._kept.path, settings, report
        self.secret, self.admin_key = self._plan.secret, self._plan.admin_key
        self.api_url, self.ocpp_url = self._plan.api_url, self._plan.ocpp_url
        self.kafka = kafka.build(self.folder / "kafka", port=self._plan.kafka_port, report=report)
        self.parts = {name: self._plan.part(name) for name in ("clickhouse", *names)}
        self._kafka_starts: list[float] = []
        self._returning: dict[str, float] = {}
        self._supervisor: asyncio.Task[None] | None = None
        self.restarts = True
        """Whether what dies is started again; a test that kills says no."""

    def environment(self) -> dict[str, str]:
        """Return the settings of every part."""
        return self._plan.environment()

    def port_of(self, name: str) -> int:
        """Return where a gateway, an api or ClickHouse listens."""
        address = self.parts[name].address
        assert address is not None
        return address.port

    # ---- start and stop --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when everything is ready. Raises `CannotStart`, and then nothing is left running."""
        try:
            await self._make_sure()
            self.parts["clickhouse"].start()
            await self._start_kafka()
            await self._create_topics()
            for name, part in self.parts.items():
                if name != "clickhouse":
                    part.start()
            await self.until_ready()
        except OSError as error:
            await self.stop()
            raise CannotStart(f"{error.filename or self.folder}: {error.strerror or error}") from error
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor")

    async def _make_sure(self) -> None:
        """Look for what would be in the way, before anything is started."""
        try:
            ended_well = self._kept.hold()
            await kafka.find_java()
        except (InUse, kafka.NoBroker) as trouble:
            raise CannotStart(str(trouble)) from trouble
        await self._until_ports_are_free(0 if ended_well else LEFTOVERS_S)

    async def _until_ports_are_free(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        self._refuse_doubled_ports()
        while taken := self._taken():
            name, address, why = taken[0]
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"{name} cannot listen on {address.host}:{address.port} ({why.lower()}): free the port, or choose "
                    f"another with {address.setting}"
                )
            if patience:
                self._report(f"waiting for the end of what a killed run has left: {name} on port {address.port}")
            await asyncio.sleep(1)

    def _addresses(self) -> list[tuple[str, Address]]:
        broker = Address("127.0.0.1", self.kafka.port, "VOLTSTREAM_KAFKA=127.0.0.1:PORT")
        return [("Kafka", broker), *((part.name, part.address) for part in self.parts.values() if part.address)]

    def _taken(self) -> list[tuple[str, Address, str]]:
        return [(name, address, why) for name, address in self._addresses() if (why := address.why_not())]

    def _refuse_doubled_ports(self) -> None:
        seen: dict[int, str] = {}
        for name, address in self._addresses():
            if other := seen.get(address.port):
                raise CannotStart(
                    f"{other} and {name} would listen on the same port {address.port}: choose another with {address.setting}"
                )
            seen[address.port] = name

    async def _start_kafka(self) -> None:
        self._kafka_starts = [*self._kafka_starts[-9:], time.monotonic()]
        try:
            await self.kafka.start()
        except kafka.PortTaken as taken:
            raise CannotStart(f"{taken} with VOLTSTREAM_KAFKA=127.0.0.1:PORT") from taken
        except kafka.NoBroker as trouble:
            raise CannotStart(str(trouble)) from trouble

    async def _create_topics(self) -> None:
        settings = self.settings.model_copy(update={"kafka": self.kafka.bootstrap})
        try:
            async with asyncio.timeout(PATIENCE_S):
                created = await create_topics(settings)
        except WrongTopics as wrong:
            raise CannotStart(str(wrong)) from wrong
        except TimeoutError as silence:
            raise CannotStart(f"Kafka does not create topics within {PATIENCE_S} s: see {self.kafka.log}") from silence
        if created:
            self._report(f"created {len(created)} topics of {settings.partitions} partitions")

    async def until_ready(self, names: Sequence[str] | None = None) -> None:
        """Wait for the parts, saying now and then for which. Raises `CannotStart` if one ends or takes too long."""
        began = said = time.monotonic()
        waiting = [self.parts[name] for name in names or self.parts]
        while waiting:
            ready = await asyncio.gather(*(part.is_ready() for part in waiting))
            waiting = [part for part, is_ready in zip(waiting, ready, strict=True) if not is_ready]
            self._refuse_ended(waiting)
            now = time.monotonic()
            if waiting and now - began > PATIENCE_S:
                words = waiting[0].last_words()
                raise CannotStart(f"{waiting[0].name} is not ready after {PATIENCE_S} s. The end of its log:\n{words}")
            if waiting and now - said > 2:
                said = now
                self._report(f"waiting for {', '.join(part.name for part in waiting)}: {now - began:.0f} s")
            await asyncio.sleep(0.1 if waiting else 0)

    def _refuse_ended(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.child is None or part.exit_code is not None:
                raise CannotStart(f"{part.name} ended before it was ready. The end of {part.log}:\n{part.last_words()}")

    async def stop(self) -> None:
        """Stop the parts in the order that lets each say what it still has to say."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        services = [part for part in reversed(self.parts.values()) if part.name != "clickhouse"]
        edges = [part for part in services if part.service in EDGES]
        for group in (edges, [part for part in services if part not in edges], [self.parts["clickhouse"]]):
            await asyncio.gather(*(part.stop() for part in group))
        await self.kafka.stop()
        self._kept.release()

    def kill_all(self) -> None:
        """SIGKILL everything: for people who cannot wait. What is acknowledged is stored."""
        for part in self.parts.values():
            part.kill()
        self.kafka.kill()

    # ---- what dies -------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL a part, or Kafka."""
        if name == "kafka":
            self.kafka.kill()
        else:
            self.parts[name].kill()

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
            try:
                if self.kafka.pid is None and patient_enough(self._kafka_starts):
                    why = "its disk is full" if self.kafka.is_out_of_room() else f"see {self.kafka.log}.1"
                    self._report(f"Kafka has ended: starting it again; {why}")
                    await self._start_kafka()
                for part in self.parts.values():
                    self._start_dead(part)
            except (CannotStart, OSError) as trouble:
                self._report(f"that did not help, more later: {trouble}")
            await self._welcome_back()

    def _start_dead(self, part: Part) -> None:
        if part.exit_code is not None and part.may_start_again():
            self._report(f"{part.name} has ended (exit code {part.exit_code}): starting it again; see {part.log}.1")
            self._returning[part.name] = time.monotonic()
            part.start()

    async def _welcome_back(self) -> None:
        for name, since in list(self._returning.items()):
            if await self.parts[name].is_ready():
                del self._returning[name]
                self._report(f"{name} is ready again, {time.monotonic() - since:.1f} s after it was started")


def build(
    folder: Path, settings: Settings, *, names: Sequence[str] = SERVICES, report: Callable[[str], None] = _unsaid
) -> System:
    """A system not yet started, with its data in `folder`. `names` may name a service twice: `gateway`, `gateway-2`."""
    return System(folder, settings, names, report)
