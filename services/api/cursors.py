"""Places in the log as clients carry them: where each partition of interest stands, compact, and bound to a tenant.

All replicas of the api give out and understand the same cursors. The layout: a version, then for each topic its number, how many
partitions follow, and of each its number and the offset that comes next, all as variable-length integers; in front of it, the
first bytes of a MAC, so that nobody can make one up or use another tenant's.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator

from chassis.feed import Places
from chassis.secrets import Secrets

VERSION = 1
MAC_BYTES = 8
LONGEST = 16_384
"""Characters: what the largest deployment's cursor would need, and more."""

NUMBERS = {"stations": 1, "authorizations": 2, "sessions": 3, "readings": 4, "operations": 5, "bills": 6, "alerts": 7}
"""Of the topics that can be streamed. A number is never given to another topic."""
NAMES = {number: name for name, number in NUMBERS.items()}


class NoCursor(Exception):
    """It was not given out by this deployment to this tenant."""


class Cursors:
    """Writes and reads the cursors of one tenant."""

    def __init__(self, secrets: Secrets, tenant: str) -> None:
        self._key = secrets.derive("stream-cursor", tenant)

    def encode(self, places: Places) -> str:
        """Return places as text of letters, digits, `-` and `_`."""
        by_topic: dict[str, list[tuple[int, int]]] = {}
        for (topic, partition), offset in places.items():
            by_topic.setdefault(topic, []).append((partition, offset))
        packed = bytearray([VERSION])
        for topic, parts in by_topic.items():
            _pack(packed, NUMBERS[topic])
            _pack(packed, len(parts))
            for partition, offset in parts:
                _pack(packed, partition)
                _pack(packed, offset)
        return base64.urlsafe_b64encode(self._mac(packed) + packed).decode().rstrip("=")

    def decode(self, text: str) -> Places:
        """Return the places that a client names, or raise `NoCursor`."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError as error:  # also what is no ASCII
            raise NoCursor(str(error)) from error
        mac, packed = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(packed)) or packed[:1] != bytes([VERSION]):
            raise NoCursor("it was not given out here")
        return _unpacked(iter(packed[1:]))

    def _mac(self, packed: bytes | bytearray) -> bytes:
        return hmac.digest(self._key, packed, hashlib.sha256)[:MAC_BYTES]


def _pack(packed: bytearray, number: int) -> None:
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)


def _unpacked(numbers: Iterator[int]) -> Places:
    """Return the places in bytes that are ours, as their MAC says."""
    places: Places = {}
    for first in numbers:
        topic = NAMES[_number(first, numbers)]
        for _ in range(_number(next(numbers), numbers)):
            partition = _number(next(numbers), numbers)
            places[topic, partition] = _number(next(numbers), numbers)
    return places


def _number(first: int, rest: Iterator[int]) -> int:
    value, shift, byte = first & 0x7F, 7, first
    while byte > 0x7F:
        byte = next(rest)
        value |= (byte & 0x7F) << shift
        shift += 7
    return value
