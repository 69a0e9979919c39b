"""How fast billing prices sessions and follows running ones, beside a bare JSON decode of what it is told."""

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from time import process_time
from typing import Any

import msgspec

from benchmarks.bills import BEGIN, ONE, TENANT, cdr, over, tariff, usage
from benchmarks.harness import Figure, Ground, Mark, compared
from contracts.event import SiteId, StationId, TokenId, TransactionId
from contracts.reference import TariffVersion
from contracts.sessions import EnergyDelivered, SessionStarted
from contracts.tariffs import Policy
from services.billing import domain
from services.billing.heard import Assigned, Heard
from services.billing.state import State

SAMPLES, SESSIONS = 60, 1_000
OPEN, UPDATES = 4_000, 5


async def measure(ground: Ground) -> list[Figure]:
    """Return CDRs per CPU-second of one core, and running costs per CPU-second with thousands of sessions open."""
    session, text = over(SAMPLES), msgspec.json.encode(usage(SAMPLES))
    floors, ours = [], []
    for run in range(ground.runs):
        floors.append(per_second(SESSIONS, lambda: msgspec.json.decode(text)))
        ours.append(per_second(SESSIONS, lambda: cdr(session)))
        ground.say(f"run {run + 1}: {ours[-1]:,.0f} CDRs beside {floors[-1]:,.0f} decoded inputs per CPU-second")
    return [
        Figure("pricing.rate", max(ours), "CDRs per CPU-second, 60 samples each (TAR-36)", mark=Mark(at_least=2000)),
        compared(
            "pricing", "CDRs per CPU-second, 60 samples each; the floor: a bare JSON decode of them", ours, floors
        ),
        *running(ground),
    ]


def per_second(times: int, work: Any) -> float:
    begun = process_time()
    for _ in range(times):
        work()
    return times / (process_time() - begun)


def running(ground: Ground) -> list[Figure]:
    """Return how fast the costs of thousands of open sessions follow."""
    floors, ours = [], []
    for run in range(max(1, ground.runs // 2)):
        states, heard = opened(), [delivered(number) for number in range(UPDATES)]
        text = [msgspec.json.encode(each.event) for each in heard]
        floors.append(per_second(OPEN, lambda texts=text: [decoded(each) for each in texts]) * UPDATES)
        ours.append(followed(states, heard))
        ground.say(f"run {run + 1}: {ours[-1]:,.0f} running costs beside {floors[-1]:,.0f} decoded reports")
    unit = f"running costs per CPU-second, {OPEN:,} sessions open; the floor: a bare JSON decode"
    return [compared("pricing.running", unit, ours, floors)]


def decoded(text: bytes) -> Any:
    return msgspec.json.decode(text)


def opened() -> list[State]:
    """Return stations at each of which a session has begun."""
    version = TariffVersion(
        at=BEGIN, tenant=TENANT, version=1, id="AC", tariff=tariff(), policy=Policy(), valid_from=BEGIN
    )
    begun = SessionStarted(
        at=BEGIN, tenant=TENANT, station=StationId("CP-1"), session=ONE, report="r", transaction=TransactionId("1"), evse=1,
        connector=1, token=TokenId("0123456789abcdef" * 2), site=SiteId("harbour"), time_zone="Europe/Oslo",
    )  # fmt: skip
    bound = domain.decide(domain.initial, Heard(begun, BEGIN, Assigned("tenant", version)))
    return [reduce(domain.evolve, bound, domain.initial) for _ in range(OPEN)]


def delivered(number: int) -> Heard[EnergyDelivered]:
    at = BEGIN + timedelta(minutes=number + 1)
    event = EnergyDelivered(
        at=at, tenant=TENANT, station=StationId("CP-1"), session=ONE, energy_wh=180 * (number + 1), meter_wh=5000
    )
    return Heard(event, at)


def followed(states: list[State], heard: Sequence[Heard[EnergyDelivered]]) -> float:
    """Return running costs per CPU-second; each session hears a report before any hears the next."""
    begun, costs = process_time(), 0
    for one in heard:
        for number, state in enumerate(states):
            events = domain.decide(state, one)
            states[number] = reduce(domain.evolve, events, state)
            costs += len(events)
    return costs / (process_time() - begun)
