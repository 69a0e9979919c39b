"""What torture would notice: each kind of harm, done to books or rows that were well."""

from datetime import datetime
from typing import Any

import pytest

from benchmarks.load.ledger import Exchange, Ledger, Transaction
from tests.system.network import Raw
from tests.torture import checks

FRAME = '[2,"1","StopTransaction",{}]'


def books() -> Ledger:
    """Return the books of a station that charged once."""
    whole = Transaction(
        station="CP",
        uid="04",
        connector=1,
        began="2026-01-01T08:00:00.000Z",
        meter_start=100,
        registers=[200],
        ended="2026-01-01T09:00:00.000Z",
        meter_stop=350,
        id=7,
        status="Accepted",
        start_acknowledged=True,
        stop_acknowledged=True,
    )
    ledger = Ledger(frames=True)
    ledger.transactions.append(whole)
    ledger.exchanges.append(Exchange("CP", FRAME, '[3,"1",{}]'))
    return ledger


def row(**other: Any) -> dict[str, Any]:
    """Return the row of that charge, but for what is said of it."""
    return {
        "station": "CP",
        "transaction": "7",
        "state": "ended",
        "final": True,
        "started_at": datetime.fromisoformat("2026-01-01T08:00:00Z"),
        "ended_at": datetime.fromisoformat("2026-01-01T09:00:00Z"),
        "meter_start_wh": 100,
        "meter_stop_wh": 350,
        "energy_wh": 250,
        "authorization": "Accepted",
    } | other


def record(topic: str, value: bytes, id: str = "a") -> Raw:
    return Raw(topic, 0, 0, b"default/CP", value, {"ce_id": id.encode()})


def counts(verdict: checks.Verdict) -> tuple[int, int, int]:
    return len(verdict.lost), len(verdict.doubled), len(verdict.wrong)


def test_books_and_rows_that_agree() -> None:
    assert checks.given_up(books())
    assert checks.rows_of(books(), [row()], "SQL")


def test_a_message_that_was_given_up_is_lost() -> None:
    ledger = books()
    ledger.transactions[0].lost.append("MeterValues")
    assert counts(checks.given_up(ledger)) == (1, 0, 0)


def test_a_charge_that_was_not_acknowledged_is_lost() -> None:
    ledger = books()
    ledger.transactions[0].stop_acknowledged = False
    assert counts(checks.given_up(ledger)) == (1, 0, 0)


def test_two_starts_that_were_told_the_same_transaction_are_wrong() -> None:
    ledger = books()
    ledger.transactions.append(books().transactions[0])
    assert counts(checks.given_up(ledger)) == (0, 0, 1)


def test_a_charge_without_a_session_is_lost() -> None:
    assert counts(checks.rows_of(books(), [], "SQL")) == (1, 0, 0)


def test_a_charge_with_two_sessions_is_doubled() -> None:
    assert counts(checks.rows_of(books(), [row(), row()], "SQL")) == (0, 1, 0)


def test_a_session_that_nobody_began_is_doubled() -> None:
    assert counts(checks.rows_of(books(), [row(), row(transaction="8")], "SQL")) == (0, 1, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"energy_wh": 251},
        {"energy_wh": None},
        {"state": "presumed_ended"},
        {"final": False},
        {"meter_start_wh": 99},
        {"authorization": "Invalid"},
        {"ended_at": datetime.fromisoformat("2026-01-01T09:00:01Z")},
    ],
    ids=str,
)
def test_a_row_that_differs_is_wrong(other: dict[str, Any]) -> None:
    assert counts(checks.rows_of(books(), [row(**other)], "SQL")) == (0, 0, 1)


def test_an_acknowledged_frame_must_be_in_the_log_to_the_last_byte() -> None:
    def said(text: str) -> Raw:
        return record("stations", b'{"frame":{"text":"' + text.replace('"', '\\"').encode() + b'"}}')

    assert checks.frames(books(), [said(FRAME)])
    assert counts(checks.frames(books(), [said(FRAME + " ")])) == (1, 0, 0)


def test_an_event_that_was_written_twice_is_doubled() -> None:
    assert checks.outputs([record("sessions", b"{}"), record("sessions", b"{}", "b"), record("readings", b"{}")])
    assert counts(checks.outputs([record("sessions", b"{}")] * 2)) == (0, 1, 0)


def test_a_parked_record_is_wrong() -> None:
    assert counts(checks.put_aside([record("sessions.parked", b"{}")])) == (0, 0, 1)


def test_registers_are_compared_one_by_one() -> None:
    assert checks.registers_of(books(), {"CP": [200]})
    assert counts(checks.registers_of(books(), {})) == (1, 0, 0)
    assert counts(checks.registers_of(books(), {"CP": [200, 200]})) == (0, 1, 0)
    assert counts(checks.registers_of(books(), {"CP": [201]})) == (1, 1, 0)
