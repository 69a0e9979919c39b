"""A whole Voltstream on this machine, and its users: whoever speaks REST, and stations."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import SecretStr

from chassis import clock
from chassis.broker import free_port
from chassis.clickhouse import ClickHouse, connect
from chassis.kafka import TopicPartition, full, plain_consumer
from chassis.settings import Settings
from deploy.local.part import CHECKOUT
from deploy.local.system import SERVICES, System, build
from tests.station import Station, Transaction, TurnedAway

T = TypeVar("T")

NAMES = (*SERVICES, "gateway-2")
WITHIN_S = 90.0
"""How long a fact may take to show. Generous: what is late is not wrong."""
SITE = "harbour"


async def until(look: Callable[[], Awaitable[T | None]], what: str, *, within: float = WITHIN_S) -> T:
    """Return what `look` sees as soon as it sees something."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while (found := await look()) is None:
        assert loop.time() < end, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.05)
    return found


def said(moment: datetime) -> str:
    """Return a moment as stations write it."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def ago(**how_long: float) -> datetime:
    """Return a moment that lies so far back, in whole seconds."""
    return clock.now().replace(microsecond=0) - timedelta(**how_long)


def settings() -> Settings:
    """A deployment whose every port is free, and that says in its logs whatever it can."""
    return Settings(
        kafka="127.0.0.1:0",
        clickhouse=SecretStr(f"http://127.0.0.1:{free_port()}/voltstream"),
        partitions=4,
        ocpp_port=0,
        api_port=0,
        log_level="debug",
        cdr_hold_s=0.5,
        alert_faults_within_s=6,
    )


class Token(NamedTuple):
    """An id token: what a card says, and what we call it."""

    uid: str
    id: str


class Raw(NamedTuple):
    """A record as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Rest:
    """The REST API, as a program with one key sees it."""

    def __init__(self, base: str, key: str) -> None:
        self.client = httpx.AsyncClient(
            base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=40, trust_env=False
        )

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Make a request; it is made again, under the same Idempotency-Key, while the API says 503 or is away."""
        key = {} if method == "GET" else {"Idempotency-Key": uuid4().hex}

        async def once() -> httpx.Response | None:
            try:
                response = await self.client.request(
                    method, path, json=body, params=query, headers=key, follow_redirects=False
                )
            except httpx.TransportError:
                return None
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        return await until(once, f"{method} {path}")

    async def get(self, path: str, **query: Any) -> Any:
        return _good(await self.ask("GET", path, **query))

    async def put(self, path: str, body: Any) -> Any:
        return _good(await self.ask("PUT", path, body))

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return _good(await self.ask("POST", path, body, **query))

    async def delete(self, path: str, **query: Any) -> Any:
        return _good(await self.ask("DELETE", path, **query))

    # ---- what is there ----

    async def station(self, identity: str) -> Any:
        return await self.get(f"/v1/stations/{quote(identity, safe='')}")

    async def sessions(self, identity: str) -> list[Any]:
        """Return all sessions of a station, the one that began first at the front."""
        found = (await self.get("/v1/sessions", station=identity))["items"]
        return sorted(found, key=lambda each: datetime.fromisoformat(each["started_at"] or each["ended_at"]))

    async def until_sessions(self, identity: str, *states: str) -> list[Any]:
        """Return a station's sessions, in the order of their starts, once they have these states."""

        async def look() -> list[Any] | None:
            found = await self.sessions(identity)
            return found if [session["state"] for session in found] == list(states) else None

        return await until(look, f"sessions of {identity} that are {states}")

    async def until_station(self, identity: str, holds: Callable[[Any], bool], what: str, within: float = 40) -> Any:
        """Return a station once `holds` says so of it."""

        async def look() -> Any:
            station = await self.station(identity)
            return station if holds(station) else None

        return await until(look, f"station {identity}: {what}", within=within)

    async def until_command(self, id: str, *states: str) -> Any:
        """Return a command once it is in one of these states."""

        async def look() -> Any:
            command = await self.get(f"/v1/commands/{id}")
            return command if command["state"] in states else None

        return await until(look, f"command {id} that is {states}")

    async def everything(self, path: str) -> list[Any]:
        """Return all items of a list, over all pages."""
        items: list[Any] = []
        page = await self.get(path, limit=500)
        while page["items"]:
            items += page["items"]
            if page["next_cursor"] is None:
                break
            page = await self.get(path, limit=500, cursor=page["next_cursor"])
        return items

    # ---- what is made ----

    async def register(self, identity: str, **wish: Any) -> bytes | None:
        """Make a station, and return its password if it needs one."""
        path = f"/v1/stations/{quote(identity, safe='')}"
        await self.put(path, {"site": SITE, **wish})
        if wish.get("security_profile", 1) == 0:
            return None
        shown = await self.post(f"{path}/credentials")
        return str(shown["password"]).encode()

    async def token(self, uid: str | None = None, **rules: Any) -> Token:
        """Register a token."""
        uid = uid or uuid4().hex[:14].upper()
        made = await self.post("/v1/tokens", {"uid": uid, **rules})
        return Token(uid, made["id"])


def _good(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.request.method} {response.request.url}: {response.text}"
    return response.json() if response.content else None


class Network:
    """The running system, with two gateways, and its first tenant's administrator."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.rest = Rest(f"http://127.0.0.1:{system.port_of('api')}", system.admin_key)
        gateways = [name for name in ("gateway", "gateway-2") if name in system.parts]
        self.urls = tuple(f"ws://127.0.0.1:{system.port_of(name)}/ocpp" for name in gateways)

    async def tenant(self, name: str) -> Rest:
        """Return REST as another tenant's administrator."""
        made = await self.rest.post("/v1/access-keys", {"scopes": ["admin", "tokens:read"], "tenant": name})
        return Rest(str(self.rest.client.base_url), made["key"])

    # ---- processes ----

    def pid_of(self, name: str) -> int:
        child = self.system.parts[name].child
        assert child is not None, "it was started"
        return child.pid

    @asynccontextmanager
    async def killed(self, name: str) -> AsyncIterator[None]:
        """Kill a part, and start it again on leaving."""
        async with self.killed_later(name) as kill:
            kill()
            yield

    @asynccontextmanager
    async def killed_later(self, name: str) -> AsyncIterator[Callable[[], None]]:
        """Give what kills a part; on leaving it is started again."""
        self.system.restarts = False
        try:
            yield lambda: self.system.kill(name)
            await self.system.start_again(name)
        finally:
            self.system.restarts = True

    @contextmanager
    def stunned(self, *names: str) -> Iterator[None]:
        """Let parts do nothing while it is entered, for some seconds at most."""
        for name in names:
            os.kill(self.pid_of(name), signal.SIGSTOP)
        try:
            yield
        finally:
            for name in names:
                os.kill(self.pid_of(name), signal.SIGCONT)

    async def until_ready(self, *names: str) -> None:
        """Wait until these parts have been started again and are ready."""

        async def ready() -> bool | None:
            if "kafka" in names and self.system.kafka.pid is None:
                return None
            parts = [self.system.parts[name] for name in names if name != "kafka"]
            return True if all([await part.is_ready() for part in parts]) else None

        await until(ready, f"{names} are ready", within=60)

    async def run(self, *module: str) -> str:
        """Run a command of the deployment's, and return what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *module,
            cwd=CHECKOUT,
            env=self.system.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, out.decode()
        return out.decode()

    def clickhouse(self) -> ClickHouse:
        return connect(self.system.parts["analytics"].environment["VOLTSTREAM_CLICKHOUSE"], threads=1)

    async def scrape(self) -> str:
        """Return the metrics of every service."""
        async with httpx.AsyncClient(trust_env=False) as client:
            pages = [
                await client.get(part.health.replace("/readyz", "/metrics"))
                for name, part in self.system.parts.items()
                if name != "clickhouse"
            ]
        return "\n".join(page.text for page in pages)

    # ---- the log ----

    @property
    def settings(self) -> Settings:
        return self.system.settings.model_copy(update={"kafka": self.system.kafka.bootstrap})

    async def records(self, *names: str, committed: bool = True) -> list[Raw]:
        """Return every record of these topics, or of all, as they are now."""
        consumer = plain_consumer(self.settings, committed=committed)
        await consumer.start()
        try:
            wanted = {full(self.settings, name) for name in names} or {
                name for name in await consumer.topics() if name.startswith(self.settings.topic_prefix)
            }
            places = [TopicPartition(name, part) for name in wanted for part in range(self.settings.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            begins = await consumer.beginning_offsets(places)
            behind = {place for place in places if ends[place] > begins[place]}
            found: list[Raw] = []
            while behind:
                polled = await consumer.getmany(timeout_ms=200, max_records=10_000)
                found += [self._raw(record) for records in polled.values() for record in records]
                behind = {place for place in behind if await consumer.position(place) < ends[place]}
            return found
        finally:
            await consumer.stop()

    def _raw(self, record: Any) -> Raw:
        name = record.topic.removeprefix(self.settings.topic_prefix)
        return Raw(name, record.partition, record.offset, record.key, record.value, dict(record.headers))

    async def said_by(self, identity: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what the topic `stations` holds of a station: type and event, in order."""
        found = await self.records("stations")
        return [
            (record.headers["ce_type"].decode().removeprefix("voltstream."), json.loads(record.value))
            for record in sorted(found, key=lambda record: (record.partition, record.offset))
            if record.key is not None and record.key.endswith(f"/{identity}".encode()) and record.value
        ]

    async def until_said(self, identity: str, kind: str, number: int = 1) -> dict[str, Any]:
        """Return the `number`-th event of a kind that the topic `stations` holds of a station, once it is there."""

        async def look() -> dict[str, Any] | None:
            events = [event for type, event in await self.said_by(identity) if type == kind]
            return events[number - 1] if len(events) >= number else None

        return await until(look, f"{kind} number {number} of {identity} in the log")


@dataclass
class Charge:
    """A charge as its station knows it; what REST shows must be the same."""

    began: datetime
    ended: datetime
    meter_start: int
    meter_stop: int
    token: Token
    transaction: Transaction = field(default_factory=Transaction)

    def start(self) -> dict[str, Any]:
        return start_of(self.token.uid, self.began, meter=self.meter_start)

    def is_shown_by(self, session: Mapping[str, Any]) -> bool:
        return shows(
            session,
            state="ended",
            started_at=self.began,
            ended_at=self.ended,
            meter_start_wh=self.meter_start,
            meter_stop_wh=self.meter_stop,
            energy_wh=self.meter_stop - self.meter_start,
            transaction=str(self.transaction.id),
            authorization_status="Accepted",
            token_id=self.token.id,
            final=True,
        )


class Driver:
    """Charges again and again at one station of the fleet, with a card of its own."""

    def __init__(self, station: Station, token: Token, number: int) -> None:
        self.station, self.token, self.number = station, token, number
        self.charges: list[Charge] = []
        self._register = 100 * number

    def plug_in(self) -> Charge:
        """Begin a charge: its start, and a first reading."""
        began = ago(seconds=20)
        if self.charges:
            began = max(began, self.charges[-1].ended + timedelta(seconds=1))
        energy = 1_000 + 10 * self.number + len(self.charges)
        charge = Charge(began, began + timedelta(seconds=9), self._register, self._register + energy, self.token)
        self._register += energy
        self.charges.append(charge)
        self.station.keep("StartTransaction", charge.start(), began=charge.transaction)
        self.read(charge, 3)
        return charge

    def read(self, charge: Charge, after: int) -> None:
        """Say what the meter shows, some seconds after the beginning."""
        at = charge.began + timedelta(seconds=after)
        self.station.keep("MeterValues", values_of(charge.transaction, at, charge.meter_start + 100 * after))

    def unplug(self, charge: Charge) -> None:
        """End a charge, with its card or without."""
        card = {"idTag": self.token.uid} if self.number % 3 == 0 else {}
        self.station.keep("StopTransaction", stop_of(charge.transaction, charge.ended, charge.meter_stop, **card))


async def is_shown_exactly(network: Network, driver: Driver) -> None:
    """REST shows this driver's charges, each once, and nothing else."""
    sessions = await network.rest.until_sessions(driver.station.identity, *["ended"] * len(driver.charges))
    for session, charge in zip(sessions, driver.charges, strict=True):
        assert charge.is_shown_by(session)


class Yard:
    """The stations of one test. They are closed when it is over."""

    def __init__(self, network: Network, rest: Rest | None = None) -> None:
        self.network = network
        self.rest = rest or network.rest
        self.stations: list[Station] = []

    async def registered(self, identity: str | None = None, **wish: Any) -> Station:
        """Return a station that is registered and has not connected yet. Without a password, unless the wish says so."""
        identity = identity or f"CP-{uuid4().hex[:8]}"
        password = await self.rest.register(identity, **{"security_profile": 0, **wish})
        station = Station(identity, self.network.urls, password)
        self.stations.append(station)
        return station

    async def station(self, identity: str | None = None, **wish: Any) -> Station:
        """Return a station that is connected and has booted."""
        station = await self.registered(identity, **wish)
        await arrived(station)
        await boot(station)
        return station

    async def token(self, uid: str | None = None, **rules: Any) -> Token:
        return await self.rest.token(uid, **rules)

    async def session(self, station: Station, *, state: str = "ended") -> Any:
        """Return the station's only session, once it is in this state."""
        (session,) = await self.rest.until_sessions(station.identity, state)
        return session

    async def close(self) -> None:
        await asyncio.gather(*(station.close() for station in self.stations))


async def arrived(station: Station, url: str | None = None) -> None:
    """Connect, and do so again while nobody lets the station in, as stations do."""

    async def once() -> bool | None:
        try:
            await station.connect(url)
        except (TurnedAway, OSError):
            return None
        return True

    await until(once, f"{station.identity} is let in")


BOOT: Mapping[str, Any] = {
    "chargePointVendor": "Voltmaker",
    "chargePointModel": "V2",
    "chargePointSerialNumber": "SN-1",
    "firmwareVersion": "1.2.3",
}


async def boot(station: Station) -> dict[str, Any]:
    return await station.call("BootNotification", BOOT)


async def status(station: Station, connector: int, word: str, error: str = "NoError") -> None:
    """Say what a connector is now."""
    payload = {"connectorId": connector, "errorCode": error, "status": word, "timestamp": said(clock.now())}
    assert await station.call("StatusNotification", payload) == {}


async def authorize(station: Station, uid: str) -> str:
    """Return what the station hears of an id tag."""
    answer = await station.call("Authorize", {"idTag": uid})
    return str(answer["idTagInfo"]["status"])


def start_of(uid: str, at: datetime, *, connector: int = 1, meter: int = 1000) -> dict[str, Any]:
    """Return the payload of a StartTransaction."""
    return {"connectorId": connector, "idTag": uid, "meterStart": meter, "timestamp": said(at)}


async def start(station: Station, uid: str, at: datetime, *, connector: int = 1, meter: int = 1000) -> int:
    """Start a transaction that is accepted, and return its id."""
    answer = await station.call("StartTransaction", start_of(uid, at, connector=connector, meter=meter))
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert answer["transactionId"] > 0
    return int(answer["transactionId"])


def values_of(transaction: Any, at: datetime, meter: int, *, connector: int = 1) -> dict[str, Any]:
    """Return the payload of a MeterValues that shows the register, in Wh."""
    sample = {"value": str(meter), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    values = [{"timestamp": said(at), "sampledValue": [sample]}]
    return {"connectorId": connector, "transactionId": transaction, "meterValue": values}


async def meter(station: Station, transaction: int, at: datetime, register: int, *, connector: int = 1) -> None:
    """Say what the register shows."""
    payload = values_of(transaction, at, register, connector=connector)
    assert await station.call("MeterValues", payload) == {}


def stop_of(transaction: Any, at: datetime, register: int, reason: str = "Local", **more: Any) -> dict[str, Any]:
    """Return the payload of a StopTransaction."""
    return {"transactionId": transaction, "meterStop": register, "timestamp": said(at), "reason": reason, **more}


async def stop(
    station: Station, transaction: int, at: datetime, register: int, reason: str = "Local", **more: Any
) -> dict[str, Any]:
    """End a transaction, and return the answer's payload."""
    return await station.call("StopTransaction", stop_of(transaction, at, register, reason, **more))


def is_at(text: str | None, moment: datetime) -> bool:
    """Whether REST shows exactly this moment."""
    return text is not None and datetime.fromisoformat(text) == moment


def shows(session: Mapping[str, Any], **facts: Any) -> bool:
    """Whether a session shows these facts; otherwise the assertion says which it shows instead. Times are moments."""
    seen = {name: session[name] for name in facts}
    wrong = {
        name: (seen[name], fact)
        for name, fact in facts.items()
        if not (is_at(seen[name], fact) if isinstance(fact, datetime) else seen[name] == fact)
    }
    assert not wrong, f"(shown, wanted): {wrong} of {session}"
    return True


def paying_at(url: str, secret: str) -> dict[str, Any]:
    """Return the settings of a deployment whose payment provider is there and signs with this secret."""
    return {
        "stripe_key": SecretStr("sk_test_fake"),
        "stripe_webhook_secrets": SecretStr(secret),
        "stripe_api": url,
        "payment_return_url": "http://127.0.0.1/paid",
    }


async def run_network(folder: Path, names: tuple[str, ...] = NAMES, **more: Any) -> Network:
    """Start a system with its data in `folder` and these further settings, and make its site."""
    system = build(folder, settings().model_copy(update=more), names=names)
    await system.start()
    network = Network(system)
    await network.rest.put(f"/v1/sites/{SITE}", {"name": "Harbour", "time_zone": "Europe/Oslo", "currency": "NOK"})
    return network


async def stop_network(network: Network) -> None:
    await network.rest.client.aclose()
    await network.system.stop()
