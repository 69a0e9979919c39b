"""What a tariff allows and perhaps does not mean (TAR-10, TAR-42)."""

from collections.abc import Iterator

from contracts.tariffs import Tariff

FAST_KW = 50
"""From here on, an ad-hoc price is per kWh, with at most an occupancy fee per minute (AFIR Art. 5)."""


def warnings(tariff: Tariff) -> list[tuple[str, str]]:
    """Return rules' names and what is wrong, for people."""
    return [*_unpriced(tariff), *_stepped(tariff), *_unreachable(tariff), *_afir(tariff)]


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


def _afir(tariff: Tariff) -> Iterator[tuple[str, str]]:
    if tariff.type != "AD_HOC_PAYMENT":
        return
    kinds = {component.type for element in tariff.elements for component in element.price_components}
    for kind in sorted(kinds & {"TIME", "FLAT"}):
        yield "AFIR_50KW", f"{kind} is not allowed for ad-hoc charging at public points of {FAST_KW} kW and more"
