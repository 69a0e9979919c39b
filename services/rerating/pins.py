"""What is assigned as a job begins, in pieces that fit into records."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from chassis.copies import Copies
from contracts.event import TenantId, TokenId
from contracts.ratings import Pinned
from contracts.reference import TariffAssignment, TariffVersion, Token
from contracts.topics import TARIFFS, TOKENS

AT_ONCE = 500

T = TypeVar("T")


def pinned(copies: Copies, tenant: TenantId, at: datetime) -> list[Pinned]:
    """Return what is assigned in each scope, in the version that is valid at a moment. A tariff without one is none."""
    records = [record for record in copies.of(TARIFFS) if record.tenant == tenant]
    newest = _newest(records, at)
    found = []
    for record in records:
        if not isinstance(record, TariffAssignment):
            continue
        if record.tariff is None:
            found.append(Pinned(record.id))
        elif (version := newest.get(record.tariff)) is not None:
            found.append(Pinned(record.id, version.tariff, version.policy, version.version))
    return sorted(found, key=lambda pin: pin.scope)


def _newest(records: Sequence[Any], at: datetime) -> dict[str, TariffVersion]:
    versions = [each for each in records if isinstance(each, TariffVersion) and each.valid_from <= at]
    return {each.id: each for each in sorted(versions, key=lambda each: each.version)}


def groups(copies: Copies, tenant: TenantId, pins: Sequence[Pinned]) -> dict[TokenId, str]:
    """Return the group of each token that is in one for which something is assigned."""
    wanted = {group for pin in pins if (group := pin.scope.partition("/group/")[2])}
    if not wanted:
        return {}
    tokens = (each for each in copies.of(TOKENS) if isinstance(each, Token) and each.tenant == tenant)
    return {each.id: each.group for each in tokens if each.group in wanted and each.group is not None}


def pieces(
    pins: Sequence[Pinned], groups: dict[TokenId, str]
) -> Iterator[tuple[tuple[Pinned, ...], dict[TokenId, str]]]:
    """Yield both in pieces."""
    tokens = sorted(groups.items())
    yield from ((tuple(some), {}) for some in _cut(pins, AT_ONCE))
    yield from (((), dict(some)) for some in _cut(tokens, AT_ONCE * 10))


def _cut(all: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (all[start : start + size] for start in range(0, len(all), size))
