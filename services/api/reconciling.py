"""What of a day does not match: register, session, CDR, ledger and payment, session by session. Pure: rows in, differences out."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "register_differs",
    "no_cdr",
    "cdr_energy_differs",
    "no_account",
    "not_charged",
    "charged_differs",
    "payment_differs",
]
WHY = {
    "TariffMissing": "no_tariff",
    "ChargedFree": "free",
    "BillDiscarded": "discarded",
    "CdrHeld": "held",
    "SessionMeasured": "due",
}
"""Why a session has no CDR, by what billing said of it last."""
EXPLAINED = frozenset({"no_tariff", "free", "discarded", "held", "waived", "due"})
LATE = timedelta(minutes=10)
"""So long after it was due, a CDR should be there."""
AD_HOC = "adhoc-"
NOTHING = Decimal(0)


class Difference(NamedTuple):
    """Something of a session that does not match: by how much, in Wh or in its currency, and why, if that is known."""

    session: str
    station: str
    site: str
    kind: Kind
    amount: Decimal
    unit: str
    why: str = ""
    explained: bool = False


def differences(rows: Iterable[Mapping[str, Any]], now: datetime) -> list[Difference]:
    """Return all that does not match, in the order of sites and sessions."""
    found = [each for row in rows for each in (*_energy(row), *_bill(row, now), *_money(row))]
    return sorted(found, key=lambda each: (each.site, each.session, each.kind))


def _of(row: Mapping[str, Any], kind: Kind, amount: Any, unit: str, **more: Any) -> Difference:
    return Difference(row["session"], row["station"], row["site"], kind, Decimal(amount), unit, **more)


def _energy(row: Mapping[str, Any]) -> Iterator[Difference]:
    """What the session has beyond what the registers showed during it."""
    if row["session_wh"] is not None and row["session_wh"] != row["register_wh"]:
        yield _of(row, "register_differs", row["session_wh"] - row["register_wh"], "Wh")


def _bill(row: Mapping[str, Any], now: datetime) -> Iterator[Difference]:
    """What the CDR has beyond the session, or why there is none."""
    if not row["cdrs"]:
        why = _why(row, now)
        yield _of(row, "no_cdr", row["session_wh"] or 0, "Wh", why=why, explained=why in EXPLAINED)
    elif row["session_wh"] is not None and row["cdr_wh"] != row["session_wh"]:
        yield _of(row, "cdr_energy_differs", row["cdr_wh"] - row["session_wh"], "Wh")


def _why(row: Mapping[str, Any], now: datetime) -> str:
    said = row["said"]
    if "Waived" in said:
        return "waived"
    why = WHY.get(said, "unknown")
    return "overdue" if why == "due" and row["due"] is not None and row["due"] + LATE < now else why


def _money(row: Mapping[str, Any]) -> Iterator[Difference]:
    """What the ledger has beyond the bills of the session, and what was paid beyond that where it is paid for alone."""
    gross, unit = row["gross"] or NOTHING, row["currency"]
    if not row["account"]:
        if row["cdrs"]:
            yield _of(row, "no_account", gross, unit, why="no_account", explained=True)
    elif gross and not row["entries"]:
        yield _of(row, "not_charged", -gross, unit)
    elif row["charged"] != gross:
        yield _of(row, "charged_differs", row["charged"] - gross, unit)
    elif row["account"].startswith(AD_HOC) and row["paid"] != gross:
        yield _of(row, "payment_differs", row["paid"] - gross, unit)


def sums(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the sessions of each site and currency add up to; those without a CDR have no currency."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        total = found.setdefault(
            (row["site"], row["currency"]), dict.fromkeys(_SUMMED, 0) | dict.fromkeys(_MONEY, NOTHING)
        )
        total["sessions"] += 1
        for name in (*_ENERGY, *_MONEY, "cdrs"):
            total[name] += row[name] or 0
    return dict(sorted(found.items()))


_ENERGY = ("register_wh", "session_wh", "cdr_wh")
_MONEY = ("gross", "charged", "paid")
_SUMMED = ("sessions", "cdrs", *_ENERGY)
