"""What a station with a long history writes into the log: little, and always all of it."""

from typing import Any

from chassis.parts import Form, Found, part_key
from chassis.settings import Settings
from services.sessions import domain, worker
from services.sessions.state import Station
from tests.sessions.says import decision, meters, reading, session_of, start, stop

KEY = b"acme/ST1"
SESSIONS = 700


class Log:
    """The state topic and the station that writes it."""

    def __init__(self) -> None:
        self.form = Form(worker.build(Settings()))
        self.state: Station = domain.initial
        self.records: dict[bytes, bytes] = {}

    def hear(self, heard: Any) -> int:
        """Return how many bytes follow from a message."""
        before = self.state
        for event in domain.decide(self.state, heard):
            self.state = domain.evolve(self.state, event)
        written = self.form.write(KEY, self.state, before)
        for key, value in written.items():
            self.records.pop(key, None)
            if value is not None:
                self.records[key] = value
        return sum(len(key) + len(value or b"") for key, value in written.items())

    def read(self) -> tuple[Station, bool]:
        found = Found()
        for key, value in self.records.items():
            found.take(key, value)
        return self.form.read(found.states[KEY], found.parts[KEY])


def test_a_long_history_is_not_written_again_with_every_frame() -> None:
    log, read = Log(), 0
    for n in range(1, SESSIONS + 1):
        first = 100 * n
        log.hear(start(f"start {n}", minutes=first, meter_wh=n))
        log.hear(decision(f"start {n}"))
        read = log.hear(meters(reading(n + 1, minutes=first + 1), report=f"read {n}", transaction=str(n)))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=first + 2, meter_wh=n + 2))
    assert log.form.size(log.state) > 30_000
    assert read < 1_500
    assert log.read() == (log.state, True)
    assert log.records == log.form.write(KEY, log.state)
    end = log.hear(start("one more", minutes=100_000, meter_wh=5000))
    assert end < 6_000


def test_a_closed_session_is_a_record_until_it_is_forgotten() -> None:
    log = Log()
    log.hear(start("start"))
    log.hear(stop("stop"))
    key = part_key(f"closed.{session_of('start')}", KEY)
    assert key in log.records
    for n in range(2, 20):
        log.hear(start(f"start {n}", minutes=100 * n))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=100 * n + 1))
    assert key not in log.records
