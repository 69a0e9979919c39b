"""A station of the load: it insists on what it has to say as real ones do, and gives up as they do.

A call that is not answered within `patience` on an open connection counts as an attempt, and after so many attempts a message
about a transaction is thrown away: it is lost. While it is offline it only waits (OCPP 1.6 §4.1, §9.1.27-28).
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count, cycle
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.crowd import Refused
from benchmarks.load.figures import Figures
from benchmarks.load.ledger import Ledger
from benchmarks.load.line import Line, connect
from chassis import clock


class Habits(Struct, frozen=True, kw_only=True):
    """How stations behave. Seconds."""

    patience: float = 20.0
    attempts: int = 3
    retry: float = 1.0
    """About how long after a failed handshake the next one is tried."""


class Member(Struct, frozen=True):
    """Who takes part: a station's identity, its driver's card, and its password if it has one."""

    identity: str
    uid: str
    password: str | None = None


class Cut(Exception):
    """The connection ended before the answer came."""


class Silent(Exception):
    """No answer came in time, though the connection is open."""


class Erred(Exception):
    """The call was answered with an error."""


class Station:
    """A station: what it says is timed in `figures` and entered into `ledger`."""

    def __init__(
        self,
        member: Member,
        urls: Sequence[str],
        run: str,
        dice: random.Random,
        ledger: Ledger,
        figures: Figures,
        habits: Habits = Habits(),
    ) -> None:
        self.identity, self.uid, self.dice = member.identity, member.uid, dice
        self.ledger, self.figures, self.habits = ledger, figures, habits
        self.register_wh = dice.randrange(100_000, 9_000_000)
        self.same_ids = dice.random() < 0.5
        """Whether a message that is said again has the id that it had before; real stations do either."""
        self._password, self._urls, self._run = member.password, cycle(urls), run
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._line: Line | None = None
        self._awaited: tuple[str, asyncio.Future[bytes]] | None = None
        self._zero = clock.now() - timedelta(seconds=self._loop.time())
        self._latest = self._zero

    # ---- connections ----

    @property
    def is_connected(self) -> bool:
        return self._line is not None and not self._line.is_lost

    async def connected(self) -> Line:
        """Return the open connection; connect, at one gateway after the other, for as long as it takes."""
        while (line := self._line) is None or line.is_lost:
            try:
                self._line = await connect(next(self._urls), self.identity, self._password, self._hear)
            except Refused:
                self.figures.refused += 1
            except (OSError, TimeoutError):
                pass
            else:
                self._joined(self._line)
                continue
            await asyncio.sleep(self.habits.retry * self.dice.uniform(0.5, 1.5))
        return line

    def _joined(self, line: Line) -> None:
        self.figures.joined(self.identity)
        line.over.add_done_callback(self._left)

    def _left(self, _: object) -> None:
        self.figures.left()
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(Cut())

    async def arrive(self) -> None:
        """Connect, and boot until that is accepted."""
        since = self._loop.time()
        await self.connected()
        self.figures.time("(connect)", self._loop.time() - since)
        boot = {
            "chargePointVendor": "Voltmaker",
            "chargePointModel": "Load 1",
            "chargePointSerialNumber": f"{self.identity}-7F",
            "firmwareVersion": "1.4.2",
        }
        while (answer := await self.ask("BootNotification", boot)) is None or answer["status"] != "Accepted":
            await asyncio.sleep(self.habits.retry)
        self.figures.time("(connect + boot)", self._loop.time() - since)

    def leave(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

    # ---- calls ----

    async def ask(self, action: str, payload: Any, due: float | None = None) -> Any:
        """Return what a call is answered, or None if it is not. It was `due` at that time of the event loop, or is now."""
        due = self._loop.time() if due is None else due
        await self.connected()
        try:
            return await self._call(action, self._frame(action, payload), due)
        except Cut:
            self.figures.failed(action, "cut")
        except Silent:
            self.figures.failed(action, "silent")
        except Erred:
            self.figures.failed(action, "refused")
        return None

    async def insist(self, action: str, payload: Any, due: float | None = None) -> Any:
        """Return what a message about a transaction is answered, over whatever connections; None if it is given up."""
        due = self._loop.time() if due is None else due
        frame, attempts = self._frame(action, payload), 0
        while attempts < self.habits.attempts:
            await self.connected()
            try:
                return await self._call(action, frame, due)
            except Cut:
                pass
            except Silent:
                attempts += 1
                self.figures.failed(action, "silent")
            except Erred:
                attempts += 1
                self.figures.failed(action, "refused")
            if not self.same_ids:
                frame = self._frame(action, payload)
        return None

    def _frame(self, action: str, payload: Any) -> tuple[str, bytes]:
        id = f"{self._run}-{next(self._numbers)}"
        return id, msgspec.json.encode([2, id, action, payload])

    async def _call(self, action: str, frame: tuple[str, bytes], due: float) -> Any:
        line = self._line
        if line is None or line.is_lost:
            raise Cut
        id, text = frame
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._awaited = (id, answer)
        line.send(text)
        patience = self._loop.call_later(self.habits.patience, _give_up, answer)
        try:
            heard = await answer
        finally:
            patience.cancel()
        said = msgspec.json.decode(heard)
        if said[0] != 3:
            raise Erred
        self.figures.answered(action, self._loop.time() - due)
        self.ledger.answered(self.identity, text, heard)
        return said[2]

    def _hear(self, text: bytes) -> None:
        kind, id, *_ = msgspec.json.decode(text)
        if kind == 2:
            refusal = [4, id, "NotImplemented", "", {}]
            if self._line is not None:
                self._line.send(msgspec.json.encode(refusal))
        elif self._awaited is not None and self._awaited[0] == id and not self._awaited[1].done():
            self._awaited[1].set_result(text)

    # ---- time ----

    def moment(self, due: float) -> datetime:
        """Return a time of the event loop as the station's clock shows it: milliseconds, and never one twice."""
        at = self._zero + timedelta(seconds=due)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        self._latest = max(at, self._latest + timedelta(milliseconds=1))
        return self._latest


def _give_up(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(Silent())


def said(moment: datetime) -> str:
    """Return a moment as stations write it."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
