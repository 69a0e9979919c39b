"""Tariffs, in OCPI's shape and words (OCPI 2.3.0 mod_tariffs), and our policy beside them.

Prices are decimal numbers, in JSON as text or number; nothing here was ever a float. What OCPI 2.2.1 says otherwise (`excl_vat`,
`incl_vat`; no `tax_included`) is understood too.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

Dimension = Literal["ENERGY", "TIME", "PARKING_TIME", "FLAT"]
"""What a component prices: per kWh, per hour of charging, per hour of standing idle, once per session."""
ReservationRestriction = Literal["RESERVATION", "RESERVATION_EXPIRES"]
Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
TaxIncluded = Literal["YES", "NO", "N/A"]


class PriceLimit(Struct, frozen=True, omit_defaults=True):
    """The least or most that a session costs. Without `after_taxes` the taxes follow the base."""

    before_taxes: Decimal | None = None
    after_taxes: Decimal | None = None
    excl_vat: Decimal | None = None
    incl_vat: Decimal | None = None

    @property
    def net(self) -> Decimal | None:
        return self.excl_vat if self.before_taxes is None else self.before_taxes

    @property
    def gross(self) -> Decimal | None:
        return self.incl_vat if self.after_taxes is None else self.after_taxes


class PriceComponent(Struct, frozen=True, omit_defaults=True):
    """The price of one dimension: per kWh, per hour, or flat. `step_size` in Wh or seconds; `vat` in percent."""

    type: Dimension
    price: Decimal
    step_size: int = 1
    vat: Decimal | None = None


class Restrictions(Struct, frozen=True, omit_defaults=True):
    """When an element counts: all of it must hold at an instant. Beginnings belong to it, ends do not."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    """In A, over all phases."""
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    """In kW."""
    max_power: Decimal | None = None
    min_duration: int | None = None
    """In seconds since the session began."""
    max_duration: int | None = None
    day_of_week: tuple[Weekday, ...] = ()
    reservation: ReservationRestriction | None = None


class TariffElement(Struct, frozen=True, omit_defaults=True):
    """Prices that count together, under the same restrictions."""

    price_components: tuple[PriceComponent, ...]
    restrictions: Restrictions | None = None


class Tariff(Struct, frozen=True, omit_defaults=True):
    """What charging costs: for each dimension, the first element counts that has it and whose restrictions hold."""

    id: str
    currency: str
    elements: tuple[TariffElement, ...]
    country_code: str = ""
    party_id: str = ""
    type: str | None = None
    tax_included: TaxIncluded = "NO"
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None


class Discount(Struct, frozen=True, omit_defaults=True):
    """So many percent less on the prices of one dimension, or of all."""

    percent: Decimal
    dimension: Dimension | None = None


class Policy(Struct, frozen=True, omit_defaults=True):
    """What OCPI cannot say of a price. A session that stays below both `void_` limits costs nothing; 0: none does."""

    idle_grace_s: int = 0
    idle_debounce_s: int = 60
    void_below_wh: int = 0
    void_below_s: int = 0
    max_power_kw: Decimal | None = None
    """What the connector can give: more is no measurement."""
    discounts: tuple[Discount, ...] = ()
    dearer: Literal["held_for_consumers", "held", "issued"] = "held_for_consumers"
    """What becomes of a correction that makes a bill dearer (CDR-03): a person looks first, or it is issued. Consumers' tariffs
    are those whose prices include the taxes (D-3)."""
