from typing import Any

import pytest
from msgspec.structs import replace

from contracts import tables
from contracts.authorizations import TokenDecided, TokenInfo
from contracts.event import RepairId, SessionId, TokenId, TransactionId
from contracts.operations import (
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandRequested,
    CommandSent,
    StartCharge,
    StationRecovered,
    StopCharge,
)
from contracts.reference import Evse
from contracts.sessions import (
    Account,
    EnergyUnattributed,
    RepairRefused,
    SessionAlive,
    SessionCorrected,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRenamed,
    SessionRepaired,
    SessionSuspected,
    StartRepeated,
    StopAuthorized,
    StopRepeated,
)
from contracts.topics import REGISTRY, SITES
from services.views.rows import (
    Changes,
    Gone,
    Mark,
    Put,
    Row,
    Said,
    Step,
    Undeclared,
    Unfit,
    forgotten,
    operations,
    stepped,
)
from tests.views.given import (
    NORTH,
    accepted_change,
    access_key,
    at,
    authorized,
    booted,
    command,
    connected,
    delivered,
    disconnected,
    ended,
    evse,
    of,
    refused_change,
    site,
    started,
    station,
    status,
    token,
    unknown,
)

MARK = Mark(at(10), 3, 41)


def row_after(*events: Said) -> Row:
    """Fold events of one session or command; each is a second and an offset later."""
    row: Row | None = None
    for number, event in enumerate(events):
        (step,) = operations(event, Mark(at(number), 3, number))
        assert isinstance(step, Step)
        row = stepped(row, step)
    assert row is not None
    return row


def put(event: Said) -> Put:
    (operation,) = operations(event, MARK)
    assert isinstance(operation, Put)
    return operation


def some(row: Row, *names: str) -> list[Any]:
    return [row[name] for name in names]


def all_columns(row: Row, table: Any) -> bool:
    return set(row) == {column.name for column in table.columns}


def test_a_session_is_pending_until_its_token_is_decided() -> None:
    row = row_after(started())
    assert some(row, "state", "started_at", "energy_wh", "final", "revision") == ["pending", at(0), None, False, 1]
    assert some(row, "tenant", "id", "station", "site", "time_zone") == [
        "north",
        "s-1",
        "st-1",
        "harbour",
        "Europe/Oslo",
    ]
    assert all_columns(row, tables.sessions)
    assert row_after(started(), authorized())["state"] == "charging"


def test_a_refused_token_ends_nothing() -> None:
    row = row_after(started(), authorized(info=TokenInfo("Blocked"), flags=("refused",)))
    assert some(row, "state", "authorization_status", "flags") == ["charging", "Blocked", ["refused"]]


def test_energy_is_charging_whoever_decides() -> None:
    assert some(row_after(started(), delivered(100)), "state", "energy_wh") == ["charging", 100]


def test_an_ended_session_is_final_with_all_its_energy() -> None:
    row = row_after(started(), authorized(), delivered(100), ended(token=TokenId("tok-2"), masked_uid="05…"))
    assert some(row, "state", "final", "energy_wh", "meter_stop_wh") == ["ended", True, 7500, 8000]
    assert some(row, "ended_at", "reason", "stop_token", "stop_masked_uid") == [at(3600), "Local", "tok-2", "05…"]


def test_an_end_without_energy_is_not_final_and_takes_none_away() -> None:
    row = row_after(started(), delivered(100), ended(energy_wh=None, meter_wh=None))
    assert some(row, "state", "final", "energy_wh", "meter_stop_wh") == ["ended", False, 100, None]


def test_a_late_decision_or_reading_changes_no_ended_session() -> None:
    row = row_after(started(), ended(), authorized(), delivered(9999))
    assert some(row, "state", "energy_wh", "revision") == ["ended", 7500, 4]


def test_a_presumed_end_is_corrected_by_the_real_one() -> None:
    whose: dict[str, Any] = {"session": SessionId("s-1")} | of()
    presumed = SessionPresumedEnded(at=at(60), reason="Other", meter_wh=700, energy_wh=200, **whose)
    row = row_after(started(), presumed)
    assert some(row, "state", "energy_wh", "final") == ["presumed_ended", 200, False]
    real = SessionCorrected(
        at=at(90), report="e", reason="Local", meter_wh=900, energy_wh=400, flags=("paired",), **whose
    )
    row = row_after(started(), presumed, real)
    assert some(row, "state", "energy_wh", "final", "ended_at") == ["ended", 400, True, at(90)]
    assert row["flags"] == ["paired"]


def test_a_stop_without_a_start_is_in_quarantine_until_the_start_comes() -> None:
    stop = SessionQuarantined(
        at=at(50),
        session=SessionId("s-1"),
        report="e",
        transaction=TransactionId("99"),
        reason="Other",
        reason_said="Kaputt",
        why="several_fit",
        meter_wh=900,
        **of(),
    )
    row = row_after(stop)
    assert some(row, "state", "started_at", "ended_at", "meter_stop_wh") == ["quarantined", None, at(50), 900]
    assert some(row, "reason_said", "quarantined_because", "token") == ["Kaputt", "several_fit", None]
    paired = row_after(stop, started(transaction="7"), ended())
    assert some(paired, "state", "started_at", "transactions") == ["ended", at(0), ["99", "7"]]


def said() -> dict[str, Any]:
    return {"at": at(0), "session": SessionId("s-1")} | of()


def test_a_ghost_is_suspected_until_there_is_a_sign_of_life_or_an_end() -> None:
    doubt = SessionSuspected(**said(), why="free", until=at(700))
    alive = SessionAlive(**said(), until=at(900))
    over = SessionPresumedEnded(**said(), reason="Ghost", energy_wh=5, energy_source="register", flags=("ghost",))
    assert row_after(started(), doubt)["flags"] == ["suspected"]
    assert row_after(started(), doubt, alive)["flags"] == row_after(started(), alive)["flags"] == []
    row = row_after(started(), doubt, over)
    assert (row["state"], row["reason"], row["energy_source"], row["flags"]) == (
        *("presumed_ended", "Ghost", "register", ["ghost"]),
    )


def repaired(**more: Any) -> SessionRepaired:
    asked: dict[str, Any] = {"repair": RepairId("p"), "action": "discard", "reason": "a test", "requested_by": "k"}
    return SessionRepaired(**said(), **asked | more)


def repair_of(event: Said) -> Row:
    return next(each.values for each in operations(event, MARK) if isinstance(each, Put))


def session_after(*events: Said) -> Row:
    steps = [op for event in events for op in operations(event, MARK) if isinstance(op, Step)]
    row: Row | None = None
    for step in steps:
        row = stepped(row, step)
    assert row is not None
    return row


def test_what_is_discarded_counts_for_nothing() -> None:
    row = session_after(started(), ended(), repaired(energy_before_wh=7500, energy_after_wh=0))
    assert (row["state"], row["energy_wh"], row["final"], row["flags"]) == ("discarded", 0, False, ["repaired"])


def test_an_attached_stop_says_whose_it_is() -> None:
    stop = SessionQuarantined(**said(), report="r", transaction=TransactionId("9"), reason="Local", energy_wh=70)
    row = session_after(stop, repaired(action="attach", to=SessionId("other"), energy_after_wh=70))
    assert (row["state"], row["attached_to"], row["energy_wh"]) == ("attached", "other", None)


def test_a_session_ended_by_hand_is_what_its_end_says() -> None:
    row = session_after(started(), repaired(action="end", energy_after_wh=7500), ended())
    assert (row["state"], row["energy_wh"], row["final"], row["flags"]) == ("ended", 7500, True, ["repaired"])


def test_every_repair_has_a_row_and_a_refused_one_takes_none_away() -> None:
    done = repair_of(repaired(energy_before_wh=7500, energy_after_wh=0))
    assert (done["id"], done["done"], done["reason"], done["energy_before_wh"]) == ("p", True, "a test", 7500)
    refused = RepairRefused(**said(), repair=RepairId("p"), action="end", reason="meter_went_back", detail="higher")
    (operation,) = operations(refused, MARK)
    assert isinstance(operation, Put)
    assert operation.unless == "there"
    assert (operation.values["done"], operation.values["reason"]) == (False, "meter_went_back")
    assert set(operation.values) == set(done) == {column.name for column in tables.repairs.columns}


def test_energy_outside_of_sessions_changes_no_row() -> None:
    rose = EnergyUnattributed(
        at=at(0), tenant=NORTH, station=started().station, evse=1, connector=1, account=Account(delivered_wh=1)
    )
    assert not list(operations(rose, MARK))


def test_a_start_that_named_another_time_is_flagged() -> None:
    again = StartRepeated(**said(), report="r", differs=True)
    assert row_after(started(), again)["flags"] == ["start_differs"]


def test_a_better_known_beginning_counts() -> None:
    corrected = SessionCorrected(**said(), report="r", reason="Local", energy_wh=5, started_at=at(-60))
    assert row_after(started(), corrected)["started_at"] == at(-60)


def test_every_transaction_id_of_a_session_is_kept() -> None:
    renamed = SessionRenamed(at=at(1), session=SessionId("s-1"), transaction=TransactionId("1073741999"), **of())
    row = row_after(started(), renamed, renamed, ended(transaction=TransactionId("8")))
    assert some(row, "transaction_id", "transactions") == ["1073741999", ["7", "1073741999", "8"]]


def test_flags_say_what_else_happened_each_once() -> None:
    whose: dict[str, Any] = {"session": SessionId("s-1")} | of()
    differs = StopRepeated(at=at(1), report="x", differs=True, **whose)
    events: list[Said] = [
        started(offline=True, flags=("meter_start_missing",)),
        authorized(undecided=True),
        StartRepeated(at=at(1), report="x", **whose),
        ended(flags=("meter_start_missing",)),
        differs,
        differs,
        StopRepeated(at=at(1), report="x", **whose),
        StopAuthorized(at=at(1), report="x", info=TokenInfo("Blocked"), **whose),
    ]
    row = row_after(*events)
    assert row["flags"] == ["meter_start_missing", "offline", "undecided", "stop_differs"]
    assert some(row, "revision", "stop_authorization_status", "authorization_status") == [8, "Blocked", "Accepted"]


def test_a_row_carries_the_place_of_the_last_record_that_changed_it() -> None:
    row = row_after(started(), delivered(100))
    assert some(row, "updated_at", "part", "place") == [at(1), 3, 1]


def test_a_command_tells_its_life() -> None:
    row = row_after(*command())
    assert some(row, "state", "session", "transaction_id", "late") == ["fulfilled", "s-1", "7", False]
    assert some(row, "created_at", "expires_at", "requested_by") == [at(0), at(120), "key-1"]
    assert row["task"] == {"type": "StartCharge", "token": "tok-1", "evse": 1}
    assert [stage["state"] for stage in row["history"]] == ["requested", "queued", "accepted", "fulfilled"]
    assert row["history"][0] == {"at": "2026-01-01T12:00:00Z", "state": "requested"}
    assert all_columns(row, tables.commands)


def test_a_command_says_why_it_came_to_nothing() -> None:
    whose = {"command": command()[0].command, **of()}
    failed = CommandFailed(at=at(9), reason="Offline", detail="wait until it connects", **whose)
    row = row_after(command()[0], failed)
    assert some(row, "state", "reason", "detail") == ["failed", "Offline", "wait until it connects"]
    row = row_after(command()[0], CommandExpired(at=at(9), detail="nobody plugged in", **whose))
    assert some(row, "state", "reason", "detail") == ["expired", None, "nobody plugged in"]
    row = row_after(command()[0], failed, CommandRejected(at=at(9), status="Rejected", late=True, **whose))
    assert some(row, "state", "reason", "detail", "late") == ["rejected", "Rejected", None, True]
    assert row_after(command()[0], CommandSent(at=at(9), **whose))["state"] == "sent"


def test_a_stop_command_names_its_session_from_the_beginning() -> None:
    first = command()[0]
    task = StopCharge(session=SessionId("s-9"), transaction=TransactionId("5"))
    asked = CommandRequested(at=at(0), command=first.command, task=task, requested_by="key-1", expires_at=at(9), **of())
    assert some(row_after(asked), "session", "transaction_id") == ["s-9", "5"]


def test_a_station_comes_and_goes() -> None:
    there, gone = put(connected(7, 1)).values, put(disconnected(7, 5)).values
    assert some(there, "reported", "online", "since", "epoch", "close_inferred") == [True, True, at(1), 7, None]
    assert some(gone, "online", "since", "close_inferred") == [False, at(5), True]
    back = put(StationRecovered(at=at(6), epoch=7, **of())).values
    assert some(back, "online", "since", "close_inferred") == [True, at(6), None]
    assert some(put(booted()).values, "vendor", "model", "last_boot_at") == ["ACME", "One", at(2)]


def test_evse_0_is_the_station_itself() -> None:
    assert put(status(0, "Unavailable")).table is tables.stations
    evse_row, connector_row = operations(status(2, "Faulted", connector=1), MARK)
    assert isinstance(evse_row, Put)
    assert isinstance(connector_row, Put)
    assert evse_row.key == ("north", "st-1", 2)
    assert connector_row.key == ("north", "st-1", 2, 1)
    assert some(connector_row.values, "status", "since", "reported") == ["Faulted", at(3), True]


def test_reference_data_are_put_as_they_are() -> None:
    assert put(site(3)).values["version"] == 3
    assert put(token(2)).values["uid"] == "sealed"
    assert put(access_key()).values["scopes"] == ["read", "operate"]
    assert all_columns(put(site()).values, tables.sites)
    assert all_columns(put(token()).values, tables.tokens)
    assert all_columns(put(access_key()).values, tables.access_keys)


def test_a_station_is_put_without_its_password() -> None:
    first, *rest = operations(station(1, evse(1, 1, 2), Evse(id=2)), MARK)
    assert isinstance(first, Put)
    assert first.values["has_password"] is True
    assert "argon2" not in str(first.values)
    assert rest[:2] == [Undeclared(tables.evses, ("north", "st-1")), Undeclared(tables.connectors, ("north", "st-1"))]
    assert [operation.key for operation in rest[2:] if isinstance(operation, Put)] == [
        ("north", "st-1", 1),
        ("north", "st-1", 1, 1),
        ("north", "st-1", 1, 2),
        ("north", "st-1", 2),
        ("north", "st-1", 2, 1),
    ]


def test_what_is_forgotten_is_gone_but_for_what_a_station_has_done() -> None:
    assert list(forgotten(SITES, "north", "harbour")) == [Gone(tables.sites, ("north", "harbour"))]
    assert [type(operation) for operation in forgotten(REGISTRY, "north", "st-1")] == [Undeclared] * 3


def test_the_first_outcome_of_a_request_stays_when_its_key_is_used_again() -> None:
    first = put(refused_change())
    assert some(first.values, "accepted", "reason", "version") == [False, "version_mismatch", None]
    assert first.unless == "never"
    assert put(refused_change(reason="idempotency_key_reused")).unless == "there"
    assert some(put(accepted_change()).values, "accepted", "reason", "version") == [True, None, 1]


def test_a_decision_changes_no_row() -> None:
    decided = TokenDecided(
        at=at(0), report="r", purpose="start", token=TokenId("tok-1"), info=TokenInfo("Accepted"), **of()
    )
    assert list(operations(decided, MARK)) == []


def test_a_number_that_no_column_holds_is_unfit() -> None:
    with pytest.raises(Unfit, match="energy_wh"):
        row_after(started(), delivered(2**63))
    with pytest.raises(Unfit, match="id is larger"):
        list(operations(status(2**70), MARK))
    with pytest.raises(Unfit, match="connector"):
        row_after(replace(command()[0], task=StartCharge(token=TokenId("tok-1"), connector=2**70)))


def test_in_a_batch_the_last_word_counts() -> None:
    batch = Changes()
    batch.add(put(site(1)))
    batch.add(put(site(2, name="Quay")))
    assert batch.puts[tables.sites]["north", "harbour"]["north", "harbour"].values["name"] == "Quay"
    batch.add(Gone(tables.sites, ("north", "harbour")))
    assert not batch.puts[tables.sites]
    batch.add(put(site(3)))
    assert batch.gone[tables.sites] == {("north", "harbour")}
    assert batch.puts[tables.sites]["north", "harbour"]["north", "harbour"].values["version"] == 3


def test_in_a_batch_an_outcome_stays_when_its_key_is_used_again() -> None:
    batch = Changes()
    batch.add(put(accepted_change()))
    batch.add(put(refused_change(reason="idempotency_key_reused")))
    (change,) = batch.puts[tables.changes]["north", "q-1"].values()
    assert change.values["accepted"] is True


def test_in_a_batch_what_is_undeclared_keeps_what_was_reported() -> None:
    batch, key = Changes(), (NORTH, "st-1")
    for event in (station(1, evse(1, 1)), connected(), status(1)):
        for operation in operations(event, MARK):
            assert not isinstance(operation, Step)
            batch.add(operation)
    for operation in forgotten(REGISTRY, *key):
        assert not isinstance(operation, Step)
        batch.add(operation)
    kept = batch.puts[tables.stations][key][key].values
    assert kept["online"] is True
    assert "declared" not in kept
    assert batch.puts[tables.connectors][key][(*key, 1, 1)].values["status"] == "Available"
    assert batch.undeclared[tables.connectors] == {key}


def test_the_newest_sight_of_an_unknown_token_counts() -> None:
    seen = put(unknown("tok-x"))
    assert seen.unless == "newer"
    assert some(seen.values, "seen_at", "part", "place") == [at(10), 3, 41]
