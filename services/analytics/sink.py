"""Batches in ClickHouse: what is planned, what is stored, and how far that reaches.

A batch is stored in three steps, each an insert of its own:

1. its *plan* goes into `positions`: which offsets of which partitions it takes, and not done;
2. its *records* go into `events`, and by the materialized view into `readings`, with a deduplication token that is
   derived from the plan;
3. its plan goes into `positions` again, as done.

A plan is written by somebody who knew everything before it to be stored. So of a partition whose newest plan is done,
everything below `after` is stored; of one whose plan is not, everything below `first` is, and of the batch itself
nobody can tell: a process or ClickHouse may have died when some months' parts, or `events` and not yet `readings`, were
written. Then exactly those offsets are read from Kafka once more and stored with exactly that token. Each part of each
table takes a token once, so what was missing is added and what was there stays: after SIGKILL at any moment nothing is
lost, and nothing is doubled. Were the end of `events` itself taken as the position, the readings of a batch cut short
would be lost.

Tokens are remembered for 10,000 inserts per table. Two more things bear a repetition that no token stops, as by a member
that was taken for dead and went on with a batch cut elsewhere: both tables are a ReplacingMergeTree whose sorting key is
of the record alone, so equal rows become one when they are merged or read with FINAL.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from chassis.clickhouse import ClickHouse, Settings

INTO_ANY_MONTHS: Settings = {"max_partitions_per_insert_block": 0}
ON_MOST_REPLICAS: Settings = {"insert_quorum": "auto"}


class Partition(NamedTuple):
    """One partition of one topic, which is named without the deployment's prefix."""

    topic: str
    number: int


@dataclass(frozen=True, order=True)
class Span:
    """The offsets of a partition from `first` until before `after`."""

    topic: str
    partition: int
    first: int
    after: int

    @property
    def of(self) -> Partition:
        return Partition(self.topic, self.partition)

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.first}-{self.after - 1}"


@dataclass(frozen=True)
class Plan:
    """What a batch takes. `token` names it, and is the same whenever these spans are planned."""

    token: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Standing:
    """How far ClickHouse is: what comes next of each partition, and the batches of which nobody knows whether they are stored."""

    next: dict[Partition, int]
    begun: list[Plan]


def plan(spans: Sequence[Span]) -> Plan:
    """Return the plan of a batch that takes these spans."""
    ordered = tuple(sorted(spans))
    return Plan(hashlib.sha256(" ".join(map(str, ordered)).encode()).hexdigest(), ordered)


_POSITIONS = """
SELECT topic, partition, argMax(first, version) AS first, argMax(after, version) AS after,
    argMax(batch, version) AS batch, argMax(done, version) AS done
FROM positions GROUP BY topic, partition ORDER BY batch, topic, partition
"""


class Sink:
    """Where batches go. Every call raises `Unavailable` or `Refused`, and may then be repeated."""

    def __init__(self, db: ClickHouse, *, replicated: bool = False) -> None:
        self._db = db
        self._settings = {**INTO_ANY_MONTHS, **(ON_MOST_REPLICAS if replicated else {})}

    async def standing(self) -> Standing:
        """Return how far every partition is. Until a batch that has begun is stored, its spans' `first` comes next."""
        rows = await self._db.query(_POSITIONS)
        reached = {
            Partition(row["topic"], row["partition"]): row["after"] if row["done"] else row["first"] for row in rows
        }
        open_rows = [row for row in rows if not row["done"]]
        begun = [
            Plan(token, tuple(_span(row) for row in of_batch))
            for token, of_batch in groupby(open_rows, key=lambda row: str(row["batch"]))
        ]
        return Standing(reached, begun)

    async def begin(self, plan: Plan) -> None:
        """Write the plan down, before any of its records is stored."""
        await self._note(plan, done=False)

    async def store(self, plan: Plan, lines: bytes) -> None:
        """Store the records of a plan, once however often this is called."""
        await self._db.insert_json("events", lines, token=plan.token, settings=self._settings)

    async def end(self, plan: Plan) -> None:
        """Write down that all of it is stored."""
        await self._note(plan, done=True)

    async def _note(self, plan: Plan, *, done: bool) -> None:
        rows = msgspec.json.Encoder().encode_lines(
            [
                {
                    "topic": span.topic,
                    "partition": span.partition,
                    "first": span.first,
                    "after": span.after,
                    "batch": plan.token,
                    "done": done,
                }
                for span in plan.spans
            ]
        )
        token = f"{plan.token} {'done' if done else 'begun'}"
        await self._db.insert_json("positions", rows, token=token, settings=self._settings)


def _span(row: dict[str, Any]) -> Span:
    return Span(row["topic"], row["partition"], row["first"], row["after"])
