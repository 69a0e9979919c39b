"""A running fake of Stripe, and whoever pays there and makes it misbehave."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chassis.broker import free_port
from chassis.child import Child
from tests.chassis.test_loop import until

CHECKOUT = Path(__file__).parent.parent.parent
GOOD_CARD, BAD_CARD = "4242424242424242", "4000000000000002"


@dataclass
class Till:
    """One process of the fake."""

    folder: Path
    port: int = field(default_factory=free_port)
    webhook: str = ""
    """Where its events are sent, and what they are signed with."""
    secret: str = "whsec_fake"
    child: Child | None = None
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=20))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        state = str(self.folder / "stripe.sqlite")
        command = [sys.executable, "-m", "tests.payments.fake_stripe", "--port", str(self.port), "--state", state]
        command += ["--webhook", self.webhook, "--secret", self.secret]
        self.child = Child(command, folder=CHECKOUT, output=self.folder / "stripe.log")
        await until(self._answers)

    async def _answers(self) -> bool:
        try:
            return (await self.client.get(f"{self.url}/control/intents")).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()

    async def control(self, what: str, **said: Any) -> None:
        (await self.client.post(f"{self.url}/control/{what}", json=said)).raise_for_status()

    async def fault(self, request: str, fault: str, times: int = 1, **more: Any) -> None:
        await self.control("faults", request=request, fault=fault, times=times, **more)

    async def intents(self) -> list[dict[str, Any]]:
        """Return every payment intent, the newest first."""
        found: list[dict[str, Any]] = (await self.client.get(f"{self.url}/control/intents")).json()
        return found

    async def pay(self, url: str, card: str = GOOD_CARD) -> int:
        """Pay on a page, and return the status of its answer: 303 if the payer is sent back, 402 if declined."""
        return (await self.client.post(url, data={"card": card})).status_code


@asynccontextmanager
async def till(folder: Path) -> AsyncIterator[Till]:
    running = Till(folder)
    await running.start()
    try:
        yield running
    finally:
        await running.client.aclose()
        assert running.child is not None
        await running.child.stop(patience=5)
