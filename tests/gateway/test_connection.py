"""A connection on a log that a test holds in its hands."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from chassis.kafka import Address, Lane, Place, Settled, Unavailable
from contracts.event import StationId, TenantId
from contracts.stations import AnsweredUndecided, ConnectionClosed, ConnectionOpened, StationBooted, StationEvent
from contracts.topics import STATIONS
from services.gateway import connection
from services.gateway.connection import StationConnection
from tests.gateway.lines import LINE, NOON

BOOT = b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
ADDRESS = Address(STATIONS, b"acme/CP-1", "/test", Lane(STATIONS, "stations", 0))
AUTHORIZE = b'[2,"7","Authorize",{"idTag":"A"}]'


class Wire:
    """A socket whose other end is a test."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.said: asyncio.Queue[bytes] = asyncio.Queue()
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.is_held = False

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        while (frame := await self.frames.get()) is not None:
            heard(frame)

    def say(self, frame: bytes) -> None:
        self.said.put_nowait(frame)

    def hold(self, is_held: bool) -> None:
        self.is_held = is_held

    async def close(self, code: int, reason: str) -> None:
        self.close_code, self.close_reason = code, reason
        self.frames.put_nowait(None)


class House:
    """A gateway whose log acknowledges when a test says so."""

    undecided_after = 0.01
    patience = timedelta(seconds=30)

    def __init__(self, *, away: tuple[type, ...] = ()) -> None:
        self.accepted: set[StationId] = set()
        self.events: list[StationEvent] = []
        self.ids: list[str] = []
        self.later: list[StationEvent] = []
        self.acknowledging = True
        self.places: list[asyncio.Future[Any]] = []
        self.interruptions = 0
        self.away = away

    def address(self, _: TenantId, __: StationId) -> Address:
        return ADDRESS

    def post(self, to: Address, event: StationEvent, id: str, _: datetime, settled: Settled) -> None:
        assert to is ADDRESS
        if isinstance(event, self.away):
            raise Unavailable
        self.events.append(event)
        self.ids.append(id)
        place: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        place.add_done_callback(lambda done: settled(70, done.exception()))
        self.places.append(place)
        if self.acknowledging:
            place.set_result(None)

    async def append(self, event: StationEvent, id: str) -> Place:
        if isinstance(event, self.away):
            raise Unavailable
        self.events.append(event)
        self.ids.append(id)
        return Place(0, 70)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def opened(self, connection: StationConnection) -> None: ...

    def closed(self, connection: StationConnection) -> None: ...

    def interrupted(self) -> None:
        self.interruptions += 1

    def say_later(self, event: StationEvent, id: str) -> None:
        self.later.append(event)
        self.ids.append(id)


def opened() -> ConnectionOpened:
    return ConnectionOpened(
        at=NOON,
        tenant=LINE.tenant,
        station=LINE.station,
        gateway=LINE.gateway,
        reply_to=3,
        epoch=0,
        protocol="ocpp1.6",
        security_profile=1,
    )


class Call:
    """A station on the line."""

    def __init__(self, house: House) -> None:
        self.house, self.wire = house, Wire()
        self.connection = StationConnection(house, self.wire, LINE, "g-1/1")
        self.running = asyncio.create_task(self.connection.run(opened()))

    def say(self, *frames: bytes) -> None:
        for frame in frames:
            self.wire.frames.put_nowait(frame)

    async def hear(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.wire.said.get()

    async def hang_up(self) -> None:
        self.wire.frames.put_nowait(None)
        async with asyncio.timeout(5):
            await self.running


@pytest.mark.covers("T-40")
async def test_each_message_of_a_frame_is_answered() -> None:
    call = Call(house := House())
    call.say(BOOT + b"\n" + BOOT.replace(b'"1"', b'"2"') + b'[2,"3","MeterValues",{}]')
    assert [(await call.hear())[:6] for _ in range(3)] == [b'[3,"1"', b'[3,"2"', b'[3,"3"']
    assert [type(event).__name__ for event in house.events[1:]] == ["StationBooted", "StationBooted", "MetersRead"]
    await call.hang_up()


@pytest.mark.covers("T-40", "T-54")
async def test_only_so_many_messages_of_a_frame_are_heard() -> None:
    call = Call(house := House())
    call.say(BOOT * (connection.MOST_IN_A_FRAME + 5))
    call.say(b'[2,"9","StopTransaction",{}]')
    while not (await call.hear()).startswith(b'[3,"9"'):
        pass
    boots = [event for event in house.events if isinstance(event, StationBooted)]
    assert 1 <= len(boots) <= connection.MOST_IN_A_FRAME
    await call.hang_up()


async def test_nothing_is_answered_before_it_is_in_the_log() -> None:
    house = House()
    house.acknowledging = False
    call = Call(house)
    call.say(BOOT, BOOT.replace(b'"1"', b'"2"'))
    while len(house.places) < 2:
        await asyncio.sleep(0)
    house.places[1].set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert call.wire.said.empty(), "and none before those before it"
    house.places[0].set_result(None)
    assert (await call.hear()).startswith(b'[3,"1",')
    assert (await call.hear()).startswith(b'[3,"2",')
    await call.hang_up()
    assert [type(event) for event in house.events] == [ConnectionOpened, StationBooted, StationBooted, ConnectionClosed]
    assert len(set(house.ids)) == 4


async def test_a_connection_that_cannot_be_said_is_closed_unheard() -> None:
    call = Call(House(away=(ConnectionOpened,)))
    call.say(BOOT)
    await call.running
    assert (call.wire.close_code, call.house.interruptions, call.house.events) == (1012, 1, [])


@pytest.mark.parametrize("event", [StationBooted, AnsweredUndecided])
async def test_what_the_log_does_not_take_closes_the_connection_unanswered_c080(event: type) -> None:
    call = Call(House(away=(event,)))
    call.say(BOOT if event is StationBooted else AUTHORIZE)
    await call.running
    assert call.wire.close_code == 1012
    assert call.house.interruptions == 1
    assert call.wire.said.empty()


async def test_what_the_log_gives_up_closes_the_connection_unanswered_c080() -> None:
    house = House()
    house.acknowledging = False
    call = Call(house)
    call.say(BOOT)
    while not house.places:
        await asyncio.sleep(0)
    house.places[0].set_exception(Unavailable())
    await call.running
    assert (call.wire.close_code, call.wire.said.empty()) == (1012, True)


async def test_an_end_that_cannot_be_said_now_is_said_later() -> None:
    call = Call(House(away=(ConnectionClosed,)))
    await call.hang_up()
    assert [type(event) for event in call.house.later] == [ConnectionClosed]


async def test_what_waits_too_long_for_the_log_is_seen() -> None:
    house = House()
    house.acknowledging = False
    call = Call(house)
    call.say(BOOT)
    while not house.places:
        await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    assert not call.connection.overdue(now - 5)
    assert call.connection.overdue(now + 5)
    house.places[0].set_result(None)
    await call.hear()
    assert not call.connection.overdue(now + 5)
    await call.hang_up()


async def test_a_station_that_says_too_much_at_once_must_wait_t54(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_UNANSWERED", 2)
    house = House()
    house.acknowledging = False
    call = Call(house)
    call.say(*(BOOT.replace(b'"1"', b'"%d"' % number) for number in range(5)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(house.places) == 2
    house.acknowledging = True
    for place in house.places:
        place.set_result(None)
    for number in range(5):
        assert (await call.hear()).startswith(b'[3,"%d",' % number)
    await call.hang_up()


async def test_an_error_of_ours_closes_the_connection_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    class OurError(Exception):
        pass

    def broken(*_: object) -> None:
        raise OurError

    call = Call(House())
    monkeypatch.setattr(call.connection._protocol, "answer", broken)
    call.say(BOOT)
    with pytest.raises(OurError):
        await call.running
    assert call.wire.close_code == 1011
