"""What is posted to accounts, short to write, and accounts that listen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any, TypeVar

from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.event import AccountId, Event, PaymentId, RequestId, SessionId, StationId, TenantId, Ticked, TokenId
from contracts.ledger import LedgerEvent, ProviderAsked, Standing
from contracts.postings import (
    AdjustmentAsked,
    CdrPosted,
    CostPosted,
    CreditPosted,
    HoldAsked,
    InvoiceAsked,
    NothingDue,
    ProviderAnswered,
    Source,
    TopUpAsked,
)
from contracts.reference import CustomerAccount
from services.accounts import domain
from services.accounts.heard import Heard
from services.accounts.state import Account

ACME = TenantId("acme")
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
AD_HOC = AccountId("adhoc-p1")
DRIVER = AccountId("driver-1")
PAYMENT = PaymentId("p1")
STATION = StationId("CP-1")
E = TypeVar("E", bound=Event)


def at(minutes: float = 0, *, days: float = 0) -> datetime:
    return NOON + timedelta(minutes=minutes, days=days)


def eur(amount: str | int) -> Decimal:
    return Decimal(amount)


def prepaid(**fields: Any) -> CustomerAccount:
    return CustomerAccount(at=NOON, tenant=ACME, version=1, id=DRIVER, kind="prepaid", currency="EUR", **fields)


def postpaid(**fields: Any) -> CustomerAccount:
    return replace(prepaid(), kind="postpaid", **fields) if fields else replace(prepaid(), kind="postpaid")


class Ledger:
    """An account that hears one posting after the other, and all that it has said."""

    def __init__(self, account: AccountId = DRIVER, customer: CustomerAccount | None = None) -> None:
        self.account, self.customer = account, customer
        self.state = Account()
        self.events: list[LedgerEvent | Standing] = []
        self.offset = 0

    def hear(self, event: Event) -> list[LedgerEvent | Standing]:
        said = domain.decide(self.state, Heard(event, self.customer))
        self.state = reduce(domain.evolve, said, self.state)
        self.events += said
        return said

    def names(self, event: Event) -> list[str]:
        """Hear an event and return what kinds of things follow."""
        return [type(each).__name__ for each in self.hear(event)]

    def of(self, kind: type[E]) -> list[E]:
        return [each for each in self.events if isinstance(each, kind)]

    def last(self, kind: type[E]) -> E:
        return self.of(kind)[-1]

    def tick(self) -> list[LedgerEvent | Standing]:
        """Let time pass until the next deadline."""
        deadline = domain.deadline(self.state)
        assert deadline is not None, "nothing is due"
        return self.hear(Ticked(at=deadline))

    def until(self, kind: type[E]) -> E:
        """Let time pass until it brings something of this kind."""
        before = len(self.of(kind))
        while len(self.of(kind)) == before:
            self.tick()
        return self.last(kind)

    # ---- postings --------------------------------------------------------------------------------------------------

    def _bill(self, minutes: float, session: str, source: Source | None = None) -> dict[str, Any]:
        if source is None:
            self.offset += 1
        return {
            "at": at(minutes),
            "tenant": ACME,
            "account": self.account,
            "source": source or Source(0, self.offset),
            "session": SessionId(session),
            "station": STATION,
            "currency": "EUR",
        }

    def cost(self, amount: str, minutes: float = 5, session: str = "s1", **fields: Any) -> CostPosted:
        return CostPosted(**{**self._bill(minutes, session), "amount": eur(amount), **fields})

    def cdr(
        self, gross: str, minutes: float = 60, session: str = "s1", cdr: str = "", *, started: float = 0, **fields: Any
    ) -> CdrPosted:
        return CdrPosted(
            **{
                **self._bill(minutes, session),
                "cdr": cdr or f"cdr-{session}",
                "net": eur(gross),
                "gross": eur(gross),
                "energy_wh": 10_000,
                "started_at": at(started),
                "ended_at": at(minutes),
                **fields,
            }
        )

    def credit(
        self, gross: str, minutes: float = 70, session: str = "s1", credits: str = "", **fields: Any
    ) -> CreditPosted:
        return CreditPosted(
            **{
                **self._bill(minutes, session),
                "cdr": f"credit-{self.offset}",
                "credits": credits or f"cdr-{session}",
                "net": -eur(gross),
                "gross": -eur(gross),
                "started_at": at(),
                **fields,
            }
        )

    def nothing(self, minutes: float = 60, session: str = "s1") -> NothingDue:
        return NothingDue(**self._bill(minutes, session))

    def hold(self, amount: str = "50", **fields: Any) -> HoldAsked:
        return HoldAsked(
            **{
                "at": at(),
                "tenant": ACME,
                "account": self.account,
                "payment": PAYMENT,
                "amount": eur(amount),
                "currency": "EUR",
                "station": STATION,
                "evse": 1,
                "token": TokenId("t1"),
                "requested_by": "key",
                "fingerprint": "f",
                **fields,
            }
        )

    def top_up(self, amount: str = "20", payment: str = "t1", **fields: Any) -> TopUpAsked:
        return TopUpAsked(
            **{
                "at": at(),
                "tenant": ACME,
                "account": self.account,
                "payment": PaymentId(payment),
                "amount": eur(amount),
                "currency": "EUR",
                "requested_by": "key",
                "fingerprint": "f",
                **fields,
            }
        )

    def adjustment(self, amount: str, request: str = "r1", **fields: Any) -> AdjustmentAsked:
        return AdjustmentAsked(
            **{
                "at": at(),
                "tenant": ACME,
                "account": self.account,
                "request": RequestId(request),
                "amount": eur(amount),
                "currency": "EUR",
                "reason": "a gift",
                "requested_by": "key",
                "fingerprint": "f",
                **fields,
            }
        )

    def invoice(self, minutes: float = 120, request: str = "i1") -> InvoiceAsked:
        return InvoiceAsked(
            at=at(minutes), tenant=ACME, account=self.account, request=RequestId(request), requested_by="key"
        )

    def answer(
        self,
        outcome: str = "done",
        amount: str | None = None,
        minutes: float = 1,
        *,
        to: ProviderAsked | None = None,
        **fields: Any,
    ) -> ProviderAnswered:
        """Return an answer to what the provider was asked last."""
        asked = to or self.last(ProviderAsked)
        return ProviderAnswered(
            **{
                "at": at(minutes),
                "tenant": ACME,
                "account": self.account,
                "payment": asked.payment,
                "operation": asked.operation,
                "kind": asked.kind,
                "outcome": outcome,
                "amount": None if amount is None else eur(amount),
                "reference": "pi_1",
                **fields,
            }
        )

    # ---- how far it has come ---------------------------------------------------------------------------------------

    def held(self, amount: str = "50") -> "Ledger":
        """Let a hold be there."""
        self.hear(self.hold(amount))
        self.hear(self.answer("done"))
        return self

    @property
    def places(self) -> dict[str, Decimal]:
        """Return what is at each place."""
        found: dict[str, Decimal] = {}
        for event in self.events:
            if (movement := getattr(event, "movement", None)) is not None:
                found[movement.source] = found.get(movement.source, Decimal(0)) - movement.amount
                found[movement.to] = found.get(movement.to, Decimal(0)) + movement.amount
        return found


def share(rate: str, net: str, gross: str) -> TaxShare:
    return TaxShare(Decimal(rate), Decimal(net), Decimal(gross))


def ad_hoc() -> Ledger:
    return Ledger(AD_HOC)
