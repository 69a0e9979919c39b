"""Take one step of an event-sourced service."""

from collections.abc import Sequence
from functools import reduce
from typing import Protocol, TypeVar

State = TypeVar("State")
Message_contra = TypeVar("Message_contra", contravariant=True)
Event = TypeVar("Event")


class Decider(Protocol[State, Message_contra, Event]):
    """The rules of a service. Any module with these three names is one."""

    @property
    def initial(self) -> State: ...

    def decide(self, state: State, message: Message_contra, /) -> Sequence[Event]: ...

    def evolve(self, state: State, event: Event, /) -> State: ...


def step(
    decider: Decider[State, Message_contra, Event], state: State, message: Message_contra
) -> tuple[State, Sequence[Event]]:
    """Return the state after `message`, and the events that it caused."""
    events = decider.decide(state, message)
    return reduce(decider.evolve, events, state), events
