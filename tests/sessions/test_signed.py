"""What meters sign is kept for ever, byte for byte."""

from contracts.sessions import SignedValueTaken
from contracts.stations import Sample
from tests.sessions.says import Heeded, meters, reading, session_of, start, stop

SIGNED = 'OCMF|{"PG":"T1","RV":1.500}|{"SD":"00"}'


def value(context: str) -> Sample:
    return Sample(SIGNED, context=context, signed=True)


def test_a_signed_value_is_kept_as_it_came() -> None:
    log = Heeded(start())
    events = log.hear(meters(reading(1100, value("Transaction.Begin"))))
    [taken] = [event for event in events if isinstance(event, SignedValueTaken)]
    assert (taken.data, taken.context, taken.session, taken.evse) == (
        SIGNED,
        "Transaction.Begin",
        session_of("start"),
        1,
    )


def test_a_stop_may_bring_one() -> None:
    log = Heeded(start())
    events = log.hear(stop(readings=[reading(value("Transaction.End"), minutes=60)]))
    [taken] = [event for event in events if isinstance(event, SignedValueTaken)]
    assert (taken.context, taken.session) == ("Transaction.End", session_of("start"))


def test_what_belongs_to_no_session_is_in_the_readings_alone() -> None:
    events = Heeded().hear(meters(reading(value("Sample.Clock")), transaction=None))
    assert not [event for event in events if isinstance(event, SignedValueTaken)]
