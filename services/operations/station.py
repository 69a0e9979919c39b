"""A station as operations knows it: small, bounded, and all that its rules need."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from contracts.commands import CommandIssued
from contracts.event import CommandId, GatewayId, Instant, SessionId, StationId, TenantId
from contracts.gateways import CallAsked, CloseAsked, GatewayAlive, GatewayGone
from contracts.operations import OperationsEvent, Task
from contracts.reference import Token

MOST_PAST = 100
"""So many ids of past commands are remembered: a command heard again is not asked again."""
MOST_GIVEN_UP = 8
"""So many commands are kept for a late answer or a late effect."""
MOST_SESSIONS = 16
"""So many sessions are remembered as the effect of a command: none is the effect of two."""

Outcome = OperationsEvent | CallAsked | CloseAsked


class Never(Struct, frozen=True, tag=True):
    """It has not connected yet."""


class Online(Struct, frozen=True, tag=True):
    """Its newest connection is open, at this gateway. `since` is a sign of life of it."""

    epoch: int
    gateway: GatewayId
    reply_to: int
    since: Instant


class Lost(Struct, frozen=True, tag=True):
    """The gateway of its newest connection fell silent. Nobody saw it close, so it may speak again."""

    epoch: int
    gateway: GatewayId
    reply_to: int
    at: Instant


class Offline(Struct, frozen=True, tag=True):
    """Its newest connection has been closed."""

    epoch: int


Connection = Never | Online | Lost | Offline


class Boot(Struct, frozen=True, omit_defaults=True):
    """Its newest boot: when, on which connection, how it was answered, and the hardware that booted."""

    at: Instant
    epoch: int
    status: str
    vendor: str
    model: str
    serial_number: str | None = None


class Connector(Struct, frozen=True, omit_defaults=True):
    """The newest status of a connector. `at` is by the station's clock; None: it never named a time that makes sense."""

    evse: int
    connector: int
    at: Instant | None
    status: str
    error_code: str
    info: str | None = None
    vendor_error_code: str | None = None


class OfCommand(Struct, frozen=True, tag=True):
    """A command that is not over yet. What `until` means is the subclass's affair."""

    id: CommandId
    task: Task
    asked_at: Instant
    until: Instant


class Waiting(OfCommand, frozen=True, tag=True):
    """At the gateway, and its call not sent. It expires at `until`."""


class Sent(OfCommand, frozen=True, tag=True):
    """Its call is out and not answered. It expires at `until`."""


class Accepted(OfCommand, frozen=True, tag=True):
    """The station will try. Without an effect it expires at `until`."""


class Unanswered(OfCommand, frozen=True, tag=True):
    """Given up without an answer. That may still come, and the effect until `until`."""


class Fruitless(OfCommand, frozen=True, tag=True):
    """Accepted and given up. An effect that came before `until` may still be heard of."""


Command = Waiting | Sent | Accepted | Unanswered | Fruitless
Ongoing = (Waiting, Sent, Accepted)


class Unheard(Struct, frozen=True, tag=True):
    """Nobody has spoken of it yet."""


class Known(Struct, frozen=True, tag=True, omit_defaults=True):
    """What we know of it and want of it."""

    tenant: TenantId
    station: StationId
    connection: Connection = Never()
    boot: Boot | None = None
    boot_asked: bool = False
    """It has been asked who it is, because it never said so by itself."""
    connectors: tuple[Connector, ...] = ()
    commands: tuple[Command, ...] = ()
    past: tuple[CommandId, ...] = ()
    """Commands that are over, oldest first."""
    sessions: tuple[SessionId, ...] = ()
    """Sessions that began because of a command, oldest first."""
    cannot: tuple[str, ...] = ()
    """Kinds of tasks that it knows no message for, as it has said since its last boot, or that it leaves unanswered."""

    def command(self, id: CommandId) -> Command | None:
        """Return the command, unless it is unknown or over."""
        return next((command for command in self.commands if command.id == id), None)

    def with_command(self, changed: Command) -> "Known":
        """Return the station with this command in its place, and only the newest of those given up."""
        if self.command(changed.id) is None:
            commands = (*self.commands, changed)
        else:
            commands = tuple(changed if command.id == changed.id else command for command in self.commands)
        given_up = [command.id for command in commands if not isinstance(command, Ongoing)]
        return replace(self, commands=commands).without(given_up[:-MOST_GIVEN_UP])

    def without(self, over: Iterable[CommandId]) -> "Known":
        """Return the station with these commands over: of them, only the ids are kept."""
        ids = tuple(over)
        left = tuple(command for command in self.commands if command.id not in ids)
        return replace(self, commands=left, past=(*self.past, *ids)[-MOST_PAST:])


State = Unheard | Known


class Signs(Protocol):
    """Where gateways' last signs of life are found."""

    def get(self, gateway: str, /) -> GatewayAlive | GatewayGone | None: ...


class Considered(Struct, frozen=True):
    """A command, with what the directory knows of the station and of the token it names."""

    issued: CommandIssued
    registered: bool
    token: Token | None = None

    @property
    def tenant(self) -> TenantId:
        return self.issued.tenant

    @property
    def station(self) -> StationId:
        return self.issued.station


class Watched(Struct, frozen=True):
    """The deadline `at` has passed, and these are the gateways' signs of life."""

    at: Instant
    signs: Signs
