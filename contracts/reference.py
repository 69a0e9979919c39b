"""Reference data: what the directory knows. One compacted topic each; null is deletion. Written by directory only."""

from decimal import Decimal
from typing import Literal, get_args

from msgspec import Struct

from contracts.authorizations import TokenStatus
from contracts.event import AccountId, Event, Instant, Sealed, SiteId, StationId, TenantId, TokenId
from contracts.tariffs import Policy, Tariff, TaxIncluded


class Thing(Event, frozen=True, kw_only=True):
    """A thing as it is since `at`. `version` counts its changes from 1."""

    tenant: TenantId
    version: int


WithoutTariff = Literal["charge", "refuse"]
"""What becomes of a start that no tariff fits. charge: it has no price. refuse: it is blocked (TAR-14)."""


class Site(Thing, frozen=True, kw_only=True):
    """A place with stations."""

    id: SiteId
    name: str
    time_zone: str
    """IANA, such as `Europe/Oslo`."""
    currency: str = "EUR"
    """ISO 4217."""
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    without_tariff: WithoutTariff = "charge"


class Connector(Struct, frozen=True, omit_defaults=True):
    """A plug or socket. `type` is OCPI's word for it (OCPI 2.2.1 mod_locations ConnectorType)."""

    id: int
    type: str = ""
    max_w: int | None = None


class Evse(Struct, frozen=True, omit_defaults=True):
    """What charges one car at a time. `code` is its eMI3 id."""

    id: int
    code: str | None = None
    connectors: tuple[Connector, ...] = (Connector(id=1),)
    meter_public_key: str | None = None
    """Of the meter that signs what it shows, in hex or base64: DER or a point of its curve (CDR-08)."""


# fmt: off
Quirk = Literal[
    "lenient_correlation", "connector_0_is_1", "kwh_said_as_wh", "wh_said_as_kwh", "time_without_fraction",
    "registers_in_kwh", "cut_tags", "plain_tags", "vid_tags", "accept_data",
]
# fmt: on
"""What a station is known to do against the rules, so that it is understood all the same: services/gateway/profiles.py."""
QUIRKS: tuple[str, ...] = get_args(Quirk)
VALUED = ("zone", "local_as_z", "tag_prefix", "accept_data")
"""Quirks that say more behind an equals sign, such as `zone=Europe/Oslo`."""


def is_quirk(said: str) -> bool:
    """Tell whether a station can be said to do this."""
    name, _, value = said.partition("=")
    return said in QUIRKS or (name in VALUED and value != "")


class Habits(Struct, frozen=True, omit_defaults=True):
    """How a gateway treats a station that does not do as OCPP expects (T-22, T-43, T-60 to T-69)."""

    ping_s: int | None = None
    """Seconds between our pings. 0: none; None: what the deployment says."""
    answers_pings: bool = True
    """False: no missing pong ends its connection; it is alive as long as it says something now and then (Q-11)."""
    drain: Literal["close", "abort"] = "close"
    """How we end its connections. abort: without a close frame, after which some never return (Q-13)."""
    quiet_s: int = 0
    """So many seconds after it has connected or booted we ask nothing of it (Q-19)."""
    patience_s: int | None = None
    """How long our calls may wait for their answers, in seconds. None: as long as anybody's (30)."""
    before_boot: Literal["heard", "refused"] = "heard"
    """What becomes of what it says before a boot of its has been accepted. refused: SecurityError, as certification wants."""
    any_user: bool = False
    """Its password counts, whatever user name it sends with it."""
    shows_costs: bool = False
    """It takes in the messages of the OCA's California Pricing note, so drivers see prices and costs on its display."""
    quirks: tuple[str, ...] = ()
    """Of `QUIRKS`, or of `VALUED` with a value."""


class Station(Thing, frozen=True, kw_only=True):
    """A charging station that may connect."""

    id: StationId
    site: SiteId | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    evses: tuple[Evse, ...] = ()
    """Empty: one evse per connector that the station names."""
    security_profile: int = 1
    """0 none, 1 Basic, 2 Basic over TLS, 3 client certificate (OCPP 1.6 security whitepaper §2)."""
    protocol: str | None = None
    """Pinned subprotocol, also taken for a station that names none."""
    password_hash: str | None = None
    """Of the password's bytes: argon2id where somebody chose it, `$sha256$salt$digest` where we did (116 random bits)."""
    boot_status: Literal["Accepted", "Pending", "Rejected"] = "Accepted"
    heartbeat_s: int = 300
    when_undecided: TokenStatus = "Accepted"
    """What a gateway answers when nobody decided in time."""
    habits: Habits = Habits()


class Token(Thing, frozen=True, kw_only=True):
    """An id token: personal data, and the key to charging. The uid is sealed, the id names it."""

    id: TokenId
    uid: Sealed | None = None
    """Missing where only the id is known: such a token can charge, but no start can be asked with it."""
    masked_uid: str = ""
    status: Literal["active", "blocked"] = "active"
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    group: str | None = None
    """Tokens of a group may stop each other's sessions; stations know it as the parent id tag (at most 20 characters)."""
    concurrent: bool = False
    """Whether it may charge at several places at once."""
    label: str = ""
    account: AccountId | None = None
    """Who pays for what it charges. None: nobody keeps an account of it."""


class Address(Struct, frozen=True, omit_defaults=True):
    """Where somebody is, for an invoice. `country` is ISO 3166-1 alpha-2."""

    name: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = ""


class Person(Struct, frozen=True, omit_defaults=True):
    """Whose an account is, and whom its invoices are for."""

    name: str = ""
    email: str = ""
    address: Address = Address()
    vat_id: str = ""


class Subscription(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What an account pays each month beside its sessions, in its currency, and the energy that it need not pay for then (TAR-29)."""

    name: str
    monthly_fee: Decimal
    tax_included: TaxIncluded = "NO"
    """As in tariffs: whether the fee includes VAT. N/A: nobody says."""
    vat: Decimal | None = None
    """In percent."""
    allowance_wh: int | None = None
    """None: there is no allowance."""


class CustomerAccount(Thing, frozen=True, kw_only=True):
    """A driver's or a company's account. What it has is in the ledger, not here."""

    id: AccountId
    kind: Literal["prepaid", "postpaid"]
    """prepaid: charges while its balance lasts. postpaid: charges up to `credit_limit`, and is billed monthly."""
    currency: str
    credit_limit: Decimal | None = None
    """How far below 0 its balance may go. None: 0 if prepaid, without a limit if postpaid."""
    person: Sealed | None = None
    """Whose it is: a `Person` in JSON. None: nobody says, or an older release wrote the next four in clear."""
    name: str = ""
    email: str = ""
    address: Address = Address()
    vat_id: str = ""
    mandate: str = ""
    """The payment provider's name for what money is taken from, such as `cus_…/pm_…`: no card data ever."""
    closed: bool = False
    time_zone: str = "UTC"
    """IANA: in which its months begin."""
    subscription: Subscription | None = None


class AccessKey(Thing, frozen=True, kw_only=True):
    """An API key; only a digest of it is kept."""

    id: str
    digest: str
    """SHA-256 of the key, in hex: the key itself has 256 random bits."""
    scopes: tuple[str, ...]
    label: str = ""


class TariffVersion(Thing, frozen=True, kw_only=True):
    """A tariff as it is from `valid_from` on. A version never changes and is never deleted: what was priced by it stays (TAR-02)."""

    id: str
    tariff: Tariff
    policy: Policy = Policy()
    valid_from: Instant


class TariffAssignment(Thing, frozen=True, kw_only=True):
    """Which tariff counts where and for whom. The narrowest that fits counts (TAR-29).

    `id` is its scope: `tenant`, `site/…`, `station/…` or `connector/station/evse/connector`, each with `/group/…` for one group of tokens.
    """

    id: str
    tariff: str | None = None
    """None: charging costs nothing there, and that is meant."""


class Forgotten(Event, frozen=True, kw_only=True):
    """The thing is no more: a null on the wire. One class per topic, so that the class says where it goes."""

    tenant: TenantId
    id: str


class SiteForgotten(Forgotten, frozen=True, kw_only=True):
    """The site is no more."""


class StationForgotten(Forgotten, frozen=True, kw_only=True):
    """The station may not connect any more."""


class TokenForgotten(Forgotten, frozen=True, kw_only=True):
    """The id token is no more."""


class CustomerAccountForgotten(Forgotten, frozen=True, kw_only=True):
    """The account is no more. What it owed stays in the ledger."""


class AccessKeyForgotten(Forgotten, frozen=True, kw_only=True):
    """The key lets nobody in any more."""


class TariffAssignmentForgotten(Forgotten, frozen=True, kw_only=True):
    """No tariff is assigned there any more."""


SiteRecord = Site | SiteForgotten
StationRecord = Station | StationForgotten
TokenRecord = Token | TokenForgotten
CustomerRecord = CustomerAccount | CustomerAccountForgotten
AccessRecord = AccessKey | AccessKeyForgotten
TariffRecord = TariffVersion | TariffAssignment | TariffAssignmentForgotten
