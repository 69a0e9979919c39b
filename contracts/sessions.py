"""What becomes of a charging session, its readings, and who is charging now. Written by sessions only.

Flags say what a person or a bill must know of a session:
`refused`: its token was not accepted. `meter_start_missing`, `meter_stop_missing`: the station named no register there; a
sample stands in where there is one. `meter_start_placeholder`: it named 0 for a register that it did not know.
`meter_went_back`: it stopped below its start. `meter_wrapped`: the register ran over its last digit and began at 0.
`meter_reset`: the register began anew in between, so the energy is the sum of its rises. `meter_stop_is_start`: it stopped
where it began although energy flowed, as its samples show. `below_last_register`: it stopped below a sample. `implausible`:
more energy than the connector can deliver in that time, or a register that went on from where it cannot have risen to: only
what it rose by counts. `unit_suspect`: kWh and Wh seem to be mistaken for one another.
`ended_before_start`: by the station's clock. `clock_suspect`: a time was corrected, `said_at` is the station's.
`clock_behind`: the station's clock is known to be behind, and a time was put right by as much, `said_at` is the station's.
`clock_set_back`: it began after a session that has the later time. `paired`: its stop was heard before its start.
`adopted`: nobody began it here; its meter showed that it went on, and its energy is what has flowed since.
`matched`: its stop named no id of its own, and no other session fitted. `ghost`: nobody said that it ended, it was
presumed. `repaired`: a person said how it ended. `review`: a person should look at it before it is billed.
"""

from typing import Literal

from msgspec import Struct

from contracts.authorizations import Purpose, TokenInfo
from contracts.event import GatewayId, Instant, OfStation, RepairId, SessionId, SiteId, TokenId, TransactionId
from contracts.stations import Reading

EnergySource = Literal["", "register", "samples", "relative", "intervals", "person"]
"""What a session's energy was taken from: the registers of its start and end; the rises of the register in its samples, where
those of start and end cannot be; samples that count from the session's start; the sum of its intervals; a repair.
Empty: nothing is known of its energy."""


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event moves in the energy ledger, in Wh, more or less: delivered = attributed + quarantined + unattributed.

    An event is one entry, under its `ce_id`; a correction is a further event with what has to be added to make it right.
    """

    delivered_wh: int = 0
    """What the meter of the connector shows to have flowed."""
    attributed_wh: int = 0
    """In sessions."""
    quarantined_wh: int = 0
    """In stops that fit no session."""
    unattributed_wh: int = 0
    """In none of them. Below 0 in all: sessions have more than the meter shows."""
    site: SiteId | None = None
    time_zone: str = "UTC"
    register_wh: int | None = None
    """Where the connector's register stands now, if that is news."""


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
    heard_at: Instant | None = None
    """When we learnt of it."""
    max_w: int | None = None
    """What its connector can deliver, where the directory says so."""
    said_at: Instant | None = None
    """By the station's clock, where that cannot be right and `at` is another time."""
    account: Account | None = None
    """The register rose since the last time that we saw it, outside of any session."""


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
    differs: bool = False
    """It named another time: taken for the same start, as nothing has happened in between."""


class EnergyDelivered(OfSession, frozen=True, kw_only=True):
    """The register rose. `energy_wh` is the session's total so far; `meter_wh` None: it has no register, but intervals."""

    energy_wh: int
    meter_wh: int | None
    energy_source: EnergySource = ""
    account: Account | None = None


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
    said_at: Instant | None = None
    """By the station's clock, where that cannot be right and `at` is another time."""
    started_at: Instant | None = None
    """When it began, where that is known better now than at its start."""
    energy_source: EnergySource = ""
    account: Account | None = None


class SessionPresumedEnded(OfSession, frozen=True, kw_only=True):
    """Nobody said that it ended, but it must be over. A real stop corrects it.

    `reason`: NewTransaction: its connector began another. Ghost: its connector was free, or the station had booted, and
    nothing more was heard of it. Silent: nothing has been heard of it for days.
    """

    reason: str
    meter_wh: int | None = None
    energy_wh: int | None = None
    flags: tuple[str, ...] = ()
    energy_source: EnergySource = ""
    account: Account | None = None


class SessionSuspected(OfSession, frozen=True, kw_only=True):
    """It may be over although no stop came. Unless there is a sign of life before `until`, it is presumed so."""

    why: Literal["free", "booted"]
    """Its connector is free; the station has booted."""
    until: Instant


class SessionAlive(OfSession, frozen=True, kw_only=True):
    """A sign of life of a session: it is not suspected any more. The next one is due before `until`."""

    until: Instant


class SessionCorrected(OfSession, frozen=True, kw_only=True):
    """The real stop of a session that was presumed or guessed to be over: these values count now."""

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
    said_at: Instant | None = None
    """By the station's clock, where that cannot be right and `at` is another time."""
    started_at: Instant | None = None
    """When it began, where that is known better now than at its start."""
    energy_source: EnergySource = ""
    account: Account | None = None


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
    energy_wh: int | None = None
    """Of the stop alone: what the samples in it show, or the register since it was seen last."""
    said_at: Instant | None = None
    """By the station's clock, where that cannot be right and `at` is another time."""
    account: Account | None = None


class SessionRepaired(OfSession, frozen=True, kw_only=True):
    """A person put it right. What follows from that for sessions is in the events beside this one."""

    repair: RepairId
    action: Literal["attach", "end", "discard"]
    to: SessionId | None = None
    """The session that a stop in quarantine was the end of."""
    reason: str
    requested_by: str
    fingerprint: str = ""
    energy_before_wh: int | None = None
    energy_after_wh: int | None = None
    """Of this session; of an attached stop, that of the session `to`."""
    account: Account | None = None


RepairRefusal = Literal[
    "unknown_session", "not_in_quarantine", "unknown_target", "wrong_state", "meter_went_back", "ends_before_start",
    "idempotency_key_reused",
]  # fmt: skip


class RepairRefused(OfSession, frozen=True, kw_only=True):
    """A repair that cannot be done. `reason` says why, and `detail` what to do."""

    repair: RepairId
    action: Literal["attach", "end", "discard"]
    reason: RepairRefusal
    detail: str = ""
    requested_by: str = ""
    fingerprint: str = ""


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


class EnergyUnattributed(OfStation, frozen=True, kw_only=True):
    """The register of a connector rose outside of any session (Q-78)."""

    evse: int
    connector: int
    account: Account


class SignedValueTaken(OfSession, frozen=True, kw_only=True):
    """A meter signed what it showed: here it is, byte for byte (OCPP 1.6 §7.43 SignedData). Kept for ever, as readings are not."""

    report: str
    evse: int
    context: str
    """OCPP's ReadingContext, such as `Transaction.Begin`."""
    data: str
    """OCMF, EDL, ALFEN's, or whatever the station calls signed."""


SessionEvent = (
    SessionStarted
    | SessionAuthorized
    | SessionRenamed
    | StartRepeated
    | EnergyDelivered
    | SessionEnded
    | SessionPresumedEnded
    | SessionSuspected
    | SessionAlive
    | SessionCorrected
    | StopRepeated
    | SessionQuarantined
    | SessionRepaired
    | RepairRefused
    | EnergyUnattributed
    | StopAuthorized
    | AnswerOwed
    | DecisionHeardEarly
    | SignedValueTaken
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
    heard_at: Instant | None = None
    """When we learnt of them."""


class ClockEstimated(OfStation, frozen=True, kw_only=True):
    """The clock of a station is off, as all that it says at once shows: what it says from now on is corrected by as much.

    `behind_s` below 0: it is ahead, which corrects nothing, as no time after the one that we hear of it is believed. 0: it is right again.
    """

    behind_s: int


class MeterWatched(OfStation, frozen=True, kw_only=True):
    """The meter of a session is read as it goes on. The next reading is due before `until`."""

    session: SessionId
    until: Instant


class MeterFellSilent(OfStation, frozen=True, kw_only=True):
    """The meter of a session that goes on was read, and is not read any more. `at` is when we gave it up."""

    session: SessionId
    evse: int
    connector: int
    last_at: Instant | None = None
    """Of the newest reading, by the station's clock."""


ReadingEvent = ReadingsTaken | ClockEstimated | MeterWatched | MeterFellSilent


class ChargingBegan(OfSession, frozen=True, kw_only=True):
    """Who is charging now, and where."""

    token: TokenId
    evse: int
    connector: int
    group: str | None = None
    started_at: Instant
    transaction: TransactionId | None = None
    """What the station calls it: by this name it can be asked to stop."""


class ChargingOver(OfSession, frozen=True, kw_only=True):
    """Nobody charges in this session any more: a null on the wire."""


ChargingEvent = ChargingBegan | ChargingOver
