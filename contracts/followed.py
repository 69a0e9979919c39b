"""How far those have come that carry out in the world what a topic says. Written by each follower for itself."""

from contracts.event import Event


class Followed(Event, frozen=True, kw_only=True):
    """Everything before `next` has been carried out. The newest of a follower, topic and partition counts."""

    follower: str
    topic: str
    partition: int
    next: int
