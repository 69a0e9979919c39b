"""A whole Voltstream as people run it: a process of its own, on free ports, whose lines are read."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from chassis.broker import free_port
from deploy.local.part import CHECKOUT

MARK = "TEST_MARK"
"""Inherited by every process of a run, so that what is left can be found."""


def free_ports() -> dict[str, str]:
    """Return settings of which nobody else makes use."""
    kafka, clickhouse, ocpp, api = (free_port() for _ in range(4))
    return {
        "VOLTSTREAM_KAFKA": f"127.0.0.1:{kafka}",
        "VOLTSTREAM_CLICKHOUSE": f"http://127.0.0.1:{clickhouse}/voltstream",
        "VOLTSTREAM_OCPP_PORT": str(ocpp),
        "VOLTSTREAM_API_PORT": str(api),
    }


class Running:
    """A run, from its start to its end."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str], *arguments: str, module: str = "deploy.local"
    ) -> None:
        self.folder, self.settings, self.mark = folder, settings, uuid.uuid4().hex
        mine = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--folder", str(folder), *arguments],
            cwd=CHECKOUT,
            env={**mine, **settings, MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                self._said.put(line.rstrip())
        self._said.put(None)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.settings['VOLTSTREAM_API_PORT']}"

    def get(self, path: str) -> Any:
        """Ask the API with its first key."""
        key = (self.folder / "admin.key").read_text().strip()
        answer = httpx.get(self.api + path, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=20)
        return answer.raise_for_status().json()

    def until(self, *wanted: str, within: float = 180) -> str:
        """Read on until each of these has been part of a line; returns the last such line."""
        missing, deadline = set(wanted), time.monotonic() + within
        while True:
            line = self._said.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, f"ended without {missing}:\n" + "\n".join(self.lines)
            self.lines.append(line)
            missing -= {part for part in missing if part in line}
            if not missing:
                return line

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, within: float = 60) -> tuple[int, str]:
        """Wait for the end; returns the exit code and all that was said."""
        code = self._process.wait(within)
        self._reader.join(within)
        while (line := self._said.get(timeout=within)) is not None:
            self.lines.append(line)
        return code, "\n".join(self.lines)

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C, and wait for the end."""
        self.signal(signal.SIGINT)
        return self.end()

    def left(self) -> list[str]:
        """Return the processes of this run that still live."""
        return list(_marked(self.mark))

    def kill_left(self) -> None:
        """Leave nothing behind, whatever a test has found."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(20)


def _marked(mark: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended meanwhile


@contextmanager
def running(
    folder: Path, settings: Mapping[str, str] | None = None, *arguments: str, module: str = "deploy.local"
) -> Iterator[Running]:
    """Run until the block is over, however it ends. Whoever is killed takes its children along within 5 s."""
    run = Running(folder, free_ports() | dict(settings or {}), *arguments, module=module)
    try:
        yield run
    finally:
        run.kill_left()
