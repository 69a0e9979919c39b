"""A real, embedded ClickHouse for tests: one per pytest session to share, and one of its own for a test that harms it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

START_S = 60
STOP_S = 20
_READY = b"ClickHouse is ready on "


class Embedded:
    """A running process of chassis.embedded_clickhouse."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self._log = folder.with_name(f"{folder.name}.log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", str(folder), "--port", "0"]
                + (["--with-parent"] if sys.platform == "linux" else []),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | dict(environment or {}),
            )

    def ready(self) -> Self:
        """Wait until it answers."""
        self.url = self._ready_line().removeprefix(_READY).decode().strip()
        return self

    def _ready_line(self) -> bytes:
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], START_S)[0]:
            line = self.process.stdout.readline()
            if line.startswith(_READY):
                return line
            if not line:
                break
        self.kill()
        pytest.fail(f"the embedded ClickHouse did not start: {self._log.read_text()}")

    def stop(self) -> int:
        """End it with SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        with self.process:
            return self.process.wait(STOP_S)


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the session's ClickHouse. It is everyone's: append a `database` of your own."""
    running = Embedded(tmp_path_factory.mktemp("clickhouse") / "data").ready()
    yield running.url
    assert running.stop() == 0


@pytest.fixture
def database() -> str:
    """A name that sets this test's ClickHouse database apart from all others'; nobody has created it yet."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[[], Embedded]]:
    """Starts a ClickHouse of the test's own; when called again, on the same folder."""
    started: list[Embedded] = []

    def start() -> Embedded:
        started.append(Embedded(tmp_path / "clickhouse"))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()
