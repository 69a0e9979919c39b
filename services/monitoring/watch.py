"""What the rules know of one partition of one topic. Pure, like the rules."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from contracts.alerts import AlertEvent, AlertRule
from contracts.event import Event, Message
from contracts.topics import AUTHORIZATIONS, OPERATIONS, READINGS, SESSIONS, STATIONS, Topic, of_station
from services.monitoring import domain
from services.monitoring.domain import NOTHING, Limits, Seen, Starts, Subject

RULES: dict[str, tuple[AlertRule, ...]] = {
    STATIONS.name: ("repeated_faults", "flapping_connection", "identity_conflict", "reconnect_loop"),
    AUTHORIZATIONS.name: ("refused_starts",),
    OPERATIONS.name: ("failed_starts",),
    SESSIONS.name: ("charging_refused",),
    READINGS.name: ("silent_meter", "wrong_clock"),
}
"""Which topic each rule hears."""
SWEEP_EVERY = timedelta(minutes=5)


def horizon(topic: Topic[Any], limits: Limits) -> timedelta:
    """Return how far back a record of this topic can matter."""
    windows = max(limits[rule].within for rule in RULES[topic.name])
    return windows + (domain.REMEMBERED if topic in {OPERATIONS, SESSIONS} else timedelta(minutes=1))


class Watch:
    """The subjects of one partition, as far as they matter now."""

    def __init__(self, topic: Topic[Any], limits: Limits) -> None:
        self._rules = RULES[topic.name]
        self._limits = limits
        self._seen: dict[Subject, Seen] = {}
        self._starts: dict[str, Starts] = {}
        self._decided: dict[Subject, int] = {}
        """Up to which offset alerts that were written before have been decided on."""
        self._alerts: set[str] = set()
        self._swept_at: datetime | None = None

    def follow(self, fact: AlertEvent) -> None:
        """Take in an alert that has been written before; a repetition says nothing."""
        id, about = domain.id_of(fact), domain.subject_of(fact)
        if fact.rule in self._rules and id not in self._alerts:
            self._alerts.add(id)
            self._seen[about] = domain.followed(self._seen.get(about, NOTHING), fact)
            self._decided[about] = max(fact.place, self._decided.get(about, -1))

    def remember(self, message: Message[Any]) -> None:
        """Hear what has been decided on before."""
        if what := self._happening(message):
            before = self._seen.get(what.subject, NOTHING)
            self._seen[what.subject] = domain.remembered(before, what, self._limits[what.subject.rule])

    def hear(self, message: Message[Any]) -> list[tuple[str, Event]]:
        """Return the alerts that follow from a message."""
        what = self._happening(message)
        self._sweep(message.recorded_at)
        if what is None:
            return []
        before, limit = self._seen.get(what.subject, NOTHING), self._limits[what.subject.rule]
        if what.place <= self._decided.get(what.subject, -1):
            self._seen[what.subject] = domain.remembered(before, what, limit)
            return []
        self._seen[what.subject], alerts = domain.counted(before, what, limit)
        return _named(alerts)

    def pass_time(self, until: datetime, place: int) -> list[tuple[str, Event]]:
        """Return the alerts that end by this moment, and forget what no longer matters."""
        ended: list[AlertEvent] = []
        for about, before in list(self._seen.items()):
            if place < self._decided.get(about, -1):
                continue  # it has been decided on by more than we have heard again
            limit = self._limits[about.rule]
            self._seen[about], alerts = domain.passed(before, about, until, place, limit)
            ended += alerts
            if domain.is_over(self._seen[about], until, limit):
                del self._seen[about]
        return _named(sorted(ended, key=lambda alert: alert.at))

    def _sweep(self, now: datetime) -> None:
        """Now and then forget the subjects that have been quiet, so that not every station stays."""
        self._swept_at = self._swept_at or now
        if now - self._swept_at < SWEEP_EVERY:
            return
        self._swept_at = now
        over = [
            about
            for about, seen in self._seen.items()
            if domain.is_over(seen, now - SWEEP_EVERY, self._limits[about.rule])
        ]
        for about in over:
            del self._seen[about]

    def deadline(self) -> datetime | None:
        """Return when the next alert ends, if nothing more happens."""
        ends = (domain.deadline(seen, self._limits[about.rule]) for about, seen in self._seen.items())
        return min((end for end in ends if end is not None), default=None)

    def _happening(self, message: Message[Any]) -> domain.Happening | None:
        """Return what a message is to the rules that hear this topic."""
        key = of_station(message.event)
        starts = self._starts.get(key, {})
        what = domain.happening(message, starts)
        if after := domain.started(starts, message):
            self._starts[key] = after
        else:
            self._starts.pop(key, None)
        return what if what and what.subject.rule in self._rules else None


def _named(alerts: Iterable[AlertEvent]) -> list[tuple[str, Event]]:
    return [(domain.id_of(alert), alert) for alert in alerts]
