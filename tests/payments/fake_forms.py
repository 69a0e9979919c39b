"""Bodies as Stripe reads them: `a[b][0][c]=1`, and which parameters of which request it knows."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

Tree = dict[str, Any]


def parse(body: str) -> Tree:
    """Return the tree that a form says; lists are dictionaries of their indices."""
    tree: Tree = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        path = name.replace("]", "").split("[")
        place = tree
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = value
    return tree


def names(tree: Tree, before: str = "") -> Iterator[str]:
    """Yield the dotted names of all leaves. An index is `#`, and whatever lies in metadata is `metadata`."""
    for step, value in tree.items():
        name = f"{before}.{'#' if step.isdigit() else step}" if before else step
        if isinstance(value, dict) and step != "metadata":
            yield from names(value, name)
        else:
            yield name


# fmt: off
INTENT = {
    "amount", "currency", "customer", "payment_method", "allowed_payment_method_types.#", "capture_method", "confirm", "off_session",
    "description", "metadata",
}
PAGE = {
    "mode", "success_url", "client_reference_id", "metadata", "allowed_payment_method_types.#",
    "line_items.#.quantity", "line_items.#.price_data.currency", "line_items.#.price_data.unit_amount",
    "line_items.#.price_data.product_data.name",
    "payment_intent_data.capture_method", "payment_intent_data.metadata", "payment_intent_data.description",
}
# fmt: on
KNOWN: dict[str, tuple[set[str], set[str]]] = {
    "payment_intents": (INTENT, {"amount", "currency"}),
    "payment_intents/capture": ({"amount_to_capture", "metadata"}, set()),
    "payment_intents/cancel": ({"cancellation_reason"}, set()),
    "payment_intents/increment_authorization": ({"amount", "metadata", "description"}, {"amount"}),
    "refunds": ({"payment_intent", "amount", "metadata", "reason"}, {"payment_intent"}),
    "checkout/sessions": (PAGE, {"mode", "line_items.#.quantity", "success_url"}),
    "checkout/sessions/expire": (set(), set()),
}
"""By request: which parameters there are, and which there have to be. Part of Stripe's OpenAPI description."""


def strange(request: str, tree: Tree) -> str | None:
    """Return the name of a parameter that is unknown or missing."""
    known, needed = KNOWN[request]
    said = set(names(tree))
    return next(iter(sorted(said - known) or sorted(needed - said)), None)
