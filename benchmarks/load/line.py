"""One connection of a station: frames out, frames in, and nothing in between. A thousand fit on a core."""

import asyncio
import base64
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from benchmarks import crowd

HANDSHAKE_S = 20.0


class Line(crowd.Station):
    """An open WebSocket. `hear` gets every message; `over` is done when the connection has ended."""

    def __init__(self, request: bytes, hear: Callable[[bytes], None]) -> None:
        super().__init__(0, request, lambda _: None)
        self._hear = hear
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.over.done():
            self.over.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._welcome and not self._shake():
            return
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode in (1, 2):
                self._hear(payload)
            elif opcode == 9:
                self.write(control(0xA, payload))
            elif opcode == 8:
                self.write(control(8, payload))  # the server hangs up

    def send(self, text: bytes) -> None:
        """Send a message. It may never arrive."""
        if not self.is_lost:
            self.write(crowd.text_frame(text))


def control(opcode: int, payload: bytes) -> bytes:
    """Return a client's control frame (RFC 6455 §5.5)."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def request(url: str, identity: str, password: str | None) -> bytes:
    """Return the opening handshake of a station at `url`, to which its identity is added."""
    where = urlsplit(url)
    lines = [
        f"GET {where.path}/{quote(identity, safe='')} HTTP/1.1",
        f"Host: {where.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {crowd.SUBPROTOCOL}",
    ]
    if password is not None:
        lines.append("Authorization: Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode())
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def connect(url: str, identity: str, password: str | None, hear: Callable[[bytes], None]) -> Line:
    """Return an open connection. Raises `crowd.Refused`, `OSError` or `TimeoutError`."""
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    asked = request(url, identity, password)
    async with asyncio.timeout(HANDSHAKE_S):
        _, line = await loop.create_connection(lambda: Line(asked, hear), where.hostname or "", where.port or 80)
        try:
            await line.is_open
        except BaseException:
            line.close()
            raise
    return line
