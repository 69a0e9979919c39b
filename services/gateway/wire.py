"""A WebSocket that gives each message to a function as it comes, and sends without waiting.

Nearly all that stations say comes as one whole frame of text, and takes a short way here. Everything else - the handshake,
fragments, several frames at once or a piece of one, pings, the close - goes the library's way.
"""

import asyncio
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C where the library has it so
from websockets.protocol import OPEN


class Wire(ServerConnection):
    """A station's WebSocket, to hear and to say."""

    _heard: Callable[[bytes], None] | None = None
    _is_held = False
    _resting: asyncio.Future[None] | None = None

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        """Give each message, whether text or binary, to `heard`; return when the socket has closed and all has been heard."""
        self._heard = heard
        try:
            while True:
                while self._resting is not None:
                    await self._resting
                message = await self.recv(decode=False)  # decoded, what is no UTF-8 would close the socket
                self._take(message)
        except ConnectionClosed:
            self._heard = None

    def rest(self) -> float:
        """Return for how many seconds to hear nothing more after this message."""
        return 0

    def _take(self, message: bytes) -> None:
        assert self._heard is not None, "somebody listens"
        self._heard(message)
        if wait := self.rest():
            self._resting = self.loop.create_future()
            self._regulate()
            self.loop.call_later(wait, self._rested)

    def _rested(self) -> None:
        assert self._resting is not None, "it rests once at a time"
        self._resting.set_result(None)
        self._resting = None
        self._regulate()

    def say(self, frame: bytes) -> None:
        """Send a message, if the socket is still open. Whoever does not read what we say is not heard meanwhile."""
        if self.protocol.state is not OPEN or self.transport.is_closing():
            return
        if len(frame) < 126:
            self.transport.write(b"\x81%c%b" % (len(frame), frame))
        else:
            self.protocol.send_text(frame)
            self.send_data()

    def hold(self, is_held: bool) -> None:
        """Read no more from the socket, or read again."""
        self._is_held = is_held
        self._regulate()

    # ---- what the library calls ----

    def data_received(self, data: bytes) -> None:
        """Take in bytes from the network."""
        if self._heard is None or (text := self._whole_text(data)) is None:
            super().data_received(data)
        else:
            self._take(text)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._regulate()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._regulate()

    def _regulate(self) -> None:
        if self.transport.is_closing():
            return
        if self._is_held or self.paused or self._resting is not None:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _whole_text(self, data: bytes) -> bytes | None:
        """Return the text that `data` is the frame of; None if it is anything else, or something is under way (RFC 6455 §5.2)."""
        protocol = self.protocol
        if (
            len(data) < 6
            or data[0] != 0x81  # the first and last frame of a text
            or protocol.state is not OPEN
            or protocol.current_size is not None  # a message in fragments has begun
            or protocol.reader.buffer  # or a frame in pieces
            or self.recv_messages.frames.queue  # or what came before waits to be heard
            or self._resting is not None
        ):
            return None
        length, start = data[1] - 0x80, 6  # without the bit that says that it is masked
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 8
        if not 0 <= length == len(data) - start:  # longer ones have eight bytes of length, and are not worth it
            return None
        return bytes(apply_mask(data[start:], data[start - 4 : start]))
