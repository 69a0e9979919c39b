"""What is true now, as tables: views alone writes them, api reads them. SQLite or PostgreSQL.

Everything in a row comes from the log, never from a clock, so a rebuild writes the same rows again.

**Whose a row is.** Keys are (tenant, id). `sites`, `tokens` and `access_keys` are what the directory says, and gone when it
forgets them. `stations`, `evses` and `connectors` join what the directory says (`declared`) with what stations do and say
(`reported`): such a row is there as long as either is true, so who shows only what the directory knows asks for `declared`.
An unknown token stays in `unknown_tokens` when it has been registered: leave out those that are in `tokens`.

**After a change.** A request's outcome (`changes`) and the thing it changed come by different topics, either of them first.
Who waits for a write to show waits for the row of `changes`, and then for the thing to have at least its `version`.

**Paging sessions so that no change is missed.** Each partition of the topic `sessions` is taken in by itself, so one may be
seconds behind another, and no single number or time is a safe cursor. But every row carries `part` and `place` (partition and
offset) of the last record that changed it, and `updated_at`, which never falls from one place to the next in a partition.
A cursor is therefore a vector, for each partition of `sessions` named in `positions` the (updated_at, place) of the last row
that was given out; at first (`updated_after`, -1), or nothing. A page is

    SELECT * FROM (SELECT * FROM sessions WHERE tenant = :t AND part = 0 AND updated_at >= :u0 AND place > :p0
                   ORDER BY updated_at, place LIMIT :n)
    UNION ALL ... one such for each partition ...
    ORDER BY updated_at, part, place LIMIT :n

in one statement, so that it sees one moment. What it gives of a partition is a prefix of what is new there; a row that changes
again moves to the end and is given again. Each part is one range of the index `sessions_by_change`; a filter on state or site
has an index of the same kind, one on station or token finds few rows anyway. `updated_after` itself is only a beginning:
a partition that lags may yet show rows older than it, and the cursor is what does not miss them.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

REVISION = "0014"
"""The migration that makes the database as it is described here. Migrations are numbered, so that newer ones are larger."""

UNKNOWN_TOKENS_KEPT = 10_000
"""Per tenant, the newest."""
CHANGES_KEPT_DAYS = 30
"""Before the newest of their partition."""


def utc(moment: datetime) -> datetime:
    """Return `moment` in UTC. A clock at the edge of time stays there."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        edge = datetime.min if moment.year == 1 else datetime.max  # noqa: DTZ901 - the zone follows
        return edge.replace(tzinfo=UTC)


class Stored(TypeDecorator[datetime]):
    """A moment as the database keeps it, in SQLite as text that sorts: for whoever needs few of those it reads (`instant`)."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return utc(value).isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc(value)


class Instant(Stored):
    """A moment in UTC, to the microsecond."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as it is called
        return datetime.fromisoformat(value) if isinstance(value, str) else value


def instant(stored: Any) -> datetime:
    """Return the moment that a database keeps so."""
    return datetime.fromisoformat(stored) if isinstance(stored, str) else utc(stored)


AnyTable = Table
"""One of those below, for whoever speaks of rows and of no database."""

metadata = MetaData()


def _key(name: str, type_: Any = Text) -> Column[Any]:
    return Column(name, type_, primary_key=True, autoincrement=False)


def _yes(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


positions = Table(
    "positions",
    metadata,
    _key("topic"),  # without the deployment's prefix
    _key("partition", Integer),
    Column("next", BigInteger, nullable=False),  # the offset that comes next; 0: nothing has been read
    Column("newest", Instant),  # the newest `updated_at` so far; null for compacted topics
)

sites = Table(
    "sites",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("without_tariff", Text, nullable=False, server_default="charge"),  # charge, refuse
)

stations = Table(
    "stations",
    metadata,
    _key("tenant"),
    _key("id"),
    # what the directory says
    _yes("declared"),
    Column("version", BigInteger),
    Column("changed_at", Instant),
    Column("site", Text),
    Column("name", Text),
    Column("tags", JSON),
    Column("security_profile", BigInteger),
    Column("pinned_protocol", Text),
    Column("has_password", Boolean),
    Column("boot_answer", Text),  # what the next boot is answered
    Column("heartbeat_s", BigInteger),
    Column("when_undecided", Text),
    Column("habits", JSON),  # those that differ from `Habits`' defaults
    # what operations knows
    _yes("reported"),
    _yes("online"),
    Column("since", Instant),  # online or offline since
    Column("epoch", BigInteger),  # of the newest connection
    Column("gateway", Text),
    Column("protocol", Text),
    Column("connection_security_profile", BigInteger),
    Column("remote_address", Text),
    Column("close_code", BigInteger),
    Column("close_reason", Text),
    Column("close_inferred", Boolean),  # nobody saw it close: its gateway fell silent
    Column("vendor", Text),
    Column("model", Text),
    Column("serial_number", Text),
    Column("firmware_version", Text),
    Column("iccid", Text),
    Column("imsi", Text),
    Column("meter_type", Text),
    Column("meter_serial_number", Text),
    Column("boot_status", Text),  # what the last boot was answered
    Column("last_boot_at", Instant),
    Column("status", Text),  # of the station as a whole: OCPP 1.6's connector 0
    Column("error_code", Text),
    Column("info", Text),
    Column("vendor_id", Text),
    Column("vendor_error_code", Text),
    Column("status_since", Instant),
    Index("stations_by_site", "tenant", "site"),
)

evses = Table(
    "evses",
    metadata,
    _key("tenant"),
    _key("station"),
    _key("id", BigInteger),
    _yes("declared"),
    Column("code", Text),
    Column("meter_public_key", Text),
    _yes("reported"),
)

connectors = Table(
    "connectors",
    metadata,
    _key("tenant"),
    _key("station"),
    _key("evse", BigInteger),
    _key("id", BigInteger),
    # what the directory says
    _yes("declared"),
    Column("type", Text),
    Column("max_w", BigInteger),
    # what the station says
    _yes("reported"),
    Column("status", Text),
    Column("error_code", Text),
    Column("info", Text),
    Column("vendor_id", Text),
    Column("vendor_error_code", Text),
    Column("since", Instant),  # the status
)

tokens = Table(
    "tokens",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("uid", Text),  # sealed
    Column("masked_uid", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("valid_from", Instant),
    Column("valid_until", Instant),
    Column("token_group", Text),
    Column("concurrent", Boolean, nullable=False),
    Column("label", Text, nullable=False),
    Column("account", Text),  # who pays
)

unknown_tokens = Table(
    "unknown_tokens",
    metadata,
    _key("tenant"),
    _key("token"),
    Column("masked_uid", Text, nullable=False),
    Column("station", Text, nullable=False),  # where it was presented last
    Column("purpose", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),  # when we learnt of that; never falls within `part`
    Column("part", Integer, nullable=False),  # partition and offset of the record that says so
    Column("place", BigInteger, nullable=False),
    Index("unknown_tokens_by_age", "tenant", "seen_at", "part", "place"),
)

sessions = Table(
    "sessions",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("station", Text, nullable=False),
    Column("site", Text),
    Column("time_zone", Text),  # the site's at the start, IANA
    Column("evse", BigInteger),
    Column("connector", BigInteger),
    Column("transaction_id", Text),  # what the station was told last
    Column("transactions", JSON, nullable=False),  # every transaction id it has had
    Column("token", Text),
    Column("masked_uid", Text),
    Column("stop_token", Text),
    Column("stop_masked_uid", Text),
    Column("state", Text, nullable=False),  # pending, charging, ended, presumed_ended, quarantined, attached, discarded
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("meter_start_wh", BigInteger),
    Column("meter_stop_wh", BigInteger),
    Column("energy_wh", BigInteger),
    Column("energy_source", Text),  # register, samples, relative, intervals, person: `contracts.sessions.EnergySource`
    Column("reason", Text),  # of its end, in OCPP's words
    Column("reason_said", Text),  # in the station's, where it is none of OCPP's
    Column("quarantined_because", Text),  # none_fits, several_fit
    Column("authorization_status", Text),
    Column("stop_authorization_status", Text),
    Column("reservation", BigInteger),
    Column("attached_to", Text),  # the session that a stop in quarantine was the end of, once somebody has said so
    Column(
        "flags", JSON, nullable=False
    ),  # those of `contracts.sessions`, and offline, undecided, suspected, *_differs
    Column("final", Boolean, nullable=False),  # ended by the station's own stop, and the energy is known
    Column("revision", BigInteger, nullable=False),  # how many events it is made of: each makes another version
    Column("updated_at", Instant, nullable=False),  # when we learnt of the last; never falls within `part`
    Column("part", Integer, nullable=False),  # partition and offset of the last
    Column("place", BigInteger, nullable=False),
    Column("shown", Text),  # `contracts.shown.session`
    Column("shown_revision", BigInteger),  # that it shows; another one than the row's: a release without it wrote last
    Index("sessions_by_change", "tenant", "part", "updated_at", "place"),
    Index("sessions_by_state", "tenant", "state", "part", "updated_at", "place"),
    Index("sessions_by_site", "tenant", "site", "part", "updated_at", "place"),
    Index("sessions_by_station", "tenant", "station"),
    Index("sessions_by_token", "tenant", "token"),
)

repairs = Table(
    "repairs",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("station", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("action", Text, nullable=False),  # attach, end, discard
    Column("attached_to", Text),
    Column("done", Boolean, nullable=False),
    Column("reason", Text),  # why somebody asked for it; of a refusal, why it cannot be done
    Column("detail", Text),
    Column("requested_by", Text),
    Column("fingerprint", Text, nullable=False),
    Column("energy_before_wh", BigInteger),
    Column("energy_after_wh", BigInteger),
    Column("decided_at", Instant, nullable=False),
    Column("part", Integer, nullable=False),
    Column("place", BigInteger, nullable=False),
    Index("repairs_by_session", "tenant", "session"),
)

commands = Table(
    "commands",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("station", Text, nullable=False),
    Column("task", JSON),  # as in `contracts.operations.Task`, with its `type`
    Column("state", Text, nullable=False),  # requested, queued, sent, accepted, rejected, failed, expired, fulfilled
    Column("reason", Text),
    Column("detail", Text),
    Column("late", Boolean, nullable=False),  # the state is an answer that came after its time
    Column("session", Text),  # that it is about, or that came of it
    Column("transaction_id", Text),
    Column("requested_by", Text),
    Column("fingerprint", Text),
    Column("created_at", Instant),
    Column("expires_at", Instant),
    Column("history", JSON, nullable=False),  # a list of {state, at, ...}, the oldest first
    Column("updated_at", Instant, nullable=False),
    Column("part", Integer, nullable=False),
    Column("place", BigInteger, nullable=False),
    Index("commands_by_station", "tenant", "station", "created_at"),
)

tariffs = Table(
    "tariffs",
    metadata,
    _key("tenant"),
    _key("id"),
    # its newest version
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("tariff", JSON, nullable=False),
    Column("policy", JSON, nullable=False),
)

tariff_versions = Table(
    "tariff_versions",
    metadata,
    _key("tenant"),
    _key("id"),
    _key("version", BigInteger),
    Column("changed_at", Instant, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("tariff", JSON, nullable=False),
    Column("policy", JSON, nullable=False),
)

tariff_assignments = Table(
    "tariff_assignments",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("tariff", Text),  # null: charging costs nothing there
)

costs = Table(
    "costs",
    metadata,
    _key("tenant"),
    _key("session"),
    Column("station", Text, nullable=False),
    Column("state", Text, nullable=False),  # no_tariff, free, running, measured, held, billed, waived, discarded
    Column("tariff", Text),
    Column("tariff_version", BigInteger),
    Column("assignment", Text),  # the scope by which the tariff counts
    Column("currency", Text),
    Column("total_excl", Text),  # decimal numbers
    Column("total_incl", Text),
    Column("energy_wh", BigInteger),
    Column("due", Instant),  # when it is billed
    Column("held_because", JSON),
    Column("cdr", Text),  # the one that counts
    Column("priced", JSON),  # `contracts.bills.Priced`, of the CDR that counts or that is held
    Column("account", Text),  # who pays
    Column("updated_at", Instant, nullable=False),
)

cdrs = Table(
    "cdrs",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("kind", Text, nullable=False),  # CDR, CREDIT_CDR
    Column("session", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("site", Text),
    Column("token", Text),
    Column("number", BigInteger),  # of its session's
    Column("tariff", Text),
    Column("tariff_version", BigInteger),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("issued_at", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_excl", Text),
    Column("total_incl", Text),
    Column("energy_wh", BigInteger),
    Column("corrects", Text),  # the CDR that this one takes the place of
    Column("credits", Text),  # the CDR that this one takes back
    Column("credited_by", Text),
    Column("priced", JSON),
    Column("account", Text),
    Column("taxes", JSON),  # a list of {rate, net, gross}
    Column("signed", JSON),  # a list of `contracts.bills.SignedValue`
    Index("cdrs_by_age", "tenant", "issued_at", "id"),
    Index("cdrs_by_session", "tenant", "session"),
)

re_ratings = Table(
    "re_ratings",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("state", Text, nullable=False),  # asked, running, finished, cancelled, failed
    Column("asked_at", Instant),
    Column("choice", JSON),  # `contracts.ratings.Choice`
    Column("by", JSON),  # `contracts.ratings.By`
    Column("mode", Text),
    Column("raises", Boolean),
    Column("reason", Text),
    Column("requested_by", Text),
    Column("fingerprint", Text),
    Column("parts", JSON),  # of each partition number: where it began, where it is, and where it ends
    Column("sums", JSON),  # `contracts.ratings.Sum`
    Column("skipped", JSON),
    Column("applied", BigInteger),
    Column("unbilled", BigInteger),
    Column("failed_because", Text),
    Column("detail", Text),
    Column("updated_at", Instant, nullable=False),
)

cdr_reviews = Table(
    "cdr_reviews",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("session", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("decision", Text, nullable=False),  # release, waive
    Column("outcome", Text, nullable=False),  # billed, confirmed, waived, refused
    Column("refused_because", Text),
    Column("cdr", Text),  # the CDR that came of it, or that goes on to count
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Index("cdr_reviews_by_session", "tenant", "session", "decided_at"),
)

alerts = Table(
    "alerts",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("rule", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("evse", BigInteger),  # of a rule that counts per connector
    Column("connector", BigInteger),
    Column("state", Text, nullable=False, server_default="open"),  # open, cleared
    Column("raised_at", Instant),  # null: only its end has been heard of yet
    Column("since", Instant),
    Column("count", BigInteger),
    Column("within_s", BigInteger),
    Column("detail", Text),
    Column("cleared_at", Instant),
    Column("cleared_reason", Text),  # quiet, a_day_has_passed
    Index("alerts_by_age", "tenant", "raised_at", "id"),
    Index("alerts_by_state", "tenant", "state", "raised_at", "id"),
    Index("alerts_by_station", "tenant", "station", "raised_at", "id"),
)

changes = Table(
    "changes",
    metadata,
    _key("tenant"),
    _key("request"),
    _key("kind"),
    _key("id"),
    Column("accepted", Boolean, nullable=False),
    Column("reason", Text),
    Column("detail", Text),
    Column("version", BigInteger),  # that the thing has now
    Column("fingerprint", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),  # when; never falls within `part`
    Column("part", Integer, nullable=False),
    Index("changes_by_age", "part", "decided_at"),
)

access_keys = Table(
    "access_keys",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("label", Text, nullable=False),
    # Not unique: the log has the last word, and a row that it says and the database refuses would stop everything.
    Index("access_keys_by_digest", "digest"),
)
