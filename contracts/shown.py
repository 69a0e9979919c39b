"""What REST shows of a session, as JSON: views keeps it in the session's row, so that whoever asks is given text.

It follows from the row alone, so a row of a release that kept none, or has changed the row since, is shown all the same.
"""

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec

from contracts import tables

FIELDS = {
    "id": "id",
    "station": "station",
    "evse": "evse",
    "connector": "connector",
    "site": "site",
    "time_zone": "time_zone",
    "transaction": "transaction_id",
    "token_id": "token",
    "masked_uid": "masked_uid",
    "stop_token_id": "stop_token",
    "stop_masked_uid": "stop_masked_uid",
    "authorization_status": "authorization_status",
    "reservation": "reservation",
    "state": "state",
    "started_at": "started_at",
    "ended_at": "ended_at",
    "meter_start_wh": "meter_start_wh",
    "meter_stop_wh": "meter_stop_wh",
    "energy_wh": "energy_wh",
    "energy_source": "energy_source",
    "attached_to": "attached_to",
    "reason": "reason",
    "flags": "flags",
    "final": "final",
    "revision": "revision",
    "updated_at": "updated_at",
}
"""What each field that is shown is called in the table, in the order in which they are shown."""
_NAMES = tuple(FIELDS)
_PICK = itemgetter(*FIELDS.values())
_JSON = msgspec.json.Encoder()


def session(row: Mapping[str, Any]) -> str:
    """Return what is shown of a row of `contracts.tables.sessions`."""
    shown = dict(zip(_NAMES, _PICK(row), strict=True))
    for name in ("started_at", "ended_at", "updated_at"):
        shown[name] = _utc(shown[name])
    return _JSON.encode(shown).decode()


def _utc(moment: datetime | None) -> datetime | None:
    """Return the moment as the database gives it back."""
    return None if moment is None else tables.utc(moment)
