"""What a person should look at. Written by monitoring only."""

from typing import Literal

from contracts.event import AlertId, Instant, OfStation

AlertRule = Literal[
    "repeated_faults", "flapping_connection", "identity_conflict", "reconnect_loop", "refused_starts", "failed_starts",
    "charging_refused", "silent_meter", "wrong_clock",
]  # fmt: skip
"""What was counted: faults of a connector, connections, suspicions that two devices share an identity, suspicions that a station
leaves because of what we say, starts with a refused token, remote starts that came to nothing, energy that flows more than a minute after its token was refused,
meters that are not read any more, clocks that are off."""


class OfAlert(OfStation, frozen=True, kw_only=True):
    """A step in the life of an alert. A repetition has the same `ce_id`."""

    alert: AlertId
    rule: AlertRule
    evse: int | None = None
    """Of a rule that counts per connector; None: the station as a whole."""
    connector: int | None = None
    place: int
    """Up to which offset of the rule's topic, in this partition number, had been heard: what lies beyond is yet to be decided."""


class AlertRaised(OfAlert, frozen=True, kw_only=True):
    """Something has happened too often in too short a time. `at` is when the last of it did."""

    since: Instant
    """When the first of what was counted happened: the window's start."""
    count: int
    within_s: int
    """The window's length: so much quiet clears the alert again."""
    detail: str = ""
    """What the last of it was, in words."""


class AlertCleared(OfAlert, frozen=True, kw_only=True):
    """It has been quiet for as long as the window is, or a day has passed: what goes on then is a new alert."""

    reason: Literal["quiet", "a_day_has_passed"]


AlertEvent = AlertRaised | AlertCleared
