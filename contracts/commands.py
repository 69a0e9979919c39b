"""What somebody asks of a station, or of a session of its. Written by the api, by payments, and by billing."""

from typing import ClassVar

from msgspec import Struct

from contracts.event import CommandId, Instant, OfStation, RepairId, SessionId
from contracts.operations import Task


class CommandIssued(OfStation, frozen=True, kw_only=True):
    """Do this, until `expires_at`. The id is derived from the idempotency key, if there is one."""

    awaited: ClassVar[bool] = True

    command: CommandId
    task: Task
    requested_by: str
    """The id of the API key, or the name of the service that asks by itself."""
    expires_at: Instant
    fingerprint: str = ""
    """A digest of the request, to tell a repetition from another request under the same idempotency key."""


class Attach(Struct, frozen=True, tag="attach", tag_field="action", omit_defaults=True):
    """A stop in quarantine is the end of session `to`, which goes on, is presumed ended, or ended by a guess."""

    to: SessionId


class End(Struct, frozen=True, tag="end", tag_field="action", omit_defaults=True):
    """The session ended at this moment, with this register. Without one, its last sample counts."""

    ended_at: Instant
    meter_wh: int | None = None


class Discard(Struct, frozen=True, tag="discard", tag_field="action", omit_defaults=True):
    """The session, or the stop in quarantine, counts for nothing: its energy is nobody's."""


Repair = Attach | End | Discard


class SessionRepairRequested(OfStation, frozen=True, kw_only=True):
    """Put a session right by hand. Its outcome is a `SessionRepaired` or a `RepairRefused` of the same `repair`."""

    awaited: ClassVar[bool] = True

    repair: RepairId
    """Derived from the idempotency key, if there is one: under one id, one repair is done."""
    session: SessionId
    do: Repair
    reason: str
    """Why, in words for whoever audits it."""
    requested_by: str
    """The id of the API key."""
    fingerprint: str = ""


CommandEvent = CommandIssued | SessionRepairRequested
