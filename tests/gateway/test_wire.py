"""A WebSocket that has a short way for whole frames of text, and the library's way for everything else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from services.gateway.wire import Wire

HELLO = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = b"\x01\x02\x03\x04"


def frame(payload: bytes, head: int = 0x81) -> bytes:
    """A client's frame; `head` is its first byte."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = b"\xfe" + length.to_bytes(2) if length < 1 << 16 else b"\xff" + length.to_bytes(8)
    return bytes([head]) + size + MASK + bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))


class Line:
    """A server that keeps what it hears, and a client without a library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: list[bytes]) -> None:
        self.reader, self.writer, self.heard = reader, writer, heard

    async def send(self, *pieces: bytes) -> None:
        """Send each piece so that it arrives by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await self.pong()

    async def pong(self) -> None:
        """Let the server come to what was sent: it reads in turns of its loop."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def hears(self, *messages: bytes) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < len(messages):
                await asyncio.sleep(0.001)
        assert self.heard == list(messages)


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    heard: list[bytes] = []

    async def listen(wire: object) -> None:
        assert isinstance(wire, Wire)

        def take(message: bytes) -> None:
            heard.append(message)
            wire.say(message[:200])

        await wire.listen(take)

    async with serve(listen, "127.0.0.1", 0, create_connection=Wire, compression=None, max_size=1 << 20) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")
        yield Line(reader, writer, heard)
        writer.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_a_message_of_any_size_is_heard(size: int) -> None:
    async with line() as it:
        await it.send(frame(b"x" * size))
        await it.hears(b"x" * size)


async def test_whatever_comes_in_pieces_or_together_is_heard_in_order() -> None:
    one, two = frame(b"one"), frame(b"two")
    async with line() as it:
        await it.send(one[:3], one[3:], two)
        await it.send(frame(b"thr", 0x01), frame(b"", 0x89), frame(b"ee", 0x80), frame(b"four"))
        await it.send(frame(b"five") + frame(b"six") + one[:1], one[1:], two)
        await it.send(frame(b"\xff\xfe", 0x82), frame(b"\xff\xfe"))
        await it.hears(b"one", b"two", b"three", b"four", b"five", b"six", b"one", b"two", b"\xff\xfe", b"\xff\xfe")


@pytest.mark.parametrize("said", [b"short", b"x" * 126])
async def test_what_is_said_is_one_frame_of_text(said: bytes) -> None:
    async with line() as it:
        await it.send(frame(said))
        async with asyncio.timeout(10):
            head = await it.reader.readexactly(2 if len(said) < 126 else 4)
            assert head == (b"\x81\x05" if len(said) < 126 else b"\x81\x7e\x00\x7e")
            assert await it.reader.readexactly(len(said)) == said


async def test_a_frame_that_is_not_masked_closes_the_socket() -> None:
    async with line() as it:
        await it.send(b"\x81\x05hello")
        async with asyncio.timeout(10):
            assert (await it.reader.readexactly(4))[0] == 0x88
        assert it.heard == []
