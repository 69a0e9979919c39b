"""One process of the system: how it is started, whether it is ready, where it listens."""

import asyncio
import http.client
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from chassis.child import Child

CHECKOUT = Path(__file__).resolve().parent.parent.parent
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing is bound by this


class Address(NamedTuple):
    """Where a part listens, and the setting that says so."""

    host: str
    port: int
    setting: str

    def __str__(self) -> str:
        """Where one reaches it from this machine."""
        host = WILDCARDS.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def why_not(self) -> str | None:
        """Return why nobody can listen there now; None if one can."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self.host, self.port))
            except OSError as error:
                return error.strerror or str(error)
        return None


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
    address: Address | None = None
    child: Child | None = None
    starts: list[float] = field(default_factory=list)

    @property
    def service(self) -> str:
        return self.name.partition("-")[0]

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before its first start."""
        return self.child.exit_code if self.child is not None else None

    def start(self) -> None:
        """Start the process. The log of the run before stays as `.log.1`."""
        self.starts = [*self.starts[-9:], time.monotonic()]
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self.child = Child(self.command, folder=CHECKOUT, output=self.log, environment=self.environment)

    async def stop(self) -> None:
        if self.child is not None and self.child.exit_code is None:
            await self.child.stop(patience=15)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()

    async def is_ready(self) -> bool:
        runs = self.child is not None and self.child.exit_code is None
        return runs and await asyncio.to_thread(_answers, self.health)

    def may_start_again(self) -> bool:
        """Whether it is time: at once at first, and more slowly if it keeps ending."""
        return patient_enough(self.starts)

    def last_words(self, lines: int = 12) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def patient_enough(starts: Sequence[float]) -> bool:
    """Whether something that was started at these moments (seconds, monotonic) may be started again now."""
    recent = [start for start in starts if time.monotonic() - start < 60]
    pause = 0 if len(recent) < 3 else min(30, 2 ** len(recent))
    return not starts or time.monotonic() - starts[-1] >= pause


def _answers(url: str) -> bool:
    """Whether 200 is the answer. Asked without any proxy that the environment may name."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=2)
    try:
        connection.request("GET", where.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
