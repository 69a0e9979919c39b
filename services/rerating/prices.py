"""Which tariff a session is rated by, and what it comes to by it."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from contracts.bills import TariffBound
from contracts.event import TokenId
from contracts.ratings import By, ByAssignments, ByItsOwn, ByTariff, Fate, Mode, Pinned, Rated
from services.billing.scopes import scopes
from services.billing.tariff import Unpriceable, price
from services.billing.usage import session_of
from services.rerating.past import Billed

Amounts = tuple[Decimal | None, Decimal | None]
"""Net and gross."""


class Prices(Struct, frozen=True):
    """What a job rates by."""

    by: By
    mode: Mode = "dry_run"
    raises: bool = False
    assigned: Mapping[str, Pinned] = {}
    """By scope, as it was when the job began."""
    groups: Mapping[TokenId, str] = {}

    def of(self, billed: Billed) -> Pinned | str:
        """Return the tariff of a session, or why it has none."""
        bound = billed.bound
        match self.by:
            case ByTariff(tariff=tariff, policy=policy, version=version):
                return Pinned("", tariff, policy, version)
            case ByItsOwn():
                issued = billed.issued
                is_known = (issued.tariff, issued.tariff_version) == (bound.tariff.id, bound.tariff_version)
                return Pinned("", bound.tariff, bound.policy, bound.tariff_version) if is_known else "tariff_unknown"
            case ByAssignments():  # pragma: no branch
                return self._assigned(bound)

    def _assigned(self, bound: TariffBound) -> Pinned | str:
        found = (self.assigned.get(scope) for scope in scopes(bound, self.groups.get(bound.token)))
        pinned = next((each for each in found if each is not None), None)
        if pinned is None:
            return "no_tariff"
        return "free" if pinned.tariff is None else pinned


def rated(billed: Billed, prices: Prices) -> Rated | str:
    """Return what a session comes to, or why that cannot be said."""
    pinned = prices.of(billed)
    if isinstance(pinned, str):
        return pinned
    assert pinned.tariff is not None, "what costs nothing was sorted out"
    priced = billed.issued.priced
    if pinned.tariff.currency != priced.currency:
        return "other_currency"
    try:
        bill = price(pinned.tariff, session_of(billed.usage, billed.bound.time_zone, pinned.policy))
    except Unpriceable:
        return "unpriceable"
    before, after = (priced.total_excl, priced.total_incl), (bill.total_excl, bill.total_incl)
    if [each is None for each in before] != [each is None for each in after]:
        return "total_unknown"
    return _row(billed, pinned, before, after, prices)


def _row(billed: Billed, pinned: Pinned, before: Amounts, after: Amounts, prices: Prices) -> Rated:
    bound, issued = billed.bound, billed.issued
    assert pinned.tariff is not None
    return Rated(
        session=bound.session,
        station=bound.station,
        site=bound.site,
        started_at=issued.started_at,
        ended_at=issued.ended_at,
        energy_wh=issued.priced.energy_wh,
        cdr=issued.cdr,
        tariff=issued.tariff,
        tariff_version=issued.tariff_version,
        new_tariff=pinned.tariff.id,
        new_version=pinned.version,
        currency=issued.priced.currency,
        net_before=before[0],
        net_after=after[0],
        gross_before=before[1],
        gross_after=after[1],
        state="same" if before == after else _decided(before, after, prices),
    )


def _decided(before: Amounts, after: Amounts, prices: Prices) -> Fate:
    """Return what becomes of a session that comes to something else."""
    if prices.mode == "dry_run":
        return "differs"
    return "applied" if prices.raises or not is_more(before, after) else "kept"


def is_more(before: Amounts, after: Amounts) -> bool:
    """Tell whether somebody would have to pay more: with taxes; where they are unknown, without."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old is not None and new is not None]
    return bool(pairs) and pairs[-1][1] > pairs[-1][0]
