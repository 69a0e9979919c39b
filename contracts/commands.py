"""What somebody asks of a station. Written by the api only."""

from typing import ClassVar

from contracts.event import CommandId, Instant, OfStation
from contracts.operations import Task


class CommandIssued(OfStation, frozen=True, kw_only=True):
    """Do this, until `expires_at`. The id is derived from the idempotency key, if there is one."""

    awaited: ClassVar[bool] = True

    command: CommandId
    task: Task
    requested_by: str
    """The id of the API key."""
    expires_at: Instant
    fingerprint: str = ""
    """A digest of the request, to tell a repetition from another request under the same idempotency key."""


CommandEvent = CommandIssued
