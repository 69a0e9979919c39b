"""What each decider keeps."""

from typing import Any

from services.accounts import state as accounts
from services.authorization import domain as authorization
from services.billing import state as billing
from services.directory import domain as directory
from services.invoicing import carrier as drafting
from services.invoicing import domain as invoicing
from services.operations import station as operations
from services.payments import domain as payments
from services.sessions import state as sessions

STATES: dict[str, Any] = {
    "accounts": accounts.State,
    "authorization": authorization.State,
    "billing": billing.State,
    "directory": directory.State,
    "drafting": drafting.State,
    "invoicing": invoicing.State,
    "operations": operations.State,
    "payments": payments.State,
    "sessions": sessions.State,
}
