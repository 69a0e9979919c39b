"""Compares what was charged with the books of everybody who keeps some: bills, the ledger, the invoices, and the provider's own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from contracts.bills import CdrCredited, CdrIssued
from contracts.event import Event
from contracts.invoices import InvoiceIssued
from contracts.ledger import (
    AllowanceConsumed,
    AllowanceReturned,
    DebtFound,
    Entry,
    InvoiceDrafted,
    MoneyReturned,
    MoneyTaken,
    SessionCharged,
    SessionCredited,
    SubscriptionCharged,
    WrittenOff,
)
from contracts.postings import AD_HOC
from tests.torture.checks import Verdict
from tests.torture.visits import Visit

NOTHING = Decimal(0)
Thing = Mapping[str, Any]


class Provider:
    """What the provider's own books say, in hundredths, by payment."""

    def __init__(self, intents: Sequence[Thing] = (), refunds: Sequence[Thing] = ()) -> None:
        self.intents = _by_payment(intents)
        self._refunds = _by_payment(refunds)

    def taken(self, payment: str) -> Decimal:
        return sum((_amount(each["amount_received"]) for each in self.intents.get(payment, ())), NOTHING)

    def returned(self, payment: str) -> Decimal:
        return sum((_amount(each["amount"]) for each in self._refunds.get(payment, ())), NOTHING)


def _by_payment(things: Sequence[Thing]) -> dict[str, list[Thing]]:
    found: defaultdict[str, list[Thing]] = defaultdict(list)
    for each in things:
        found[each["metadata"].get("payment", "")].append(each)
    return dict(found)


@dataclass
class Sums:
    """What it all came to, for those who paid without an account."""

    cdrs: int = 0
    captured: Decimal = NOTHING
    owed: Decimal = NOTHING
    """What a correction made dearer that had been paid for, and what nobody took."""
    billed: Decimal = NOTHING

    def __str__(self) -> str:
        return f"cdrs {self.cdrs} captured {self.captured:.2f} owed {self.owed:.2f} billed {self.billed:.2f}"


# ---- bills ---------------------------------------------------------------------------------------------------------------


def counting(bills: Iterable[Event]) -> dict[str, list[CdrIssued]]:
    """Return the CDRs that count, by session."""
    found: defaultdict[str, list[CdrIssued]] = defaultdict(list)
    for event in bills:
        match event:
            case CdrIssued():
                found[event.session].append(event)
            case CdrCredited():
                found[event.session] = [each for each in found[event.session] if each.cdr != event.credits]
            case _:
                pass
    return found


def of_bills(visits: Sequence[Visit], bills: Iterable[Event]) -> Verdict:
    """Each session has exactly one CDR that counts, of the right amount, for whoever pays."""
    verdict, found = Verdict(), counting(bills)
    for visit in visits:
        mine = found.pop(visit.session, [])
        if not mine:
            verdict.lost.append(f"{visit.session} ({visit.kind}) has no CDR")
        verdict.doubled += [f"{visit.session} has {len(mine)} CDRs that count"] * (len(mine) > 1)
        for cdr in mine[:1]:
            seen, wanted = (cdr.priced.total_incl, cdr.account), (visit.gross, visit.account)
            verdict.wrong += [f"{visit.session}: billed {seen}, not {wanted}"] * (seen != wanted)
    verdict.doubled += [f"nobody charged in {session}, which has a CDR" for session, mine in found.items() if mine]
    return verdict


# ---- the ledger ----------------------------------------------------------------------------------------------------------


@dataclass
class Account:
    """What the ledger says of one account."""

    entries: list[Entry] = field(default_factory=list)
    places: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: NOTHING))
    sessions: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: NOTHING))
    taken: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: NOTHING))
    returned: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: NOTHING))
    subscribed: Decimal = NOTHING
    """Fees of subscriptions, less what their allowances gave back."""
    written_off: Decimal = NOTHING
    debt: DebtFound | None = None

    @property
    def balance(self) -> Decimal:
        return self.entries[-1].balance if self.entries else NOTHING

    def hear(self, event: Event) -> None:
        """Enter what moved money."""
        if isinstance(event, DebtFound):
            self.debt = event
        if not isinstance(event, Entry):
            return
        self.entries.append(event)
        if event.movement is not None:
            self.places[event.movement.source] -= event.movement.amount
            self.places[event.movement.to] += event.movement.amount
        amount = event.movement.amount if event.movement is not None else NOTHING
        match event:
            case SessionCharged() | SessionCredited():
                self.sessions[event.session] += event.gross
            case SubscriptionCharged() | AllowanceConsumed() | AllowanceReturned():
                self.subscribed += event.gross
            case MoneyTaken():
                self.taken[event.payment] += amount
            case MoneyReturned():
                self.returned[event.payment] += amount
            case WrittenOff():
                self.written_off += amount
            case _:
                pass


def accounts_of(ledger: Iterable[Event]) -> dict[str, Account]:
    found: defaultdict[str, Account] = defaultdict(Account)
    for event in ledger:
        found[str(getattr(event, "account", ""))].hear(event)
    return found


def of_ledger(visits: Sequence[Visit], accounts: Mapping[str, Account]) -> Verdict:
    """Each session is in the account that pays for it with its amount, and each account adds up."""
    verdict = Verdict()
    for name, account in accounts.items():
        verdict.add(_adds_up(name, account))
    for visit in visits:
        mine = accounts.get(visit.account, Account()).sessions
        if visit.session not in mine:
            verdict.lost.append(f"{visit.session} is not in the ledger of {visit.account}")
        elif mine[visit.session] != visit.gross:
            verdict.wrong.append(f"{visit.session} is {mine[visit.session]} in the ledger, not {visit.gross}")
    begun = {visit.session for visit in visits}
    verdict.doubled += [
        f"{name}: nobody charged in {session}"
        for name, account in accounts.items()
        for session in account.sessions
        if session not in begun
    ]
    return verdict


def _adds_up(name: str, account: Account) -> Verdict:
    """Entries are numbered without a gap, and what moves is what changes the balance."""
    verdict = Verdict()
    numbers = [each.entry for each in account.entries]
    if numbers != list(range(1, len(numbers) + 1)):
        verdict.wrong.append(f"{name}: its entries are numbered {numbers}")
    if account.balance != account.places["customer"]:
        verdict.wrong.append(f"{name} has {account.balance}, and {account.places['customer']} was moved there")
    if sum(account.places.values(), NOTHING) != 0:
        verdict.wrong.append(f"{name}: its places come to {sum(account.places.values(), NOTHING)}")
    return verdict


# ---- the provider's own books --------------------------------------------------------------------------------------------


def of_provider(accounts: Mapping[str, Account], provider: Provider) -> Verdict:
    """Nothing is captured or charged twice, and the provider took and gave back what the ledger says."""
    verdict = Verdict()
    for payment, intents in provider.intents.items():
        again = [each for each in intents if each["captures"] > 1]
        verdict.doubled += [f"{payment}: {each['id']} was captured {each['captures']} times" for each in again]
        paid = [each for each in intents if each["amount_received"]]
        verdict.doubled += [f"{payment} was paid {len(paid)} times"] * (len(paid) > 1)
        verdict.wrong += [f"{payment}: {each['id']} is still held" for each in intents if each["amount_capturable"]]
    taken = {payment: amount for account in accounts.values() for payment, amount in account.taken.items()}
    returned = {payment: amount for account in accounts.values() for payment, amount in account.returned.items()}
    for payment in {*provider.intents, *taken}:
        ours = taken.get(payment, NOTHING), returned.get(payment, NOTHING)
        theirs = provider.taken(payment), provider.returned(payment)
        verdict.wrong += [f"{payment}: (taken, returned) is {ours} here and {theirs} there"] * (ours != theirs)
    return verdict


def of_ad_hoc(visits: Sequence[Visit], accounts: Mapping[str, Account], provider: Provider) -> tuple[Verdict, Sums]:
    """Whoever pays without an account has paid what the CDR says. What a correction made dearer is waived, or owed."""
    verdict, sums = Verdict(), Sums()
    for visit in (each for each in visits if each.kind == "ad_hoc"):
        account = accounts.get(visit.account, Account())
        paid = provider.taken(visit.payment) - provider.returned(visit.payment)
        owed = account.written_off + max(NOTHING, -account.balance)
        sums.captured, sums.owed, sums.billed = sums.captured + paid, sums.owed + owed, sums.billed + visit.gross
        if paid + owed != visit.gross or account.balance > 0:
            verdict.wrong.append(f"{visit.payment}: {paid} paid and {owed} owed of {visit.gross}")
        if owed > max(NOTHING, visit.gross - visit.first):
            verdict.lost.append(f"{visit.payment}: {owed} of {visit.gross} was never taken, first billed {visit.first}")
        if account.balance < 0 and account.debt is None:
            verdict.wrong.append(f"{visit.account} owes {-account.balance}, and nobody asks for it")
    return verdict, sums


# ---- invoices ------------------------------------------------------------------------------------------------------------


def of_invoices(accounts: Mapping[str, Account], ledger: Iterable[Event], issued: Iterable[Event]) -> Verdict:
    """Numbers of a series are 1, 2, 3 and so on; each draft has one; and they come to what their accounts were billed."""
    verdict = Verdict()
    drafts = [event for event in ledger if isinstance(event, InvoiceDrafted)]
    given = [event for event in issued if isinstance(event, InvoiceIssued)]
    by_series: defaultdict[str, list[int]] = defaultdict(list)
    for each in given:
        by_series[each.series].append(each.number)
    for series, numbers in by_series.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            verdict.wrong.append(f"{series} has the numbers {sorted(numbers)}")
    numbered = Counter(each.draft.invoice for each in given)
    verdict.lost += [f"draft {each.invoice} has no number" for each in drafts if not numbered[each.invoice]]
    verdict.doubled += [f"draft {id} has {n} numbers" for id, n in numbered.items() if n > 1]
    known = {each.invoice: each for each in drafts}
    verdict.wrong += [
        f"{each.name} is not what was drafted" for each in given if known.get(each.draft.invoice) != each.draft
    ]
    verdict.add(_invoiced(accounts, drafts))
    verdict.add(_credit_notes(accounts, drafts))
    return verdict


def _invoiced(accounts: Mapping[str, Account], drafts: Sequence[InvoiceDrafted]) -> Verdict:
    """The documents of whoever pays afterwards come to all that was entered."""
    verdict = Verdict()
    for name, account in accounts.items():
        if name.startswith((AD_HOC, "prepaid-")):
            continue
        documents = sum((each.gross for each in drafts if each.account == name), NOTHING)
        entered = sum(account.sessions.values(), account.subscribed)
        if documents != entered:
            verdict.lost.append(f"{name}: invoiced {documents} of {entered}")
    return verdict


def _credit_notes(accounts: Mapping[str, Account], drafts: Sequence[InvoiceDrafted]) -> Verdict:
    """A credit note refers to the invoice that has the sessions whose CDRs it takes back."""
    verdict, corrected = Verdict(), {each.invoice for each in drafts if each.kind == "invoice"}
    for note in (each for each in drafts if each.kind == "credit_note" and each.refers_to is not None):
        mine = accounts[note.account].entries
        charged = {each.cdr for each in mine if isinstance(each, SessionCharged) and each.invoice == note.refers_to}
        credited = {each.credits for each in mine if isinstance(each, SessionCredited) and each.invoice == note.invoice}
        if note.refers_to not in corrected or not credited or not credited <= charged:
            verdict.wrong.append(
                f"credit note {note.invoice} refers to {note.refers_to}, which has not {credited - charged}"
            )
    return verdict


def _amount(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)
