"""Who is let in: what an opening handshake is answered (OCPP 1.6-J §3, T-05 to T-27)."""

import asyncio
import random
from collections.abc import Callable
from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace
from websockets.datastructures import Headers

from chassis.copies import Copy
from chassis.logs import log as lines
from contracts.cloudevents import Unreadable
from contracts.reference import Station, StationRecord
from contracts.stations import Violation
from services.gateway import handshake
from services.gateway.limits import Bucket, Failures, Flaps
from services.gateway.passwords import Busy, Passwords


class Refusal(Exception):
    """A handshake that ends without a WebSocket. `result` is its name in the metrics."""

    def __init__(self, status: HTTPStatus, result: str, **headers: str) -> None:
        super().__init__(result)
        self.station: Station | None = None
        """Whose the handshake would have been, if there is such a station."""
        self.status, self.result, self.headers = status, result, headers


class Admission(Struct, frozen=True):
    """A handshake that succeeded."""

    station: Station
    choice: handshake.Choice
    address: str
    violations: tuple[Violation, ...] = ()


class Policy(Struct, frozen=True, kw_only=True):
    """What a deployment lets in, and how much of it."""

    handshakes: float = 200
    """Per second; `burst` of them at once."""
    burst: float = 2000
    failures: float = 30
    """Of one address at once; it earns one per second."""
    flap_delay: float = 5
    """Seconds that a station waits to be let in whose connections replace one another all the time (T-64)."""
    protocol: str | None = None
    """What a station speaks that names no subprotocol and is pinned to none (T-10)."""
    hide_unknown: bool = False
    """An unknown station is answered like a wrong password, so that nobody finds out which there are (T-06)."""
    passwordless: bool = True
    """Stations of security profile 0 may connect (T-20)."""


class Door:
    """Decides on opening handshakes: path, address, identity, security profile, password, subprotocol, in this order.

    The profile comes before the password, so that none is looked at that came over the wrong transport.
    """

    def __init__(self, registry: Copy[StationRecord], policy: Policy, clock: Callable[[], float]) -> None:
        self.failures = Failures(burst=policy.failures)
        self.flaps = Flaps()
        self._registry, self._policy, self._clock = registry, policy, clock
        self._handshakes = Bucket(policy.handshakes, policy.burst)
        self._passwords = Passwords()

    def close(self) -> None:
        """Check no more passwords."""
        self._passwords.close()

    def registered(self, identity: str) -> Station | None:
        """Return the station of this name, if there is one. Raises `Refusal` if nobody can tell."""
        try:
            record = self._registry.get(identity)
        except Unreadable as error:
            lines.error("unreadable registry", why=str(error))
            raise unavailable("unreadable_registry") from None
        return record if isinstance(record, Station) else None

    async def admit(self, address: str, path: str, headers: Headers) -> Admission:
        """Let a station in, or raise `Refusal`. Repairs `headers` where a handshake would fail for nothing."""
        if "websocket" not in ",".join(headers.get_all("Upgrade")).lower():
            raise Refusal(HTTPStatus.UPGRADE_REQUIRED, "no_websocket", Upgrade="websocket")
        if not self._handshakes.take(self._clock()):
            raise unavailable("too_many_handshakes")
        try:
            admission = await self._identified(address, path, headers)
        except Refusal as refusal:
            if refusal.status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED):
                self.count_failure(address)
            raise
        self.failures.success(address)
        if self.flaps.is_flapping(admission.station.id, self._clock()):
            await asyncio.sleep(self._policy.flap_delay)
            slowed = Violation("T-64", "its connections replace one another")
            return replace(admission, violations=(*admission.violations, slowed))
        return admission

    def count_failure(self, address: str) -> None:
        """Who fails too often is not even told why: raises `Refusal` then."""
        now = self._clock()
        if self.failures.too_many(address, now):
            raise too_many()
        self.failures.count(address, now)

    async def _identified(self, address: str, path: str, headers: Headers) -> Admission:
        violations = repaired(headers)
        said = next(filter(None, map(handshake.credentials, headers.get_all("Authorization"))), None)
        if not handshake.is_canonical(path):
            violations.append(Violation("T-03", "the path is not /ocpp/{identity}"))
        named = handshake.identities(path, said)
        station = next((found for name in named if (found := self.registered(name)) is not None), None)
        if station is None:
            raise unauthorized() if self._policy.hide_unknown else Refusal(HTTPStatus.NOT_FOUND, "unknown_station")
        try:
            self._check_profile(station)
            if station.security_profile == 1:
                violations += await self._authenticated(address, station, said)
        except Refusal as refusal:
            refusal.station = station
            raise
        offered = handshake.offers(headers.get_all("Sec-WebSocket-Protocol"))
        choice = handshake.choose(offered, station.protocol, otherwise=self._policy.protocol)
        return Admission(station, choice, address, (*violations, *choice.violations))

    def _check_profile(self, station: Station) -> None:
        """Refuse who comes without TLS and should not, and who needs no password where everybody does (T-20)."""
        if station.security_profile >= 2 or (station.security_profile == 0 and not self._policy.passwordless):
            raise unauthorized() if self._policy.hide_unknown else Refusal(HTTPStatus.FORBIDDEN, "wrong_profile")

    async def _authenticated(self, address: str, station: Station, said: bytes | None) -> list[Violation]:
        if said is None or station.password_hash is None:
            raise unauthorized()
        password, violations = handshake.password(said, station.id), []
        if password is None and station.habits.any_user:
            password, violations = said.partition(b":")[2], [Violation("T-22", "the user is not the identity")]
        if password is None:
            raise unauthorized()
        spellings = handshake.spellings(password)
        found = await self._matched(address, station.id, station.password_hash, spellings)
        return violations + ([Violation("Q-07", "the password in another spelling")] if found else [])

    async def _matched(self, address: str, station: str, stored: str, spellings: tuple[bytes, ...]) -> int:
        asked = (station, stored, spellings)
        if not self._passwords.recall(*asked)[0] and not self._may_guess(address):
            raise too_many()  # a guess costs us a slow hash
        try:
            found = await self._passwords.match(*asked)
        except Busy:
            raise unavailable("too_many_passwords") from None
        if found is None:
            raise unauthorized()
        return found

    def _may_guess(self, address: str) -> bool:
        return self.failures.is_trusted(address) or not self.failures.too_many(address, self._clock())


def unavailable(result: str) -> Refusal:
    """Return the refusal that makes a station come back: never 401 or 404 for what is our trouble (T-07)."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, result, Retry_After=str(random.randint(5, 20)))


def too_many() -> Refusal:
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", Retry_After="30")


def unauthorized() -> Refusal:
    return Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", WWW_Authenticate='Basic realm="ocpp", charset="UTF-8"')


def repaired(headers: Headers) -> list[Violation]:
    """Add, change and remove headers where a station's handshake would fail for nothing (T-13)."""
    found = []
    if [said.strip().lower() for said in headers.get_all("Upgrade")] != ["websocket"]:
        _set(headers, "Upgrade", "websocket")
        found.append(Violation("T-13", "malformed Upgrade header"))
    if "upgrade" not in ",".join(headers.get_all("Connection")).lower():
        _set(headers, "Connection", "Upgrade")
        found.append(Violation("Q-02", "no Connection: Upgrade"))
    if said := headers.get_all("Sec-WebSocket-Protocol"):
        offered = handshake.offers(said)
        if not offered:
            del headers["Sec-WebSocket-Protocol"]
            found.append(Violation("T-13", "empty subprotocol header"))
        elif not all(handshake.is_list(header) for header in said):
            _set(headers, "Sec-WebSocket-Protocol", ", ".join(offered))
            found.append(Violation("T-13", "malformed subprotocol header"))
    return found


def _set(headers: Headers, name: str, value: str) -> None:
    if name in headers:
        del headers[name]
    headers[name] = value
