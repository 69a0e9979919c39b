"""The local Kafka: one real broker (KRaft) as a child process, its data in one folder.

    broker = build(Path(".voltstream/kafka"), port=9092, report=print)
    await broker.start()  # formats the folder once; returns when Kafka answers
    ...  # clients use broker.bootstrap
    await broker.stop()

By hand: `python -m chassis.broker --folder DIR --port 9092`.
"""

import argparse
import asyncio
import base64
import fcntl
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Self

from chassis.child import Child

HOST = "127.0.0.1"
_CHECKOUT = Path(__file__).resolve().parent.parent
JARS = _CHECKOUT / ".cache" / "kafka"
_LOCAL = _CHECKOUT / "deploy" / "local"
_OLDEST_JAVA = 17
ROOM_BYTES = 4 << 20
"""With less than this on its disk Kafka is not started: it would end, or be unable to write its own log."""

# Half a gigabyte is plenty here; only the quick compiler, since a local broker's life is mostly its start.
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class NoBroker(Exception):
    """The broker cannot run; the message says why and what to do."""


class NoJava(NoBroker):
    """There is no Java, or only one that is too old."""


class JarsMissing(NoBroker):
    """Kafka has not been fetched."""


class PortTaken(NoBroker):
    """The port cannot be listened on."""


class FolderInUse(NoBroker):
    """Another broker runs on the folder."""


class DiskFull(NoBroker):
    """There is no room where the data are."""


class BrokerDied(NoBroker):
    """Kafka ended before it answered."""


class BrokerSilent(NoBroker):
    """Kafka runs and did not answer in time."""


def _unsaid(_line: str) -> None: ...


def build(
    folder: Path,
    *,
    port: int = 0,
    jars: Path = JARS,
    settings: Mapping[str, str] | None = None,
    java_options: Sequence[str] = JAVA_OPTIONS,
    patience: float = 120,
    report: Callable[[str], None] = _unsaid,
) -> "Broker":
    """A broker not yet started, whose data are or will be in `folder`.

    `port` 0 is a free one, chosen now and kept over restarts. `settings` override deploy/local/kafka.properties
    (`log.segment.bytes`, `log.retention.check.interval.ms`...). `patience` is how many seconds it may take until Kafka answers.
    `report` is told what is waited for.
    """
    return Broker(folder.resolve(), port or free_port(), jars, settings or {}, java_options, patience, report)


class Broker:
    """One Kafka node: started, stopped, killed and started again, on the same folder and port. It dies with this process."""

    def __init__(
        self,
        folder: Path,
        port: int,
        jars: Path,
        settings: Mapping[str, str],
        java_options: Sequence[str],
        patience: float,
        report: Callable[[str], None],
    ) -> None:
        self.folder, self.port, self.jars = folder, port, jars
        self.log = folder / "broker.log"
        self._settings, self._java_options = settings, java_options
        self._patience, self._report = patience, report
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Kafka's process id, or None when it does not run."""
        return self._child.pid if self._child is not None and self._child.exit_code is None else None

    async def start(self) -> None:
        """Return when Kafka answers. Raises NoBroker, and then nothing is left running; the same if cancelled."""
        began = monotonic()
        java, classpath = await find_java(), self._classpath()
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = await self._lock()
        try:
            self._refuse_full_disk()
            _refuse_taken(self.port)
            await self._format_once(java, classpath)
            self._child = child = self._launch(java, classpath, lock)
        finally:
            os.close(lock)  # Kafka has it too, and keeps the folder locked as long as it lives
        try:
            await self._until_it_answers(child, began)
        except BaseException:
            child.kill()
            raise

    async def stop(self, *, patience: float = 30) -> None:
        """End Kafka in order; by force when `patience` seconds have not been enough. Does nothing if it does not run."""
        if self._child is not None:
            await self._child.stop(patience=patience)

    def kill(self) -> None:
        """SIGKILL, as in an accident. Every acknowledged record is there after the next start."""
        if self._child is not None:
            self._child.kill()

    async def ended(self) -> int | None:
        """Wait until Kafka has ended, for whatever reason; returns its exit code, or None if it never started."""
        return None if self._child is None else await self._child.ended()

    def last_words(self, lines: int = 15) -> str:
        """The end of Kafka's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _classpath(self) -> str:
        jars = sorted(self.jars.resolve().glob("*.jar"))
        if not any(jar.name.startswith("kafka-server-") for jar in jars):
            raise JarsMissing(f"Kafka's jars are not in {self.jars}: run `make install`")
        return os.pathsep.join(map(str, jars))

    def is_out_of_room(self) -> bool:
        """Whether the disk that holds the folder is full: Kafka ends then, and could not start."""
        return shutil.disk_usage(self.folder).free < ROOM_BYTES

    def _refuse_full_disk(self) -> None:
        if self.is_out_of_room():
            raise DiskFull(
                f"the disk that holds {self.folder} is full, and Kafka does not run without {ROOM_BYTES >> 20} MiB of room: make "
                "room on it, and start again. Nothing that was acknowledged is lost"
            )

    async def _lock(self) -> int:
        """The folder's lock. One whose owner is dead will be free in a moment: its broker is just ending."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            await self._lock_free(lock)
        except BaseException:
            os.close(lock)
            raise
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock

    async def _lock_free(self, lock: int) -> None:
        deadline = monotonic() + 10
        while not _locked(lock):
            owner = int(os.pread(lock, 20, 0) or 0)
            if _lives(owner) or monotonic() > deadline:
                raise FolderInUse(f"process {owner} runs a broker on {self.folder}: stop it, or use another folder")
            await asyncio.sleep(0.05)

    async def _format_once(self, java: str, classpath: str) -> None:
        """Format beside the final place, so that an interrupted format leaves nothing that looks like data."""
        data, fresh = self.folder / "data", self.folder / "data.new"
        if data.exists():
            return
        self._report(f"formatting Kafka's storage in {data} (once)")
        shutil.rmtree(fresh, ignore_errors=True)
        properties = self._write("format.properties", {"log.dirs": fresh.name})
        command = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", properties]
        child = Child(self._java(java, classpath, command), folder=self.folder, output=self.log)
        try:
            code = await child.ended()
        finally:
            child.kill()
        if code != 0:
            raise self._died("Kafka could not format its storage", code)
        fresh.rename(data)

    def _launch(self, java: str, classpath: str, lock: int) -> Child:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        properties = self._write("broker.properties", {})
        command = self._java(java, classpath, ["kafka.Kafka", properties])
        return Child(command, folder=self.folder, output=self.log, keep=[lock])

    def _write(self, name: str, settings: Mapping[str, str]) -> str:
        """Later lines win: our files', then this broker's, then those that must hold. Returns the file's name."""
        controller = free_port(but=self.port)
        listeners = {
            "listeners": f"BROKER://{self.bootstrap},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"BROKER://{self.bootstrap}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
        }
        lines = [f"{key}={value}\n" for key, value in ({**self._settings, **listeners, **settings}).items()]
        (self.folder / name).write_text((_LOCAL / "kafka.properties").read_text() + "\n" + "".join(lines))
        return name

    def _java(self, java: str, classpath: str, command: Sequence[str]) -> list[str]:
        archive = _archive(self.jars)
        shared = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
        # Java passes over an archive of other jars or of another Java by itself, and need not mention it.
        logs = ["-Xlog:disable", f"-Dlog4j2.configurationFile={_LOCAL / 'log4j2.properties'}"]
        return [java, *logs, *shared, *self._java_options, "-cp", classpath, *command]

    async def _until_it_answers(self, child: Child, began: float) -> None:
        self._report(f"starting Kafka on {self.bootstrap}")
        said = monotonic()
        while not await answers(self.port):
            if (code := child.exit_code) is not None:
                raise self._died("Kafka ended before it answered", code)
            if monotonic() - began > self._patience:
                raise BrokerSilent(
                    f"Kafka has not answered on {self.bootstrap} for {self._patience:.0f} s; {self._end()}"
                )
            if monotonic() - said > 2:
                said = monotonic()
                words = f"; {words[-120:]}" if (words := self.last_words(1)) else ""
                self._report(f"waiting for Kafka on {self.bootstrap}: {said - began:.0f} s{words}")
            await asyncio.sleep(0.02)
        self._report(f"Kafka answers on {self.bootstrap} after {monotonic() - began:.1f} s")

    def _died(self, what: str, code: int) -> NoBroker:
        self._refuse_full_disk()
        return BrokerDied(f"{what} (exit code {code}); {self._end()}")

    def _end(self) -> str:
        return f"the end of {self.log}:\n{self.last_words()}"


async def answers(port: int, *, within: float = 1) -> bool:
    """Whether a Kafka on this machine's `port` answers an ApiVersions request (key 18, version 0) within `within` seconds."""
    request = struct.pack(">hhih", 18, 0, 4711, -1)
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(struct.pack(">i", len(request)) + request)
                _size, correlation, error = struct.unpack(">iih", await reader.readexactly(10))
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return (correlation, error) == (4711, 0)


async def find_java() -> str:
    """The path of a Java that runs Kafka: JAVA_HOME's, else the first on PATH. Raises NoJava."""
    remedy = (
        f"Kafka needs Java {_OLDEST_JAVA} or newer: install a JRE (Debian: apt-get install openjdk-17-jre-headless)"
    )
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    java = java or shutil.which("java")
    if java is None:
        raise NoJava(f"there is no `java` on PATH. {remedy}")
    said = await asyncio.to_thread(_version, java)
    version = re.search(r'version "(?:1\.)?(\d+)', said)  # Java 8 calls itself 1.8
    if version is None:
        raise NoJava(f"{java} does not say which version it is: {said.strip() or 'nothing'}. {remedy}")
    if int(version[1]) < _OLDEST_JAVA:
        raise NoJava(f"{java} is Java {version[1]}. {remedy}, or set JAVA_HOME to one")
    return java


def _version(java: str) -> str:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    return said.stderr + said.stdout


def _from_anywhere(ports: range) -> Iterator[int]:
    first = random.randrange(len(ports))
    return cycle([*ports[first:], *ports[:first]])


_PORTS = _from_anywhere(range(20_000, 32_000))


def free_port(*, but: int = 0) -> int:
    """A port on which nobody listens, not `but`, and none that this process was told of before (but for 12,000 times ago).

    It lies below those that systems give to outgoing connections: while a broker is down between a kill and a restart,
    no client's connection can take its port, nor connect to itself there.
    """
    return next(port for port in _PORTS if port != but and _refusal(port) is None)


def _refusal(port: int) -> OSError | None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as refusal:
            return refusal
    return None


def is_free(port: int) -> bool:
    """Whether nobody listens on this port."""
    return _refusal(port) is None


def _refuse_taken(port: int) -> None:
    if refusal := _refusal(port):
        raise PortTaken(
            f"Kafka cannot listen on {HOST}:{port} ({refusal.strerror}): free it, or give Kafka another port"
        )


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _cluster_id() -> str:
    """Kafka's form of a UUID: 22 characters of URL-safe base64, of which the first is no dash."""
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return "A" + identity[1:] if identity.startswith("-") else identity


def _archive(jars: Path) -> Path:
    return jars.resolve() / "classes.jsa"


async def prepare(jars: Path = JARS, *, report: Callable[[str], None] = _unsaid) -> None:
    """Let Java keep Kafka's loaded classes beside the jars, from one start and stop: later starts take half as long."""
    archive = _archive(jars)
    archive.unlink(missing_ok=True)
    fresh = archive.with_suffix(".new")
    options = [*JAVA_OPTIONS, f"-XX:ArchiveClassesAtExit={fresh}"]
    with tempfile.TemporaryDirectory() as folder:
        async with build(Path(folder), jars=jars, java_options=options, report=report):
            report(f"keeping Kafka's loaded classes in {archive}")
    fresh.replace(archive)


async def run(broker: Broker) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code for the process."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    stopping = asyncio.create_task(asked.wait())
    running = asyncio.create_task(_serve(broker))
    await asyncio.wait([stopping, running], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        stopping.cancel()
        return running.result()
    running.cancel()
    await asyncio.wait([running])
    print("stopping Kafka", flush=True)
    await broker.stop()
    return 0


async def _serve(broker: Broker) -> int:
    await broker.start()
    code = await broker.ended()
    print(f"Kafka has ended (exit code {code}); the end of {broker.log}:\n{broker.last_words()}", file=sys.stderr)
    return 1


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chassis.broker", description="Run the local Kafka until Ctrl-C.")
    parser.add_argument(
        "--folder", type=Path, default=Path(".voltstream/kafka"), help="where its data are (%(default)s)"
    )
    parser.add_argument(
        "--port", type=_port, default=9092, help="where it listens on 127.0.0.1; 0 for a free one (%(default)s)"
    )
    parser.add_argument("--jars", type=Path, default=JARS, help="where Kafka's jars are (%(default)s)")
    parser.add_argument("--prepare", action="store_true", help="only make later starts faster, and end")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        if arguments.prepare:
            asyncio.run(prepare(arguments.jars, report=say))
            return 0
        return asyncio.run(run(build(arguments.folder, port=arguments.port, jars=arguments.jars, report=say)))
    except NoBroker as reason:
        print(reason, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
