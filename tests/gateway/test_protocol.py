from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event import CommandId
from contracts.stations import Frame, Violation
from services.gateway.protocol import (
    REMEMBERED,
    Answered,
    Ask,
    Broken,
    Call,
    Connection,
    Happening,
    Refused,
    Repeated,
    Unread,
    call_frame,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
START = b'[2,"5","StartTransaction",{"connectorId":1}]'


def ask(id: str, *, expires_at: datetime = NOON + timedelta(hours=1), secret: str = "") -> Ask:
    return Ask(id, CommandId(f"command {id}"), "Reset", f'[2,"{id}","Reset",{{}}]'.encode(), b"***", expires_at, secret)


@pytest.fixture
def connection() -> Connection:
    return Connection(patience=timedelta(seconds=30))


def called(happening: Happening | None) -> Call:
    assert isinstance(happening, Call), happening
    return happening


def rules(happening: Happening | None) -> list[str]:
    assert isinstance(happening, Call | Answered | Unread), happening
    return [violation.rule for violation in happening.violations]


# ---- the station's calls ----


def test_a_call_keeps_its_exact_frame(connection: Connection) -> None:
    frame = b' [ 2,"x" , "Heartbeat",\n{} ]'
    call = called(connection.receive(frame))
    assert (call.id, call.action, call.payload, call.frame) == ('"x"', "Heartbeat", b"{}", Frame(frame.decode()))
    assert call.violations == ()


@pytest.mark.covers("T-41", "Q-27", "C-038")
@pytest.mark.parametrize("id", [b'"x"', b"17", b'""', b'"' + b"i" * 200 + b'"', b'"\\u00e9\\/"', b"-1.50", b"null"])
def test_an_id_is_echoed_as_it_was_written(connection: Connection, id: bytes) -> None:
    call = called(connection.receive(b'[2,%b,"Heartbeat",{}]' % id))
    assert connection.answer(call, b"{}") == b"[3,%b,{}]" % id
    assert connection.refuse(call, "InternalError", "no").startswith(b"[4,%b," % id)


@pytest.mark.covers("Q-27")
@pytest.mark.parametrize(("id", "violations"), [(b'"x"', []), (b"17", ["Q-27"]), (b'""', ["Q-27"])])
def test_an_id_that_is_no_short_text_is_a_violation(connection: Connection, id: bytes, violations: list[str]) -> None:
    assert rules(connection.receive(b'[2,%b,"Heartbeat",{}]' % id)) == violations


@pytest.mark.covers("Q-32", "T-51")
@pytest.mark.parametrize("frame", [b'[2,"3","Heartbeat",null]', b'[2,"3","Heartbeat"]'])
def test_a_missing_payload_is_an_empty_one(connection: Connection, frame: bytes) -> None:
    call = called(connection.receive(frame))
    assert (call.payload, rules(call)) == (b"{}", ["Q-32"])


@pytest.mark.covers("T-40")
def test_further_elements_are_overlooked(connection: Connection) -> None:
    assert rules(connection.receive(b'[2,"3","Heartbeat",{},7]')) == ["T-40"]


@pytest.mark.covers("T-40")
@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n ", b"\0"])
def test_another_message_in_the_same_frame_is_to_be_received_next(connection: Connection, between: bytes) -> None:
    frame = b'[2,"3","Heartbeat",{}]' + between + b'[2,"4","Heartbeat",{}]' + between
    first = called(connection.receive(frame))
    assert (first.id, first.frame, rules(first)[-1]) == ('"3"', Frame(frame.decode()), "T-40")
    second = called(connection.receive(connection.rest))
    assert (second.id, rules(second), connection.rest) == ('"4"', [], b"")


@pytest.mark.covers("T-40", "T-48")
@pytest.mark.parametrize("rest", [b"{}", b"x", b"]", b",7]"])
def test_what_follows_a_message_and_is_none_is_overlooked(connection: Connection, rest: bytes) -> None:
    assert rules(connection.receive(b'[2,"3","Heartbeat",{}]' + rest)) == ["T-40"]
    assert connection.rest == b""


@pytest.mark.covers("Q-26", "C-033")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stopTransaction", "StopTransaction"),
        (" Start_Transaction ", "StartTransaction"),
        ("MeterValues.req", "MeterValues"),
        ("StopTransactionRequest", "StopTransaction"),
    ],
)
def test_what_must_not_be_refused_is_known_in_other_letters(connection: Connection, said: str, meant: str) -> None:
    call = called(connection.receive(f'[2,"3","{said}",{{}}]'.encode()))
    assert (call.action, rules(call)) == (meant, ["Q-26"])


@pytest.mark.parametrize("said", ["heartbeat", "Heartbeat.req", "req", "", ".", "MeterValues.conf", "x" * 65])
def test_any_other_action_is_as_it_was_said(connection: Connection, said: str) -> None:
    call = called(connection.receive(f'[2,"3","{said}",{{}}]'.encode()))
    assert (call.action, rules(call)) == (said, [])


@pytest.mark.covers("Q-31", "C-032")
def test_a_message_type_may_be_text(connection: Connection) -> None:
    assert rules(connection.receive(b'["2","3","Heartbeat",{}]')) == ["Q-31"]


@pytest.mark.covers("T-47", "C-031", "C-032")
@pytest.mark.parametrize("frame", [b'[1,"x","y",{}]', b'[9,"x"]', b"[2]", b'[2,{},"Heartbeat",{}]', b"[[]]"])
def test_what_is_no_message_is_kept_and_not_answered(connection: Connection, frame: bytes) -> None:
    unread = connection.receive(frame)
    assert isinstance(unread, Unread)
    assert unread.frame == Frame(frame.decode())


@pytest.mark.covers("T-50", "Q-36", "C-037")
@pytest.mark.parametrize("frame", [b"", b"  ", b"\0", b"\r\n"])
def test_an_empty_frame_only_keeps_the_line_open(connection: Connection, frame: bytes) -> None:
    assert connection.receive(frame) is None


@pytest.mark.covers("T-48", "C-031")
@pytest.mark.parametrize("frame", [b"{}", b'"x"', b"GET / HTTP/1.1", b"[2", b"\xff\xfe", b"[" * 5000, b'[3,"x",'])
def test_what_is_no_json_array_is_kept_and_not_answered(connection: Connection, frame: bytes) -> None:
    assert isinstance(connection.receive(frame), Unread)


@pytest.mark.covers("T-48", "C-030", "C-034")
@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b'[2,"9","Heart', b'[4,"9",'),
        (b'[2,17,"Boot', b"[4,17,"),
        (b'[2,"x"]', b'[4,"x",'),
        (b'[2,"x",7,{}]', b'[4,"x",'),
        (b'[2,"x","Authorize",{"idTag":NaN}]', b'[4,"x",'),
        (b'[2,"x","Authorize",' + b"[" * 5000, b'[4,"x",'),
    ],
)
def test_a_broken_call_with_an_id_is_answered_with_an_error(
    connection: Connection, frame: bytes, answer: bytes
) -> None:
    broken = connection.receive(frame)
    assert isinstance(broken, Broken)
    assert broken.code == "FormationViolation"
    assert connection.refuse(broken.call, broken.code, broken.description).startswith(answer)


@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "MeterValues"])
def test_a_broken_transaction_message_is_a_call_all_the_same(connection: Connection, action: str) -> None:
    call = called(connection.receive(f'[2,"9","{action}",{{"connectorId":1,'.encode()))
    assert (call.id, call.action, call.payload, rules(call)) == ('"9"', action, b'{"connectorId":1}', ["Q-23", "T-48"])


@pytest.mark.covers("T-53")
def test_an_error_has_a_short_ascii_description_and_no_details(connection: Connection) -> None:
    call = called(connection.receive(b'[2,"x","Heartbeat",{}]'))
    said = msgspec.json.decode(connection.refuse(call, "GenericError", "é" * 300))
    assert said == [4, "x", "GenericError", "?" * 255, {}]


# ---- repetitions ----


@pytest.mark.covers("T-42")
def test_a_transaction_message_said_again_is_answered_the_same(connection: Connection) -> None:
    call = called(connection.receive(START))
    assert connection.receive(START) == Repeated(None)
    answer = connection.answer(call, b'{"transactionId":7}')
    assert connection.receive(START) == Repeated(answer)


@pytest.mark.covers("T-42", "Q-38")
def test_a_call_said_again_while_it_is_being_answered_is_no_new_one(connection: Connection) -> None:
    frame = b'[2,"x","Authorize",{"idTag":"A"}]'
    call = called(connection.receive(frame))
    assert connection.receive(frame) == Repeated(None)
    connection.answer(call, b"{}")
    assert rules(connection.receive(frame)) == [], "whether a token may charge can have changed since"


@pytest.mark.covers("T-42", "Q-28")
def test_another_call_under_the_same_id_is_a_new_one(connection: Connection) -> None:
    first = called(connection.receive(START))
    second = called(connection.receive(START.replace(b":1}", b":2}")))
    assert second.violations == (Violation("T-42", "the id of another call"),)
    assert connection.answer(first, b"{}") == b'[3,"5",{}]'
    assert connection.receive(START.replace(b":1}", b":2}")) == Repeated(None)


def test_only_the_last_calls_are_remembered(connection: Connection) -> None:
    called(connection.receive(START))
    for number in range(REMEMBERED):
        connection.receive(b'[2,"other %d","StartTransaction",{}]' % number)
    assert rules(connection.receive(START)) == []


# ---- our calls ----


@pytest.mark.covers("T-43")
def test_only_one_call_of_ours_is_open_at_a_time(connection: Connection) -> None:
    connection.ask(ask("a"))
    connection.ask(ask("b"))
    assert connection.next_ask(NOON) == ask("a")
    assert connection.next_ask(NOON) is None
    assert isinstance(connection.receive(b'[3,"a",{"status":"Accepted"}]'), Answered)
    assert connection.next_ask(NOON) == ask("b")


@pytest.mark.covers("C-041")
def test_the_stations_calls_are_heard_while_ours_is_open(connection: Connection) -> None:
    connection.ask(ask("a"))
    connection.next_ask(NOON)
    assert called(connection.receive(b'[2,"a","Heartbeat",{}]')).action == "Heartbeat"
    answered = connection.receive(b'[3,"a",{"status":"Accepted"}]')
    assert answered == Answered(ask("a"), b'{"status":"Accepted"}', Frame('[3,"a",{"status":"Accepted"}]'))


@pytest.mark.covers("Q-32")
@pytest.mark.parametrize("frame", [b'[3,"a"]', b'[3,"a",null]'])
def test_an_answer_may_be_empty(connection: Connection, frame: bytes) -> None:
    connection.ask(ask("a"))
    connection.next_ask(NOON)
    answered = connection.receive(frame)
    assert isinstance(answered, Answered)
    assert (answered.payload, rules(answered)) == (b"{}", ["Q-32"])


@pytest.mark.parametrize(
    ("frame", "code", "description", "violations"),
    [
        (b'[4,"a","NotSupported","no such thing",{}]', "NotSupported", "no such thing", []),
        (b'[4,"a"]', "", "", ["Q-33"]),
        (b'[4,"a","","",null]', "", "", ["Q-33"]),
        (b'[4,"a","GenericError"]', "GenericError", "", ["Q-33"]),
        (b'[4,"a",null,7]', "", "", ["Q-33"]),
        (b'[4,"a","not_supported","",{}]', "NotSupported", "", ["Q-33"]),
        (b'[4,"a","FormatViolation","",{}]', "FormationViolation", "", ["Q-33"]),
        (b'[4,"a","OccurrenceConstraintViolation","",{}]', "OccurenceConstraintViolation", "", ["Q-33"]),
        (b'[4,"a","TooHot","",{}]', "TooHot", "", ["Q-33"]),
        (b'[4,"a","GenericError","",{},7]', "GenericError", "", ["Q-33"]),
    ],
)
@pytest.mark.covers("T-53", "T-55", "Q-33", "C-044")
def test_any_error_refuses_our_call(
    connection: Connection, frame: bytes, code: str, description: str, violations: list[str]
) -> None:
    connection.ask(ask("a"))
    connection.next_ask(NOON)
    refused = connection.receive(frame)
    assert isinstance(refused, Refused)
    assert (refused.ask, refused.code, refused.description) == (ask("a"), code, description)
    assert ([violation.rule for violation in refused.violations], refused.frame) == (violations, Frame(frame.decode()))
    assert not connection.is_asking


@pytest.mark.covers("T-45", "Q-29")
def test_an_answer_under_another_id_is_taken_only_of_a_station_that_is_known_for_it(connection: Connection) -> None:
    connection.ask(ask("a"))
    connection.next_ask(NOON)
    assert isinstance(connection.receive(b'[3,"A ",{}]'), Unread)
    assert connection.is_asking
    connection.is_lenient = True
    answered = connection.receive(b'[3,"A ",{}]')
    assert isinstance(answered, Answered)
    assert (answered.ask, rules(answered), connection.is_asking) == (ask("a"), ["Q-29"], False)
    assert isinstance(connection.receive(b'[3,"b",{}]'), Unread), "no call is open"


@pytest.mark.covers("T-45")
def test_a_late_answer_is_not_taken_for_another_call(connection: Connection) -> None:
    connection.is_lenient = True
    for id in ("a", "b"):
        connection.ask(ask(id))
    connection.next_ask(NOON)
    connection.expire(NOON + timedelta(minutes=1))
    connection.next_ask(NOON)
    late = connection.receive(b'[3,"a",{}]')
    assert isinstance(late, Answered)
    assert (late.ask, late.late, connection.is_asking) == (ask("a"), True, True)


@pytest.mark.covers("T-44", "C-042")
def test_a_call_is_given_up_at_its_deadline_and_a_late_answer_still_known(connection: Connection) -> None:
    connection.ask(ask("a"))
    connection.ask(ask("b"))
    connection.next_ask(NOON)
    assert connection.expire(NOON) is None
    assert connection.deadline == NOON + timedelta(seconds=30)
    assert connection.expire(connection.deadline) == ask("a")
    connection.next_ask(NOON)
    late = connection.receive(b'[3,"a",{}]')
    assert isinstance(late, Answered)
    assert late.late
    assert connection.is_asking, "a late answer leaves the other call alone"
    assert isinstance(connection.receive(b'[3,"a",{}]'), Unread), "twice is once too often"


@pytest.mark.covers("T-44", "C-042")
def test_an_answer_to_nothing_is_kept(connection: Connection) -> None:
    assert rules(connection.receive(b'[3,"nobody asked",{}]')) == ["T-44"]
    assert rules(connection.receive(b'[4,17,"","",{}]')) == ["T-44"]


def test_few_late_answers_are_waited_for(connection: Connection) -> None:
    for number in range(REMEMBERED + 1):
        connection.ask(ask(str(number)))
        connection.next_ask(NOON)
        connection.expire(NOON + timedelta(minutes=1))
    assert isinstance(connection.receive(b'[3,"0",{}]'), Unread)
    assert isinstance(connection.receive(b'[3,"1",{}]'), Answered)


def test_calls_not_worth_sending_any_more_leave_the_queue(connection: Connection) -> None:
    connection.ask(ask("a", expires_at=NOON))
    connection.ask(ask("b"))
    assert connection.overdue(NOON) == [ask("a", expires_at=NOON)]
    assert connection.overdue(NOON) == []
    assert connection.next_ask(NOON) == ask("b")


@pytest.mark.covers("T-46")
def test_the_end_of_a_connection_abandons_its_calls(connection: Connection) -> None:
    connection.ask(ask("a"))
    connection.ask(ask("b"))
    connection.next_ask(NOON)
    assert connection.abandon() == (ask("a"), [ask("b")])
    assert connection.abandon() == (None, [])


def test_what_is_secret_in_our_call_is_not_kept_in_its_answer(connection: Connection) -> None:
    connection.ask(ask("a", secret="04A1B2C3"))
    connection.next_ask(NOON)
    refused = connection.receive(b'[4,"a","GenericError","no 04A1B2C3 here",{"idTag":"04a1b2c3"}]')
    assert isinstance(refused, Refused)
    assert refused.frame == Frame('[4,"a","GenericError","no *** here",{"idTag":"***"}]')
    assert refused.description == "no *** here"


def test_what_is_secret_is_not_kept_where_bytes_are_no_utf_8(connection: Connection) -> None:
    connection.ask(ask("a", secret="04A1B2C3"))
    connection.next_ask(NOON)
    answered = connection.receive(b'[3,"a",{"status":"Accepted","who":"04a1b2c3\xe9"}]')
    assert isinstance(answered, Answered)
    assert answered.frame == Frame(base64=b'[3,"a",{"status":"Accepted","who":"***\xe9"}]')


def test_our_calls_have_four_elements() -> None:
    class Reset(msgspec.Struct):
        type: str

    assert call_frame("a", "Reset", Reset("Soft")) == b'[2,"a","Reset",{"type":"Soft"}]'


@pytest.mark.covers("C-106")
@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b'[2,"1","StopTransaction",' + tail))
def test_no_frame_is_too_strange(data: bytes) -> None:
    happening = Connection().receive(data)
    if data.startswith(b'[2,"1","StopTransaction",'):
        assert isinstance(happening, Call)
        assert happening.id == '"1"'
