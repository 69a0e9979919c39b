"""Every service as a process of its own, each with its health over HTTP, and what they need: Kafka, PostgreSQL, ClickHouse."""

import asyncio
import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import httpx

from chassis.broker import Broker, free_port
from chassis.child import Child
from deploy.local.part import CHECKOUT, Part
from deploy.local.system import SERVICES
from tests.api.network import FIRST_KEY
from tests.system.network import Rest, until


class Processes:
    """All services, and what they need."""

    def __init__(self, folder: Path, broker: Broker, sql: str, **settings: object) -> None:
        self.folder, self.broker = folder, broker
        self.clickhouse_port, self.api_port, self.ocpp_port = free_port(), free_port(), free_port()
        self._clickhouse: Child | None = None
        mine = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
        ours = {
            "kafka": broker.bootstrap,
            "sql": sql,
            "clickhouse": f"http://127.0.0.1:{self.clickhouse_port}/voltstream",
            "secret": "a-secret-of-the-tests-and-of-nobody-else",
            "admin_digest": sha256(FIRST_KEY.encode()).hexdigest(),
            "partitions": 1,
            "session_timeout_ms": 6000,
            "health_host": "127.0.0.1",
            "api_port": self.api_port,
            "ocpp_port": self.ocpp_port,
            "log": "json",
            **settings,
        }
        self.environment = mine | {f"VOLTSTREAM_{name.upper()}": str(value) for name, value in ours.items()}
        self.parts = {name: self._part(name) for name in SERVICES}
        self.rest = Rest(f"http://127.0.0.1:{self.api_port}", FIRST_KEY)
        self.ocpp = f"ws://127.0.0.1:{self.ocpp_port}/ocpp"

    def _part(self, name: str) -> Part:
        port = free_port()
        environment = {**self.environment, "VOLTSTREAM_MEMBER": name, "VOLTSTREAM_HEALTH_PORT": str(port)}
        command = [sys.executable, "-m", f"services.{name}"]
        return Part(name, command, environment, f"http://127.0.0.1:{port}/readyz", self.folder / f"{name}.log")

    def start_clickhouse(self) -> None:
        command = [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", str(self.folder / "clickhouse")]
        output = self.folder / "clickhouse.log"
        self._clickhouse = Child(
            [*command, "--port", str(self.clickhouse_port)], folder=CHECKOUT, output=output, environment=os.environ
        )

    def kill_clickhouse(self) -> None:
        if self._clickhouse is not None:
            self._clickhouse.kill()

    # ---- what they say ----

    async def health(self, name: str, path: str) -> tuple[int, str]:
        """Return the answer of a process's health server; 0: it does not answer."""
        assert self.parts[name].exit_code is None, f"{name} has ended:\n{self.parts[name].last_words()}"
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(self.parts[name].health.removesuffix("/readyz") + path)
            except httpx.TransportError:
                return 0, ""
        return answer.status_code, answer.text.strip()

    async def until_ready(self, names: Sequence[str]) -> None:
        await self.until_says(names, 200, "ready")

    async def until_says(self, names: Sequence[str], status: int, words: str) -> None:
        """Return once `/readyz` of each says this, and while it does `/healthz` says that it is alive."""
        for name in names:

            async def says(name: str = name) -> bool | None:
                found, text = await self.health(name, "/readyz")
                return True if found == status and words in text else None

            await until(says, f"{name}: {status} {words}", within=60)
            assert (await self.health(name, "/healthz"))[0] == 200, name

    async def until_logged(self, name: str, words: str) -> None:
        """Return once a process has written this."""

        async def logged() -> bool | None:
            part = self.parts[name]
            return True if part.log.exists() and words in part.log.read_text() else None

        await until(logged, f"{name} writes {words!r}", within=60)

    async def stop(self) -> None:
        await self.rest.client.aclose()
        await asyncio.gather(*(part.stop() for part in self.parts.values()))
        self.kill_clickhouse()
