"""How fast a million past sessions are rated by another tariff, and in how much memory, beside a bare JSON decode of their records.

The records are a stream, as reading Kafka hands it over, and not read from Kafka itself: fetching would measure aiokafka.
"""

import resource
from collections.abc import Iterable
from itertools import islice
from time import process_time

import msgspec

from benchmarks.bills import TENANT, records, tariff
from benchmarks.harness import Figure, Ground, compared
from chassis.kafka import Record
from contracts.ratings import ByTariff, Choice
from services.rerating.past import HEARD, Past
from services.rerating.piece import Piece, sums
from services.rerating.prices import Prices, rated
from services.rerating.reading import heard, kinds

SESSIONS, SLICES, SAMPLES = 1_000_000, 100, 7
EACH = SAMPLES + 1
"""Records of a session: its tariff, a cost for each sample but two, its end and its CDR."""


class Reading:
    """One job over one partition, as the worker does it, but that nothing is written."""

    def __init__(self) -> None:
        self._past, self._piece = Past(Choice(), {}), Piece(0)
        self._prices = Prices(ByTariff(tariff("0.59")))
        self._kinds, self._tenant = kinds(HEARD), f"{TENANT}/".encode()
        self.rated = self.most_open = 0

    def hear(self, some: Iterable[Record]) -> None:
        """Rate the sessions on which these records are the last word."""
        for record in some:
            event = heard(record, self._tenant, self._kinds)
            if event is not None and (billed := self._past.hear(record.offset, event)) is not None:
                self._piece.add(rated(billed, self._prices))
            self.most_open = max(self.most_open, len(self._past))
            if self._piece.is_full(record.offset + 1):
                self._finish(record.offset + 1)

    def _finish(self, after: int) -> None:
        self.rated += sum(one.sessions for one in sums(self._piece.rows))
        self._piece = Piece(after)


async def measure(ground: Ground) -> list[Figure]:
    """Return sessions per CPU-second of one core over a million of them, and what memory that took at most."""
    stream, reading = records(SESSIONS, SAMPLES), Reading()
    floors, ours, memory = [], [], []
    size = SESSIONS // SLICES * EACH
    for number in range(SLICES):
        some = list(islice(stream, size))
        floors.append(seconds_of(lambda records=some: decode(records)))
        ours.append(seconds_of(lambda records=some: reading.hear(records)))
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        if number % 10 == 9:
            ground.say(f"{(number + 1) * size // EACH:,} sessions: {size / EACH / ours[-1]:,.0f} per CPU-second")
    assert reading.rated == SESSIONS, "every session is rated once"
    rates, bare = ([size / EACH / each for each in times] for times in (ours, floors))
    return [
        compared(
            "rerating", f"sessions rated per CPU-second, of {SESSIONS:,}; the floor: a bare JSON decode", rates, bare
        ),
        Figure("rerating.records", SESSIONS * EACH / sum(ours), "records of bills heard per CPU-second"),
        Figure(
            "rerating.memory",
            memory[-1],
            f"MB at most, with {reading.most_open:,} sessions open; the floor: at most in the first tenth",
            floor=memory[SLICES // 10 - 1],
        ),
    ]


def seconds_of(work: object) -> float:
    assert callable(work)
    begun = process_time()
    work()
    return process_time() - begun


def decode(some: Iterable[Record]) -> None:
    for record in some:
        msgspec.json.decode(record.value or b"")
