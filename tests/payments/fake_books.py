"""What the fake of Stripe keeps, in SQLite, committed before it answers: a SIGKILL loses nothing that was said."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.payments.fake_forms import Tree, strange

Thing = dict[str, Any]

DECLINED = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_insufficientFunds": "insufficient_funds",
    "pm_card_authenticationRequired": "authentication_required",
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
}
"""Stripe's own cards for tests, by payment method or number, and why they are declined."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY, kind TEXT, number INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, digest TEXT, status INTEGER, answer TEXT);
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, body TEXT, delivered INTEGER DEFAULT 0);
"""


class Refused(Exception):
    """An error in Stripe's shape."""

    def __init__(self, status: int, type: str, code: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": type, "code": code, "message": f"fake: {code}", **more}}


def invalid(code: str, **more: Any) -> Refused:
    return Refused(400, "invalid_request_error", code, **more)


class Books:
    """Everything the fake knows."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    # ---- once ------------------------------------------------------------------------------------------------------

    def once(self, key: str, request: str, tree: Tree, act: Callable[[], Thing]) -> tuple[int, Thing]:
        """Return what `act` returns, or what it returned to the same key before. One transaction."""
        digest = hashlib.sha256(json.dumps([request, tree], sort_keys=True).encode()).hexdigest()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            status, answer = self._before(key, digest) or self._now(key, digest, act)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return status, answer

    def _before(self, key: str, digest: str) -> tuple[int, Thing] | None:
        known = self._db.execute("SELECT digest, status, answer FROM keys WHERE key = ?", (key,)).fetchone()
        if known is None:
            return None
        if known[0] != digest:
            raise Refused(400, "idempotency_error", "idempotency_key_reused")
        return int(known[1]), json.loads(known[2])

    def _now(self, key: str, digest: str, act: Callable[[], Thing]) -> tuple[int, Thing]:
        try:
            status, answer = 200, act()
        except Refused as refused:
            if refused.status != 402:
                raise
            status, answer = refused.status, refused.body
        if key:
            self._db.execute("INSERT INTO keys VALUES (?, ?, ?, ?)", (key, digest, status, json.dumps(answer)))
        return status, answer

    def forget_keys(self) -> None:
        """Let a day go by."""
        self._db.execute("DELETE FROM keys")

    # ---- things ----------------------------------------------------------------------------------------------------

    def things(self, kind: str) -> Iterator[Thing]:
        rows = self._db.execute("SELECT body FROM things WHERE kind = ? ORDER BY number DESC", (kind,))
        return (json.loads(body) for (body,) in rows.fetchall())

    def thing(self, id: str) -> Thing:
        row = self._db.execute("SELECT body FROM things WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise Refused(404, "invalid_request_error", "resource_missing")
        found: Thing = json.loads(row[0])
        return found

    def _new(self, prefix: str, kind: str, **body: Any) -> Thing:
        number = self._db.execute("SELECT count(*) FROM things").fetchone()[0] + 1
        thing = {"id": f"{prefix}_fake{number:06}", "object": kind, "created": int(time.time()), **body}
        self._db.execute("INSERT INTO things VALUES (?, ?, ?, ?)", (thing["id"], kind, number, json.dumps(thing)))
        return thing

    def _keep(self, thing: Thing, **changes: Any) -> Thing:
        thing |= changes
        self._db.execute("UPDATE things SET body = ? WHERE id = ?", (json.dumps(thing), thing["id"]))
        return thing

    def _tell(self, type: str, thing: Thing) -> None:
        event = {"object": "event", "type": type, "created": int(time.time()), "data": {"object": thing}}
        self._db.execute("INSERT INTO events (body) VALUES (?)", (json.dumps(event),))

    def undelivered(self) -> list[tuple[int, Thing]]:
        rows = self._db.execute("SELECT number, body FROM events WHERE delivered = 0 ORDER BY number").fetchall()
        return [(number, {"id": f"evt_fake{number:06}", **json.loads(body)}) for number, body in rows]

    def delivered(self, number: int) -> None:
        self._db.execute("UPDATE events SET delivered = 1 WHERE number = ?", (number,))

    # ---- requests --------------------------------------------------------------------------------------------------

    def act(self, request: str, id: str, tree: Tree) -> Thing:
        """Return what a request changes; raises `Refused`."""
        if (name := strange(request, tree)) is not None:
            raise invalid("parameter_unknown_or_missing", param=name)
        match request:
            case "payment_intents":
                return self._pay(self._intent(tree), tree.get("payment_method", ""))
            case "payment_intents/capture":
                return self._capture(self.thing(id), tree)
            case "payment_intents/cancel":
                return self.cancel(self.thing(id), tree.get("cancellation_reason"))
            case "payment_intents/increment_authorization":
                return self._increase(self.thing(id), tree)
            case "refunds":
                return self._refund(self.thing(tree["payment_intent"]), tree)
            case "checkout/sessions":
                return self._page(tree)
            case "checkout/sessions/expire":
                return self._expire(self.thing(id))
            case _:
                raise Refused(404, "invalid_request_error", "url_invalid")

    def _intent(self, tree: Tree) -> Thing:
        return self._new(
            "pi",
            "payment_intent",
            amount=int(tree["amount"]),
            currency=tree["currency"],
            status="requires_payment_method",
            capture_method=tree.get("capture_method", "automatic"),
            amount_capturable=0,
            amount_received=0,
            captures=0,
            cancellation_reason=None,
            last_payment_error=None,
            next_action=None,
            metadata=tree.get("metadata", {}),
        )

    def _pay(self, intent: Thing, method: str) -> Thing:
        """Hold or take, or decline."""
        if method in DECLINED:
            error = {"code": "card_declined", "decline_code": DECLINED[method], "type": "card_error"}
            self._keep(intent, last_payment_error=error)
            self._tell("payment_intent.payment_failed", intent)
            raise Refused(402, "card_error", "card_declined", decline_code=DECLINED[method], payment_intent=intent)
        if intent["capture_method"] == "manual":
            self._keep(intent, status="requires_capture", amount_capturable=intent["amount"])
            self._tell("payment_intent.amount_capturable_updated", intent)
        else:
            self._keep(intent, status="succeeded", amount_received=intent["amount"])
            self._tell("payment_intent.succeeded", intent)
        return intent

    def _capture(self, intent: Thing, tree: Tree) -> Thing:
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state", payment_intent=intent)
        amount = int(tree.get("amount_to_capture") or intent["amount_capturable"])
        if not 0 < amount <= intent["amount_capturable"]:
            raise invalid("amount_too_large", param="amount_to_capture")
        self._keep(
            intent,
            status="succeeded",
            amount_received=amount,
            amount_capturable=0,
            captures=intent["captures"] + 1,
            metadata=intent["metadata"] | tree.get("metadata", {}),
        )
        self._tell("payment_intent.succeeded", intent)
        return intent

    def cancel(self, intent: Thing, reason: str | None) -> Thing:
        if intent["status"] in {"succeeded", "canceled"}:
            raise invalid("payment_intent_unexpected_state", payment_intent=intent)
        self._keep(intent, status="canceled", amount_capturable=0, cancellation_reason=reason)
        self._tell("payment_intent.canceled", intent)
        return intent

    def _increase(self, intent: Thing, tree: Tree) -> Thing:
        amount = int(tree["amount"])
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state", payment_intent=intent)
        if amount <= intent["amount_capturable"]:
            raise invalid("amount_too_small", param="amount")
        metadata = intent["metadata"] | tree.get("metadata", {})
        self._keep(intent, amount=amount, amount_capturable=amount, metadata=metadata)
        self._tell("payment_intent.amount_capturable_updated", intent)
        return intent

    def _refund(self, intent: Thing, tree: Tree) -> Thing:
        returned = sum(one["amount"] for one in self.things("refund") if one["payment_intent"] == intent["id"])
        amount = int(tree.get("amount") or intent["amount_received"] - returned)
        if not 0 < amount <= intent["amount_received"] - returned:
            raise invalid("charge_already_refunded" if returned else "amount_too_large", param="amount")
        refund = self._new(
            "re",
            "refund",
            amount=amount,
            currency=intent["currency"],
            payment_intent=intent["id"],
            status="succeeded",
            failure_reason=None,
            metadata=tree.get("metadata", {}),
        )
        self._tell("refund.created", refund)
        return refund

    # ---- the page --------------------------------------------------------------------------------------------------

    def _page(self, tree: Tree) -> Thing:
        price = tree["line_items"]["0"]["price_data"]
        page = self._new(
            "cs",
            "checkout.session",
            status="open",
            payment_status="unpaid",
            amount_total=int(price["unit_amount"]) * int(tree["line_items"]["0"]["quantity"]),
            currency=price["currency"],
            client_reference_id=tree.get("client_reference_id"),
            metadata=tree.get("metadata", {}),
            payment_intent=None,
            success_url=tree["success_url"],
            data=tree.get("payment_intent_data", {}),
            paying=None,
        )
        return self._keep(page, url=f"{self.address}/pay/{page['id']}")

    address = ""
    """Where the pages are: whoever serves them says so."""

    def pay_on_page(self, id: str, card: str) -> Thing:
        """Return the page after somebody has paid there with a card; raises `Refused` if it is declined."""
        page = self.thing(id)
        if page["status"] != "open":
            raise invalid("checkout_session_not_open")
        intent = self.thing(page["paying"]) if page["paying"] else self._begin_to_pay(page)
        self._pay(intent, card)
        paid = "unpaid" if intent["status"] == "requires_capture" else "paid"
        self._keep(page, status="complete", payment_status=paid, payment_intent=intent["id"], url=None)
        self._tell("checkout.session.completed", page)
        return page

    def _begin_to_pay(self, page: Thing) -> Thing:
        """Return the page's payment intent, which all attempts there share."""
        intent = self._intent({"amount": page["amount_total"], "currency": page["currency"], **page["data"]})
        self._keep(page, paying=intent["id"])
        return intent

    def _expire(self, page: Thing) -> Thing:
        if page["status"] != "open":
            raise invalid("checkout_session_not_open")
        self._keep(page, status="expired", url=None)
        self._tell("checkout.session.expired", page)
        return page

    def dispute(self, intent: Thing) -> Thing:
        """Let the payer dispute what was taken."""
        amount, currency = intent["amount_received"], intent["currency"]
        dispute = self._new("dp", "dispute", amount=amount, currency=currency, payment_intent=intent["id"], metadata={})
        self._tell("charge.dispute.created", dispute)
        return dispute
