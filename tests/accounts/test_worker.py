"""What accounts reads, and which account it finds."""

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from chassis.copies import Copies
from chassis.settings import Settings
from contracts.event import Event, Message, TenantId, Ticked
from contracts.postings import TermsChanged
from contracts.reference import CustomerAccount
from contracts.topics import ACCOUNTS, LEDGER, POSTINGS, STANDINGS, Topic
from services.accounts import domain, worker
from services.accounts.domain import Output
from services.accounts.heard import Heard
from tests.accounts.says import ACME, NOON, Ledger, ad_hoc, at, postpaid

STREAM = worker.build(Settings())


def known(*accounts: CustomerAccount) -> Copies:
    copies = Copies(*STREAM.copies)
    for account in accounts:
        copies.of(ACCOUNTS).apply(ACCOUNTS.key_of(account), ACCOUNTS.encode(account))
    return copies


def regarded(event: Event, copies: Copies, key: str = "") -> Heard[Any]:
    heard = STREAM.regard(Message(event, "id", NOON, key=key), copies)
    assert isinstance(heard, Heard)
    return heard


def test_it_hears_postings_and_writes_the_ledger_and_standings() -> None:
    assert STREAM.inputs == (POSTINGS,)
    assert STREAM.outputs == (LEDGER, STANDINGS)


@pytest.mark.parametrize("topic", [LEDGER, STANDINGS])
def test_the_rules_take_in_every_event_of_their_topics(topic: Topic[Any]) -> None:
    said = {each for union in get_args(Output) for each in (get_args(union) or (union,))}
    assert set(topic.classes) <= said


def test_a_posting_is_heard_with_its_account() -> None:
    posting = Ledger().cdr("5")
    assert regarded(posting, known(postpaid())) == Heard(posting, postpaid(), NOON)
    assert regarded(posting, known(replace(postpaid(), tenant=TenantId("other")))).customer is None
    assert regarded(ad_hoc().hold(), known(postpaid())).customer is None


def test_a_deadline_is_heard_with_the_account_as_it_is_now() -> None:
    ticked = Ticked(at=at(9))
    assert regarded(ticked, known(postpaid()), f"{ACME}/driver-1") == Heard(ticked, postpaid())


def test_new_terms_count_though_the_directorys_own_word_comes_later() -> None:
    new = replace(postpaid(), version=2, closed=True)
    newest = replace(new, version=3, closed=False)
    changed = TermsChanged(at=NOON, tenant=ACME, account=postpaid().id, terms=new)
    assert regarded(changed, known()).customer == new
    assert regarded(changed, known(postpaid())).customer == new
    assert regarded(changed, known(newest)).customer == newest
    assert regarded(replace(changed, terms=None), known(postpaid())).customer == postpaid()


def test_a_deadline_follows_from_the_state_alone() -> None:
    one = ad_hoc().held()
    assert STREAM.deadline is not None
    assert STREAM.deadline(one.state, known()) == domain.deadline(one.state) == at(31)
