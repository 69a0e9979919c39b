"""What becomes of a charging session, its readings, and who is charging now. Written by sessions only.

Flags say what a person or a bill must know of a session:
`refused`: its token was not accepted. `meter_start_missing`, `meter_stop_missing`: the station named no register there; a
sample stands in where there is one. `meter_went_back`: it stopped below its start, so its energy is unknown.
`below_last_register`: it stopped below a sample. `ended_before_start`: by the station's clock. `paired`: its stop was heard
before its start. `matched`: its stop named no id of its own, and no other session fitted.
"""

from typing import Literal

from contracts.authorizations import Purpose, TokenInfo
from contracts.event import GatewayId, Instant, OfStation, SessionId, SiteId, TokenId, TransactionId
from contracts.stations import Reading


class OfSession(OfStation, frozen=True, kw_only=True):
    """An event of one session. The id is derived from the `ce_id` of the session's first report."""

    session: SessionId


class SessionStarted(OfSession, frozen=True, kw_only=True):
    """A station began a transaction. Site, zone, evse and connector are frozen here."""

    report: str
    """The `ce_id` of the start that said so."""
    transaction: TransactionId
    """What the station is told to call it (OCPP 1.6), or calls it itself."""
    evse: int
    connector: int
    token: TokenId
    masked_uid: str = ""
    meter_wh: int | None = None
    reservation: int | None = None
    site: SiteId | None = None
    time_zone: str = "UTC"
    offline: bool = False
    """It was reported more than 120 s after it happened."""
    flags: tuple[str, ...] = ()


class SessionAuthorized(OfSession, frozen=True, kw_only=True):
    """The token of a start has been decided on; the session goes on whatever the status (OCPP 1.6 §5.14)."""

    info: TokenInfo
    undecided: bool = False
    """Nobody had decided in time: this is what the gateway answered by itself, and what the station goes by."""
    flags: tuple[str, ...] = ()


class SessionRenamed(OfSession, frozen=True, kw_only=True):
    """The station has been given another transaction id than ours; it may use either."""

    transaction: TransactionId


class StartRepeated(OfSession, frozen=True, kw_only=True):
    """The station said the same start again: nothing new, and the same answer."""

    report: str


class EnergyDelivered(OfSession, frozen=True, kw_only=True):
    """The register rose. `energy_wh` is the session's total so far."""

    energy_wh: int
    meter_wh: int


class SessionEnded(OfSession, frozen=True, kw_only=True):
    """The transaction is over, as the station said. `energy_wh` None: no two registers to subtract."""

    report: str
    reason: str
    meter_wh: int | None = None
    energy_wh: int | None = None
    token: TokenId | None = None
    masked_uid: str = ""
    flags: tuple[str, ...] = ()
    transaction: TransactionId | None = None
    """What the stop called it."""
    reason_said: str = ""
    """The station's own word, where it is none of OCPP's and `reason` is Other."""


class SessionPresumedEnded(OfSession, frozen=True, kw_only=True):
    """Its connector began another transaction, so this one must be over. A real stop corrects it."""

    reason: str
    meter_wh: int | None = None
    energy_wh: int | None = None


class SessionCorrected(OfSession, frozen=True, kw_only=True):
    """The real stop of a session that was presumed ended: these values count now."""

    report: str
    reason: str
    meter_wh: int | None = None
    energy_wh: int | None = None
    token: TokenId | None = None
    masked_uid: str = ""
    flags: tuple[str, ...] = ()
    transaction: TransactionId | None = None
    """What the stop called it."""
    reason_said: str = ""
    """The station's own word, where it is none of OCPP's and `reason` is Other."""


class StopRepeated(OfSession, frozen=True, kw_only=True):
    """A further stop of an ended session: the first one counts. `differs`: it said other values."""

    report: str
    differs: bool = False
    meter_wh: int | None = None


class SessionQuarantined(OfSession, frozen=True, kw_only=True):
    """A stop that fits no session: kept with its energy, until its start comes or somebody repairs it."""

    report: str
    transaction: TransactionId
    reason: str
    """Of the stop, in OCPP's words."""
    reason_said: str = ""
    why: Literal["none_fits", "several_fit"] = "none_fits"
    meter_wh: int | None = None
    token: TokenId | None = None
    masked_uid: str = ""


class StopAuthorized(OfSession, frozen=True, kw_only=True):
    """The token that a stop named has been decided on. The session has ended whatever the status."""

    report: str
    info: TokenInfo
    undecided: bool = False
    """Nobody had decided in time: this is what the gateway answered by itself."""


class AnswerOwed(OfSession, frozen=True, kw_only=True):
    """A station waits for an answer until its token has been decided on: this is where the answer must go."""

    report: str
    purpose: Purpose
    message_id: str
    gateway: GatewayId
    reply_to: int
    epoch: int


class DecisionHeardEarly(OfStation, frozen=True, kw_only=True):
    """A decision came before the report it is about, and is kept until that is heard."""

    report: str
    purpose: Purpose
    info: TokenInfo
    undecided: bool = False
    transaction: TransactionId | None = None
    """What the station has been told to call it, if nobody decided in time."""


SessionEvent = (
    SessionStarted
    | SessionAuthorized
    | SessionRenamed
    | StartRepeated
    | EnergyDelivered
    | SessionEnded
    | SessionPresumedEnded
    | SessionCorrected
    | StopRepeated
    | SessionQuarantined
    | StopAuthorized
    | AnswerOwed
    | DecisionHeardEarly
)


class ReadingsTaken(OfStation, frozen=True, kw_only=True):
    """Meter readings, normalised. `session` None: they belong to a connector, or nobody knows to what."""

    report: str
    evse: int
    connector: int
    session: SessionId | None = None
    transaction: TransactionId | None = None
    readings: tuple[Reading, ...] = ()
    """Active energies in whole Wh, active powers in W; everything else as said, signed data untouched."""


class ChargingBegan(OfSession, frozen=True, kw_only=True):
    """Who is charging now, and where."""

    token: TokenId
    evse: int
    connector: int
    group: str | None = None
    started_at: Instant


class ChargingOver(OfSession, frozen=True, kw_only=True):
    """Nobody charges in this session any more: a null on the wire."""


ChargingEvent = ChargingBegan | ChargingOver
