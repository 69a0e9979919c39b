from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from chassis.secrets import CannotOpen
from contracts.authorizations import TokenInfo, TokenStatus
from contracts.event import CommandId, GatewayId, Sealed, StationId, TransactionId
from contracts.gateways import (
    Asked,
    AuthorizeAnswered,
    CallAsked,
    StartAnswered,
    StartCharging,
    StopAnswered,
    StopCharging,
    Trigger,
)
from contracts.reference import Connector, Evse, Habits
from contracts.stations import (
    CallAnswered,
    CallFailed,
    CallRefused,
    CertificateSigningRequested,
    ConnectorStatusReported,
    DataTransferred,
    DiagnosticsStatusReported,
    FirmwareStatusReported,
    Frame,
    HeartbeatReceived,
    LogStatusReported,
    MetersRead,
    Reading,
    Sample,
    SecurityEventReported,
    StationBooted,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
    Violation,
)
from services.gateway import v16
from services.gateway.profiles import Hardware
from services.gateway.protocol import ALWAYS_ANSWERED, Answered, Ask
from tests.gateway.lines import ACME, LINE, NOON, SECRETS, heard, line, rules, valid

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
START = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 500, "timestamp": "2026-01-01T11:59:00Z"}
STOP = {"transactionId": 41, "meterStop": 900, "timestamp": "2026-01-01T11:59:00Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
CCS_AND_CHADEMO = Evse(1, connectors=(Connector(1), Connector(2)))
POST = line(CCS_AND_CHADEMO, Evse(7))
TAG = SECRETS.token_id(ACME, "04A1B2C3")
A_MINUTE_AGO = NOON - timedelta(minutes=1)


def started(on: v16.Line = LINE, **said: Any) -> TransactionStarted:
    report = heard("StartTransaction", START | said, on=on)
    assert isinstance(report, TransactionStarted)
    return report


def ended(**said: Any) -> TransactionEnded:
    report = heard("StopTransaction", STOP | said)
    assert isinstance(report, TransactionEnded)
    return report


def read(*sampled: dict[str, Any], **said: Any) -> MetersRead:
    values = [{"timestamp": "2026-01-01T11:59:00Z", "sampledValue": list(sampled)}]
    report = heard("MeterValues", {"connectorId": 1, "meterValue": values} | said)
    assert isinstance(report, MetersRead)
    return report


def samples(*sampled: dict[str, Any]) -> tuple[Sample, ...]:
    return read(*sampled).readings[0].samples


def status(on: v16.Line = LINE, **said: Any) -> ConnectorStatusReported:
    report = heard("StatusNotification", STATUS | said, on=on)
    assert isinstance(report, ConnectorStatusReported)
    return report


def answered(action: str, payload: Any, *, on: v16.Line = LINE) -> bytes | None:
    return v16.answer(action, heard(action, payload, on=on), NOON)


# ---- what stations say ----


def test_a_report_says_where_it_comes_from() -> None:
    report = started()
    assert (report.tenant, report.station, report.gateway, report.reply_to, report.epoch) == (
        "acme",
        "CP-1",
        "g-1",
        3,
        70,
    )
    assert (report.message_id, report.violations) == ('"1"', ())
    assert report.frame.text.startswith('[2,"1","StartTransaction",{')


@pytest.mark.covers("M-01")
def test_a_boot_reports_what_the_station_is_and_how_it_was_answered() -> None:
    pending = line(boot_status="Pending", heartbeat_s=60)
    report = heard("BootNotification", BOOT | {"chargePointSerialNumber": "S", "firmwareVersion": "1"}, on=pending)
    assert isinstance(report, StationBooted)
    assert (report.vendor, report.model, report.serial_number, report.firmware_version) == ("V", "M", "S", "1")
    assert valid("BootNotificationResponse", v16.answer("BootNotification", report, NOON) or b"") == {
        "status": "Pending",
        "currentTime": "2026-01-01T12:00:00.000Z",
        "interval": 60,
    }


@pytest.mark.covers("Q-40", "Q-41", "C-074")
@pytest.mark.parametrize(
    ("said", "known", "violations"),
    [
        ({"chargePointSerialNumber": "S" * 34}, ("V", "M", "S" * 34), ["Q-40"]),
        ({"chargePointVendor": ""}, ("", "M", None), ["Q-41", "Q-41"]),
        ({"chargePointVendor": None}, ("", "M", None), ["Q-41", "Q-41"]),
        ({"iccid": "", "meterType": "null", "extra": 1}, ("V", "M", None), ["Q-26", "Q-41", "Q-41"]),
    ],
)
def test_any_boot_is_understood(said: Any, known: tuple[Any, ...], violations: list[str]) -> None:
    report = heard("BootNotification", BOOT | said)
    assert isinstance(report, StationBooted)
    assert (report.vendor, report.model, report.serial_number, report.iccid) == (*known, None)
    assert rules(report) == violations


@pytest.mark.covers("M-02", "Q-43")
def test_a_heartbeat_is_told_the_time() -> None:
    assert isinstance(heard("Heartbeat", {}), HeartbeatReceived)
    assert valid("HeartbeatResponse", answered("Heartbeat", {}) or b"") == {"currentTime": "2026-01-01T12:00:00.000Z"}


@pytest.mark.covers("M-03")
def test_an_authorize_presents_a_token_without_its_uid() -> None:
    report = heard("Authorize", {"idTag": "04A1B2C3"})
    assert isinstance(report, TokenPresented)
    assert (report.token, report.masked_uid) == (TAG, "04…C3")
    assert v16.answer("Authorize", report, NOON) is None, "somebody decides"
    assert "04A1B2C3" not in repr(msgspec.structs.replace(report, frame=Frame()))


@pytest.mark.covers("X-32", "Q-55", "C-053", "C-073")
@pytest.mark.parametrize("tag", ["04a1b2c3", "04A1B2C3\u0002\u0003", " 04A1B2C3 "])
def test_two_spellings_are_one_token(tag: str) -> None:
    assert started(idTag=tag).token == TAG
    assert rules(started(idTag=tag)) == ([] if tag.isalnum() else ["Q-55"])


@pytest.mark.covers("Q-55", "C-073")
def test_a_long_id_tag_is_taken() -> None:
    report = started(idTag="04A1B2C3D4E5F6071829ZZ")
    assert rules(report) == ["Q-55"]


@pytest.mark.covers("M-04")
def test_a_start_is_where_a_car_begins_to_draw_energy() -> None:
    report = started(reservationId=5)
    assert (report.evse, report.connector, report.token, report.meter_wh) == (1, 1, TAG, 500)
    assert (report.at, report.at_is_ours, report.reservation) == (A_MINUTE_AGO, False, 5)
    assert v16.answer("StartTransaction", report, NOON) is None


@pytest.mark.covers("Q-71")
@pytest.mark.parametrize("reservation", [0, -1])
def test_reservation_zero_is_none(reservation: int) -> None:
    report = started(reservationId=reservation)
    assert (report.reservation, rules(report)) == (None, ["Q-71"])


@pytest.mark.covers("X-45", "Q-77")
@pytest.mark.parametrize(
    ("said", "meter", "violations"),
    [
        ("123.0", 123, ["Q-77"]),
        (123.7, 124, ["Q-77"]),
        ("12,5", 12, ["Q-77"]),
        ("a lot", None, ["Q-77"]),
        (None, None, ["Q-77"]),
        (-1, -1, []),
        (4294960000, 4294960000, []),
    ],
)
def test_a_register_is_whole_watt_hours_or_nothing(said: Any, meter: int | None, violations: list[str]) -> None:
    report = started(meterStart=said)
    assert (report.meter_wh, rules(report)) == (meter, violations)


def test_a_start_that_says_nothing_is_still_a_start() -> None:
    report = heard("StartTransaction", "7")
    assert isinstance(report, TransactionStarted)
    assert (report.evse, report.meter_wh, report.at, report.at_is_ours) == (0, None, NOON, True)
    assert report.token == SECRETS.token_id(ACME, "FREEVEND")
    assert {"T-51", "Q-59"} <= set(rules(report))


@pytest.mark.covers("X-42", "X-43", "C-070")
@pytest.mark.parametrize(
    ("said", "at", "ours", "violations"),
    [
        ("2026-01-01T11:59:00", A_MINUTE_AGO, False, ["X-42"]),
        ("2026-01-01T13:59:00+02", A_MINUTE_AGO, False, ["X-42"]),
        ("2026-01-01T11:59:00.123456789Z", A_MINUTE_AGO + timedelta(microseconds=123457), False, []),
        ("soon", NOON, True, ["X-42"]),
        ("1970-01-01T00:03:12Z", datetime(1970, 1, 1, 0, 3, 12, tzinfo=UTC), False, ["X-43"]),
        ("2026-01-03T12:00:00Z", NOON + timedelta(days=2), False, ["X-43"]),
        ("1970-01-01T00:00:00Z", NOON, True, ["X-43"]),
        ("0001-01-01T00:00:00+01:00", NOON, True, ["X-43"]),
        ("9999-12-31T23:59:59-01:00", NOON, True, ["X-43"]),
    ],
)
def test_a_start_has_the_stations_time(said: str, at: datetime, ours: bool, violations: list[str]) -> None:
    report = started(timestamp=said)
    assert (report.at, report.at_is_ours, rules(report)) == (at, ours, violations)


@pytest.mark.covers("M-05")
def test_a_stop_is_kept_whatever_it_says() -> None:
    report = ended(idTag="04A1B2C3", reason="Remote", transactionData=[])
    assert (report.transaction, report.meter_wh, report.reason, report.token) == ("41", 900, "Remote", TAG)
    assert v16.answer("StopTransaction", report, NOON) is None, "a token waits for a decision"
    assert rules(report) == []


@pytest.mark.covers("M-05")
def test_a_stop_without_a_token_is_answered_at_once() -> None:
    assert answered("StopTransaction", STOP) == b"{}"


@pytest.mark.covers("Q-64", "Q-70")
@pytest.mark.parametrize("transaction", [0, -1, 2**63 - 1])
def test_any_transaction_number_is_kept(transaction: int) -> None:
    assert ended(transactionId=transaction).transaction == str(transaction)


@pytest.mark.parametrize("payload", ["{}", "[]", '"x"', '{"transactionId":{}}'])
def test_a_stop_that_says_nothing_is_still_a_stop(payload: str) -> None:
    report = heard("StopTransaction", payload)
    assert isinstance(report, TransactionEnded)
    assert (report.transaction, report.meter_wh, report.at_is_ours) == ("", None, True)
    assert report.violations


@pytest.mark.covers("X-26", "Q-76")
@pytest.mark.parametrize(
    ("said", "reason", "word", "violations"),
    [
        ("evdisconnected", "EVDisconnected", None, ["Q-76"]),
        ("EV Disconnected", "EVDisconnected", None, ["Q-76"]),
        ("Timeout", "Other", "Timeout", ["Q-76"]),
        ("", "Other", None, ["Q-76"]),
        (None, "Local", None, ["Q-76"]),
    ],
)
def test_a_reason_is_ocpps_word_or_other(
    said: str | None, reason: str, word: str | None, violations: list[str]
) -> None:
    report = ended(reason=said)
    assert (report.reason, report.reason_said, rules(report)) == (reason, word, violations)


@pytest.mark.covers("M-06")
def test_meter_values_are_readings() -> None:
    report = read({"value": "1234"}, {"value": "6.5", "measurand": "Current.Import", "phase": "L1", "unit": "A"})
    assert (report.evse, report.connector, report.transaction, report.at) == (1, 1, None, A_MINUTE_AGO)
    assert report.readings == (
        Reading(
            A_MINUTE_AGO,
            (Sample("1234"), Sample("6.5", "Current.Import", "A", "L1")),
        ),
    )
    assert report.violations == ()
    assert read({"value": "1"}, transactionId=7).transaction == "7"


@pytest.mark.covers("Q-85", "C-065")
@pytest.mark.parametrize(
    ("said", "value"),
    [(604.213, "604.213"), (7, "7"), (" 0.0", "0.0"), ("1,5", "1.5"), ("1E3", "1000")],
)
def test_a_value_is_a_plain_number(said: Any, value: str) -> None:
    report = read({"value": said})
    assert report.readings[0].samples == (Sample(value),)
    assert "Q-85" in rules(report)


@pytest.mark.covers("Q-85", "C-065")
@pytest.mark.parametrize("said", ["", "NaN", "abc", True, None, {}])
def test_a_value_that_is_no_number_takes_no_other_with_it(said: Any) -> None:
    report = read({"value": said}, {"value": "5"})
    assert report.readings[0].samples == (Sample("5"),)
    assert "Q-85" in rules(report)


@pytest.mark.covers("Q-86")
@pytest.mark.parametrize("values", [[], [{"timestamp": "2026-01-01T11:59:00Z", "sampledValue": []}]])
def test_empty_meter_values_are_taken(values: list[Any]) -> None:
    report = heard("MeterValues", {"connectorId": 1, "meterValue": values})
    assert isinstance(report, MetersRead)
    assert rules(report) == ["Q-86"]


@pytest.mark.covers("Q-87", "X-47")
@pytest.mark.parametrize(
    ("said", "unit", "violations"),
    [
        ("kwh", "kWh", ["Q-87"]),
        ("WH", "Wh", ["Q-87"]),
        ("Hz", "Hertz", ["Q-87"]),
        ("Celcius", "Celsius", []),
        ("", "", ["Q-87"]),
        ("Furlong", "Furlong", ["Q-87"]),
    ],
)
def test_a_unit_is_spelt_as_ocpp_spells_it(said: str, unit: str, violations: list[str]) -> None:
    report = read({"value": "5", "unit": said})
    assert report.readings[0].samples == (Sample("5", unit=unit),)
    assert rules(report) == violations


@pytest.mark.covers("Q-89")
def test_other_words_of_a_sample_are_kept_as_they_are() -> None:
    assert samples({"value": "230", "measurand": "Voltage.L1"}) == (Sample("230", "Voltage", phase="L1"),)
    assert samples({"value": "230", "measurand": "Flux.L1"}) == (Sample("230", "Flux.L1"),)
    assert samples({"value": "6", "measurand": '"Current.import"'}) == (Sample("6", "Current.Import"),)


@pytest.mark.covers("X-49", "C-069")
@pytest.mark.parametrize("value", ["OCMF|{}|{}", " 00FF ", "x" * 20_000])
def test_signed_data_are_kept_to_the_bit(value: str) -> None:
    assert samples({"value": value, "format": "SignedData"}) == (Sample(value, signed=True),)


@pytest.mark.covers("X-42")
def test_a_reading_without_a_time_has_ours() -> None:
    report = heard("MeterValues", {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "1"}]}]})
    assert isinstance(report, MetersRead)
    assert (report.at, report.readings[0].at) == (NOON, NOON)
    assert rules(report) == ["X-42"]


def test_meter_values_that_say_nothing_are_still_kept() -> None:
    report = heard("MeterValues", "[]")
    assert isinstance(report, MetersRead)
    assert (report.evse, report.readings, report.at) == (0, (), NOON)


@pytest.mark.covers("M-07")
def test_a_status_is_of_a_connector() -> None:
    report = status(timestamp="2026-01-01T11:59:00Z", info="i", vendorId="v", vendorErrorCode="e")
    assert (report.evse, report.connector, report.status, report.error_code) == (1, 1, "Available", "NoError")
    assert (report.info, report.vendor_id, report.vendor_error_code) == ("i", "v", "e")
    assert (report.at, report.at_is_ours, report.violations) == (A_MINUTE_AGO, False, ())
    assert (status().at, status().at_is_ours) == (NOON, True)


@pytest.mark.covers("Q-47", "Q-48")
@pytest.mark.parametrize(
    ("said", "found", "violations"),
    [
        ({"errorCode": "Error"}, ("Available", "OtherError", "Error"), ["Q-47"]),
        ({"errorCode": "Error", "info": "hot"}, ("Available", "OtherError", "hot"), ["Q-47"]),
        ({"errorCode": None}, ("Available", "NoError", None), ["Q-47"]),
        ({"status": "charging"}, ("Charging", "NoError", None), ["Q-47"]),
        ({"status": "occupied"}, ("Occupied", "NoError", None), ["Q-47"]),
        ({"info": "null"}, ("Available", "NoError", None), ["Q-48"]),
        ({"info": "i" * 51}, ("Available", "NoError", "i" * 51), ["Q-48"]),
    ],
)
def test_a_status_is_understood_in_other_words(said: Any, found: tuple[Any, ...], violations: list[str]) -> None:
    report = status(**said)
    assert (report.status, report.error_code, report.info) == found
    assert rules(report) == violations


@pytest.mark.covers("M-08")
def test_a_vendors_data_are_kept_and_declined() -> None:
    report = heard("DataTransfer", {"vendorId": "EV-BOX", "messageId": "m", "data": {"a": 1}})
    assert isinstance(report, DataTransferred)
    assert (report.vendor_id, report.vendor_message_id, report.data) == ("EV-BOX", "m", '{"a":1}')
    assert rules(report) == ["Q-119"]
    said = valid("DataTransferResponse", v16.answer("DataTransfer", report, NOON) or b"")
    assert said == {"status": "UnknownVendorId"}


@pytest.mark.covers("M-09", "M-10")
def test_jobs_tell_how_they_go() -> None:
    firmware = heard("FirmwareStatusNotification", {"status": "Installed"})
    diagnostics = heard("DiagnosticsStatusNotification", {"status": "Uploaded"})
    assert isinstance(firmware, FirmwareStatusReported)
    assert isinstance(diagnostics, DiagnosticsStatusReported)
    assert (firmware.status, diagnostics.status) == ("Installed", "Uploaded")


@pytest.mark.covers("C-102")
@pytest.mark.parametrize("action", sorted(set(v16.ACTIONS) - {"Authorize", "StartTransaction"}))
def test_what_needs_no_decision_is_answered_by_the_schema(action: str) -> None:
    payloads = {
        "BootNotification": BOOT,
        "MeterValues": {"connectorId": 1, "meterValue": []},
        "StopTransaction": STOP,
        "StatusNotification": STATUS,
        "DataTransfer": {"vendorId": "v"},
        "DiagnosticsStatusNotification": {"status": "Idle"},
        "FirmwareStatusNotification": {"status": "Idle"},
        "SecurityEventNotification": {"type": "StartupOfTheDevice", "timestamp": "2026-01-01T11:59:00Z"},
        "SignCertificate": {"csr": "none"},
        "SignedFirmwareStatusNotification": {"status": "Idle"},
        "LogStatusNotification": {"status": "Idle"},
    }
    valid(f"{action}Response", answered(action, payloads.get(action, {})) or b"")


# ---- what is refused ----


@pytest.mark.covers("T-55", "C-033")
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Levitate", "{}", "NotImplemented"),
        ("../../v201/schemas/x", "{}", "NotImplemented"),
        ("heartbeat", "{}", "NotImplemented"),
        ("RemoteStartTransaction", "{}", "NotSupported"),
        ("SignCertificate", "{}", "ProtocolError"),
        ("Authorize", "{}", "ProtocolError"),
        ("Authorize", '{"idTag":{}}', "TypeConstraintViolation"),
        ("Authorize", "[]", "FormationViolation"),
        ("StatusNotification", '{"status":"Available","errorCode":"NoError"}', "ProtocolError"),
        ("StatusNotification", '{"connectorId":1,"errorCode":"NoError"}', "ProtocolError"),
        ("DataTransfer", '{"vendorId":null}', "ProtocolError"),
        ("FirmwareStatusNotification", "{}", "ProtocolError"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_kept(action: str, payload: str, code: str) -> None:
    report = heard(action, payload)
    assert isinstance(report, CallRefused)
    assert (report.action, report.code) == (action, code)
    assert payload in report.frame.text


@pytest.mark.covers("C-106")
@given(
    st.sampled_from(sorted(ALWAYS_ANSWERED)),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["connectorId", "idTag", "meterStart", "meterStop", "timestamp", "meterValue", "transactionId"]),
)
def test_a_transaction_message_is_never_refused(action: str, value: Any, field: str) -> None:
    whole = {**START, **STOP, "meterValue": []}
    for payload in (value, whole | {field: value}):
        report = heard(action, msgspec.json.encode(payload).decode())
        assert isinstance(report, TransactionStarted | TransactionEnded | MetersRead)
        msgspec.json.encode(report)


# ---- evses and connectors ----


@pytest.mark.covers("C-072")
@pytest.mark.parametrize(
    ("on", "said", "found", "violations"),
    [
        (LINE, 0, (0, 0), []),
        (LINE, 3, (3, 1), []),
        (LINE, -2, (0, 0), ["M-07"]),
        (POST, 1, (1, 1), []),
        (POST, 2, (1, 2), []),
        (POST, 3, (7, 1), []),
        (POST, 4, (4, 1), ["C-072"]),
        (POST, 0, (0, 0), []),
    ],
)
def test_a_connector_is_found_in_the_registry(
    on: v16.Line, said: int, found: tuple[int, int], violations: list[str]
) -> None:
    report = status(on, connectorId=said)
    assert ((report.evse, report.connector), rules(report)) == (found, violations)


@pytest.mark.covers("M-04", "Q-49")
def test_a_car_charges_at_the_only_connector() -> None:
    report = started(line(Evse(4)), connectorId=0)
    assert ((report.evse, report.connector), rules(report)) == ((4, 1), ["Q-49"])
    report = started(POST, connectorId=0)
    assert ((report.evse, report.connector), rules(report)) == ((0, 0), ["M-04"])


@pytest.mark.parametrize(
    ("on", "evse", "connector", "said"),
    [
        (LINE, None, None, None),
        (LINE, 2, None, 2),
        (LINE, 2, 1, 2),
        (POST, 1, None, 1),
        (POST, 1, 2, 2),
        (POST, 7, 1, 3),
        (POST, 0, None, None),
        (POST, 9, 1, 9),
    ],
)
def test_a_remote_start_names_the_connector_in_the_stations_count(
    on: v16.Line, evse: int | None, connector: int | None, said: int | None
) -> None:
    ask = asked(StartCharging(SECRETS.seal("04A1"), evse, connector), on=on)
    payload = msgspec.json.decode(ask.frame)[3]
    assert payload == ({"idTag": "04A1"} if said is None else {"idTag": "04A1", "connectorId": said})


# ---- decisions ----


def reply(**more: Any) -> dict[str, Any]:
    return {
        "at": NOON,
        "tenant": ACME,
        "station": StationId("CP-1"),
        "gateway": GatewayId("g-1"),
        "reply_to": 3,
        "epoch": 70,
        "message_id": '"1"',
    } | more


@pytest.mark.covers("C-102")
@pytest.mark.parametrize("word", get_args(TokenStatus))
def test_decisions_are_told_by_the_schema(word: TokenStatus) -> None:
    info = TokenInfo(word, NOON, "group")
    said = {"status": word, "expiryDate": "2026-01-01T12:00:00.000Z", "parentIdTag": "group"}
    authorize = v16.decided(AuthorizeAnswered(**reply(info=info)))
    start = v16.decided(StartAnswered(**reply(info=info, transaction=TransactionId("7"))))
    stop = v16.decided(StopAnswered(**reply(info=info)))
    assert valid("AuthorizeResponse", authorize) == {"idTagInfo": said}
    assert valid("StartTransactionResponse", start) == {"idTagInfo": said, "transactionId": 7}
    assert valid("StopTransactionResponse", stop) == {"idTagInfo": said}


def test_a_stop_may_be_told_nothing() -> None:
    assert valid("StopTransactionResponse", v16.decided(StopAnswered(**reply()))) == {}


@pytest.mark.covers("X-32")
def test_a_group_that_does_not_fit_is_not_told() -> None:
    said = valid(
        "AuthorizeResponse", v16.decided(AuthorizeAnswered(**reply(info=TokenInfo("Accepted", group="g" * 21))))
    )
    assert said == {"idTagInfo": {"status": "Accepted"}}


@pytest.mark.covers("M-04")
@pytest.mark.parametrize("given", ["", "0", "-1", "abc", str(1 << 31), "٣"])
def test_a_transaction_id_is_a_positive_integer_or_not_told(given: str) -> None:
    with pytest.raises(v16.NoAnswer):
        v16.decided(StartAnswered(**reply(info=TokenInfo("Accepted"), transaction=TransactionId(given))))


def test_an_undecided_start_gets_the_same_transaction_however_often_it_is_repeated() -> None:
    given, payload = v16.undecided(started(), "Accepted")
    assert given is not None
    assert 1 << 30 <= int(given) < 1 << 31
    said = valid("StartTransactionResponse", payload)
    assert said == {"transactionId": int(given), "idTagInfo": {"status": "Accepted"}}
    assert v16.undecided(started(idTag="04a1b2c3", timestamp="2026-01-01T12:59:00+01:00"), "Accepted")[0] == given
    for other in ({"connectorId": 2}, {"idTag": "X"}, {"meterStart": 501}, {"timestamp": "2026-01-01T11:58:00Z"}):
        assert v16.undecided(started(**other), "Accepted")[0] != given


def test_an_undecided_authorize_or_stop_gets_a_status() -> None:
    report = heard("Authorize", {"idTag": "A"})
    assert v16.undecided(report, "Invalid") == (None, b'{"idTagInfo":{"status":"Invalid"}}')
    assert v16.undecided(ended(idTag="A"), "Accepted") == (None, b'{"idTagInfo":{"status":"Accepted"}}')


# ---- our calls ----


def call(what: Asked) -> CallAsked:
    fields = reply(command=CommandId("c"), call=what, expires_at=NOON + timedelta(minutes=1))
    del fields["message_id"]
    return CallAsked(**fields)


def asked(what: Asked, *, on: v16.Line = LINE) -> Ask:
    return v16.ask(on, call(what), SECRETS.open)


@pytest.mark.covers("M-20")
def test_a_remote_start_shows_no_uid() -> None:
    ask = asked(StartCharging(SECRETS.seal("04A1B2C3"), 1))
    kind, id, action, payload = msgspec.json.decode(ask.frame)
    assert (kind, id, action) == (2, ask.id, "RemoteStartTransaction")
    assert valid("RemoteStartTransaction", msgspec.json.encode(payload)) == {"idTag": "04A1B2C3", "connectorId": 1}
    assert msgspec.json.decode(ask.shown) == [2, ask.id, action, {"idTag": "***", "connectorId": 1}]
    assert (len(ask.id), ask.secret, ask.command) == (36, "04A1B2C3", "c")


@pytest.mark.covers("M-21")
def test_a_remote_stop_names_the_transaction() -> None:
    ask = asked(StopCharging(TransactionId("7")))
    payload = msgspec.json.decode(ask.frame)[3]
    assert valid("RemoteStopTransaction", msgspec.json.encode(payload)) == {"transactionId": 7}
    assert ask.shown == ask.frame


@pytest.mark.covers("X-32")
@pytest.mark.parametrize(
    "what",
    [
        StartCharging(SECRETS.seal("x" * 21)),
        StartCharging(SECRETS.seal("")),
        StopCharging(TransactionId("")),
        StopCharging(TransactionId("t-1")),
        StopCharging(TransactionId(str(1 << 31))),
    ],
)
def test_what_ocpp_has_no_words_for_is_not_asked(what: Asked) -> None:
    with pytest.raises(v16.CannotAsk):
        asked(what)


def test_what_others_sealed_is_not_asked() -> None:
    with pytest.raises(CannotOpen):
        asked(StartCharging(Sealed("b3RoZXI=")))


@pytest.mark.covers("C-045")
@pytest.mark.parametrize(
    ("payload", "word", "violations"),
    [
        (b'{"status":"Accepted"}', "Accepted", ()),
        (b'{"status":"Rejected","more":1}', "Rejected", (Violation("Q-26", "unknown fields: 1"),)),
        (b'{"status":"accepted"}', "Accepted", (Violation("C-045", "status is spelt otherwise"),)),
        (
            b'{"Status":"ACCEPTED "}',
            "Accepted",
            (Violation("Q-26", "fields spelt otherwise: 1"), Violation("C-045", "status is spelt otherwise")),
        ),
    ],
)
def test_an_answer_to_our_call_is_a_word(payload: bytes, word: str, violations: tuple[Violation, ...]) -> None:
    frame = Frame("[3]")
    said = v16.outcome(LINE, Answered(asked(StopCharging(TransactionId("7"))), payload, frame, late=True), NOON)
    assert isinstance(said, CallAnswered)
    assert (said.status, said.late, said.violations, said.frame, said.command) == (word, True, violations, frame, "c")


@pytest.mark.covers("C-045")
@pytest.mark.parametrize("payload", [b"{}", b"[]", b'{"status":7}', b'{"status":"Perhaps"}', b'{"status":null}'])
def test_an_answer_that_is_none_fails_our_call(payload: bytes) -> None:
    said = v16.outcome(LINE, Answered(asked(StopCharging(TransactionId("7"))), payload, Frame("[3]")), NOON)
    assert isinstance(said, CallFailed)
    assert said.reason == "Invalid"


@pytest.mark.covers("T-65", "Q-117")
def test_a_station_is_asked_to_boot() -> None:
    ask = asked(Trigger("BootNotification"))
    assert valid("TriggerMessage", msgspec.json.encode(msgspec.json.decode(ask.frame)[3])) == {
        "requestedMessage": "BootNotification"
    }
    assert ask.shown == ask.frame


@pytest.mark.covers("TC_055", "M-37")
@pytest.mark.parametrize(("call", "status"), [(Trigger(), "NotImplemented"), (Trigger(), "Rejected")])
def test_a_trigger_may_be_not_implemented(call: Trigger, status: str) -> None:
    ask = asked(call)
    answer = v16.outcome(LINE, Answered(ask, b'{"status":"%b"}' % status.encode(), Frame("[]")), NOON)
    assert isinstance(answer, CallAnswered)
    assert answer.status == status


def test_a_start_may_not_be_not_implemented() -> None:
    ask = asked(StopCharging(TransactionId("7")))
    answered = Answered(ask, b'{"status":"NotImplemented"}', Frame("[]"))
    assert isinstance(v16.outcome(LINE, answered, NOON), CallFailed)


# ---- the security extension ----


@pytest.mark.covers("M-11", "TC_077", "TC_078")
@pytest.mark.parametrize(
    ("said", "event", "info", "ours", "violations"),
    [
        ({}, "InvalidChargePointCertificate", None, False, []),
        ({"techInfo": "chain"}, "InvalidChargePointCertificate", "chain", False, []),
        ({"techInfo": ""}, "InvalidChargePointCertificate", None, False, ["M-11"]),
        ({"type": "VendorsOwnEvent"}, "VendorsOwnEvent", None, False, []),
        ({"type": "e" * 60}, "e" * 60, None, False, ["M-11"]),
        ({"timestamp": None}, "InvalidChargePointCertificate", None, True, ["X-42"]),
    ],
)
def test_a_security_event_is_kept(said: Any, event: str, info: str | None, ours: bool, violations: list[str]) -> None:
    base = {"type": "InvalidChargePointCertificate", "timestamp": "2026-01-01T11:59:00Z"}
    report = heard("SecurityEventNotification", base | said)
    assert isinstance(report, SecurityEventReported)
    assert (report.event, report.info, report.at_is_ours, rules(report)) == (event, info, ours, violations)
    assert report.at == (NOON if ours else A_MINUTE_AGO)


@pytest.mark.covers("M-13", "M-14", "TC_079", "TC_081")
@pytest.mark.parametrize(
    ("action", "said", "status", "request_id", "violations"),
    [
        ("SignedFirmwareStatusNotification", {"status": "InvalidSignature", "requestId": 3}, "InvalidSignature", 3, []),
        ("SignedFirmwareStatusNotification", {"status": "Idle"}, "Idle", None, []),
        ("SignedFirmwareStatusNotification", {"status": "Installed"}, "Installed", None, ["M-13"]),
        ("SignedFirmwareStatusNotification", {"status": "installed", "requestId": "3"}, "Installed", 3, ["M-13"] * 2),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": 3}, "Uploaded", 3, []),
        ("LogStatusNotification", {"status": "Idle"}, "Idle", None, []),
        ("LogStatusNotification", {"status": "Uploading"}, "Uploading", None, ["M-14"]),
        ("LogStatusNotification", {"status": "Lost", "requestId": 3}, "Lost", 3, ["M-14"]),
    ],
)
def test_jobs_are_followed_by_their_request(
    action: str, said: Any, status: str, request_id: int | None, violations: list[str]
) -> None:
    report = heard(action, said)
    assert isinstance(report, FirmwareStatusReported | LogStatusReported)
    assert (report.status, report.request, rules(report)) == (status, request_id, violations)
    assert getattr(report, "signed", None) is (True if action.startswith("Signed") else None)
    assert answered(action, said) == b"{}"


@pytest.mark.covers("M-12")
@pytest.mark.parametrize(("name", "violations"), [("CP-1", []), ("ACME CP-1", []), ("CP-2", ["M-12"]), ("", ["M-12"])])
def test_a_certificate_is_asked_for_in_the_stations_name(name: str, violations: list[str]) -> None:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    report = heard("SignCertificate", {"csr": csr})
    assert isinstance(report, CertificateSigningRequested)
    assert (report.csr, report.common_name, report.key, report.problem) == (csr, name, "EC secp256r1", "")
    assert (report.status, rules(report)) == ("Rejected", violations)
    assert answered("SignCertificate", {"csr": csr}) == b'{"status":"Rejected"}'


@pytest.mark.covers("M-12")
@pytest.mark.parametrize(("csr", "violations"), [("none", ["M-12", "M-12"]), ("x" * 6000, ["M-12", "M-12", "M-12"])])
def test_what_asks_for_no_certificate_is_kept_and_declined(csr: str, violations: list[str]) -> None:
    report = heard("SignCertificate", {"csr": csr})
    assert isinstance(report, CertificateSigningRequested)
    assert (report.csr, report.problem, rules(report)) == (csr, "no certificate signing request", violations)


# ---- what a model does ----


@pytest.mark.covers("Q-43", "M-02")
def test_the_time_is_told_in_the_one_form_that_all_stations_read() -> None:
    told = v16.told(LINE, v16.time_answer(None, NOON))
    assert told == b'{"currentTime":"2026-01-01T12:00:00.000Z"}'
    plain = v16.told(line(habits=Habits(quirks=("time_without_fraction",))), told)
    assert plain == b'{"currentTime":"2026-01-01T12:00:00Z"}'
    assert valid("HeartbeatResponse", plain)


@pytest.mark.covers("Q-49")
def test_the_only_connector_may_be_unknown_to_the_registry() -> None:
    zero = line(habits=Habits(quirks=("connector_0_is_1",)))
    assert (started(zero, connectorId=0).evse, rules(started(zero, connectorId=0))) == (1, ["Q-49"])
    two = line(Evse(1), Evse(2), habits=Habits(quirks=("connector_0_is_1",)))
    assert status(two, connectorId=0).evse == 0


def test_what_a_station_said_it_is_stays_known_when_the_registry_changes() -> None:
    booted = v16.knowing(LINE, LINE.record, Hardware("EV-BOX", "G3"))
    assert booted.quirks.accepted_data == ("ev-box",)
    changed = v16.knowing(booted, msgspec.structs.replace(LINE.record, evses=(Evse(4),)))
    assert (changed.quirks, changed.ports) == (booted.quirks, ((4, 1),))


@pytest.mark.covers("Q-57", "Q-55")
@pytest.mark.parametrize(
    ("quirks", "said", "uid"),
    [
        (("vid_tags",), "VID:", "VID:"),
        (("plain_tags",), "::--", "::--"),
        (("plain_tags",), "04:A1", "04A1"),
        (("cut_tags",), "1" * 20, "1" * 20),
        (("cut_tags",), "1" * 21, "1" * 20),
        (("vid_tags", "plain_tags", "cut_tags"), "VID:04-A1-" + "B" * 30, "04A1" + "B" * 16),
    ],
)
def test_id_tags_are_read_as_the_model_writes_them(quirks: tuple[str, ...], said: str, uid: str) -> None:
    report = started(line(habits=Habits(quirks=quirks)), idTag=said)
    assert report.token == SECRETS.token_id(ACME, uid)


@pytest.mark.covers("Q-87", "X-47")
@pytest.mark.parametrize(
    ("said", "value", "unit"),
    [
        ("1.5 MWh", "1500", "kWh"),
        ("7 furlongs", "7", "furlongs"),
        ("250mA", "0.250", "A"),
        ("40 °C", "40", "Celsius"),
        ("55%", "55", "Percent"),
    ],
)
def test_a_unit_may_stand_in_the_value(said: str, value: str, unit: str) -> None:
    report = read({"value": said})
    [found] = report.readings[0].samples
    assert (float(found.value), found.unit, rules(report)) == (float(value), unit, ["Q-85"])


@pytest.mark.covers("Q-87")
@pytest.mark.parametrize("said", [{"value": "x", "unit": "MWh"}, {"value": None, "unit": "MWh"}])
def test_what_is_no_number_is_none_in_any_unit(said: Any) -> None:
    assert read(said, {"value": "5"}).readings[0].samples == (Sample("5"),)
