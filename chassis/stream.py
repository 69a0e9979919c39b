"""What a service that decides reads, by which rules, and what it writes. `chassis.loop` runs it exactly once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chassis.copies import Copies, Whole
from contracts.event import Event, Message
from contracts.topics import Topic


class Rules(Protocol):
    """A module of rules: pure, without I/O, clock or dice."""

    @property
    def initial(self) -> Any: ...

    def decide(self, state: Any, message: Any, /) -> Sequence[Event]: ...

    def evolve(self, state: Any, event: Any, /) -> Any: ...


Blocks = Callable[[Any], Iterable[tuple[str, Any]]]
"""Divides a tuple or bytes into named blocks, which one after the other are the whole again. The same value always gives
the same blocks, and what has changed little has many blocks in common with what it was. A name has no slash."""


def as_it_came(message: Message[Any], _: Copies) -> Any:
    return message


@dataclass(frozen=True)
class Stream:
    """A decider and its topics. State is kept per record key, which is the same in all inputs."""

    name: str
    """The service's: its consumer group, and the prefix of its transactional ids and its own topics."""
    rules: Rules
    state: Any
    """The union of the states, as msgspec decodes it."""
    inputs: tuple[Topic[Any], ...]
    """Co-partitioned; a batch is heard in the catalogue's order."""
    outputs: tuple[Topic[Any], ...]
    """Written in the transaction, to the input's partition. Each event goes to the topic that carries its class."""
    rekeyed: bool = False
    """Its outputs go to the partitions of their own keys instead: it passes on what it hears to whoever decides under another
    key, and keeps no state. What it leaves open when it dies holds up the readers of all of these for as long as Kafka lets it
    (`VOLTSTREAM_TRANSACTION_TIMEOUT_MS`), or until its successor has started: no topic that a station waits for (decision 10)."""
    answers: tuple[Topic[Any], ...] = ()
    """Written after the commit, outside it, and no part of the state."""
    copies: tuple[Whole[Any], ...] = ()
    """Read whole by every member before it begins."""
    regard: Callable[[Message[Any], Copies], Any] = as_it_came
    """Put what the copies know beside a message: what it returns is what the rules hear."""
    deadline: Callable[[Any, Copies], datetime | None] | None = None
    """When a state wants to hear a `Message[Ticked]`, if nothing else comes before."""
    hears: tuple[type[Event], ...] = ()
    """The events that mean something to the rules; all others are passed over undecoded. Empty: everything."""
    unhurried: tuple[type[Event], ...] = ()
    """Of those for whose consequences somebody waits: the events after which nobody waits for us, or only once we have heard
    what another input says to them. They linger in a batch as others do."""
    pace_ms: int = 5
    """So long after records were fetched nothing more is: what comes meanwhile makes up one batch."""
    key_of_state: Callable[[Any], str] | None = None
    """The key of the state that an output came with, where it is not the output's own; for folding a state anew."""
    apart: Mapping[str, Blocks | None] = field(default_factory=dict)
    """Fields of the state that are kept in records of their own, each of them written only when it has changed: those that
    are large and seldom change. One that is large and often changes a little is divided into blocks. Each has a default."""
    version: int = 1
    """Of the state's shape."""
    upcasts: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    """From an older shape, as plain JSON, to the next one."""
