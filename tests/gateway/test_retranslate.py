from datetime import timedelta
from typing import Any

from chassis.copies import Copy, Whole
from contracts.event import CommandId, StationId, TransactionId
from contracts.reference import Habits, Station, StationRecord
from contracts.stations import (
    CallAnswered,
    CallFailed,
    CallRefused,
    CallSent,
    ConnectionClosed,
    ConnectionOpened,
    ConnectorStatusReported,
    Frame,
    FrameUnread,
    StationBooted,
    TransactionEnded,
    Violation,
)
from contracts.topics import REGISTRY
from services.gateway.retranslate import Reading, Result, differing
from tests.gateway.lines import ACME, NOON, SECRETS

COMMON: dict[str, Any] = {
    "at": NOON,
    "tenant": ACME,
    "station": StationId("CP-1"),
    "gateway": "g-1",
    "reply_to": 3,
    "epoch": 70,
}
STATUS = '[2,"1","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available"}]'
BOOT = '[2,"1","BootNotification",{"chargePointVendor":"Zaptec","chargePointModel":"Go 2"}]'


def reading(*stations: Station, most: int = 10) -> tuple[Reading, Result]:
    registry: Copy[StationRecord] = Copy(Whole(REGISTRY, rekey=lambda key: key.partition(b"/")[2]))
    for record in stations:
        registry.apply(REGISTRY.key_of(record), REGISTRY.encode(record))
    result = Result()
    return Reading(registry, SECRETS, result, most=most), result


def after(*events: Any, stations: tuple[Station, ...] = (), whole: bool = True, most: int = 10) -> Result:
    """What comes of a connection on which this was written."""
    read, result = reading(*stations, most=most)
    if whole:
        read.take(ConnectionOpened(**COMMON | {"epoch": 0}, protocol="ocpp1.6", security_profile=1), NOON, "p", 70)
    for number, event in enumerate(events):
        read.take(event, NOON, f"stations-0@{71 + number}", 71 + number)
    return result


def status(evse: int = 0, connector: int = 0, **more: Any) -> ConnectorStatusReported:
    fields: dict[str, Any] = {"status": "Available", "at_is_ours": True, "message_id": '"1"', "frame": Frame(STATUS)}
    return ConnectorStatusReported(**COMMON | fields | more, evse=evse, connector=connector)


def boot(**more: Any) -> StationBooted:
    fields: dict[str, Any] = {"vendor": "Zaptec", "model": "Go 2", "message_id": '"1"', "frame": Frame(BOOT)}
    return StationBooted(**COMMON | fields | more)


def sent(action: str = "RemoteStopTransaction") -> CallSent:
    frame = Frame(f'[2,"a","{action}",{{"transactionId":7}}]')
    return CallSent(**COMMON, command=CommandId("c-1"), message_id='"a"', frame=frame)


def test_what_is_made_of_a_frame_as_before_is_no_difference() -> None:
    assert str(after(status())) == "frames 1, same 1, different 0"


def test_what_is_made_of_a_frame_in_another_way_is_shown() -> None:
    result = after(status(evse=1, connector=1))
    assert str(result) == "frames 1, same 0, different 1"
    [shown] = result.shown
    assert (shown.place, shown.station) == ("stations-0@71", "CP-1")
    assert shown.what == "ConnectorStatusReported: evse: 1 -> 0; connector: 1 -> 0"


def test_no_more_differences_are_shown_than_wanted() -> None:
    result = after(status(evse=1), status(evse=2), most=1)
    assert (result.differences, len(result.shown)) == (2, 1)


def test_another_kind_of_report_is_a_difference() -> None:
    unread = FrameUnread(**COMMON, frame=Frame(STATUS), reason="no message of OCPP-J")
    assert after(unread).shown[0].what == "FrameUnread -> ConnectorStatusReported"
    assert after(FrameUnread(**COMMON, frame=Frame(" "), reason="r")).shown[0].what == "FrameUnread -> nothing"


def test_what_the_station_said_it_is_counts_from_then_on() -> None:
    zero = status(1, 1, violations=(Violation("Q-49", "connector 0 is the only one"),))
    assert str(after(status(), boot(), zero)) == "frames 3, same 3, different 0"
    assert after(zero).differences == 1


def test_what_the_registry_says_today_counts() -> None:
    known = Station(at=NOON, tenant=ACME, version=1, id=StationId("CP-1"), habits=Habits(quirks=("connector_0_is_1",)))
    assert after(status(), stations=(known,)).differences == 1


def test_how_a_boot_was_answered_is_no_translation() -> None:
    assert after(boot(status="Rejected", interval_s=7)).differences == 0


def test_an_answer_is_read_beside_the_call_that_it_answers() -> None:
    answered = CallAnswered(
        **COMMON, command=CommandId("c-1"), status="Accepted", frame=Frame('[3,"a",{"status":"Accepted"}]')
    )
    late = CallAnswered(
        **COMMON, command=CommandId("c-1"), status="Accepted", frame=Frame('[3,"a",{"status":"Accepted"}]'), late=True
    )
    refused = CallFailed(
        **COMMON,
        command=CommandId("c-1"),
        reason="CallError",
        code="NotSupported",
        frame=Frame('[4,"a","NotSupported","",{}]'),
    )
    assert str(after(sent(), answered, late, refused)) == "frames 3, same 3, different 0"


def test_what_was_never_answered_has_no_frame() -> None:
    assert after(CallFailed(**COMMON, command=CommandId("c-1"), reason="TimedOut")).frames == 0


def test_a_call_that_was_refused_for_its_moment_is_refused_again() -> None:
    refused = CallRefused(
        **COMMON,
        message_id='"1"',
        frame=Frame(STATUS),
        action="StatusNotification",
        code="SecurityError",
        description="not before a boot",
    )
    assert after(refused).differences == 0


def test_a_call_that_cannot_be_understood_is_refused_again() -> None:
    refused = CallRefused(
        **COMMON,
        message_id='"1"',
        frame=Frame('[2,"1",7]'),
        action="",
        code="FormationViolation",
        description="A call names an action.",
    )
    assert after(refused).differences == 0


def test_an_id_that_was_another_calls_depends_on_what_is_not_in_the_log() -> None:
    assert after(status(violations=(Violation("T-42", "the id of another call"),))).differences == 0


def test_what_a_log_without_its_beginning_cannot_tell_is_left_out() -> None:
    result = after(status(evse=1, connector=1), status(), whole=False)
    assert (result.frames, result.same, result.differences, result.left_out) == (1, 1, 0, 1)


def test_a_connection_that_has_closed_is_forgotten() -> None:
    result = after(boot(), ConnectionClosed(**COMMON, code=1000), status())
    assert (result.frames, result.same) == (2, 2)


def test_bytes_that_are_no_text_are_read_as_they_came() -> None:
    frame = Frame(base64=b'[2,"1","StopTransaction",{"transactionId":41,"meterStop":9,"reason":"\xff"}]')
    ended = TransactionEnded(
        **COMMON,
        message_id='"1"',
        frame=frame,
        transaction=TransactionId("41"),
        meter_wh=9,
        reason="Other",
        reason_said="\ufffd",
        at_is_ours=True,
        violations=(
            Violation("Q-22", "not UTF-8"),
            Violation("X-42", "timestamp is missing"),
            Violation("Q-76", "reason is no word of OCPP"),
        ),
    )
    assert after(ended).shown == []


def test_a_long_difference_is_cut() -> None:
    what = differing(status(info="i" * 500), status(at=NOON + timedelta(seconds=1)))
    assert len(what) < 400
    assert what.startswith("ConnectorStatusReported: at: ")
