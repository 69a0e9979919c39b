"""Who sells and who buys. The sellers of a deployment are in one file (`VOLTSTREAM_SELLERS`), by tenant."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta, Struct
from stdnum import iban
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from chassis.settings import BrokenSetting

Country = Annotated[str, Meta(pattern="^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""
Untaxed = Literal["Z", "E", "AE", "O"]
"""UNTDID 5305, as far as charging needs it: zero rate, exempt, reverse charge, not subject to VAT."""
Category = Literal["S"] | Untaxed
"""And taxed."""
LAST = "vat: the last rule should fit everything"


class VatRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which category an amount without VAT has. Of a table, the first that fits counts; what is not said fits all."""

    since: date = date.min
    until: date = date.max
    """The first day on which it counts no more."""
    seller: Country | None = None
    """The seller's country,"""
    buyer: Country | None = None
    """the buyer's,"""
    place: Country | None = None
    """and where the car was charged."""
    abroad: bool | None = None
    """Whether the buyer is of another country than the seller."""
    business: bool | None = None
    """Whether the buyer has a VAT id."""
    taxable: bool | None = None
    """Whether the tariff says a rate, which is 0 then; if not, it says nothing of VAT."""
    category: Untaxed
    text: str = ""
    """Why there is no VAT, as the document says it."""
    code: str = ""
    """The same as a code of the list VATEX."""


NO_RULES: tuple[VatRule, ...] = (
    VatRule(taxable=False, category="O", text="Not subject to VAT", code="VATEX-EU-O"),
    VatRule(abroad=True, business=True, category="AE", text="Reverse charge", code="VATEX-EU-AE"),
    VatRule(category="Z"),
)
"""What counts where a seller says nothing: a start, and no tax advice (CDR-22)."""


class Seller(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who issues the documents of a tenant."""

    name: Annotated[str, Meta(min_length=1)]
    street: str = ""
    postal_code: str = ""
    city: str = ""
    country: Country
    vat_id: str = ""
    """With its country's letters, such as `DE136695976`."""
    tax_number: str = ""
    """The tax office's own, where there is no VAT id."""
    registration: str = ""
    """In a register of companies."""
    email: str = ""
    iban: str = ""
    bic: str = ""
    due_days: Annotated[int, Meta(ge=0, le=365)] = 14
    """After how many days an invoice is to be paid."""
    time_zone: str = "UTC"
    """IANA: by which a document has its date."""
    vat: tuple[VatRule, ...] = NO_RULES
    """How amounts without VAT are called."""


class Buyer(Struct, frozen=True, kw_only=True):
    """Whom a document is for."""

    account: str
    name: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = ""
    vat_id: str = ""
    time_zone: str = "UTC"
    """In which the account's months begin."""
    pays: Literal["transfer", "mandate", "paid"] = "transfer"
    """mandate: what is due is collected; paid: it has been."""


def read(path: str) -> dict[str, Seller]:
    """Return the sellers that a file names, by tenant; none if there is no file. Raises `BrokenSetting`."""
    if not path:
        return {}
    try:
        sellers = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Seller])
    except (OSError, msgspec.DecodeError) as wrong:
        raise BrokenSetting(f"VOLTSTREAM_SELLERS: {path}: {wrong}") from wrong
    for tenant, seller in sellers.items():
        if why := "; ".join(faults(seller)):
            raise BrokenSetting(f"VOLTSTREAM_SELLERS: {path}: {tenant}: {why}")
    return sellers


def faults(seller: Seller) -> list[str]:
    """Return what is wrong with a seller, in words."""
    last = seller.vat[-1] if seller.vat else None
    found = [
        "" if seller.vat_id or seller.tax_number else "vat_id or tax_number is missing",
        _fault("iban", iban.validate, seller.iban),
        _fault("vat_id", vat.validate, seller.vat_id) if seller.vat_id[:2].lower() in vat.MEMBER_STATES else "",
        "" if seller.time_zone in available_timezones() else f"time_zone: {seller.time_zone!r} is none of IANA's",
        *("" if rule.text or rule.category == "Z" else f"vat: {rule.category} has no text" for rule in seller.vat),
        "" if last and last == VatRule(category=last.category, text=last.text, code=last.code) else LAST,
    ]
    return [fault for fault in found if fault]


def _fault(name: str, validate: Callable[[str], str], value: str) -> str:
    try:
        return "" if not value or validate(value) else f"{name}: {value!r}"
    except ValidationError as wrong:
        return f"{name}: {value!r}: {wrong}"
