"""What stations offered and were answered, by their own account: what the system shows must be the same."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct


class Transaction(Struct):
    """A charge as its station knows it. Registers are whole watt-hours, moments as the station writes them."""

    station: str
    uid: str
    connector: int
    began: str
    meter_start: int
    registers: list[int] = []
    """What was read meanwhile, and acknowledged."""
    ended: str | None = None
    meter_stop: int | None = None
    id: int | None = None
    """What the start was answered."""
    status: str | None = None
    start_acknowledged: bool = False
    stop_acknowledged: bool = False
    lost: list[str] = []
    """The actions of the messages that were given up."""

    @property
    def acknowledged(self) -> bool:
        """Whether all that makes it whole has been acknowledged."""
        return self.start_acknowledged and self.stop_acknowledged and not self.lost

    @property
    def energy_wh(self) -> int | None:
        return None if self.meter_stop is None else self.meter_stop - self.meter_start


class Exchange(Struct, frozen=True):
    """A call that was answered, and its answer, to the last byte."""

    station: str
    sent: str
    answer: str


class Ledger:
    """The books of all stations."""

    def __init__(self, *, frames: bool = False) -> None:
        self.transactions: list[Transaction] = []
        self.exchanges: list[Exchange] = []
        """Every call that was answered, if frames are kept."""
        self._frames = frames

    def answered(self, station: str, sent: bytes, answer: bytes) -> None:
        """Note an answer."""
        if self._frames:
            self.exchanges.append(Exchange(station, sent.decode(), answer.decode()))

    @property
    def acknowledged(self) -> int:
        """How many transactions were acknowledged whole."""
        return sum(transaction.acknowledged for transaction in self.transactions)

    @property
    def lost(self) -> int:
        """How many messages were given up."""
        return sum(len(transaction.lost) for transaction in self.transactions)

    @property
    def energy_wh(self) -> int:
        """The energy of the acknowledged transactions."""
        return sum(transaction.energy_wh or 0 for transaction in self.transactions if transaction.acknowledged)

    def write(self, file: Path) -> None:
        """Write the transactions as JSON, one a line, so that a long one can be read in parts."""
        file.write_bytes(msgspec.json.Encoder().encode_lines(self.transactions))


def read(file: Path) -> Iterable[Transaction]:
    """Return the transactions that `Ledger.write` wrote."""
    return msgspec.json.Decoder(Transaction).decode_lines(file.read_bytes())
