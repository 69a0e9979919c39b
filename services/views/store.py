"""Rows and positions in the database, many at once. The caller holds the transaction."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Delete, Executable, Select, Update

from contracts import tables
from contracts.tables import changes, positions, unknown_tokens
from services.views.rows import BLANK, Changes, Key, Put, Row, Unless

Partition = tuple[str, int]
"""A topic's name, without the deployment's prefix, and a partition of it."""

_AT_ONCE = 500
"""How many keys one question asks for."""


@dataclass(frozen=True)
class Position:
    """How far a partition has been taken in, and the newest time it has shown."""

    next: int
    newest: datetime | None = None


# ---- positions -----------------------------------------------------------------------------------------------------


def declare(connection: Connection, partitions: Iterable[Partition]) -> None:
    """Let every partition have a position: 0 at first."""
    rows = [{"topic": topic, "partition": partition, "next": 0} for topic, partition in sorted(partitions)]
    if rows:
        connection.execute(_put(connection.dialect.name, positions, ("topic", "partition", "next"), "there"), rows)


def look(connection: Connection, partitions: Collection[Partition], *, lock: bool = False) -> dict[Partition, Position]:
    """Return the positions of `partitions`. `lock`: nobody else moves them until the transaction ends."""
    if not partitions:
        return {}
    wanted = select(positions).where(tuple_(positions.c.topic, positions.c.partition).in_(sorted(partitions)))
    if lock:  # always in the same order, so that two never wait for each other; SQLite has one writer anyway
        wanted = wanted.order_by(positions.c.topic, positions.c.partition).with_for_update()
    found = connection.execute(wanted)
    return {(row.topic, row.partition): Position(row.next, row.newest) for row in found}


_MOVE: Update = update(positions).where(
    positions.c.topic == bindparam("of_topic"), positions.c.partition == bindparam("of_partition")
)


def move(connection: Connection, reached: dict[Partition, Position]) -> None:
    """Set positions that are locked."""
    rows = [
        {"of_topic": topic, "of_partition": partition, "next": position.next, "newest": position.newest}
        for (topic, partition), position in sorted(reached.items())
    ]
    connection.execute(_MOVE, rows)


def empty(connection: Connection) -> None:
    """Forget all rows and positions. Whoever is taking records in notices by the positions."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(tables.metadata.tables)
        connection.execute(text(f"TRUNCATE {names}"))
        return
    for table in tables.metadata.tables.values():
        connection.execute(delete(table))


# ---- rows ----------------------------------------------------------------------------------------------------------


def load(connection: Connection, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
    """Return those rows that are there. `keys`: tenant and id."""
    found: dict[Key, Row] = {}
    by_tenant: dict[str, list[Any]] = {}
    for tenant, id in keys:
        by_tenant.setdefault(tenant, []).append(id)
    for tenant, ids in by_tenant.items():
        for start in range(0, len(ids), _AT_ONCE):
            rows = connection.execute(_some(table), {"tenant": tenant, "ids": ids[start : start + _AT_ONCE]})
            found |= {(tenant, row["id"]): dict(row) for row in rows.mappings()}
    return found


@lru_cache
def _some(table: Table) -> Select[Any]:
    return select(table).where(table.c.tenant == bindparam("tenant"), table.c.id.in_(bindparam("ids", expanding=True)))


def write(connection: Connection, batch: Changes) -> None:
    """Do all that becomes of rows. Keys go in order, so that two writers never wait for each other."""
    for table, keys in batch.gone.items():
        connection.execute(_delete(table), [_named(table, key) for key in sorted(keys)])
    for table, keys in batch.undeclared.items():
        connection.execute(_undeclare(table), [_named(table, key) for key in sorted(keys)])
    for table in tables.metadata.tables.values():  # a fixed order too
        for (columns, unless), puts in _alike(batch.puts.get(table, {})).items():
            if unless == "missing":
                connection.execute(_update(table), [_named(table, key) | row for key, row in puts])
            else:
                connection.execute(_put(connection.dialect.name, table, columns, unless), [row for _, row in puts])
    for table, keys in batch.undeclared.items():
        connection.execute(_sweep(table), [_named(table, key) for key in sorted(keys)])


def _alike(puts: dict[Key, dict[Key, Put]]) -> dict[tuple[tuple[str, ...], Unless], list[tuple[Key, Row]]]:
    """Group what can be written by one statement: the same columns, the same condition."""
    alike: dict[tuple[tuple[str, ...], Unless], list[tuple[Key, Row]]] = {}
    for group in puts.values():
        for key, put in group.items():
            alike.setdefault((tuple(sorted(put.values)), put.unless), []).append((key, put.values))
    return {kind: sorted(rows, key=_by_key) for kind, rows in alike.items()}


def _by_key(keyed: tuple[Key, Row]) -> Key:
    return keyed[0]


def _named(table: Table, key: Key) -> Row:
    first, second = _names(table)
    return {first: key[0], second: key[1]}


@lru_cache
def _names(table: Table) -> tuple[str, str]:
    first, second, *_ = table.primary_key.columns
    return f"of_{first.name}", f"of_{second.name}"


def _of(table: Table) -> Any:
    """The first two columns of the key: all of it, or whose rows they are."""
    keys = list(table.primary_key.columns)[:2]
    return and_(*(column == bindparam(f"of_{column.name}") for column in keys))


@lru_cache
def _delete(table: Table) -> Delete:
    return delete(table).where(_of(table))


@lru_cache
def _update(table: Table) -> Update:
    """Set whichever columns the values name."""
    return update(table).where(_of(table))


@lru_cache
def _undeclare(table: Table) -> Update:
    return update(table).where(_of(table)).values(BLANK[table.name])


@lru_cache
def _sweep(table: Table) -> Delete:
    return delete(table).where(_of(table), ~table.c.declared, ~table.c.reported)


@lru_cache
def _put(dialect: str, table: Table, columns: tuple[str, ...], unless: Unless) -> Executable:
    """Insert, or update the columns that are no key."""
    new = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    others = [name for name in columns if name not in keys]
    if unless == "there" or not others:
        return new.on_conflict_do_nothing()
    older = None
    if unless == "newer":
        age = ("seen_at", "part", "place")
        older = tuple_(*(table.c[name] for name in age)) < tuple_(*(new.excluded[name] for name in age))
    return new.on_conflict_do_update(
        index_elements=keys, set_={name: new.excluded[name] for name in others}, where=older
    )


# ---- bounds --------------------------------------------------------------------------------------------------------


def forget_unknown_tokens(connection: Connection, tenants: Iterable[str], kept: int) -> None:
    """Keep the `kept` newest of each tenant."""
    rows = [{"of_tenant": tenant, "beyond": kept - 1} for tenant in sorted(tenants)]
    connection.execute(_forget_unknown(), rows)


@lru_cache
def _forget_unknown() -> Delete:
    age = (unknown_tokens.c.seen_at, unknown_tokens.c.part, unknown_tokens.c.place)
    oldest = (
        select(*age)
        .where(unknown_tokens.c.tenant == bindparam("of_tenant"))
        .order_by(*(column.desc() for column in age))
        .offset(bindparam("beyond"))
        .limit(1)
    )
    return delete(unknown_tokens).where(
        unknown_tokens.c.tenant == bindparam("of_tenant"), tuple_(*age) < oldest.scalar_subquery()
    )


def forget_changes(connection: Connection, newest: dict[int, datetime], kept: timedelta) -> None:
    """Keep what is at most so much older than the newest of its partition."""
    connection.execute(
        _FORGET_CHANGES, [{"of_part": part, "before": moment - kept} for part, moment in sorted(newest.items())]
    )


_FORGET_CHANGES: Delete = delete(changes).where(
    changes.c.part == bindparam("of_part"), changes.c.decided_at < bindparam("before")
)
