"""From a record to what becomes of rows. Pure: no database, no clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec

from contracts import money_tables, shown, tables
from contracts.alerts import AlertCleared, AlertEvent, AlertRaised
from contracts.authorizations import AuthorizationEvent, TokenDecided, UnknownTokenSeen
from contracts.bills import (
    BillDiscarded,
    BillEvent,
    CdrConfirmed,
    CdrCredited,
    CdrHeld,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    DisplayRenamed,
    LateUsageHeard,
    ReRatingSkipped,
    ReviewRefused,
    SessionMeasured,
    SessionRecalled,
    SignedValueJudged,
    TariffBound,
    TariffMissing,
)
from contracts.operations import (
    BootAskedFor,
    CommandAccepted,
    CommandExpired,
    CommandFailed,
    CommandFulfilled,
    CommandQueued,
    CommandRejected,
    CommandRequested,
    CommandSent,
    ConnectorStatusChanged,
    InventoryReported,
    OfCommand,
    OperationsEvent,
    ShowFinalCost,
    ShowPrice,
    ShowRunningCost,
    StartCharge,
    StationConnected,
    StationDisconnected,
    StationRecovered,
    StopCharge,
    TransferData,
)
from contracts.ratings import OfRating, RatingEvent
from contracts.reference import AccessKey, Connector, Evse, Site, Station, TariffAssignment, TariffVersion, Token
from contracts.requests import ChangeAccepted, ChangeRefused, DirectoryEvent
from contracts.sessions import (
    AnswerOwed,
    DecisionHeardEarly,
    EnergyDelivered,
    EnergyUnattributed,
    OfSession,
    RepairRefused,
    SessionAlive,
    SessionAuthorized,
    SessionCorrected,
    SessionEnded,
    SessionEvent,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRenamed,
    SessionRepaired,
    SessionStarted,
    SessionSuspected,
    SignedValueTaken,
    StartRepeated,
    StopAuthorized,
    StopRepeated,
)
from contracts.tables import AnyTable
from contracts.topics import ACCESS, ACCOUNTS, REGISTRY, SITES, TARIFFS, TOKENS, Topic
from services.views import bill_rows, rating_rows
from services.views.bill_rows import plain

SessionStep = (
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
    | StopAuthorized
)
CommandStep = (
    CommandRequested
    | CommandQueued
    | CommandSent
    | CommandAccepted
    | CommandRejected
    | CommandFailed
    | CommandExpired
    | CommandFulfilled
)
Said = (
    SessionEvent
    | OperationsEvent
    | BillEvent
    | RatingEvent
    | AlertEvent
    | AuthorizationEvent
    | DirectoryEvent
    | Site
    | Station
    | Token
    | AccessKey
    | TariffVersion
    | TariffAssignment
)

Row = dict[str, Any]
Key = tuple[Any, ...]


class Unfit(ValueError):
    """No column can hold this."""


class Mark(NamedTuple):
    """Where a record lies, and when we learnt of it: a time that never falls within a partition."""

    updated_at: datetime
    part: int
    place: int


# ---- what can become of rows ---------------------------------------------------------------------------------------

Unless = Literal["never", "newer", "there", "missing"]


class Put(NamedTuple):
    """Let the row have these values; other columns stay. `unless` the row is newer, there, or missing."""

    table: AnyTable
    key: Key
    values: Row
    """The key's among them, unless the row must be there."""
    unless: Unless = "never"


class Gone(NamedTuple):
    """The row is no more."""

    table: AnyTable
    key: Key


class Undeclared(NamedTuple):
    """The directory no longer knows this station's rows; those that nothing was reported of are no more."""

    table: AnyTable
    key: Key
    """Tenant and station."""


class Step(NamedTuple):
    """The row follows from what it was, and this event."""

    table: AnyTable
    key: Key
    event: SessionStep | CommandStep | RatingEvent
    mark: Mark


Operation = Put | Gone | Undeclared | Step


BLANK: dict[str, Row] = {
    "stations": dict.fromkeys(
        (
            "version",
            "changed_at",
            "site",
            "name",
            "tags",
            "security_profile",
            "pinned_protocol",
            "has_password",
            "boot_answer",
            "heartbeat_s",
            "when_undecided",
            "habits",
        )
    )
    | {"declared": False},
    "evses": {"declared": False, "code": None, "meter_public_key": None},
    "connectors": {"declared": False, "type": None, "max_w": None},
}
"""The columns that the directory fills, and what they hold where it knows nothing."""
THINGS: dict[str, AnyTable] = {
    SITES.name: tables.sites,
    TOKENS.name: tables.tokens,
    ACCESS.name: tables.access_keys,
    ACCOUNTS.name: money_tables.accounts,
}
"""Whose rows are there as long as the directory knows the thing."""


def operations(event: Said, mark: Mark) -> Iterator[Operation]:
    """Yield what becomes of rows by `event`."""
    match event:
        case (
            AnswerOwed()
            | DecisionHeardEarly()
            | TokenDecided()
            | BootAskedFor()
            | EnergyUnattributed()
            | SignedValueTaken()
        ):
            return
        case (
            TariffBound()
            | TariffMissing()
            | ChargedFree()
            | CostUpdated()
            | SessionMeasured()
            | CdrHeld()
            | CdrIssued()
            | CdrCredited()
            | CdrConfirmed()
            | CdrWaived()
            | ReviewRefused()
            | ReRatingSkipped()
            | SessionRecalled()
            | LateUsageHeard()
            | SignedValueJudged()
            | DisplayRenamed()
            | BillDiscarded()
        ):
            yield from _billed(event, mark)
        case AlertRaised() | AlertCleared():
            yield put(tables.alerts, _alert(event))
        case OfRating():
            yield Step(tables.re_ratings, (event.tenant, event.job), event, mark)
        case RepairRefused():
            yield put(tables.repairs, _refused(event, mark), unless="there")
        case SessionRepaired():
            yield put(tables.repairs, _repair(event, mark))
            yield Step(tables.sessions, (event.tenant, event.session), event, mark)
        case OfSession():
            yield Step(tables.sessions, (event.tenant, event.session), event, mark)
        case OfCommand():
            yield Step(tables.commands, (event.tenant, event.command), event, mark)
        case StationConnected() | StationDisconnected() | StationRecovered() | InventoryReported():
            yield put(tables.stations, {"tenant": event.tenant, "id": event.station, "reported": True} | _facts(event))
        case ConnectorStatusChanged():
            yield from _status(event)
        case UnknownTokenSeen():
            yield put(tables.unknown_tokens, _unknown_token(event, mark), unless="newer")
        case ChangeAccepted() | ChangeRefused():
            yield _change(event, mark)
        case Site():
            yield put(tables.sites, _site(event))
        case Station():
            yield from _station(event)
        case Token():
            yield put(tables.tokens, _token(event))
        case AccessKey():
            yield put(tables.access_keys, _access_key(event))
        case TariffVersion():
            yield put(tables.tariffs, _tariff(event))
            yield put(tables.tariff_versions, _tariff(event))
        case TariffAssignment():
            yield put(tables.tariff_assignments, _assignment(event))


def forgotten(topic: Topic[Any], tenant: str, id: str) -> Iterator[Operation]:
    """Yield what becomes of rows when the directory forgets a thing: a null on the wire."""
    key = (tenant, id)
    if topic is REGISTRY:
        yield from (Undeclared(table, key) for table in (tables.stations, tables.evses, tables.connectors))
    elif topic is TARIFFS:
        yield Gone(tables.tariff_assignments, (tenant, id.removeprefix("assignment/")))
    else:
        yield Gone(THINGS[topic.name], key)


def finished(row: Row) -> Row:
    """Return a session after the last of its steps, with what is shown of it: that is dear, and only the last counts."""
    return row | {"shown": shown.session(row), "shown_revision": row["revision"]}


def stepped(row: Row | None, step: Step) -> Row:
    """Return the row after `step`: all of its columns."""
    match step.event:
        case OfCommand():
            return _command(row, step.event, step.mark)
        case OfRating():
            return rating_rows.re_rating(row, step.event, step.mark.updated_at)
        case _:
            return _session(row, step.event, step.mark)


def difference(table: AnyTable, before: Row | None, after: Row) -> Put:
    """Return what makes `after` of `before`."""
    if before is None:
        return put(table, after)
    changed = {name: value for name, value in after.items() if value is not before[name]}
    return Put(table, key_of(table, after), changed, unless="missing")


def put(table: AnyTable, values: Row, unless: Unless = "never") -> Put:
    """Return that the row which `values` name has them."""
    return Put(table, key_of(table, values), _fit(values), unless)


def _marked(mark: Mark) -> Row:
    return {"updated_at": mark.updated_at, "part": mark.part, "place": mark.place}


def _fit(row: Row) -> Row:
    for name, value in row.items():
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise Unfit(f"{name} is larger than any column")
    return row


# ---- reference data ------------------------------------------------------------------------------------------------


def _site(site: Site) -> Row:
    return {
        "tenant": site.tenant,
        "id": site.id,
        "version": site.version,
        "changed_at": site.at,
        "name": site.name,
        "time_zone": site.time_zone,
        "currency": site.currency,
        "address": site.address,
        "latitude": site.latitude,
        "longitude": site.longitude,
        "without_tariff": site.without_tariff,
    }


def _station(station: Station) -> Iterator[Operation]:
    key = (station.tenant, station.id)
    yield put(tables.stations, _declared(station))
    yield Undeclared(tables.evses, key)
    yield Undeclared(tables.connectors, key)
    for evse in station.evses:
        yield put(tables.evses, _evse(key, evse))
        for connector in evse.connectors:
            yield put(tables.connectors, _connector(key, evse, connector))


def _declared(station: Station) -> Row:
    return {
        "tenant": station.tenant,
        "id": station.id,
        "declared": True,
        "version": station.version,
        "changed_at": station.at,
        "site": station.site,
        "name": station.name,
        "tags": list(station.tags),
        "security_profile": station.security_profile,
        "pinned_protocol": station.protocol,
        "has_password": station.password_hash is not None,
        "boot_answer": station.boot_status,
        "heartbeat_s": station.heartbeat_s,
        "when_undecided": station.when_undecided,
        "habits": msgspec.to_builtins(station.habits),
    }


def _evse(station: Key, evse: Evse) -> Row:
    tenant, id = station
    return {"tenant": tenant, "station": id, "id": evse.id, "declared": True} | _metered(evse)


def _metered(evse: Evse) -> Row:
    return {"code": evse.code, "meter_public_key": evse.meter_public_key}


def _connector(station: Key, evse: Evse, connector: Connector) -> Row:
    tenant, id = station
    return {
        "tenant": tenant,
        "station": id,
        "evse": evse.id,
        "id": connector.id,
        "declared": True,
        "type": connector.type,
        "max_w": connector.max_w,
    }


def _token(token: Token) -> Row:
    return {
        "tenant": token.tenant,
        "id": token.id,
        "version": token.version,
        "changed_at": token.at,
        "uid": token.uid,
        "masked_uid": token.masked_uid,
        "status": token.status,
        "valid_from": token.valid_from,
        "valid_until": token.valid_until,
        "token_group": token.group,
        "concurrent": token.concurrent,
        "label": token.label,
        "account": token.account,
    }


def _access_key(key: AccessKey) -> Row:
    return {
        "tenant": key.tenant,
        "id": key.id,
        "version": key.version,
        "changed_at": key.at,
        "digest": key.digest,
        "scopes": list(key.scopes),
        "label": key.label,
    }


def _tariff(version: TariffVersion) -> Row:
    return {
        "tenant": version.tenant,
        "id": version.id,
        "version": version.version,
        "changed_at": version.at,
        "valid_from": version.valid_from,
        "tariff": plain(version.tariff),
        "policy": plain(version.policy),
    }


def _assignment(assignment: TariffAssignment) -> Row:
    return {
        "tenant": assignment.tenant,
        "id": assignment.id,
        "version": assignment.version,
        "changed_at": assignment.at,
        "tariff": assignment.tariff,
    }


def _change(change: ChangeAccepted | ChangeRefused, mark: Mark) -> Put:
    """The first outcome stays when the same key is used for another request: it is that request's."""
    refused = change if isinstance(change, ChangeRefused) else None
    row = {
        "tenant": change.tenant,
        "request": change.request,
        "kind": change.kind,
        "id": change.id,
        "accepted": refused is None,
        "reason": refused.reason if refused else None,
        "detail": refused.detail if refused else None,
        "version": change.version,
        "fingerprint": change.fingerprint,
        "decided_at": mark.updated_at,
        "part": mark.part,
    }
    reused = refused is not None and refused.reason == "idempotency_key_reused"
    return put(tables.changes, row, unless="there" if reused else "never")


def _unknown_token(seen: UnknownTokenSeen, mark: Mark) -> Row:
    return {
        "tenant": seen.tenant,
        "token": seen.token,
        "masked_uid": seen.masked_uid,
        "station": seen.station,
        "purpose": seen.purpose,
        "seen_at": mark.updated_at,
        "part": mark.part,
        "place": mark.place,
    }


# ---- stations ------------------------------------------------------------------------------------------------------


def _facts(event: StationConnected | StationDisconnected | StationRecovered | InventoryReported) -> Row:
    match event:
        case StationConnected():
            return {
                "online": True,
                "since": event.at,
                "epoch": event.epoch,
                "gateway": event.gateway,
                "protocol": event.protocol,
                "connection_security_profile": event.security_profile,
                "remote_address": event.remote_address,
            } | _closed(None, None, None)
        case StationDisconnected():
            closed = _closed(event.code, event.reason, event.inferred)
            return {"online": False, "since": event.at, "epoch": event.epoch} | closed
        case StationRecovered():
            return {"online": True, "since": event.at, "epoch": event.epoch} | _closed(None, None, None)
        case InventoryReported():
            return {
                "vendor": event.vendor,
                "model": event.model,
                "serial_number": event.serial_number,
                "firmware_version": event.firmware_version,
                "iccid": event.iccid,
                "imsi": event.imsi,
                "meter_type": event.meter_type,
                "meter_serial_number": event.meter_serial_number,
                "boot_status": event.boot_status,
                "last_boot_at": event.at,
            }


def _closed(code: int | None, reason: str | None, inferred: bool | None) -> Row:
    return {"close_code": code, "close_reason": reason, "close_inferred": inferred}


def _status(event: ConnectorStatusChanged) -> Iterator[Put]:
    said = {
        "reported": True,
        "status": event.status,
        "error_code": event.error_code,
        "info": event.info,
        "vendor_id": event.vendor_id,
        "vendor_error_code": event.vendor_error_code,
    }
    if event.evse == 0:
        yield put(tables.stations, {"tenant": event.tenant, "id": event.station} | said | {"status_since": event.at})
        return
    key = {"tenant": event.tenant, "station": event.station}
    yield put(tables.evses, key | {"id": event.evse, "reported": True})
    place = {"evse": event.evse, "id": event.connector, "since": event.at}
    yield put(tables.connectors, key | place | said)


# ---- bills ---------------------------------------------------------------------------------------------------------


def _billed(event: BillEvent, mark: Mark) -> Iterator[Put]:
    """Yield what a session costs now, the documents that say so, and what was decided of it."""
    if (cost := bill_rows.cost(event, mark.updated_at)) is not None:
        yield put(tables.costs, cost)
    if (decision := bill_rows.decision(event)) is not None:
        yield put(tables.cdr_reviews, decision, unless="there")
    match event:
        case CdrIssued():
            yield put(tables.cdrs, bill_rows.cdr(event))
        case CdrCredited():
            yield put(tables.cdrs, bill_rows.credit(event))
            credited = {"tenant": event.tenant, "id": event.credits, "credited_by": event.cdr}
            yield put(tables.cdrs, credited, unless="missing")
        case _:
            pass


# ---- alerts --------------------------------------------------------------------------------------------------------


def _alert(event: AlertEvent) -> Row:
    """Return what an event says of its alert. Only its end says a state, so that no repetition opens it again."""
    about = {
        "tenant": event.tenant,
        "id": event.alert,
        "rule": event.rule,
        "station": event.station,
        "evse": event.evse,
        "connector": event.connector,
    }
    match event:
        case AlertRaised():
            return about | {
                "raised_at": event.at,
                "since": event.since,
                "count": event.count,
                "within_s": event.within_s,
                "detail": event.detail,
            }
        case AlertCleared():  # pragma: no branch
            return about | {"state": "cleared", "cleared_at": event.at, "cleared_reason": event.reason}


# ---- sessions ------------------------------------------------------------------------------------------------------

_SESSION: Row = {column.name: None for column in tables.sessions.columns} | {
    "transactions": [],
    "state": "pending",
    "flags": [],
    "final": False,
    "revision": 0,
}


def _session(row: Row | None, event: SessionStep, mark: Mark) -> Row:
    before = row or _SESSION | {"tenant": event.tenant, "id": event.session, "station": event.station}
    return {**before, **_fit(_news(before, event)), **_marked(mark), "revision": before["revision"] + 1}


def _news(row: Row, event: SessionStep) -> Row:
    match event:
        case SessionStarted():
            return _started(row, event)
        case SessionAuthorized():
            return {
                "authorization_status": event.info.status,
                "state": "charging" if row["state"] == "pending" else row["state"],
                "flags": _with(row["flags"], *event.flags, *(["undecided"] if event.undecided else [])),
            }
        case SessionRenamed():
            return {
                "transaction_id": event.transaction,
                "transactions": _with(row["transactions"], event.transaction),
            }
        case EnergyDelivered():
            return {} if row["final"] else _delivered(row, event)
        case SessionEnded() | SessionCorrected():
            return _ended(row, event)
        case SessionPresumedEnded():
            return _presumed(row, event)
        case SessionSuspected():
            return {"flags": _with(row["flags"], "suspected")}
        case SessionAlive():
            return {"flags": _without(row["flags"], "suspected")}
        case SessionRepaired():
            return _repaired(row, event)
        case StopRepeated():
            return {"flags": _with(row["flags"], *(["stop_differs"] if event.differs else []))}
        case SessionQuarantined():
            return _quarantined(row, event)
        case StopAuthorized():
            return {"stop_authorization_status": event.info.status}
        case StartRepeated():
            return {"flags": _with(row["flags"], *(["start_differs"] if event.differs else []))}


def _started(row: Row, event: SessionStarted) -> Row:
    return {
        "site": event.site,
        "time_zone": event.time_zone,
        "evse": event.evse,
        "connector": event.connector,
        "transaction_id": event.transaction,
        "transactions": _with(row["transactions"], event.transaction),
        "token": event.token,
        "masked_uid": event.masked_uid,
        "state": "pending",
        "started_at": event.at,
        "meter_start_wh": event.meter_wh,
        "reservation": event.reservation,
        "flags": _with(row["flags"], *event.flags, *(["offline"] if event.offline else [])),
    }


def _delivered(row: Row, event: EnergyDelivered) -> Row:
    return {
        "energy_wh": event.energy_wh,
        "energy_source": event.energy_source or row["energy_source"],
        "state": "charging" if row["state"] == "pending" else row["state"],
    }


def _presumed(row: Row, event: SessionPresumedEnded) -> Row:
    return {
        "state": "presumed_ended",
        "ended_at": event.at,
        "reason": event.reason,
        "meter_stop_wh": event.meter_wh,
        "energy_wh": _known(event.energy_wh, row["energy_wh"]),
        "energy_source": event.energy_source or row["energy_source"],
        "flags": _with(_without(row["flags"], "suspected"), *event.flags),
    }


def _ended(row: Row, event: SessionEnded | SessionCorrected) -> Row:
    begun = {} if event.started_at is None else {"started_at": event.started_at}
    return begun | {
        "state": "ended",
        "ended_at": event.at,
        "reason": event.reason,
        "meter_stop_wh": event.meter_wh,
        "energy_wh": _known(event.energy_wh, row["energy_wh"]),
        "reason_said": event.reason_said or None,
        "transactions": _with(row["transactions"], *([event.transaction] if event.transaction else [])),
        "stop_token": event.token,
        "stop_masked_uid": event.masked_uid or None,
        "final": event.energy_wh is not None,
        "energy_source": event.energy_source or row["energy_source"],
        "flags": _with(_without(row["flags"], "suspected"), *event.flags),
    }


def _quarantined(row: Row, event: SessionQuarantined) -> Row:
    return {
        "state": "quarantined",
        "transaction_id": event.transaction,
        "transactions": _with(row["transactions"], event.transaction),
        "ended_at": event.at,
        "reason": event.reason,
        "reason_said": event.reason_said or None,
        "quarantined_because": event.why,
        "meter_stop_wh": event.meter_wh,
        "energy_wh": event.energy_wh,
        "stop_token": event.token,
        "stop_masked_uid": event.masked_uid or None,
    }


def _repaired(row: Row, event: SessionRepaired) -> Row:
    """Return what a repair makes of its own session; the end of one comes with it, as its own event."""
    flags = {"flags": _with(row["flags"], "repaired")}
    match event.action:
        case "attach":
            return flags | {"state": "attached", "attached_to": event.to, "energy_wh": None, "final": False}
        case "discard":
            return flags | {"state": "discarded", "energy_wh": event.energy_after_wh, "final": False}
        case "end":
            return flags


def _repair(event: SessionRepaired, mark: Mark) -> Row:
    done = {
        "attached_to": event.to,
        "energy_before_wh": event.energy_before_wh,
        "energy_after_wh": event.energy_after_wh,
    }
    return _decided(event, mark) | done | {"done": True, "detail": None}


def _refused(event: RepairRefused, mark: Mark) -> Row:
    nothing = {"attached_to": None, "energy_before_wh": None, "energy_after_wh": None}
    return _decided(event, mark) | nothing | {"done": False, "detail": event.detail or None}


def _decided(event: SessionRepaired | RepairRefused, mark: Mark) -> Row:
    return {
        "tenant": event.tenant,
        "id": event.repair,
        "station": event.station,
        "session": event.session,
        "action": event.action,
        "reason": event.reason,
        "requested_by": event.requested_by or None,
        "fingerprint": event.fingerprint,
        "decided_at": mark.updated_at,
        "part": mark.part,
        "place": mark.place,
    }


def _known(newer: int | None, older: int | None) -> int | None:
    """An end that knows no energy does not take away what has been delivered."""
    return older if newer is None else newer


def _with(words: list[str], *more: str) -> list[str]:
    return words if not more else list(dict.fromkeys([*words, *more]))


def _without(words: list[str], word: str) -> list[str]:
    return [other for other in words if other != word] if word in words else words


# ---- commands ------------------------------------------------------------------------------------------------------

_COMMAND: Row = {column.name: None for column in tables.commands.columns} | {"late": False, "history": []}


def _command(row: Row | None, event: CommandStep, mark: Mark) -> Row:
    before = row or _COMMAND | {"tenant": event.tenant, "id": event.command, "station": event.station}
    news = _told(event)
    stage = {"at": tables.utc(event.at).isoformat().replace("+00:00", "Z")} | {
        name: news[name] for name in ("state", "reason", "detail", "late") if news.get(name)
    }
    stands = {"reason": None, "detail": None, "late": False}
    history = {"history": [*before["history"], stage]}
    return {**before, **stands, **_asked(event), **news, **history, **_marked(mark)}


def _told(event: CommandStep) -> Row:
    match event:
        case CommandRequested():
            return {"state": "requested"}
        case CommandQueued():
            return {"state": "queued"}
        case CommandSent():
            return {"state": "sent"}
        case CommandAccepted():
            return {"state": "accepted", "late": event.late}
        case CommandRejected():
            return {"state": "rejected", "reason": event.status, "late": event.late}
        case CommandFailed():
            return {"state": "failed", "reason": event.reason, "detail": event.detail or None, "late": event.late}
        case CommandExpired():
            return {"state": "expired", "detail": event.detail or None}
        case CommandFulfilled():
            came = {"session": event.session, "transaction_id": event.transaction}
            return {"state": "fulfilled"} | {name: value for name, value in came.items() if value is not None}


def _asked(event: CommandStep) -> Row:
    if not isinstance(event, CommandRequested):
        return {}
    row = {
        "task": _fit(msgspec.to_builtins(event.task)),
        "requested_by": event.requested_by,
        "fingerprint": event.fingerprint,
        "created_at": event.at,
        "expires_at": event.expires_at,
    }
    match event.task:
        case StopCharge() | ShowRunningCost() | ShowFinalCost():
            return row | {"session": event.task.session, "transaction_id": event.task.transaction}
        case StartCharge() | TransferData() | ShowPrice():
            return row


# ---- many at once --------------------------------------------------------------------------------------------------


@dataclass
class Changes:
    """What becomes of rows by a batch: first what is gone and undeclared, then what is put."""

    gone: dict[AnyTable, set[Key]] = field(default_factory=dict)
    undeclared: dict[AnyTable, set[Key]] = field(default_factory=dict)
    puts: dict[AnyTable, dict[Key, dict[Key, Put]]] = field(default_factory=dict)
    """By the first two columns of the key, then by the key."""

    def add(self, operation: Put | Gone | Undeclared) -> None:
        """Take in an operation that comes after all others."""
        match operation:
            case Put():
                self._put(operation)
            case Gone(table, key):
                self.puts.get(table, {}).pop(key, None)
                self.gone.setdefault(table, set()).add(key)
            case Undeclared(table, key):
                self._undeclare(table, key)

    def _put(self, put: Put) -> None:
        puts = self.puts.setdefault(put.table, {}).setdefault(put.key[:2], {})
        before = puts.get(put.key)
        if before is None:
            puts[put.key] = put
        elif put.unless != "there":  # what only adds to a row lets it be made as it was to be made
            unless = before.unless if put.unless == "missing" else put.unless
            puts[put.key] = put._replace(values=before.values | put.values, unless=unless)

    def _undeclare(self, table: AnyTable, key: Key) -> None:
        self.undeclared.setdefault(table, set()).add(key)
        puts, blank = self.puts.get(table, {}).get(key, {}), BLANK[table.name]
        for each, put in list(puts.items()):
            if put.values.get("reported"):
                puts[each] = put._replace(values={n: v for n, v in put.values.items() if n not in blank})
            else:
                del puts[each]


def key_of(table: AnyTable, row: Row) -> Key:
    """Return the primary key of `row`."""
    return tuple([row[name] for name in _keys(table)])


@cache
def _keys(table: AnyTable) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)
