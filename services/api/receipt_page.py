"""A receipt as a page to read and to print: no script, no font, no network. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1c2630 }
table { border-collapse: collapse; width: 100%; margin: .8rem 0 } th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
td + td, th + th { text-align: right } tbody tr { border-top: 1px solid #d5dde3 } h1 { font-size: 1.5rem } h2 { font-size: 1.1rem }
@media print { body { margin: 0; max-width: none } }
"""

Receipt = Mapping[str, Any]
"""The fields of `services.api.receipts.Receipt`."""


def page(receipt: Receipt) -> str:
    """Return the whole page."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Receipt</title><style>{STYLE}</style>'
    body = "".join(
        [*_head(receipt), *(part for cdr in receipt["cdrs"] for part in _cdr(receipt, cdr)), *_totals(receipt)]
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _head(receipt: Receipt) -> Iterator[str]:
    yield "<h1>Receipt</h1>"
    if (seller := receipt["seller"]) is not None:
        place = " ".join(part for part in (seller["postal_code"], seller["city"]) if part)
        parts = [seller["name"], seller["street"], place, seller["country"], seller["email"], seller["registration"]]
        numbers = [f"{name} {seller[field]}" for name, field in _NUMBERS if seller[field]]
        yield f"<p>{_lines([*parts, *numbers])}</p>"
    where = [receipt["place"], receipt["address"], f"Station {receipt['station']}" if receipt["station"] else None]
    yield f"<p>{_lines([*where, 'Payment ' + receipt['payment']])}</p>"
    if not receipt["cdrs"]:
        yield "<p>Nothing has been billed yet.</p>"


_NUMBERS = (("VAT id", "vat_id"), ("Tax number", "tax_number"))


def _cdr(receipt: Receipt, cdr: Mapping[str, Any]) -> Iterator[str]:
    title = f"Credit of {cdr['credits']}" if cdr["credits"] else "Charging"
    yield f"<h2>{escape(title)}</h2>"
    moments = [_moment(cdr[name], receipt["time_zone"]) for name in ("started_at", "ended_at")]
    between = " – ".join(moment for moment in moments if moment)
    energy = "" if cdr["energy_wh"] is None or cdr["credits"] else f"{_scaled(cdr['energy_wh'], 1000)} kWh"
    yield f"<p>{_lines([between, energy, 'CDR ' + cdr['cdr']])}</p>"
    if cdr["lines"]:
        yield _table(["", "billed", "price", "VAT", "net", "gross"], (_row(line) for line in cdr["lines"]))
    yield _table(["", "net", "gross"], [["Amount", cdr["net"], cdr["gross"]]])


def _row(line: Mapping[str, Any]) -> list[str]:
    return [line["dimension"], _quantity(line), line["price"], _rate(line["vat"]), line["net"], line["gross"]]


def _quantity(line: Mapping[str, Any]) -> str:
    """Return what was billed, as people say it: the price is per kWh, and per hour."""
    match line["unit"]:
        case "Wh":
            return f"{_scaled(line['billed'], 1000)} kWh"
        case "s":
            return f"{_scaled(line['billed'], 60)} min"
        case unit:
            return f"{_scaled(line['billed'], 1)} {unit}".strip()


def _scaled(amount: Any, by: int) -> str:
    exact = round(Decimal(amount) / by, 3)
    return f"{exact.normalize():f}"


def _rate(rate: str | None) -> str:
    return "–" if rate is None else f"{rate} %"


def _moment(at: datetime | None, time_zone: str) -> str:
    return "" if at is None else f"{at.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M %Z}"


def _totals(receipt: Receipt) -> Iterator[str]:
    yield f"<h2>In all, {escape(receipt['currency'])}</h2>"
    yield _table(
        ["VAT", "net", "gross"], ([_rate(each["rate"]), each["net"], each["gross"]] for each in receipt["taxes"])
    )
    names = (("net", "Net"), ("vat", "VAT"), ("gross", "Total"), ("paid", "Paid"))
    yield _table(["", receipt["currency"]], ([name, receipt[field]] for field, name in names))


def _lines(parts: Iterable[str | None]) -> str:
    return "<br>".join(escape(part) for part in parts if part)


def _table(names: list[str], rows: Iterable[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
