"""What billing is asked to do about a session that comes to something else."""

from contracts.ratings import ReRatingAsked
from contracts.reviews import SessionReRated
from services.billing.recalling import billed_by
from services.billing.usage import Boundaries, seconds, thinned
from services.rerating.past import Billed
from services.rerating.prices import Prices


def review(asked: ReRatingAsked, billed: Billed, prices: Prices) -> SessionReRated:
    """Return that a session is to be priced by another tariff, with all of its usage that this one needs."""
    bound, pinned = billed.bound, prices.of(billed)
    assert not isinstance(pinned, str), "what has no tariff is not applied"
    assert pinned.tariff is not None
    return SessionReRated(
        at=asked.at,
        tenant=bound.tenant,
        station=bound.station,
        session=bound.session,
        job=asked.job,
        tariff=pinned.tariff,
        policy=pinned.policy,
        tariff_version=pinned.version,
        input_hash=billed.input_hash,
        reason=asked.reason,
        requested_by=asked.requested_by,
        billed=billed_by(bound, billed.usage, billed.issued, billed.input_hash),
        usage=thinned(billed.usage, Boundaries(pinned.tariff, bound.time_zone, seconds(bound.at), pinned.policy)),
    )
