"""Past starts, so that a repetition is known for one long after its session has been forgotten (X-10, X-11).

One row of 37 bytes each: 16 bytes that digest what the start said, the session's uuid, the transaction id, and in a byte the
status that the station has been told and whether the stop has been heard. A row is only pushed out by `KEPT` newer starts of the same station, which a station delivers after the one it
still repeats: 512 are three months at six a day, and take 25 KiB of the state's JSON.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple, get_args
from uuid import UUID

from contracts.authorizations import TokenStatus
from contracts.event import SessionId, TransactionId
from contracts.sessions import SessionStarted
from contracts.stations import TransactionStarted

KEPT = 512
ROW = struct.Struct(">16s16sIB")
SESSION, TRANSACTION = 16, 32
STOPPED = 0x80
"""In the byte of the status: the stop has been heard."""
STATUSES: tuple[TokenStatus | None, ...] = (None, *get_args(TokenStatus))
"""By their number in a row; only ever appended to."""


class Past(NamedTuple):
    """A start that has been heard. `transaction` None: the station had given it itself."""

    session: SessionId
    transaction: TransactionId | None
    status: TokenStatus | None
    stopped: bool = False


def digest(start: TransactionStarted | SessionStarted, said_at: datetime | None, meter_wh: int | None) -> bytes:
    """Return 16 bytes of what makes a start this one (X-10); the token's id is that of its folded uid.

    `said_at` is its time by the station's clock, where `start.at` has been corrected.
    """
    at = (said_at or start.at).astimezone(UTC).isoformat()
    return blake2b(f"{start.evse}/{start.connector}/{start.token}/{at}/{meter_wh}".encode(), digest_size=16).digest()


def find(past: bytes, said: bytes) -> Past | None:
    """Return the start that said the same."""
    at = _row(past, said, 0)
    return None if at is None else _read(past, at)


def called(past: bytes, transaction: TransactionId) -> Past | None:
    """Return the newest start that was given this transaction id."""
    if not (given := number(transaction)):
        return None
    key = struct.pack(">I", given)
    return next((_read(past, at) for at in reversed(_rows(past)) if past.startswith(key, at + TRANSACTION)), None)


def _read(past: bytes, at: int) -> Past:
    _, session, transaction, status = ROW.unpack_from(past, at)
    name = TransactionId(str(transaction)) if transaction else None
    return Past(SessionId(str(UUID(bytes=session))), name, STATUSES[status & ~STOPPED], bool(status & STOPPED))


def _rows(past: bytes) -> range:
    return range(0, len(past), ROW.size)


def add(past: bytes, said: bytes, session: SessionId, transaction: TransactionId) -> bytes:
    """Return `past` with one more start, and without the oldest that are too many."""
    row = ROW.pack(said, UUID(session).bytes, number(transaction), 0)
    return (past + row)[-KEPT * ROW.size :]


def blocks(past: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the rows in blocks of about 16, to be kept apart (`Stream.apart`).

    A block begins where a row's own bytes say so: wherever rows come or go, all other blocks stay as they are.
    """
    begin, name, names = 0, "first", {"first"}
    for at in _rows(past)[1:]:
        here = past[at : at + 4].hex()
        if past[at] % 16 == 0 and here not in names:
            yield name, past[begin:at]
            begin, name = at, here
            names.add(here)
    yield name, past[begin:]


def tell(past: bytes, session: SessionId, status: TokenStatus) -> bytes:
    """Return `past` with what the station has been told about a session."""
    return _changed(past, session, status=STATUSES.index(status))


def rename(past: bytes, session: SessionId, transaction: TransactionId) -> bytes:
    """Return `past` with another transaction id for a session."""
    return _changed(past, session, transaction=number(transaction))


def stop(past: bytes, session: SessionId) -> bytes:
    """Return `past` with the stop of a session heard."""
    return _changed(past, session, stopped=True)


def _changed(
    past: bytes,
    session: SessionId,
    *,
    transaction: int | None = None,
    status: int | None = None,
    stopped: bool = False,
) -> bytes:
    key = UUID(session).bytes
    at = _row(past, key, SESSION)
    if at is None:
        return past
    said, _, old_transaction, old_status = ROW.unpack_from(past, at)
    row = ROW.pack(
        said,
        key,
        old_transaction if transaction is None else transaction,
        (old_status & ~STOPPED if status is None else status) | (old_status & STOPPED) | (STOPPED if stopped else 0),
    )
    return past[:at] + row + past[at + ROW.size :]


def _row(past: bytes, value: bytes, column: int) -> int | None:
    """Return where the row begins that holds `value` in a column."""
    at = past.find(value)
    while at >= 0 and at % ROW.size != column:
        at = past.find(value, at + 1)
    return None if at < 0 else at - column


def number(transaction: TransactionId) -> int:
    """Return an id of ours as a number; 0 for one that a station made up (OCPP 2.x)."""
    ours = transaction.isascii() and transaction.isdigit() and len(transaction) <= 10
    return int(transaction) if ours and int(transaction) < 2**31 else 0
