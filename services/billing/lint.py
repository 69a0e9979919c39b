"""What a tariff allows and perhaps does not mean (TAR-10, TAR-42)."""

from collections.abc import Iterator
from typing import Any

import msgspec

from contracts.tariffs import Restrictions, Tariff

FAST_KW = 50
"""From here on, an ad-hoc price is per kWh, with at most an occupancy fee per minute (AFIR Art. 5)."""

SPANS = (
    ("start_date", "end_date"),
    ("min_kwh", "max_kwh"),
    ("min_current", "max_current"),
    ("min_power", "max_power"),
    ("min_duration", "max_duration"),
)
"""Restrictions that bound the same thing: what begins, and what ends."""


def warnings(tariff: Tariff) -> list[tuple[str, str]]:
    """Return rules' names and what is wrong, for people."""
    return [
        *_unpriced(tariff),
        *_stepped(tariff),
        *_unreachable(tariff),
        *_impossible(tariff),
        *_crossed(tariff),
        *_afir(tariff),
    ]


def unheard_of(tariff: Any) -> Iterator[str]:
    """Yield what a tariff, as JSON, restricts by that we do not know: without it a price would count where it should not."""
    known = {field.name for field in msgspec.structs.fields(Restrictions)}
    for number, element in enumerate(tariff["elements"]):
        for name, limit in (element.get("restrictions") or {}).items():
            if name not in known and limit is not None:
                yield f"elements[{number}].restrictions: {name!r} is no restriction that is known here"


def _unpriced(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """A dimension whose last element is restricted costs nothing where none holds."""
    kinds = dict.fromkeys(component.type for element in tariff.elements for component in element.price_components)
    for kind in kinds:
        last = [e for e in tariff.elements if any(c.type == kind for c in e.price_components)][-1]
        if last.restrictions is not None and last.restrictions.reservation is None:
            yield (
                "unpriced_dimension",
                f"{kind} costs nothing where no restriction holds: end with an unrestricted element",
            )


def _stepped(tariff: Tariff) -> Iterator[tuple[str, str]]:
    kinds = dict.fromkeys(
        component.type
        for element in tariff.elements
        for component in element.price_components
        if component.type != "FLAT" and component.step_size > 1
    )
    for kind in kinds:
        yield "step_size", f"{kind} is rounded up once per session: a step of 1 surprises nobody"


def _unreachable(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """What stands behind an unrestricted element never counts."""
    settled: set[str] = set()
    for number, element in enumerate(tariff.elements):
        for component in element.price_components:
            if component.type in settled:
                yield (
                    "unreachable",
                    f"elements[{number}]: {component.type} never counts, an element before it always does",
                )
        if element.restrictions is None:
            settled |= {component.type for component in element.price_components}


def _impossible(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """What ends before it begins never counts."""
    for number, element in enumerate(tariff.elements):
        said = msgspec.structs.asdict(element.restrictions or Restrictions())
        for least, limit in SPANS:
            if said[least] is not None and said[limit] is not None and said[least] >= said[limit]:
                yield "impossible", f"elements[{number}] never counts: its {least} is not below its {limit}"


def _crossed(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """Where the least is more than the most, every session costs the most."""
    if tariff.min_price is None or tariff.max_price is None:
        return
    pairs = ((tariff.min_price.net, tariff.max_price.net), (tariff.min_price.gross, tariff.max_price.gross))
    if any(least is not None and most is not None and least > most for least, most in pairs):
        yield "crossed_limits", "min_price is more than max_price, which is then what every session costs"


def _afir(tariff: Tariff) -> Iterator[tuple[str, str]]:
    if tariff.type != "AD_HOC_PAYMENT":
        return
    kinds = {component.type for element in tariff.elements for component in element.price_components}
    for kind in sorted(kinds & {"TIME", "FLAT"}):
        yield "AFIR_50KW", f"{kind} is not allowed for ad-hoc charging at public points of {FAST_KW} kW and more"
