"""What people ask of bills that were or will be made of a session. Written by the api, and by re-rating."""

from typing import ClassVar, Literal

from contracts.bills import Billed, LateUsageHeard, Usage
from contracts.event import JobId, RequestId
from contracts.sessions import OfSession
from contracts.tariffs import Policy, Tariff


class CdrReviewed(OfSession, frozen=True, kw_only=True):
    """Somebody has looked at a session that was held: it is billed as it stands, or what was held never is (TAR-21).

    Where a CDR counts already, because a correction of it was held, waiving leaves that CDR as it is.
    """

    awaited: ClassVar[bool] = True

    review: RequestId
    """Derived from the idempotency key, if there is one: under one id, one decision is taken."""
    decision: Literal["release", "waive"]
    reason: str
    """Why, in words for whoever audits it."""
    requested_by: str
    """The id of the API key."""
    fingerprint: str = ""


class SessionReRated(OfSession, frozen=True, kw_only=True):
    """A re-rating that is to be applied: the session is priced by this tariff from now on, and corrected if it comes to something else."""

    job: JobId
    tariff: Tariff
    policy: Policy = Policy()
    tariff_version: int
    input_hash: str
    """Of the bill that was re-rated: if another counts by now, the re-rating is of the past and changes nothing."""
    reason: str
    requested_by: str
    usage: tuple[Usage, ...] = ()
    """All that the log says was used, as far as this tariff needs it: billing remembers only what the old one needed.
    Empty: what billing remembers is what is priced."""
    billed: Billed | None = None
    """What was re-rated, for a session that billing does not remember any more (services/billing/recalling.py makes it)."""


class PastBillFound(OfSession, frozen=True, kw_only=True):
    """What was billed of a session that billing had forgotten, as the log has it: the answer to a `LateUsageHeard`."""

    billed: Billed
    late: LateUsageHeard


ReviewEvent = CdrReviewed | SessionReRated | PastBillFound
