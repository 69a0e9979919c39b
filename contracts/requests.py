"""Changes of reference data that somebody asks for, and what came of them (written by directory).

The api asks for what people ask for, and payments for the tokens that are made for one payment to be forgotten.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Struct

from contracts.event import Event, RequestId, TenantId
from contracts.reference import AccessKey, CustomerAccount, Site, Station, TariffAssignment, TariffVersion, Token

Kind = Literal["site", "station", "token", "access", "tariff", "tariff_assignment", "account"]
Refusal = Literal[
    "version_mismatch",
    "not_found",
    "identity_taken",
    "idempotency_key_reused",
    "unknown_site",
    "unknown_tariff",
    "unknown_account",
]


class PutSite(Struct, frozen=True, tag=True, tag_field="type"):
    """Make the site so. The version in `site` is ignored: directory counts."""

    site: Site


class PutStation(Struct, frozen=True, tag=True, tag_field="type"):
    """Make the station so; its password stays."""

    station: Station


class SetPassword(Struct, frozen=True, tag=True, tag_field="type"):
    """From now on the station has the password of which this is the argon2id hash."""

    password_hash: str


class PutToken(Struct, frozen=True, tag=True, tag_field="type"):
    """Make the token so; a uid that is known already stays if `token` has none."""

    token: Token


class PutAccessKey(Struct, frozen=True, tag=True, tag_field="type"):
    """Let this key in."""

    key: AccessKey


class PutTariff(Struct, frozen=True, tag=True, tag_field="type"):
    """Give the tariff a further version; the older ones stay."""

    tariff: TariffVersion


class PutTariffAssignment(Struct, frozen=True, tag=True, tag_field="type"):
    """Let this tariff count in this scope."""

    assignment: TariffAssignment


class PutAccount(Struct, frozen=True, tag=True, tag_field="type"):
    """Make the account so. What it has is in the ledger."""

    account: CustomerAccount


class Delete(Struct, frozen=True, tag=True, tag_field="type"):
    """Forget the thing."""


Change = (
    PutSite | PutStation | SetPassword | PutToken | PutAccessKey | PutTariff | PutTariffAssignment | PutAccount | Delete
)


class ChangeRequested(Event, frozen=True, kw_only=True):
    """Somebody wants a thing changed."""

    awaited: ClassVar[bool] = True

    tenant: TenantId
    request: RequestId
    """Derived from the idempotency key, if there is one; else random."""
    kind: Kind
    id: str
    change: Change
    requested_by: str
    expected_version: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """From `If-Match`; 0: the thing must not exist yet (`If-None-Match: *`)."""
    fingerprint: str = ""
    """A digest of the request, to tell a repetition from another request under the same idempotency key."""


class Changed(Event, frozen=True, kw_only=True):
    """The answer to a request."""

    tenant: TenantId
    request: RequestId
    kind: Kind
    id: str
    fingerprint: str = ""


class ChangeAccepted(Changed, frozen=True, kw_only=True):
    """The thing has this version now."""

    version: int


class ChangeRefused(Changed, frozen=True, kw_only=True):
    """It cannot be. `reason` is for programs, `detail` for people."""

    reason: Refusal
    detail: str
    version: int | None = None
    """The version that the thing has."""


RequestEvent = ChangeRequested
DirectoryEvent = ChangeAccepted | ChangeRefused
