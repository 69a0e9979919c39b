"""Accounts' money as tables, beside those of `contracts.tables`: views alone writes them, api reads them.

`accounts` is what the directory says, and gone when it forgets one. All else is what the ledger says, which forgets nothing:
`balances` and `standings` also have the ad-hoc accounts that no directory knows. Amounts are decimal numbers as text.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Table, Text

from contracts.tables import Instant, metadata


def _key(name: str, type_: Any = Text) -> Column[Any]:
    return Column(name, type_, primary_key=True, autoincrement=False)


accounts = Table(
    "accounts",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("kind", Text, nullable=False),  # prepaid, postpaid
    Column("currency", Text, nullable=False),
    Column("credit_limit", Text),
    Column("person", Text),  # sealed; the four that follow are of accounts that an older release wrote
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("address", JSON, nullable=False),
    Column("vat_id", Text, nullable=False),
    Column("mandate", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("subscription", JSON),  # name, monthly_fee, tax_included, vat, allowance_wh; null: there is none
)

balances = Table(
    "balances",
    metadata,
    _key("tenant"),
    _key("account"),
    Column("currency", Text, nullable=False),
    Column("balance", Text, nullable=False),
    Column("entry", BigInteger, nullable=False),  # the newest
    Column("updated_at", Instant, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    _key("tenant"),
    _key("account"),
    _key("entry", BigInteger),  # from 1, without a gap
    Column("kind", Text, nullable=False),  # as `services.api.postings.Entry` says
    Column("at", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Text, nullable=False),  # what the account gets, below 0: gives
    Column("balance", Text, nullable=False),  # what it has then
    Column("place", Text),  # where it comes from, or goes to; null: the amount is 0
    Column("cdr", Text),
    Column("credits", Text),
    Column("session", Text),
    Column("station", Text),
    Column("site", Text),
    Column("energy_wh", BigInteger),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("net", Text),
    Column("gross", Text),
    Column("taxes", JSON),  # a list of {rate, net, gross}
    Column("invoice", Text),  # of which it is a line, or will be
    Column("name", Text),  # of a subscription; it started and ended with its month
    Column("payment", Text),
    Column("request", Text),
    Column("reason", Text),
    Column("requested_by", Text),
    Index("ledger_entries_by_invoice", "tenant", "invoice"),
    Index("ledger_entries_by_cdr", "tenant", "cdr"),
)

subscription_months = Table(
    "subscription_months",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("account", Text, nullable=False),
    Column("month_start", Instant, nullable=False),
    Column("month_end", Instant, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("net", Text, nullable=False),  # of the fee
    Column("gross", Text, nullable=False),
    Column("allowance_wh", BigInteger),  # null: there is none
    Column("left_wh", BigInteger),
    Index("subscription_months_by_account", "tenant", "account", "month_start"),
)

payments = Table(
    "payments",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),  # hold, top_up, collection
    # asked, action_required, authorised, captured, released, declined, failed, refunded, partially_refunded, disputed
    Column("state", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("held", Text),
    Column("taken", Text),
    Column("returned", Text),
    Column("url", Text),  # where the payer does what is required
    Column("reference", Text),  # the provider's name for it
    Column("station", Text),
    Column("evse", BigInteger),
    Column("token", Text),
    Column("session", Text),  # of a hold, once it has begun
    Column("reason", Text),
    Column("requested_by", Text),
    Column("fingerprint", Text, nullable=False),
    Column("until", Instant),  # a start that has not happened by then releases the hold
    Column("capture_before", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("payments_by_account", "tenant", "account", "created_at", "id"),
    Index("payments_by_age", "tenant", "created_at", "id"),
    Index("payments_by_reference", "tenant", "reference"),
)

posting_outcomes = Table(
    "posting_outcomes",
    metadata,
    _key("tenant"),
    _key("id"),  # of the request, or the payment
    Column("account", Text, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("entry", BigInteger),
    Column("invoice", Text),
    Column("reason", Text),  # why it was refused, for programs
    Column("detail", Text),
    Column("fingerprint", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
)

standings = Table(
    "standings",
    metadata,
    _key("tenant"),
    _key("account"),
    Column("may_charge", Boolean, nullable=False),
    Column("why", Text, nullable=False),  # no_hold, no_money, owes, closed
    Column("since", Instant, nullable=False),
)
