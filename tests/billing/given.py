"""Tariffs and sessions for tests, short to write."""

from typing import Any

from services.billing import cases

AT_NINE = "2026-11-23T08:00:00Z"
"""Monday, nine o'clock in Amsterdam."""


def tariff(*elements: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a tariff of these elements."""
    return {"id": "T1", "currency": "EUR", "tax_included": "NO", "elements": list(elements), **fields}


def element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    """Return an element; restrictions are named as OCPI does."""
    return {"price_components": list(components), **({"restrictions": restrictions} if restrictions else {})}


def component(type: str, price: str, step_size: int = 1, vat: str | None = None) -> dict[str, Any]:
    return {"type": type, "price": price, "step_size": step_size, **({"vat": vat} if vat else {})}


def energy(price: str, **fields: Any) -> dict[str, Any]:
    return component("ENERGY", price, **fields)


def sample(
    clock: str, wh: Any, state: str | None = "CHARGING", *, day: str = "2026-11-23", **fields: Any
) -> dict[str, Any]:
    """Return a sample at a time of day, UTC."""
    return {"t": f"{day}T{clock}:00Z" if len(clock) == 5 else f"{day}T{clock}Z", "wh": wh, "state": state, **fields}


def session(*samples: dict[str, Any], timezone: str = "Europe/Amsterdam", **fields: Any) -> dict[str, Any]:
    return {"timezone": timezone, "samples": list(samples), **fields}


def priced(tariff: Any, session: dict[str, Any]) -> dict[str, Any]:
    """Return what a session costs."""
    return cases.priced({"tariff": tariff, "session": session})


def totals(tariff: Any, session: dict[str, Any]) -> tuple[str | None, str | None]:
    found = priced(tariff, session)
    return found["total_excl"], found["total_incl"]
