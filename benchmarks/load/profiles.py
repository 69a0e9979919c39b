"""What stations do: each profile is the life of one of them, from its arrival until the run is over."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from benchmarks.load.ledger import Transaction
from benchmarks.load.station import Station, said
from chassis import clock

MESSAGES = 8
"""Of a whole charge: Authorize, StartTransaction, five MeterValues, StopTransaction."""
READINGS = 5


class Terms(Struct, frozen=True, kw_only=True):
    """What is asked of all stations together."""

    stations: int
    rate: float
    """Messages per second, where a profile has a pace."""
    charges: int
    """Of an offline day."""
    stopping: asyncio.Event

    @property
    def period(self) -> float:
        """Seconds between two messages of one station."""
        return self.stations / self.rate


class Turn(NamedTuple):
    """When a message is due by the event loop's clock, and when it happened by the station's."""

    due: float
    at: datetime


Pace = Callable[[], Awaitable[Turn]]


class Profile(Struct, frozen=True):
    """A row of the table below."""

    about: str
    live: Callable[[Station, Terms], Awaitable[None]]
    waits_for_all: bool = True
    """Whether the clock starts when all have arrived, and not with the first."""
    ends_by_itself: bool = False


# ---- paces ----


def at_once(station: Station) -> Pace:
    """Let each message follow the answer to the one before."""
    loop = asyncio.get_running_loop()

    async def turn() -> Turn:
        now = loop.time()
        return Turn(now, station.moment(now))

    return turn


def every(period: float, station: Station, stopping: asyncio.Event) -> Pace:
    """Let one message be due each `period` seconds, whether or not the one before has been answered by then."""
    loop = asyncio.get_running_loop()
    due = loop.time() + station.dice.uniform(0, period)

    async def turn() -> Turn:
        nonlocal due
        due += period
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await stopping.wait()
                due = min(due, loop.time())
        return Turn(due, station.moment(due))

    return turn


def yesterday(charges: int) -> Pace:
    """Let messages have happened evenly over the day until now, and be due now."""
    loop, step = asyncio.get_running_loop(), timedelta(days=1) / (charges * MESSAGES)
    at = clock.now() - timedelta(days=1)

    async def turn() -> Turn:
        nonlocal at
        at += step
        return Turn(loop.time(), at)

    return turn


# ---- a charge ----


async def charge(station: Station, pace: Pace, *, authorize: bool = True) -> Transaction:
    """Charge once, and return what the station knows of it."""
    if authorize:
        due, _ = await pace()
        await station.ask("Authorize", {"idTag": station.uid}, due)
    transaction = await _started(station, await pace())
    for _ in range(READINGS):
        await _read(station, transaction, await pace())
    await _stopped(station, transaction, await pace())
    return transaction


async def _started(station: Station, turn: Turn) -> Transaction:
    transaction = Transaction(
        station=station.identity,
        uid=station.uid,
        connector=1,
        began=said(turn.at),
        meter_start=station.register_wh,
    )
    station.ledger.transactions.append(transaction)
    answer = await station.insist("StartTransaction", start_of(transaction), turn.due)
    if answer is None:
        transaction.lost.append("StartTransaction")
    else:
        transaction.id, transaction.status = answer["transactionId"], answer["idTagInfo"]["status"]
        transaction.start_acknowledged = True
    return transaction


def start_of(transaction: Transaction) -> Mapping[str, Any]:
    """Return the payload of the start, the same however often it is said."""
    return {
        "connectorId": transaction.connector,
        "idTag": transaction.uid,
        "meterStart": transaction.meter_start,
        "timestamp": transaction.began,
    }


async def _read(station: Station, transaction: Transaction, turn: Turn) -> None:
    station.register_wh += station.dice.randrange(1, 2_000)
    register = station.register_wh
    values = {
        "connectorId": transaction.connector,
        "transactionId": -1 if transaction.id is None else transaction.id,
        "meterValue": [{"timestamp": said(turn.at), "sampledValue": _samples(register)}],
    }
    if await station.insist("MeterValues", values, turn.due) is None:
        transaction.lost.append("MeterValues")
    else:
        transaction.registers.append(register)


def _samples(register_wh: int) -> list[dict[str, str]]:
    return [
        {"value": value, "context": "Sample.Periodic", "location": "Outlet", "measurand": measurand, "unit": unit}
        for value, measurand, unit in (
            (str(register_wh), "Energy.Active.Import.Register", "Wh"),
            ("7360", "Power.Active.Import", "W"),
            ("16.0", "Current.Import", "A"),
            ("230.0", "Voltage", "V"),
        )
    ]


async def _stopped(station: Station, transaction: Transaction, turn: Turn) -> None:
    station.register_wh += station.dice.randrange(1, 2_000)
    transaction.meter_stop, transaction.ended = station.register_wh, said(turn.at)
    stop = {
        "transactionId": -1 if transaction.id is None else transaction.id,
        "idTag": transaction.uid,
        "meterStop": transaction.meter_stop,
        "timestamp": transaction.ended,
        "reason": "Local",
    }
    if await station.insist("StopTransaction", stop, turn.due) is None:
        transaction.lost.append("StopTransaction")
    else:
        transaction.stop_acknowledged = True


# ---- the profiles ----


async def _closed(station: Station, terms: Terms) -> None:
    pace = at_once(station)
    while not terms.stopping.is_set():
        await charge(station, pace)


async def _paced(station: Station, terms: Terms) -> None:
    pace = every(terms.period, station, terms.stopping)
    while not terms.stopping.is_set():
        await charge(station, pace)


async def _idle(station: Station, terms: Terms) -> None:
    pace = every(terms.period, station, terms.stopping)
    while not terms.stopping.is_set():
        due, _ = await pace()
        if not terms.stopping.is_set():
            await station.ask("Heartbeat", {}, due)


async def _storm(_: Station, __: Terms) -> None:
    """Nothing follows: the arrival is all."""


async def _backlog(station: Station, terms: Terms) -> None:
    pace = yesterday(terms.charges)
    for _ in range(terms.charges):
        if terms.stopping.is_set():
            return
        await charge(station, pace, authorize=False)


async def _authorize(station: Station, terms: Terms) -> None:
    pace = every(terms.period, station, terms.stopping)
    while not terms.stopping.is_set():
        due, _ = await pace()
        if not terms.stopping.is_set():
            await station.ask("Authorize", {"idTag": station.uid}, due)


async def _start(station: Station, terms: Terms) -> None:
    pace = every(terms.period, station, terms.stopping)
    while not terms.stopping.is_set():
        transaction = await _started(station, await pace())
        await _stopped(station, transaction, await pace())


PROFILES: dict[str, Profile] = {
    "closed": Profile("charge after charge, each message right after the answer before", _closed),
    "paced": Profile(
        "the same at a rate, whether or not answers keep up: latencies count from when it was due", _paced
    ),
    "idle": Profile("connected, and a heartbeat now and then", _idle),
    "authorize": Profile("nothing but cards held before the reader, at a rate", _authorize),
    "start": Profile("starts and stops and nothing else, at a rate", _start),
    "storm": Profile("all connect and boot at once", _storm, waits_for_all=False, ends_by_itself=True),
    "backlog": Profile(
        "an offline day, delivered when the network is back", _backlog, waits_for_all=False, ends_by_itself=True
    ),
}
