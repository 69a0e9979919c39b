"""The scopes in which a tariff can be assigned to a session, and the one that counts (TAR-29)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

from contracts.reference import TariffAssignment, TariffVersion
from contracts.topics import tariff_key
from services.billing.heard import Assigned


class Placed(Protocol):
    """Where a session is."""

    @property
    def station(self) -> str: ...

    @property
    def evse(self) -> int: ...

    @property
    def connector(self) -> int: ...

    @property
    def site(self) -> str | None: ...


class Tariffs(Protocol):
    """What lies under each key of the topic `tariffs`."""

    def get(self, key: str, /) -> Any: ...


def scopes(session: Placed, group: str | None) -> Iterator[str]:
    """Yield the scopes that a session is in, the narrowest first."""
    connector = f"connector/{session.station}/{session.evse}/{session.connector}"
    places = [connector, f"station/{session.station}", *([f"site/{session.site}"] if session.site else []), "tenant"]
    if group is not None:
        yield from (f"{place}/group/{group}" for place in places)
    yield from places


def fitting(session: Placed, tenant: str, group: str | None, at: datetime, tariffs: Tariffs) -> Assigned | None:
    """Return the tariff of the narrowest scope that has one, in the version that was valid then (TAR-02, TAR-29)."""
    for scope in scopes(session, group):
        found = tariffs.get(f"{tenant}/assignment/{scope}")
        if not isinstance(found, TariffAssignment):
            continue
        if found.tariff is None:
            return Assigned(scope, None)
        if (version := valid_at(at, tenant, found.tariff, tariffs)) is not None:
            return Assigned(scope, version)
    return None


def valid_at(at: datetime, tenant: str, tariff: str, tariffs: Tariffs) -> TariffVersion | None:
    """Return the newest version that was valid then; versions are counted from 1 without a gap, and never go."""
    found: TariffVersion | None = None
    number = 1
    while isinstance(version := tariffs.get(tariff_key(tenant, tariff, number)), TariffVersion):
        if version.valid_from <= at:
            found = version
        number += 1
    return found
