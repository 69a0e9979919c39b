"""Every fixture of tests/quirks through a real gateway: over its WebSocket, into its log, and back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection

from chassis.kafka import create_topics
from chassis.settings import Settings
from contracts.stations import ConnectionOpened, HeartbeatReceived, Report
from tests.gateway.stage import PATIENCE, Stage, answer, closed, settings_for, some_identity, stage
from tests.quirks.replay import Case, Exchange, cases, check_answer, check_report, decision, stop_asked

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """A deployment of this module's own."""
    made = settings_for(kafka)
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(settings: Settings) -> AsyncIterator[Stage]:
    async with stage(settings) as shown:
        yield shown


class Replay:
    """A station that says what a case has."""

    def __init__(self, at: Stage, socket: ClientConnection, opened: ConnectionOpened) -> None:
        self.at, self.socket, self.opened = at, socket, opened
        self.id = ""
        self._counts: dict[str, int] = {}

    async def asked(self) -> None:
        """Wait for a call, which stays open."""
        await self.at.tell(stop_asked(**self.at.reply(self.opened)))
        self.id = (await answer(self.socket))[1]

    async def exchange(self, exchange: Exchange) -> None:
        data = exchange.data(self.id)
        text = isinstance(exchange.frame, str)
        await self.socket.send(data.decode() if text else data)
        report = None if exchange.report is None else await self._report(exchange.report["type"])
        if report is not None:
            check_report(report, exchange)
            if (decided := decision(report)) is not None:
                await self.at.tell(decided)
        if exchange.answer is not None:
            async with asyncio.timeout(PATIENCE):
                said = await self.socket.recv(decode=False)
            check_answer(said, exchange, report)

    async def _report(self, type: str) -> Report | None:
        """Return the next report of this type; of heartbeats, only the first is written down."""
        kind = next(kind for kind in (*Report.__subclasses__(), *subclasses(Report)) if kind.__name__ == type)
        number = self._counts[type] = self._counts.get(type, 0) + 1
        if kind is HeartbeatReceived and number > 1:
            return None
        found: Report = await self.at.said(kind, self.opened.station, number)
        return found


def subclasses(of: type[Any]) -> Iterator[type[Any]]:
    for kind in of.__subclasses__():
        yield kind
        yield from subclasses(kind)


BY_QUIRK = [
    pytest.param([case.values[0] for case in of], id=quirk, marks=pytest.mark.covers(quirk))
    for quirk, of in groupby(cases(), key=lambda case: case.values[0].quirk)
]


@pytest.mark.covers("C-075")
@pytest.mark.parametrize("of_one", BY_QUIRK)
async def test_every_quirk_passes_a_real_gateway(at: Stage, of_one: list[Case]) -> None:
    for case in of_one:
        socket, opened = await at.connected(some_identity(), **case.record())
        replay = Replay(at, socket, opened)
        if case.asked:
            await replay.asked()
        for exchange in case.exchanges:
            await replay.exchange(exchange)
        await socket.close()
        assert (await closed(socket))[2] == [], "nothing is answered twice"
