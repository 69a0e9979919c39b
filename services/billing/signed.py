"""What is thought of a signed meter value: genuine, not genuine, or nothing that could be verified (CDR-08)."""

from typing import Literal, NamedTuple

from services.billing import ocmf

LONGEST = 5000
"""More characters no CDR may carry (OCPI 2.2.1 mod_cdrs SignedValue)."""
Verdict = Literal["genuine", "not_genuine", "unreliable", "unverified", "unreadable"]
"""unreliable: genuine, but the meter does not vouch for it. unverified: there is no key, or no rule for this format."""


class Judged(NamedTuple):
    """A verdict, and why."""

    verdict: Verdict
    why: str
    document: ocmf.Document | None = None


def format_of(text: str) -> str:
    """Return the format of signed data, by how it begins; empty if nobody knows it."""
    begins = {"OCMF|": "OCMF", "AP;": "ALFEN", "<?xml": "EDL", "<signedMeterValue": "EDL"}
    return next((name for start, name in begins.items() if text.startswith(start)), "")


def judged(text: str, key: str | None) -> Judged:
    """Return what is thought of signed data, by the meter's public key."""
    if not ocmf.is_ocmf(text):
        return Judged("unverified", f"nobody here verifies {format_of(text) or 'this format'}")
    try:
        document = ocmf.parsed(text)
        if key is None:
            return Judged("unverified", "no public key is registered for this meter", document)
        genuine = ocmf.is_genuine(document, key)
    except ocmf.Unreadable as error:
        return Judged("unreadable", str(error))
    if not genuine:
        return Judged("not_genuine", "the signature is not of these bytes by this key", document)
    wrong = ocmf.problems(document)
    return Judged("unreliable" if wrong else "genuine", ", ".join(wrong), document)
