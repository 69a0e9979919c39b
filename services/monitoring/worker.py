"""What monitoring reads and writes."""

from datetime import timedelta

from chassis import windows
from chassis.service import Service
from chassis.settings import Settings
from chassis.windows import Windows
from contracts.topics import ALERTS, AUTHORIZATIONS, OPERATIONS, READINGS, SESSIONS, STATIONS
from services.monitoring import domain
from services.monitoring.domain import Limit, Limits
from services.monitoring.watch import Watch, horizon

INPUTS = (STATIONS, AUTHORIZATIONS, OPERATIONS, SESSIONS, READINGS)
ONCE = Limit(1, timedelta(hours=1))
"""For what is no matter of how often."""


def limits_of(settings: Settings) -> Limits:
    """Return how much is too much, as the deployment says."""
    return {
        "repeated_faults": Limit(settings.alert_faults, timedelta(seconds=settings.alert_faults_within_s)),
        "flapping_connection": Limit(
            settings.alert_connections, timedelta(seconds=settings.alert_connections_within_s)
        ),
        "identity_conflict": Limit(1, timedelta(seconds=settings.alert_connections_within_s)),
        "reconnect_loop": Limit(1, timedelta(seconds=settings.alert_connections_within_s)),
        "refused_starts": Limit(
            settings.alert_refused_starts, timedelta(seconds=settings.alert_refused_starts_within_s)
        ),
        "failed_starts": Limit(settings.alert_failed_starts, timedelta(seconds=settings.alert_failed_starts_within_s)),
        "charging_refused": ONCE,
        "silent_meter": ONCE,
        "wrong_clock": ONCE,
    }


def build(settings: Settings) -> Windows:
    """Return the windows of monitoring."""
    limits = limits_of(settings)
    return Windows(
        name="monitoring",
        inputs=INPUTS,
        output=ALERTS,
        hears=domain.HEARD,
        watch=lambda topic: Watch(topic, limits),
        horizon={topic.name: horizon(topic, limits) for topic in INPUTS},
        lasting=domain.LONGEST,
    )


async def serve(settings: Settings, service: Service) -> None:
    """Watch until asked to stop."""
    await windows.run(build(settings), settings, service.ready, service.stopping)
