"""Every question to SQL: what is true now. Each sees one moment, and only what its tenant has."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from contracts import money_tables, shown, tables
from contracts.event import Instant
from contracts.invoice_tables import invoices, papers
from contracts.topics import SESSIONS

Rows = Sequence[Row[Any]]
MOST_REVIEWS = 1000
"""Of one session: nobody decides more often."""
T = TypeVar("T")


class Away(Exception):
    """The database does not answer."""


Offset = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]


class Reached(Struct, frozen=True, array_like=True):
    """The last row that was given out of a partition of `sessions`."""

    updated_at: Instant
    place: Offset


class Change(Struct, frozen=True):
    """A place in all changes of sessions (`contracts.tables`)."""

    since: Instant | None
    reached: dict[Offset, Reached]


class Sought(NamedTuple):
    """Which sessions a client wants to see."""

    states: Sequence[str] = ()
    site: str | None = None
    station: str | None = None
    token: str | None = None


class Seen(Struct, frozen=True, array_like=True):
    """A place in the list of unknown tokens."""

    at: Instant
    part: Offset
    place: Offset


class Asked(Struct, frozen=True, array_like=True):
    """A place in a list that has the newest first: of commands, alerts, CDRs, invoices or payments."""

    at: Instant
    id: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[!-~]*\Z")]


class Equipped(NamedTuple):
    """A station and its evses and connectors."""

    station: Row[Any]
    evses: Rows
    connectors: Rows


class ShownSession(NamedTuple):
    """What is shown of a session (JSON), the revision that this is, and what was repaired of it."""

    text: str
    revision: int
    repairs: Rows


class Queries:
    """Asks the read model. Every call raises `Away` when it cannot be reached."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` finds; all that it asks sees one moment."""
        try:
            return await sql.ask(self._engine, work)
        except NoConnection as error:
            raise Away("SQL is busy: no connection was free in time") from error
        except (SQLAlchemyError, OSError) as error:
            if isinstance(error, DBAPIError) and not sql.away(error) and not _shapeless(error):
                raise
            raise Away(f"SQL does not answer: {sql.said(error)}") from error

    async def _rows(self, question: Select[Any]) -> Rows:
        return await self._ask(lambda connection: connection.execute(question).all())

    async def _row(self, question: Select[Any]) -> Row[Any] | None:
        return await self._ask(lambda connection: connection.execute(question).first())

    async def answers(self) -> None:
        """Return if the database answers and has its tables."""
        await self._rows(select(tables.positions.c.topic).limit(1))

    # ---- things by their id, and all of a kind ---------------------------------------------------------------------

    async def thing(self, table: Table, tenant: str, id: str) -> Row[Any] | None:
        """Return one row of `sites`, `tokens`, `access_keys`, `sessions`, `repairs` or `commands`."""
        return await self._row(select(table).where(table.c.tenant == tenant, table.c.id == id))

    async def version(self, kind: str, tenant: str, id: str) -> int:
        """Return the version that a thing of the directory shows; 0 if it is not there."""
        table = _KINDS[kind]
        row = await self._row(select(table).where(*_declared(table), table.c.tenant == tenant, table.c.id == id))
        return int(row.version) if row is not None else 0

    async def page(
        self, table: Table, tenant: str, after: str | None, limit: int, *conditions: ColumnElement[bool]
    ) -> Rows:
        """Return rows in the order of their ids."""
        if after is not None:
            conditions = (*conditions, table.c.id > after)
        return await self._rows(
            select(table).where(table.c.tenant == tenant, *conditions).order_by(table.c.id).limit(limit)
        )

    # ---- stations --------------------------------------------------------------------------------------------------

    async def station(self, tenant: str, id: str) -> Equipped | None:
        """Return a station that the directory knows."""
        s = tables.stations.c
        found = await self._equipped(select(tables.stations).where(s.tenant == tenant, s.id == id, s.declared))
        return found[0] if found else None

    async def stations(
        self, tenant: str, after: str | None, limit: int, *, site: str | None, tag: str | None, online: bool | None
    ) -> list[Equipped]:
        """Return stations that the directory knows, in the order of their ids."""
        s = tables.stations.c
        wanted = [s.tenant == tenant, s.declared]
        wanted += [s.id > after] if after is not None else []
        wanted += [s.site == site] if site is not None else []
        wanted += [s.online == online] if online is not None else []
        wanted += [self._tagged(tag)] if tag is not None else []
        return await self._equipped(select(tables.stations).where(*wanted).order_by(s.id).limit(limit))

    def _tagged(self, tag: str) -> ColumnElement[bool]:
        tags = tables.stations.c.tags
        if self._engine.dialect.name == "postgresql":
            return cast(tags, JSONB).contains([tag])
        each = func.json_each(tags).table_valued("value")
        return exists(select(each.c.value).where(each.c.value == tag))

    async def _equipped(self, question: Select[Any]) -> list[Equipped]:
        e, c = tables.evses.c, tables.connectors.c

        def equipped(connection: Connection) -> list[Equipped]:
            found = connection.execute(question).all()
            if not found:
                return []
            tenant, ids = found[0].tenant, [row.id for row in found]
            evses = select(tables.evses).where(e.tenant == tenant, e.station.in_(ids)).order_by(e.id)
            connectors = select(tables.connectors).where(c.tenant == tenant, c.station.in_(ids))
            ordered = connectors.order_by(c.evse, c.id)
            return _joined(found, connection.execute(evses).all(), connection.execute(ordered).all())

        return await self._ask(equipped)

    async def has_stations(self, tenant: str, site: str) -> bool:
        """Return whether a station is at this site."""
        s = tables.stations.c
        question = select(s.id).where(s.tenant == tenant, s.site == site, s.declared).limit(1)
        return await self._row(question) is not None

    async def at_sites(self, tenant: str, sites: Sequence[str], stations: Sequence[str]) -> set[str]:
        """Return those of these stations that are at one of these sites."""
        s = tables.stations.c
        rows = await self._rows(
            select(s.id).where(s.tenant == tenant, s.site.in_(sites), s.id.in_(stations), s.declared)
        )
        return {row.id for row in rows}

    # ---- tokens ----------------------------------------------------------------------------------------------------

    async def masked_uid(self, tenant: str, token: str) -> str:
        """Return how the uid of a token that nobody registered looked, if it was ever presented."""
        u = tables.unknown_tokens.c
        row = await self._row(select(u.masked_uid).where(u.tenant == tenant, u.token == token))
        return str(row.masked_uid) if row is not None else ""

    async def unknown_tokens(self, tenant: str, after: Seen | None, limit: int) -> Rows:
        """Return tokens that nobody has registered, the last presented first."""
        u, t = tables.unknown_tokens.c, tables.tokens.c
        registered = exists(select(t.id).where(t.tenant == u.tenant, t.id == u.token))
        question = select(tables.unknown_tokens).where(u.tenant == tenant, ~registered)
        if after is not None:
            question = question.where(_before((u.seen_at, u.part, u.place), (after.at, after.part, after.place)))
        return await self._rows(question.order_by(u.seen_at.desc(), u.part.desc(), u.place.desc()).limit(limit))

    # ---- sessions --------------------------------------------------------------------------------------------------

    async def changed_sessions(
        self, tenant: str, sought: Sought, after: Change, limit: int
    ) -> tuple[list[str], Change]:
        """Return what is shown of the sessions that changed after a place in all changes, and the place after them."""

        def changed(connection: Connection) -> tuple[list[str], Rows]:
            parts = tuple(connection.scalars(_PARTS).all())
            if not parts:
                return [], []
            shape = _shape(connection.dialect.name, parts, sought, after)
            values = _values(tenant, sought, after, limit)
            rows = connection.execute(_page(shape, _KEPT), values).all()
            texts: list[str] = [row[0] for row in rows]
            if None not in texts:
                return texts, rows
            whole = connection.execute(_page(shape, _WHOLE), values).mappings()
            return [shown.session(dict(row)) for row in whole], rows

        texts, rows = await self._ask(changed)
        last = {row.part: row for row in rows}
        reached = {part: Reached(tables.instant(row.updated_at), row.place) for part, row in last.items()}
        return texts, Change(after.since, after.reached | reached)

    async def session(self, tenant: str, id: str) -> ShownSession | None:
        """Return a session, and what was done to it or refused, in the order of the decisions."""
        whose = {"of_tenant": tenant, "of_id": id}

        def both(connection: Connection) -> ShownSession | None:
            found = connection.execute(_ONE, whose).first()
            if found is None:
                return None
            text, revision, is_repaired = found
            if text is None:
                text = shown.session(dict(connection.execute(_WHOLE_ONE, whose).mappings().one()))
            # most are not repaired, and a question costs more than its answer
            return ShownSession(text, revision, connection.execute(_REPAIRS, whose).all() if is_repaired else [])

        return await self._ask(both)

    # ---- commands --------------------------------------------------------------------------------------------------

    async def commands(self, tenant: str, station: str, after: Asked | None, limit: int) -> Rows:
        """Return a station's commands, the newest first."""
        c = tables.commands.c
        question = select(tables.commands).where(c.tenant == tenant, c.station == station, c.created_at.is_not(None))
        if after is not None:
            question = question.where(_before((c.created_at, c.id), (after.at, after.id)))
        return await self._rows(question.order_by(c.created_at.desc(), c.id.desc()).limit(limit))

    # ---- prices ----------------------------------------------------------------------------------------------------

    async def tariff_versions(self, tenant: str, id: str) -> Rows:
        """Return all versions of a tariff, the newest first."""
        v = tables.tariff_versions.c
        question = select(tables.tariff_versions).where(v.tenant == tenant, v.id == id)
        return await self._rows(question.order_by(v.version.desc()))

    async def assignments(self, tenant: str, ids: Sequence[str]) -> Rows:
        """Return those of these assignments of tariffs that there are."""
        a = tables.tariff_assignments.c
        return await self._rows(select(tables.tariff_assignments).where(a.tenant == tenant, a.id.in_(ids)))

    async def payments(self, tenant: str, after: Asked | None, limit: int, **wanted: str | None) -> Rows:
        """Return payments, the newest first; `wanted` are columns and what they should say."""
        p = money_tables.payments.c
        question = select(money_tables.payments).where(p.tenant == tenant)
        question = question.where(*(p[name] == value for name, value in wanted.items() if value is not None))
        if after is not None:
            question = question.where(or_(p.created_at < after.at, and_(p.created_at == after.at, p.id < after.id)))
        return await self._rows(question.order_by(p.created_at.desc(), p.id.desc()).limit(limit))

    async def paid_by(self, reference: str) -> Row[Any] | None:
        """Return the payment that the payment provider calls so, of whatever tenant."""
        p = money_tables.payments.c
        return await self._row(select(money_tables.payments).where(p.reference == reference).limit(1))

    async def cost(self, tenant: str, session: str) -> Row[Any] | None:
        """Return what a session costs."""
        c = tables.costs.c
        return await self._row(select(tables.costs).where(c.tenant == tenant, c.session == session))

    async def costs_held(self, tenant: str, after: str | None, limit: int) -> Rows:
        """Return what somebody should look at before it is billed, in the order of sessions' ids."""
        c = tables.costs.c
        question = select(tables.costs).where(c.tenant == tenant, c.state == "held")
        if after is not None:
            question = question.where(c.session > after)
        return await self._rows(question.order_by(c.session).limit(limit))

    async def cdr_reviews(self, tenant: str, session: str) -> Rows:
        """Return what was decided of a session that was held, the oldest first."""
        r = tables.cdr_reviews.c
        question = select(tables.cdr_reviews).where(r.tenant == tenant, r.session == session)
        return await self._rows(question.order_by(r.decided_at, r.id).limit(MOST_REVIEWS))

    async def cdrs(self, tenant: str, after: Asked | None, limit: int, **fields: str | None) -> Rows:
        """Return CDRs, the newest first, of the session, site or station that `fields` name."""
        c = tables.cdrs.c
        wanted = [c[name] == value for name, value in fields.items() if value is not None]
        question = select(tables.cdrs).where(c.tenant == tenant, *wanted)
        if after is not None:
            question = question.where(_before((c.issued_at, c.id), (after.at, after.id)))
        return await self._rows(question.order_by(c.issued_at.desc(), c.id.desc()).limit(limit))

    async def invoices(
        self, tenant: str, after: Asked | None, limit: int, wanted: Sequence[ColumnElement[bool]]
    ) -> Rows:
        """Return invoices and credit notes that are as `wanted`, the newest first, each with the digests of its papers."""
        c = invoices.c
        question = _INVOICES.where(c.tenant == tenant, *wanted)
        if after is not None:
            question = question.where(_before((c.issued_at, c.id), (after.at, after.id)))
        return await self._rows(question.order_by(c.issued_at.desc(), c.id.desc()).limit(limit))

    async def invoice(self, tenant: str, id: str) -> Row[Any] | None:
        """Return one of them."""
        return await self._row(_INVOICES.where(invoices.c.tenant == tenant, invoices.c.id == id))

    async def alerts(self, tenant: str, after: Asked | None, limit: int, **fields: str | None) -> Rows:
        """Return alerts, the newest first, of the state, station or rule that `fields` name."""
        c = tables.alerts.c
        wanted = [c[name] == value for name, value in fields.items() if value is not None]
        question = select(tables.alerts).where(c.tenant == tenant, c.raised_at.is_not(None), *wanted)
        if after is not None:
            question = question.where(_before((c.raised_at, c.id), (after.at, after.id)))
        return await self._rows(question.order_by(c.raised_at.desc(), c.id.desc()).limit(limit))

    # ---- accounts --------------------------------------------------------------------------------------------------

    async def of_account(self, table: Table, tenant: str, account: str) -> Row[Any] | None:
        """Return an account's row of `balances` or `standings`."""
        return await self._row(select(table).where(table.c.tenant == tenant, table.c.account == account))

    async def subscription_month(self, tenant: str, account: str) -> Row[Any] | None:
        """Return the newest month of an account's subscription."""
        m = money_tables.subscription_months.c
        question = select(money_tables.subscription_months).where(m.tenant == tenant, m.account == account)
        return await self._row(question.order_by(m.month_start.desc(), m.id).limit(1))

    async def entry(self, tenant: str, account: str, number: int) -> Row[Any] | None:
        """Return one entry of an account."""
        e = money_tables.ledger_entries.c
        whose = (e.tenant == tenant, e.account == account, e.entry == number)
        return await self._row(select(money_tables.ledger_entries).where(*whose))

    async def entries(self, tenant: str, account: str, before: int | None, limit: int) -> Rows:
        """Return an account's entries, the newest first."""
        e = money_tables.ledger_entries.c
        question = select(money_tables.ledger_entries).where(e.tenant == tenant, e.account == account)
        if before is not None:
            question = question.where(e.entry < before)
        return await self._rows(question.order_by(e.entry.desc()).limit(limit))

    # ---- changes and keys ------------------------------------------------------------------------------------------

    async def outcome(self, tenant: str, request: str, kind: str, id: str) -> Row[Any] | None:
        """Return what came of a change to this thing."""
        c = tables.changes.c
        of_it = (c.tenant == tenant, c.request == request, c.kind == kind, c.id == id)
        return await self._row(select(tables.changes).where(*of_it))

    async def outcomes(self, tenant: str, request: str) -> Rows:
        """Return what came of a request, whatever it changed."""
        c = tables.changes.c
        return await self._rows(select(tables.changes).where(c.tenant == tenant, c.request == request))

    async def last_version(self, tenant: str, kind: str, id: str) -> int:
        """Return the newest version of which a change to this thing told."""
        c = tables.changes.c
        question = select(func.max(c.version)).where(c.tenant == tenant, c.kind == kind, c.id == id, c.accepted)
        row = await self._row(question)
        return int(row[0]) if row is not None and row[0] is not None else 0

    async def access_key(self, digest: str) -> Row[Any] | None:
        """Return the API key of this digest, of whatever tenant."""
        k = tables.access_keys.c
        return await self._row(select(tables.access_keys).where(k.digest == digest).order_by(k.tenant, k.id))


_INVOICES = select(
    *(column for column in invoices.columns if column is not invoices.c.issued),
    papers.c.pdf_sha256,
    papers.c.xml_sha256,
).outerjoin_from(invoices, papers, and_(papers.c.tenant == invoices.c.tenant, papers.c.id == invoices.c.id))
_KINDS = {
    "site": tables.sites,
    "station": tables.stations,
    "token": tables.tokens,
    "access": tables.access_keys,
    "tariff": tables.tariffs,
    "tariff_assignment": tables.tariff_assignments,
    "account": money_tables.accounts,
}


def _declared(table: Table) -> list[ColumnElement[bool]]:
    return [table.c.declared] if table is tables.stations else []


def _shapeless(error: DBAPIError) -> bool:
    """Whether tables are missing: views makes them."""
    said = str(error.orig)
    return "no such table" in said or getattr(error.orig, "sqlstate", None) == "42P01"


def _before(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return whether a row comes before these values, compared column by column."""
    (column, *others), (value, *rest) = columns, values
    earlier: ColumnElement[bool] = column < value
    if not others:
        return earlier
    return and_(column <= value, or_(earlier, _before(others, rest)))


def _joined(stations: Rows, evses: Rows, connectors: Rows) -> list[Equipped]:
    return [
        Equipped(
            station,
            [evse for evse in evses if evse.station == station.id],
            [connector for connector in connectors if connector.station == station.id],
        )
        for station in stations
    ]


# ---- pages of sessions: built once for each shape of a question, since that costs more than asking it ----

_S = tables.sessions.c
_NOW = case((_S.shown_revision == _S.revision, _S.shown)).label("now")
_KEPT = (_NOW, _S.part, type_coerce(_S.updated_at, tables.Stored).label("updated_at"), _S.place)
"""What is shown of a session, if its row keeps that, and where it stands among the changes."""
_WHOLE = tuple(tables.sessions.columns)
"""What is needed where a release that knows of nothing shown has written last."""
_PARTS = select(tables.positions.c.partition).where(tables.positions.c.topic == SESSIONS.name).order_by("partition")
_R = tables.repairs.c
_OF_SESSION = (
    _R.tenant == bindparam("of_tenant"),
    or_(_R.session == bindparam("of_id"), and_(_R.attached_to == bindparam("of_id"), _R.done)),
)
_REPAIRS = select(tables.repairs).where(*_OF_SESSION).order_by(_R.decided_at, _R.part, _R.place)
_OF_ONE = (_S.tenant == bindparam("of_tenant"), _S.id == bindparam("of_id"))
_ONE = select(_NOW, _S.revision, exists().where(*_OF_SESSION)).where(*_OF_ONE)
_WHOLE_ONE = select(tables.sessions).where(*_OF_ONE)


class _Shape(NamedTuple):
    """What a question about changed sessions looks like, whatever its values."""

    parts: tuple[int, ...]
    reached: tuple[int, ...]
    since: bool
    filters: tuple[tuple[str, int], ...]
    """The columns that are filtered on, and by how many values each."""
    bounded: bool
    """Whether no partition is asked for more than the page holds. SQLite, unbounded, merges them in their indexes' order and
    stops at the page's end; PostgreSQL would sort all that there is."""


def _of(sought: Sought) -> tuple[tuple[str, int], ...]:
    filters = [("state", len(sought.states))] if sought.states else []
    filters += [(name, 1) for name in ("site", "station", "token") if getattr(sought, name) is not None]
    return tuple(filters)


def _shape(dialect: str, parts: tuple[int, ...], sought: Sought, after: Change) -> _Shape:
    reached = tuple(part for part in parts if part in after.reached)
    return _Shape(parts, reached, after.since is not None, _of(sought), dialect == "postgresql")


@lru_cache(maxsize=256)
def _page(shape: _Shape, columns: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    """Return the question for the first rows that changed, of every partition."""
    every = union_all(*(_changed(shape, part, columns) for part in shape.parts)).subquery()
    ordered = select(every).order_by(every.c.updated_at, every.c.part, every.c.place)
    return ordered.limit(bindparam("most", type_=Integer))


def _changed(shape: _Shape, part: int, columns: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    """Return the question for the rows of one partition, the first that changed coming first."""
    s = tables.sessions.c
    question = select(*columns).where(s.tenant == bindparam("of_tenant"), s.part == part)
    for name, many in shape.filters:
        values = [bindparam(f"{name}_{n}", type_=s[name].type) for n in range(many)]
        question = question.where(s[name] == values[0] if many == 1 else s[name].in_(values))
    if part in shape.reached:
        question = question.where(
            s.updated_at >= bindparam(f"updated_at_{part}", type_=s.updated_at.type),
            s.place > bindparam(f"place_{part}", type_=s.place.type),
        )
    elif shape.since:
        question = question.where(s.updated_at >= bindparam("since", type_=s.updated_at.type))
    if not shape.bounded:
        return question
    first = question.order_by(s.updated_at, s.place).limit(bindparam("most", type_=Integer))
    return select(first.subquery())


def _values(tenant: str, sought: Sought, after: Change, limit: int) -> dict[str, Any]:
    values: dict[str, Any] = {"of_tenant": tenant, "most": limit, "since": after.since}
    values |= {f"state_{n}": state for n, state in enumerate(sought.states)}
    values |= {f"{name}_0": getattr(sought, name) for name in ("site", "station", "token")}
    for part, reached in after.reached.items():
        values |= {f"updated_at_{part}": reached.updated_at, f"place_{part}": reached.place}
    return values
