"""What each decider keeps."""

from typing import Any

STATES: dict[str, Any] = {}
