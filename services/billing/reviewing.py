"""What a person decides of a session that was held (TAR-21)."""

from contracts.bills import BillEvent, CdrWaived, Review, ReviewRefused
from contracts.reviews import CdrReviewed
from services.billing.closing import settled
from services.billing.papers import about, bill_of, whose
from services.billing.state import Over, Station


def reviewed(state: Station, event: CdrReviewed) -> list[BillEvent]:
    """Return what comes of a decision: a CDR, that what was held is never billed, or why it cannot be taken. Once per id."""
    review = Review(event.review, event.decision, event.reason, event.requested_by, event.fingerprint)
    if (known := state.review(event.review)) is not None:
        same = (known.fingerprint, known.session) == (event.fingerprint, event.session)
        return [] if same else [_refused(event, review, "idempotency_key_reused")]
    session = state.session(event.session)
    if not isinstance(session, Over) or not session.is_held:
        decided = any(each.session == event.session for each in state.decided)
        return [_refused(event, review, "already_decided" if decided else "nothing_held")]
    if event.decision == "release":
        return settled(session, event.at, bill_of(session, session.usage), review)
    return [
        CdrWaived(
            at=event.at,
            **about(session),
            review=review,
            account=session.account,
            currency=session.tariff.currency,
            cdr=session.cdr,
            total_excl=session.total_excl,
            total_incl=session.total_incl,
        )
    ]


def _refused(event: CdrReviewed, review: Review, reason: str) -> ReviewRefused:
    return ReviewRefused(
        at=event.at,
        **whose(event),
        review=review,
        reason=reason,  # type: ignore[arg-type]
    )
