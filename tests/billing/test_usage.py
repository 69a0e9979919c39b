"""What is remembered of a session's usage gives the same bill as all of it."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.bills import Usage
from contracts.tariffs import Policy, Tariff
from services.billing.tariff import price
from services.billing.usage import Boundaries, seconds, session_of, thinned
from tests.billing.says import at
from tests.billing.test_properties import tariffs

STATES = st.sampled_from([None, None, None, "CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE"])


@st.composite
def usages(draw: st.DrawFn) -> tuple[Usage, ...]:
    steps = draw(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 4000), STATES), min_size=1, max_size=25))
    usage, minutes, energy = [Usage(at(0), 0)], 0.0, 0
    for passed, risen, state in steps:
        minutes, energy = minutes + passed / 60, energy + risen
        usage.append(Usage(at(minutes), None if state else energy, state))
    usage.append(Usage(at(minutes + 10), energy, "END"))
    return tuple(usage)


@given(tariffs(), usages())
def test_thinning_changes_no_bill(tariff: Tariff, usage: tuple[Usage, ...]) -> None:
    boundaries = Boundaries(tariff, "Europe/Oslo", seconds(usage[0].at))
    kept = thinned(usage, boundaries)
    whole = price(tariff, session_of(usage, "Europe/Oslo", Policy()))
    less = price(tariff, session_of(kept, "Europe/Oslo", Policy()))
    assert (less.net, less.gross, less.lines) == (whole.net, whole.gross, whole.lines)
    assert set(kept) <= set(usage)


@given(tariffs(), usages(), st.integers(1, 20))
def test_thinning_as_it_comes_is_thinning_at_the_end(tariff: Tariff, usage: tuple[Usage, ...], part: int) -> None:
    boundaries = Boundaries(tariff, "Europe/Oslo", seconds(usage[0].at))
    early = thinned((*thinned(usage[:part], boundaries), *usage[part:]), boundaries)
    whole = price(tariff, session_of(usage, "Europe/Oslo", Policy()))
    less = price(tariff, session_of(early, "Europe/Oslo", Policy()))
    assert (less.net, less.gross) == (whole.net, whole.gross)
