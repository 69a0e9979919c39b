"""Frames without the uids in them, for those who may not see them (architecture §7)."""

import json
import re
from typing import Any

from chassis.secrets import mask

NAMES = frozenset({"idtag", "parentidtag", "idtoken", "groupidtoken", "uid"})
"""Fields that hold a uid, in lower case: OCPP 1.6's and 2.x's, and what vendors put into DataTransfer."""

_IN_TEXT = re.compile(
    r"""(["']?\b(?:id|idtag|id_tag|parentidtag|idtoken|uid|rfid)\b["']?\s*[:=]\s*)(["']?)([^"',;&}\s]+)""",
    re.IGNORECASE,
)
"""As signed meter data name who charged (OCMF's ID, among others)."""


def masked(text: str) -> str | None:
    """Return a frame with its uids masked; None if nobody can tell where they are."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    without = unnamed(frame)
    return text if without == frame else json.dumps(without, ensure_ascii=False, separators=(",", ":"))


def unnamed(value: Any) -> Any:
    """Return a JSON value with its uids masked."""
    match value:
        case dict():
            return {name: _field(name, each) for name, each in value.items()}
        case list():
            return [unnamed(each) for each in value]
        case str():
            return masked_text(value)
        case _:
            return value


def _field(name: str, value: Any) -> Any:
    if isinstance(value, str | int) and name.lower() in NAMES:
        return mask(str(value))
    return unnamed(value)


def masked_text(value: str) -> str:
    """Return a text without the uids that it names: it may be JSON itself, or signed data with JSON in it."""
    if value[:1] in {"{", "["} and (inner := masked(value)) is not None:
        return inner
    return _IN_TEXT.sub(lambda found: f"{found[1]}{found[2]}{mask(found[3])}", value)
