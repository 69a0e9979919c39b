"""How OCPP says that a call failed."""

from typing import Literal

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
