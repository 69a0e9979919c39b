"""The cases and quirks that docs/ocpp-coverage.md counts: their ids, what each is, and why one is not there yet.

`OCTT`: the 1.6 cases for a central system by the public numbering of the Open Charge Alliance's test tool (own tests; its texts are
not public). `OWN`: our robustness and architecture cases. `QUIRKS`: what real stations do otherwise than specified.
"""

from typing import Final

COMMAND = "a command of a later version"
TLS = "TLS"
OCPP2 = "OCPP 2.x"
SOAK = "an hour of load is no test of CI"

OCTT: Final = {
    "TC_001": "cold boot",
    "TC_003": "a session, plugged in first",
    "TC_004_1": "a session, identified first",
    "TC_004_2": "identified first, and never plugged in",
    "TC_005_1": "unplugged at the car",
    "TC_007": "a cached id",
    "TC_010": "remote start, cable first",
    "TC_011_1": "remote start before the cable",
    "TC_011_2": "remote start, and no cable in time",
    "TC_012": "remote stop",
    "TC_013": "hard reset",
    "TC_014": "soft reset",
    "TC_017_1": "unlock without a transaction",
    "TC_017_2": "unlock a fixed cable",
    "TC_018_1": "unlock during a transaction",
    "TC_019_1": "read the whole configuration",
    "TC_019_2": "read one key",
    "TC_021": "change the configuration",
    "TC_023_1": "an invalid id",
    "TC_023_2": "an expired id",
    "TC_023_3": "a blocked id",
    "TC_024": "the connector's lock fails",
    "TC_026": "remote start rejected",
    "TC_028": "remote stop rejected",
    "TC_030": "unlocking fails",
    "TC_031": "unlock an unknown connector",
    "TC_032_1": "power failure, and the stop after the boot",
    "TC_037_1": "started offline with a valid id",
    "TC_037_3": "started offline with an invalid id",
    "TC_039": "a whole transaction offline",
    "TC_040_1": "a key that is not supported",
    "TC_040_2": "a value that is rejected",
    "TC_042_1": "local list version: not supported",
    "TC_042_2": "local list version: empty",
    "TC_043_1": "local list not supported",
    "TC_043_3": "local list failed",
    "TC_043_4": "a full local list",
    "TC_043_5": "a differential local list",
    "TC_044_1": "firmware updated",
    "TC_044_2": "firmware download failed",
    "TC_044_3": "firmware installation failed",
    "TC_045_1": "diagnostics uploaded",
    "TC_045_2": "diagnostics upload failed",
    "TC_046": "reserve and use",
    "TC_047": "a reservation expires",
    "TC_048_1": "reserve: faulted",
    "TC_048_2": "reserve: occupied",
    "TC_048_3": "reserve: unavailable",
    "TC_048_4": "reserve: rejected",
    "TC_049": "reserve the whole station",
    "TC_051": "cancel a reservation",
    "TC_052": "cancel: rejected",
    "TC_053": "use a reservation by the parent id",
    "TC_054": "trigger each message",
    "TC_055": "trigger: rejected",
    "TC_056": "a default charging profile",
    "TC_057": "a transaction's charging profile",
    "TC_059": "remote start with a charging profile",
    "TC_061": "clear the cache",
    "TC_064": "data transfer to the central system",
    "TC_066": "composite schedule",
    "TC_067": "clear charging profiles",
    "TC_073": "a new password",
    "TC_074": "a new client certificate",
    "TC_075_1": "install a manufacturer's root",
    "TC_075_2": "install a central root",
    "TC_076": "delete a certificate",
    "TC_077": "an invalid station certificate is reported",
    "TC_078": "an invalid central certificate is reported",
    "TC_079": "security log",
    "TC_080": "signed firmware",
    "TC_081": "signed firmware with a bad signature",
    "TC_083": "a higher security profile, and no way back",
    "TC_085": "Basic authentication",
    "TC_086": "the server's certificate and TLS",
    "TC_087": "client certificates",
    "TC_088": "subprotocols",
}

OWN: Final = [
    *range(1, 16),
    *range(20, 29),
    *range(30, 48),
    *range(50, 76),
    *range(80, 107),
]
"""The numbers of C-001 to C-106 that exist."""

QUIRKS: Final = [
    *range(1, 20),
    *range(20, 40),
    *range(40, 54),
    *range(55, 61),
    *range(61, 83),
    *range(85, 98),
    *range(100, 106),
    *range(110, 123),
    *range(130, 140),
]
"""The numbers of Q-01 to Q-139 that exist."""


def _many(reason: str, *ids: str) -> dict[str, str]:
    return dict.fromkeys(ids, reason)


def _octt(*numbers: str) -> list[str]:
    return [id for id in OCTT if id.split("_")[1] in numbers]


ABSENT: Final = {
    **_many(
        COMMAND,
        *_octt("061", "013", "014", "017", "018", "019", "021", "030", "031", "040", "042", "043", "044", "045"),
    ),
    **_many(
        COMMAND,
        *_octt("046", "047", "048", "049", "051", "052", "053", "054", "056", "057", "059", "066", "067"),
    ),
    **_many(COMMAND, *_octt("073", "075", "076", "080")),
    **_many(TLS, *_octt("074", "083", "086", "087")),
    **_many(OCPP2, "C-015", "C-028", "C-046", *(f"C-{n:03}" for n in range(90, 100)), "Q-34", "Q-35", "Q-51"),
    **_many(OCPP2, *(f"Q-{n}" for n in range(130, 140))),
    **_many(COMMAND, "C-103", "C-104", *(f"Q-{n}" for n in (110, 111, 112, 113, 114, 115, 116, 118, 122))),
    **_many(TLS, "Q-09"),
    **_many(SOAK, "C-105"),
}
"""Why a case has no test, where one cannot have one yet. A case with neither is simply missing; none has both."""


def own_id(number: int) -> str:
    return f"C-{number:03}"


def quirk_id(number: int) -> str:
    return f"Q-{number:02}"
