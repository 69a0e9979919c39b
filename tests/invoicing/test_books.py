"""What is known of accounts and their sessions."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.copies import Copies, Whole
from chassis.persons import person_of, sealed
from chassis.secrets import Secrets
from contracts.bills import TaxShare
from contracts.event import AccountId, Event, InvoiceId, SiteId
from contracts.ledger import AllowanceConsumed, AllowanceReturned, InvoiceDrafted, SessionCredited, SubscriptionCharged
from contracts.reference import Address, CustomerAccount, Person, Site
from contracts.topics import ACCOUNTS, INVOICES, LEDGER, PAPERS, SITES, Topic
from services.invoicing.books import Books, buyer_of
from services.invoicing.cii import write
from services.invoicing.document import Original, compose
from services.invoicing.parties import Buyer
from services.invoicing.printer import NotYet
from services.views.worker import TOPICS, Views
from tests.accounts.says import postpaid
from tests.accounts.test_subscriptions import priced, subscribed, taken_back
from tests.invoicing.given import ACME, ANNA, DECEMBER, NOVEMBER, SELLER, drafted, entered, entry, issued, written
from tests.invoicing.validity import broken_rules
from tests.sql_fixture import migrated, postgres, postgres_url, sql_url, sqlite_url
from tests.views.given import chunk

__all__ = ["migrated", "postgres", "postgres_url", "sql_url", "sqlite_url"]

SECRETS = Secrets("a-secret-of-the-tests-and-of-nobody-else")
SHARE = TaxShare(Decimal(19), Decimal("10.00"), Decimal("11.90"))
BACK = TaxShare(Decimal(19), Decimal("-10.00"), Decimal("-11.90"))
HARBOUR = Site(at=NOVEMBER, tenant=ACME, version=1, id=SiteId("harbour"), name="Hafen", time_zone="Europe/Berlin")
DRAFT = drafted([], invoice=InvoiceId("d-1"), last_entry=9)


CHARGED = entered(1, "d-1", SHARE)
CREDITED = SessionCredited(
    **entry(2, "d-1", cdr="cdr-1-c", credits="cdr-1", net=BACK.net, gross=BACK.gross, taxes=(BACK,))
)
STRANGE = SessionCredited(**entry(3, "d-1", cdr="x", credits="unknown", net=BACK.net, gross=BACK.gross))
OTHER = SessionCredited(**entry(4, "d-2", cdr="y", credits="cdr-1", net=BACK.net, gross=BACK.gross))


def copies(*things: Event) -> Copies:
    made = Copies(Whole(ACCOUNTS), Whole(SITES))
    for thing in things:
        topic: Topic[Any] = SITES if isinstance(thing, Site) else ACCOUNTS
        made.of(topic).apply(topic.key_of(thing), topic.encode(thing))
    return made


async def say(engine: AsyncEngine, topic: Topic[Any], *events: Event) -> None:
    views = Views(engine)
    await views.positions({(each.name, 0) for each in TOPICS})
    await views.apply([chunk(topic, list(events))])


async def test_a_drafts_sessions_are_its_entries_and_a_credit_is_as_its_session_was(migrated: AsyncEngine) -> None:
    await say(migrated, LEDGER, CHARGED, CREDITED, STRANGE, OTHER)
    charged, credited = await Books(migrated, copies(HARBOUR), SECRETS).sessions(DRAFT)
    assert (charged.cdr, charged.net, charged.taxes, charged.energy_wh) == ("cdr-1", SHARE.net, (SHARE,), 5000)
    assert (credited.cdr, credited.gross, credited.taxes) == ("cdr-1-c", BACK.gross, (BACK,))
    for each in (charged, credited):
        assert (each.started_at, each.place, each.country, each.time_zone) == (NOVEMBER, "Hafen", "DE", "Europe/Berlin")


async def test_fees_and_what_allowances_give_are_lines_of_a_draft(migrated: AsyncEngine) -> None:
    plus = entry(
        5, "d-1", id="month-1", name="Plus", month_start=NOVEMBER, month_end=DECEMBER, net=SHARE.net, gross=SHARE.gross,
        taxes=(SHARE,), period_start=NOVEMBER, period_end=DECEMBER, allowance_wh=9000,
    )  # fmt: skip
    fee = SubscriptionCharged(**{name: plus[name] for name in plus if name not in {"source", "session", "station"}})
    said = {"energy_wh": 2000, "month": "month-1", "net": BACK.net, "gross": BACK.gross, "taxes": (BACK,)}
    given = entry(6, "d-1", cdr="cdr-1", started_at=NOVEMBER, site=SiteId("harbour"), left_wh=7000, **said)
    back = entry(7, "d-1", cdr="cdr-1-c", credits="cdr-1", left_wh=9000, **said)
    used = AllowanceConsumed(**{name: given[name] for name in given if name != "source"})
    returned = AllowanceReturned(**{name: back[name] for name in back if name != "source"})
    await say(migrated, LEDGER, CHARGED, CREDITED, fee, used, returned)
    found = await Books(migrated, copies(HARBOUR), SECRETS).sessions(DRAFT)
    lines = {(each.what, each.cdr): (each.place, each.energy_wh, each.started_at, each.country) for each in found}
    assert len(found) == 5
    assert lines == {
        ("session", "cdr-1"): ("Hafen", 5000, NOVEMBER, "DE"),
        ("session", "cdr-1-c"): ("Hafen", 5000, NOVEMBER, "DE"),
        ("subscription", "subscription-5"): ("Plus", 0, NOVEMBER, ""),
        ("allowance", "cdr-1"): ("Hafen", 2000, NOVEMBER, "DE"),
        ("allowance", "cdr-1-c"): ("Hafen", 2000, NOVEMBER, "DE"),
    }


async def test_what_an_account_drafts_of_its_subscription_is_a_document_by_every_rule(migrated: AsyncEngine) -> None:
    one = subscribed(customer=postpaid(time_zone="Europe/Oslo"))
    for number, net in enumerate(("4.005", "7.333333", "0.014", "12.1")):
        one.hear(priced(one, f"s{number}", wh=9_000 + number, net=net))
    one.hear(taken_back(one, "s1", "7.33"))
    invoice = one.until(InvoiceDrafted)
    one.hear(taken_back(one, "s0", "4.01", at=invoice.at))
    note = one.last(InvoiceDrafted)
    await say(migrated, LEDGER, *[each for each in one.events if isinstance(each, LEDGER.classes)])
    books = Books(migrated, copies(), SECRETS)
    buyer = buyer_of(one.customer or postpaid(), Person())
    for draft, original in ((invoice, None), (note, Original("2026-INV-000001", invoice.at))):
        document = compose(issued(draft), SELLER, buyer, await books.sessions(draft), original)
        assert len(document.lines) == draft.lines
        assert broken_rules(write(document)) == []
    assert (invoice.lines, note.lines, note.kind) == (10, 2, "credit_note")


async def test_a_place_that_nobody_knows_any_more_is_the_station(migrated: AsyncEngine) -> None:
    await say(migrated, LEDGER, CHARGED)
    (charged,) = await Books(migrated, copies(), SECRETS).sessions(DRAFT)
    assert (charged.station, charged.place, charged.country, charged.time_zone) == ("CP-1", "", "", "UTC")


async def test_a_credit_note_finds_what_it_corrects_once_that_has_its_number(migrated: AsyncEngine) -> None:
    books = Books(migrated, copies(), SECRETS)
    assert await books.original(ACME, InvoiceId("d-1")) is None
    await say(migrated, INVOICES, issued(DRAFT, 7))
    assert await books.original(ACME, InvoiceId("d-1")) == Original("2026-INV-000007", DECEMBER)


async def test_what_has_a_number_and_no_document_is_found(migrated: AsyncEngine) -> None:
    other = issued(drafted([], invoice=InvoiceId("d-2")), 2)
    await say(migrated, INVOICES, issued(DRAFT), other)
    await say(migrated, PAPERS, written(DRAFT))
    books = Books(migrated, copies(), SECRETS)
    assert await books.unwritten([ACME], DECEMBER.replace(day=2), 10) == [other]
    assert await books.unwritten(["others"], DECEMBER.replace(day=2), 10) == []
    assert await books.unwritten([ACME], DECEMBER, 10) == []


@pytest.mark.parametrize(
    ("more", "pays"),
    [
        ({"kind": "prepaid"}, "paid"),
        ({"kind": "postpaid"}, "transfer"),
        ({"kind": "postpaid", "mandate": "m"}, "mandate"),
    ],
)
async def test_a_buyer_is_as_the_directory_says(migrated: AsyncEngine, more: dict[str, Any], pays: Any) -> None:
    address = Address(street="Gate 1", postal_code="0150", city="Oslo", country="NO")
    said = CustomerAccount(
        at=NOVEMBER, tenant=ACME, version=1, id=ANNA, currency="EUR", name="Anna", address=address, vat_id="NO1",
        time_zone="Europe/Oslo", **more,
    )  # fmt: skip
    assert Books(migrated, copies(said), SECRETS).buyer(DRAFT) == Buyer(
        account="anna", name="Anna", street="Gate 1", postal_code="0150", city="Oslo", country="NO", vat_id="NO1",
        time_zone="Europe/Oslo", pays=pays,
    )  # fmt: skip


async def test_a_buyer_who_is_sealed_is_the_same_and_none_under_another_secret(migrated: AsyncEngine) -> None:
    clear = CustomerAccount(
        at=NOVEMBER, tenant=ACME, version=1, id=ANNA, kind="postpaid", currency="EUR", name="Anna",
        address=Address(city="Oslo"), vat_id="NO1",
    )  # fmt: skip
    hidden = replace(clear, person=sealed(SECRETS, ACME, ANNA, person_of(SECRETS, clear)), name="", vat_id="")
    known = copies(hidden)
    assert Books(migrated, known, SECRETS).buyer(DRAFT) == Books(migrated, copies(clear), SECRETS).buyer(DRAFT)
    with pytest.raises(NotYet, match="cannot be read"):
        Books(migrated, known, Secrets("another deployment's secret, as long as it should be")).buyer(DRAFT)


async def test_who_pays_at_once_needs_no_account_and_others_do(migrated: AsyncEngine) -> None:
    books = Books(migrated, copies(), SECRETS)
    ad_hoc = drafted([], account=AccountId("adhoc-7"))
    assert books.buyer(ad_hoc) == Buyer(account="adhoc-7", pays="paid")
    assert books.buyer(DRAFT) is None
