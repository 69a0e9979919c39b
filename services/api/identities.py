"""What may name a thing (T-02), and the names of time zones and currencies."""

from functools import lru_cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from contracts.currencies import DECIMALS
from services.api.problems import not_found

LONGEST = 48
"""Characters of an identity: what OCPP 2.0.1 allows, so that every station can be moved to it."""


def why_not(identity: str) -> str | None:
    """Return why this cannot be an identity; None if it can."""
    if not 0 < len(identity) <= LONGEST:
        return f"should have 1 to {LONGEST} characters"
    if not identity.isprintable() or identity != identity.strip():
        return "should have no control characters, and no blanks at its ends"
    if "/" in identity or identity in {".", ".."}:
        return "should contain no slash, and not be a dot or two"
    return None


def _identity(value: str) -> str:
    if why := why_not(value):
        raise ValueError(why)
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("should have no control characters")
    return value


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Return IANA's names."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _time_zone(value: str) -> str:
    if value not in time_zones():
        raise ValueError("there is no such time zone: IANA's names are like Europe/Oslo")
    return value


def _currency(value: str) -> str:
    if value not in DECIMALS:
        raise ValueError("there is no such currency: ISO 4217's codes are like EUR")
    return value


def existing(what: str, id: str) -> str:
    """Return `id` if a thing may have it; else there is no such thing."""
    if why_not(id):
        raise not_found(f"{what} of this name")
    return id


Identity = Annotated[str, AfterValidator(_identity), Field(min_length=1, max_length=LONGEST)]
Text = Annotated[str, AfterValidator(_printable)]
TimeZone = Annotated[str, AfterValidator(_time_zone), Field(max_length=64)]
Currency = Annotated[str, AfterValidator(_currency), Field(pattern="^[A-Z]{3}$")]
