"""What accounts reads, by which rules, and what it writes."""

from typing import Any

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message, Ticked
from contracts.postings import OfAccount, TermsChanged
from contracts.reference import CustomerAccount
from contracts.topics import ACCOUNTS, LEDGER, POSTINGS, STANDINGS, of_account
from services.accounts import domain
from services.accounts.heard import Heard
from services.accounts.state import State


def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
    """Return a posting, or a deadline, with what the directory says of its account."""
    event = message.event
    found = copies.of(ACCOUNTS).get(of_account(event) if isinstance(event, OfAccount) else message.key)
    customer = found if isinstance(found, CustomerAccount) else None
    if isinstance(event, TermsChanged):
        customer = _newer(customer, event.terms)
    return Heard(event, customer, None if isinstance(event, Ticked) else message.recorded_at)


def _newer(known: CustomerAccount | None, said: CustomerAccount | None) -> CustomerAccount | None:
    """Return what the directory said last: what was heard of it may have come before its own word."""
    if said is None or (known is not None and known.version >= said.version):
        return known
    return said


def build(_: Settings) -> Stream:
    return Stream(
        name="accounts",
        rules=domain,
        state=State,
        inputs=(POSTINGS,),
        outputs=(LEDGER, STANDINGS),
        copies=(Whole(ACCOUNTS),),
        regard=regard,
        deadline=lambda state, _: domain.deadline(state),
    )
