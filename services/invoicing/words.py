"""What documents say in words, the same on paper and for machines."""

import unicodedata
from decimal import Decimal

from services.invoicing.document import Document, Line

LONGEST = 200


def plain(text: str) -> str:
    """Return text on one line and without characters that no document holds, and of bounded length."""
    shown = "".join(" " if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} else each for each in text)
    return " ".join(shown.split())[:LONGEST]


def about(line: Line) -> str:
    """Return what a line is for."""
    match line.what:
        case "session":
            return plain(f"Charging, {line.day.isoformat()}, {line.place}")
        case "allowance":
            return plain(f"Allowance, {line.day.isoformat()}, {line.place}")
        case "subscription":  # pragma: no branch
            return plain(f"Subscription, {line.day:%Y-%m}, {line.place}")


def beside(line: Line) -> str:
    """Return what a line is for, beside its day."""
    return plain({"session": "", "allowance": "Allowance, ", "subscription": "Subscription, "}[line.what] + line.place)


def energy(wh: int) -> str:
    """Return energy in kWh."""
    return f"{Decimal(wh) / 1000:.3f}" if wh else ""


def terms(document: Document) -> str:
    """Return what is to be done about the amount."""
    match document.kind, document.buyer.pays:
        case "credit_note", _:
            return "The amount is credited to your account."
        case _, "paid":
            return "Paid. Nothing is due."
        case _, "mandate":
            return "The amount is collected by the means of payment that you have given."
        case _:
            return f"Please pay by {document.due_on.isoformat()}, naming {document.name}."
