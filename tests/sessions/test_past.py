from uuid import UUID

from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.event import SessionId, TransactionId
from services.sessions import past
from services.sessions.past import KEPT, ROW, Past
from tests.sessions.says import OTHER, session_of, start

SAID = past.digest(start().event, None, 1000)
ONE = session_of("one")


def added(count: int) -> bytes:
    table = b""
    for n in range(1, count + 1):
        table = past.add(table, n.to_bytes(16), session_of(str(n)), TransactionId(str(n)))
    return table


def test_a_start_is_found_by_what_it_said() -> None:
    table = past.add(b"", SAID, ONE, TransactionId("7"))
    assert past.find(table, SAID) == Past(ONE, TransactionId("7"), None)
    assert past.find(table, past.digest(start(minutes=1).event, None, 1000)) is None


def test_what_a_former_release_remembers_of_a_start_is_found_by_this_one() -> None:
    assert SAID.hex() == "25525c22d632550f33010cd74b3be54b"


def test_everything_a_start_says_tells_it_from_others() -> None:
    others = [start(evse=2), start(token=OTHER), start(minutes=1)]
    digests = {
        SAID,
        past.digest(start().event, None, None),
        *(past.digest(other.event, None, 1000) for other in others),
    }
    assert len(digests) == 5


def test_what_was_told_and_the_last_name_are_remembered() -> None:
    table = past.add(b"", SAID, ONE, TransactionId("7"))
    table = past.rename(past.tell(table, ONE, "Blocked"), ONE, TransactionId("1073741999"))
    assert past.find(table, SAID) == Past(ONE, TransactionId("1073741999"), "Blocked")


def test_a_start_is_found_by_its_name_and_whether_it_was_stopped() -> None:
    table = past.stop(added(300), session_of("255"))
    table = past.tell(table, session_of("255"), "Blocked")
    assert past.called(table, TransactionId("255")) == Past(session_of("255"), TransactionId("255"), "Blocked", True)
    assert past.called(table, TransactionId("256")) == Past(session_of("256"), TransactionId("256"), None)
    assert past.called(table, TransactionId("301")) is None
    assert past.called(table, TransactionId("-1")) is None


def test_of_two_starts_with_one_name_the_newer_is_found() -> None:
    table = past.rename(added(3), session_of("3"), TransactionId("1"))
    found = past.called(table, TransactionId("1"))
    assert found is not None
    assert found.session == session_of("3")


def test_a_name_the_station_made_up_is_not_kept() -> None:
    for name in ("a-b-c", str(2**31), "9" * 11, "٧"):
        assert past.find(past.add(b"", SAID, ONE, TransactionId(name)), SAID) == Past(ONE, None, None)


def test_the_oldest_of_too_many_are_dropped() -> None:
    table = added(KEPT + 3)
    assert len(table) == KEPT * ROW.size
    assert past.find(table, (3).to_bytes(16)) is None
    assert past.find(table, (4).to_bytes(16)) == Past(session_of("4"), TransactionId("4"), None)


def test_what_is_said_of_a_forgotten_session_changes_nothing() -> None:
    table = added(3)
    assert past.tell(table, ONE, "Blocked") == past.rename(table, ONE, TransactionId("9")) == table


@given_any(st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=20), st.integers(0, 19))
def test_bytes_that_straddle_two_rows_are_no_row(digests: list[bytes], which: int) -> None:
    table = b""
    for n, said in enumerate(digests):
        table = past.add(table, said, SessionId(session_of(str(n))), TransactionId("0"))
    for n, said in enumerate(digests):
        assert past.find(table, said) == Past(session_of(str(n)), None, None)
    inside = table[which + 1 : which + 17]
    if len(inside) == 16 and inside not in digests:
        assert past.find(table, inside) is None


def test_a_session_whose_id_another_start_digests_to_is_found_in_its_own_row() -> None:
    table = past.add(
        past.add(b"", UUID(ONE).bytes, session_of("two"), TransactionId("2")), SAID, ONE, TransactionId("1")
    )
    assert past.find(past.tell(table, ONE, "Blocked"), SAID) == Past(ONE, TransactionId("1"), "Blocked")


def test_two_blocks_never_have_one_name() -> None:
    table = b"".join(past.add(b"", bytes(16), session_of(str(n)), TransactionId("0")) for n in range(40))
    found = list(past.blocks(table))
    assert b"".join(rows for _, rows in found) == table
    assert len(dict(found)) == len(found) == 2
