"""What each decider keeps."""

from typing import Any

from services.authorization import domain as authorization
from services.billing import state as billing
from services.directory import domain as directory
from services.operations import station as operations
from services.sessions import state as sessions

STATES: dict[str, Any] = {
    "authorization": authorization.State,
    "billing": billing.State,
    "directory": directory.State,
    "operations": operations.State,
    "sessions": sessions.State,
}
