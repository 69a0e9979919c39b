"""Simulated charging stations. A second of their life counts as a minute at their meters: a charge of a minute has some kWh.

Each lives on its own: it boots, says what its connector does, gives signs of life, charges what it is asked to, and keeps what
it could not say about a transaction until its network is there again, with the times at which it happened.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ocpp.v16 import call
from ocpp.v16.datatypes import MeterValue, SampledValue
from ocpp.v16.enums import (
    AuthorizationStatus,
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Reason,
    RegistrationStatus,
    UnitOfMeasure,
)

from chassis import clock
from deploy.local.network import RETRY_S, Misspoken, Network, Offline, Payload

PACE = 60
"""How much faster than a clock the meters run."""
SAMPLE_EVERY_S = 3.0

Tell = Callable[[str, str, str], None]
"""Hears what a person may want to know: of which station, a sentence, and the path of the REST API that shows it, if any."""


@dataclass
class Model:
    """What a station is like."""

    vendor: str
    name: str
    max_w: int
    unit: UnitOfMeasure = UnitOfMeasure.wh
    """Of its meter's samples. Starts and stops are always Wh."""
    firmware: str = "1.4.2"


@dataclass
class Charge:
    """A charge as the station sees it."""

    card: str
    seconds: float = 0
    transaction: int | None = None
    """Known once the start has been answered."""
    authorized: bool = True
    why: Reason = Reason.ev_disconnected
    """Why it ends."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end it before its time."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Kept:
    """A message about a transaction: it waits until it has been answered."""

    payload: Payload
    charge: Charge
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Station:
    """A station with one connector. `run` is its life; what it charges is asked of it by `begin`."""

    def __init__(self, identity: str, url: str, password: str, model: Model, dice: random.Random, tell: Tell) -> None:
        self.identity, self.model = identity, model
        self.charge: Charge | None = None
        self.complaints: list[str] = []
        self.network = Network(identity, url, password, dice, self)
        self._dice, self._tell = dice, tell
        self._booted = False
        self._kept: deque[Kept] = deque()
        self._more = asyncio.Event()
        self._wanted: asyncio.Queue[Charge] = asyncio.Queue()
        self._status = ChargePointStatus.available
        self._register_wh = float(dice.randrange(100_000, 9_000_000))

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.network.run())
            tasks.create_task(self._deliver_for_ever())
            tasks.create_task(self._charge_for_ever())

    # ---- what its network asks of it -------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Boot, if it has not yet, and say how the connector is."""
        while not self._booted:
            answer = await self.network.ask(
                call.BootNotification(
                    charge_point_vendor=self.model.vendor,
                    charge_point_model=self.model.name,
                    charge_point_serial_number=f"{self.identity}-7F",
                    firmware_version=self.model.firmware,
                )
            )
            self._booted = answer.status == RegistrationStatus.accepted
            if not self._booted:
                await asyncio.sleep(min(answer.interval, RETRY_S))
        await self._say_status()

    async def alive(self) -> None:
        await self.network.ask(call.Heartbeat())

    def asked_to_start(self, card: str) -> bool:
        """Begin a charge for somebody far away."""
        return self.begin(card, seconds=300)

    def asked_to_stop(self, transaction: int) -> bool:
        """End a charge for somebody far away."""
        if self.charge is None or self.charge.transaction != transaction:
            return False
        self.end(Reason.remote)
        return True

    def complain(self, what: str) -> None:
        """Note that the other side did what OCPP does not allow."""
        self.complaints.append(what)
        self._tell(self.identity, f"complains of {what}", f"/v1/stations/{self.identity}/frames")

    # ---- what it keeps ---------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many messages have not been delivered."""
        return len(self._kept)

    def say(self, payload: Payload, charge: Charge) -> None:
        """Say something about a transaction: now, or whenever the network is there."""
        self._kept.append(Kept(payload, charge))
        self._more.set()

    async def until_delivered(self) -> None:
        """Return when nothing is left to be said about transactions."""
        for kept in list(self._kept):
            await kept.done.wait()

    async def _deliver_for_ever(self) -> None:
        """Deliver in order; what has not been answered is said again (OCPP 1.6 §3.7)."""
        while True:
            await self._more.wait()
            await self.network.online.wait()
            try:
                while self._kept:
                    await self._deliver(self._kept[0])
                    self._kept.popleft().done.set()
                self._more.clear()
            except (Offline, Misspoken):
                await asyncio.sleep(0.5)

    async def _deliver(self, kept: Kept) -> None:
        payload, charge = kept.payload, kept.charge
        if isinstance(payload, call.StopTransaction | call.MeterValues) and charge.transaction is not None:
            payload = replace(payload, transaction_id=charge.transaction)
        answer = await self.network.ask(payload)
        if isinstance(payload, call.StartTransaction):
            charge.transaction = answer.transaction_id
            charge.authorized = answer.id_tag_info["status"] == AuthorizationStatus.accepted

    # ---- charging --------------------------------------------------------------------------------------------------

    def begin(self, card: str, seconds: float) -> bool:
        """Let a charge begin that lasts so long; returns whether the connector is free for it."""
        if self.charge is not None:
            return False
        self.charge = Charge(card, seconds)
        self._wanted.put_nowait(self.charge)
        return True

    def end(self, why: Reason) -> None:
        """Let the charge end, if there is one."""
        if self.charge is not None:
            self.charge.why = why
            self.charge.stop.set()

    async def present(self, card: str) -> str:
        """Hold a card before the reader; returns what was said of it. Raises `Offline`, `Misspoken`."""
        answer = await self.network.ask(call.Authorize(id_tag=card))
        return str(answer.id_tag_info["status"])

    async def until_free(self) -> None:
        while self.charge is not None:
            await self.charge.over.wait()
            await asyncio.sleep(0)

    async def _charge_for_ever(self) -> None:
        while True:
            charge = await self._wanted.get()
            await self._become(ChargePointStatus.preparing)
            self.say(self._start(charge, clock.now()), charge)
            await self._become(ChargePointStatus.charging)
            await self._draw(charge)
            self.say(self._stop(charge, clock.now()), charge)
            await self._become(ChargePointStatus.finishing)
            await self._become(ChargePointStatus.available)
            self.charge = None
            charge.over.set()

    async def _draw(self, charge: Charge) -> None:
        """Draw current until the car leaves, somebody ends it, or the card is refused (OCPP 1.6 §5.14)."""
        watts = self.model.max_w * self._dice.uniform(0.55, 0.95)
        for _ in range(max(1, round(charge.seconds / SAMPLE_EVERY_S))):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAMPLE_EVERY_S):
                    await charge.stop.wait()
            if charge.stop.is_set():
                return
            watts *= self._dice.uniform(0.94, 1.02)
            self._register_wh += watts * SAMPLE_EVERY_S * PACE / 3600
            if not charge.authorized:
                charge.why = Reason.de_authorized
                return
            self.say(self._values(clock.now(), watts), charge)

    def charged_alone(self, card: str, ago: timedelta, minutes: int) -> None:
        """Have charged without a network, some time ago: start, readings and stop wait to be delivered."""
        charge, began, watts = Charge(card), clock.now() - ago, self.model.max_w * 0.8
        self.say(self._start(charge, began), charge)
        for minute in range(5, minutes, 5):
            self._register_wh += watts * 5 / 60
            self.say(self._values(began + timedelta(minutes=minute), watts), charge)
        self.say(self._stop(charge, began + timedelta(minutes=minutes)), charge)

    def stop_unheard_of(self, transaction: int) -> None:
        """Deliver a stop from a former life: nobody knows its transaction."""
        self.say(self._stop(Charge("", transaction=transaction, why=Reason.power_loss), clock.now()), Charge(""))

    def _start(self, charge: Charge, at: datetime) -> Payload:
        meter = round(self._register_wh)
        return call.StartTransaction(connector_id=1, id_tag=charge.card, meter_start=meter, timestamp=said(at))

    def _stop(self, charge: Charge, at: datetime) -> Payload:
        return call.StopTransaction(
            meter_stop=round(self._register_wh),
            timestamp=said(at),
            transaction_id=-1 if charge.transaction is None else charge.transaction,
            id_tag=charge.card if charge.why is Reason.local else None,
            reason=charge.why,
        )

    def _values(self, at: datetime, watts: float) -> Payload:
        kilo = self.model.unit is UnitOfMeasure.kwh
        register = f"{self._register_wh / 1000:.3f}" if kilo else f"{self._register_wh:.0f}"
        sampled = [
            SampledValue(register, measurand=Measurand.energy_active_import_register, unit=self.model.unit),
            SampledValue(f"{watts:.0f}", measurand=Measurand.power_active_import, unit=UnitOfMeasure.w),
        ]
        return call.MeterValues(connector_id=1, meter_value=[MeterValue(said(at), sampled)])

    async def _become(self, status: ChargePointStatus) -> None:
        self._status = status
        if self.network.online.is_set():
            with contextlib.suppress(Offline, Misspoken):  # it is said when the network is there again
                await self._say_status()
        await asyncio.sleep(self._dice.uniform(0.2, 1))

    async def _say_status(self) -> None:
        now = said(clock.now())
        fine = ChargePointErrorCode.no_error
        await self.network.ask(call.StatusNotification(1, fine, self._status, timestamp=now))


def said(at: datetime) -> str:
    """Return a moment as stations write it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
