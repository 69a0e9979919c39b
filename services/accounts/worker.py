"""What accounts reads, by which rules, and what it writes."""

from typing import Any

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message
from contracts.postings import OfAccount
from contracts.reference import CustomerAccount
from contracts.topics import ACCOUNTS, LEDGER, POSTINGS, STANDINGS, of_account
from services.accounts import domain
from services.accounts.heard import Heard
from services.accounts.state import State


def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
    """Return a posting, or a deadline, with what the directory says of its account."""
    event = message.event
    found = copies.of(ACCOUNTS).get(of_account(event) if isinstance(event, OfAccount) else message.key)
    return Heard(event, found if isinstance(found, CustomerAccount) else None)


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
