"""Many stations in one process, without a WebSocket library: what they cost is theirs, and little."""

import asyncio
import base64
from collections.abc import Callable, Iterable
from time import perf_counter

SUBPROTOCOL = "ocpp1.6"
_SAMPLES = ",".join(
    f'{{"value":"%(wh)s","context":"Sample.Periodic","location":"Outlet","measurand":"{measurand}","unit":"{unit}"}}'
    for measurand, unit in (
        ("Energy.Active.Import.Register", "Wh"),
        ("Power.Active.Import", "W"),
        ("Current.Import", "A"),
        ("Voltage", "V"),
    )
)
_METER_VALUES = (
    '[2,"%(id)s","MeterValues",{"connectorId":1,"transactionId":%(transaction)d,"meterValue":'
    f'[{{"timestamp":"2026-01-01T12:%(minute)02d:%(second)02dZ","sampledValue":[{_SAMPLES}]}}]}}]'
)


def meter_values(station: int, number: int) -> bytes:
    """Return a typical MeterValues of four samples, other bytes for each number."""
    said = {
        "id": f"{station:06d}-{number:09d}",
        "transaction": 1_000_000 + station,
        "minute": number // 60 % 60,
        "second": number % 60,
        "wh": f"{1_000 + number}.{number % 10}",
    }
    return (_METER_VALUES % said).encode()


def boot(station: int, number: int) -> bytes:
    """Return a BootNotification."""
    return (
        f'[2,"{station:06d}-boot-{number}","BootNotification",'
        f'{{"chargePointVendor":"Vendor","chargePointModel":"Model","firmwareVersion":"1.2.{number}",'
        f'"chargePointSerialNumber":"{station:08d}"}}]'
    ).encode()


def text_frame(text: bytes) -> bytes:
    """Return a client's frame (RFC 6455 §5.2); the mask is nothing, which costs the server the same."""
    length = len(text)
    head = bytes([0x81, 0x80 | length]) if length < 126 else b"\x81\xfe" + length.to_bytes(2)
    return head + bytes(4) + text


class Refused(Exception):
    """The opening handshake failed. `retry_after`: seconds, where the server said so."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.retry_after = status, retry_after


class Station(asyncio.Protocol):
    """A station's end of a WebSocket."""

    def __init__(self, number: int, request: bytes, heard: Callable[["Station"], None]) -> None:
        self.number, self.said, self.sent_at = number, 0, 0.0
        self.is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self._request, self._heard, self._buffer, self._welcome = request, heard, b"", False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's
        self.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if not self.is_open.done():
            self.is_open.set_exception(exc or ConnectionResetError("closed before it was open"))

    def write(self, data: bytes) -> None:
        assert self._transport is not None, "it is connected"
        self._transport.write(data)

    def say(self, text: bytes) -> None:
        """Send a text and note when."""
        self.said += 1
        self.sent_at = perf_counter()
        self.write(text_frame(text))

    def close(self) -> None:
        """Hang up without a word."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._welcome and not self._shake():
            return
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode in (1, 2):
                self._heard(self)
            elif opcode == 9:
                self.write(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)

    def _shake(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            found = [line[12:] for line in head.split(b"\r\n") if line.lower().startswith(b"retry-after:")]
            if not self.is_open.done():
                self.is_open.set_exception(Refused(status, float(found[0]) if found else None))
            return False
        self._buffer, self._welcome = rest, True
        if not self.is_open.done():
            self.is_open.set_result(None)
        return True

    def _next(self) -> tuple[int, bytes] | None:
        """Take the next whole frame out of the buffer; servers do not mask theirs."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        start, length = 2, buffer[1] & 0x7F
        if length == 126:
            start, length = 4, int.from_bytes(buffer[2:4])
        elif length == 127:
            start, length = 10, int.from_bytes(buffer[2:10])
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[0] & 0x0F, buffer[start : start + length]


def name_of(number: int) -> str:
    return f"bench-{number:07d}"


def request_of(number: int, password: bytes | None = None) -> bytes:
    """Return a station's opening handshake."""
    lines = [
        f"GET /ocpp/{name_of(number)} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    ]
    if password is not None:
        said = base64.b64encode(name_of(number).encode() + b":" + password).decode()
        lines.append(f"Authorization: Basic {said}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def connect(port: int, number: int, heard: Callable[[Station], None], password: bytes | None = None) -> Station:
    """Return a station whose handshake has succeeded, or raise `Refused` or `OSError`."""
    loop = asyncio.get_running_loop()
    _, station = await loop.create_connection(
        lambda: Station(number, request_of(number, password), heard), "127.0.0.1", port
    )
    try:
        await station.is_open
    except BaseException:
        station.close()
        raise
    return station


async def connected(port: int, numbers: Iterable[int], heard: Callable[[Station], None]) -> list[Station]:
    """Return stations that connected some at a time, each as often as it takes."""
    room = asyncio.Semaphore(50)

    async def one(number: int) -> Station:
        async with room:
            while True:
                try:
                    return await connect(port, number, heard)
                except Refused as refused:
                    if refused.status != 503:
                        raise
                    await asyncio.sleep(0.2)

    return await asyncio.gather(*(one(number) for number in numbers))


class Crowd:
    """Stations that say MeterValues: each its next as soon as the last is answered, or all at a given pace."""

    def __init__(self) -> None:
        self.stations: list[Station] = []
        self.answered = 0
        self.latencies: list[float] = []
        self._goes_on = False
        self._notes = False

    async def join(self, port: int, size: int) -> None:
        """Connect `size` stations."""
        self.stations = await connected(port, range(size), self._heard)

    def leave(self) -> None:
        for station in self.stations:
            station.close()

    def _heard(self, station: Station) -> None:
        self.answered += 1
        if self._notes:
            self.latencies.append(perf_counter() - station.sent_at)
        station.sent_at = 0.0
        if self._goes_on:
            station.say(meter_values(station.number, station.said))

    async def closed_loop(self, seconds: float, *, warm_up: float, begin: Callable[[], None]) -> int:
        """Return how many were answered in so many seconds, after the warm-up; `begin` is called at its end."""
        self._goes_on = True
        for station in self.stations:
            station.say(meter_values(station.number, station.said))
        await asyncio.sleep(warm_up)
        begin()
        before = self.answered
        await asyncio.sleep(seconds)
        found = self.answered - before
        self._goes_on = False
        return found

    async def quiet(self) -> None:
        """Wait until all that was said is answered."""
        async with asyncio.timeout(30):
            while any(station.sent_at for station in self.stations):
                await asyncio.sleep(0.02)

    async def paced(self, rate: float, seconds: float) -> list[float]:
        """Return the latencies of MeterValues said at `rate` per second, over all stations in turn.

        A station that still waits is passed over, as it would wait by itself; what it says then counts from when it is said.
        """
        self.latencies, self._notes = [], True
        began, sent, turn = perf_counter(), 0, 0
        while (now := perf_counter() - began) < seconds:
            due = int(now * rate)
            for _ in range(len(self.stations)):
                if sent >= due:
                    break
                station = self.stations[turn % len(self.stations)]
                turn += 1
                if not station.sent_at:
                    station.say(meter_values(station.number, station.said))
                    sent += 1
            await asyncio.sleep(0.001)
        await self.quiet()
        self._notes = False
        return self.latencies
