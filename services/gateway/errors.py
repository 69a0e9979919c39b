"""How OCPP says that a call failed."""

from typing import Literal, get_args

ErrorCode = Literal[
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
]
"""The codes of a CALLERROR as OCPP 1.6-J §4.2.3 spells them: another spelling makes some stations repeat for ever (T-55)."""

_SPELLINGS: dict[str, str] = {code.casefold(): code for code in get_args(ErrorCode)} | {
    "formatviolation": "FormationViolation",
    "occurrenceconstraintviolation": "OccurenceConstraintViolation",
    "rpcframeworkerror": "FormationViolation",
    "messagetypenotsupported": "NotSupported",
    "notimplement": "NotImplemented",
}
"""What stations write for them, of whatever version of OCPP."""


def understood(code: str) -> str:
    """Return the code that a station means; what is none of OCPP's is left as it is (T-53, T-55)."""
    return _SPELLINGS.get("".join(c for c in code if c.isalnum()).casefold(), code.strip())
