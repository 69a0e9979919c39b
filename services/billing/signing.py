"""What a meter signed of a session: judged once, and named by the CDR (CDR-08)."""

from decimal import Decimal
from hashlib import sha256
from typing import Literal

from contracts.bills import BillEvent, SignedValue, SignedValueJudged
from contracts.sessions import SignedValueTaken
from services.billing.ocmf import Document
from services.billing.papers import about
from services.billing.signed import Judged, format_of, judged
from services.billing.state import Session

CONTEXTS: dict[str, Literal["begin", "end"]] = {"Transaction.Begin": "begin", "Transaction.End": "end"}
ENDS = frozenset("ELRAP")
"""How OCMF says that a transaction ended: as it should, by the car or locally, by remote, by abort, by power failure."""
BAD = frozenset({"not_genuine", "unreliable", "unreadable"})
EXACT_WH = 2
"""The registers that are signed have decimals, and a session's energy has none."""


def taken(session: Session | None, event: SignedValueTaken, key: str | None) -> list[BillEvent]:
    """Return what is thought of a value that a session began or ended with; those between them are in the log alone."""
    found = judged(event.data, key)
    moment = _moment(event.context, found.document)
    digest = sha256(event.data.encode()).hexdigest()
    if session is None or moment is None or any(each.sha256 == digest for each in session.signed):
        return []
    if moment == "begin" and any(each.moment == "begin" for each in session.signed):
        return []
    value = _value(event, moment, digest, found, registered=key is not None)
    return [SignedValueJudged(at=event.at, **about(session), value=value, why=found.why)]


def _moment(context: str, document: Document | None) -> Literal["begin", "end"] | None:
    if context in CONTEXTS or document is None or not document.readings:
        return CONTEXTS.get(context)
    last = document.readings[-1].transaction
    return "end" if last in ENDS else "begin" if last == "B" else None


def _value(
    event: SignedValueTaken, moment: Literal["begin", "end"], digest: str, found: Judged, *, registered: bool
) -> SignedValue:
    readings = () if found.document is None else found.document.readings
    begun = readings[0].wh if len(readings) > 1 and readings[0].transaction == "B" else None
    return SignedValue(
        moment=moment,
        at=event.at,
        format=format_of(event.data),
        sha256=digest,
        report=event.report,
        verdict=found.verdict if registered else "unverified",
        characters=len(event.data),
        page=None if found.document is None else found.document.page,
        wh=readings[-1].wh if readings else None,
        began_at_wh=begun,
    )


def doubts(signed: tuple[SignedValue, ...], energy_wh: int) -> set[str]:
    """Return why what was signed keeps a session from being billed."""
    found = {"signature_invalid"} if any(each.verdict in BAD for each in signed) else set()
    energy = _energy([each for each in signed if each.verdict == "genuine"])
    if energy is not None and abs(energy - energy_wh) >= EXACT_WH:
        found.add("signed_energy_differs")
    return found


def _energy(genuine: list[SignedValue]) -> Decimal | None:
    """Return the energy between the signed begin and end, in Wh, if both are known."""
    begin = next((each.wh for each in genuine if each.moment == "begin"), None)
    end = next((each for each in genuine if each.moment == "end"), None)
    if end is None or end.wh is None:
        return None
    start = end.began_at_wh if begin is None else begin
    return None if start is None else end.wh - start
