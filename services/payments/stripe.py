"""Stripe behind our port. No card data touches us: a payer without a mandate goes to a page of Stripe's (SAQ-A).

An operation's id is its idempotency key. Its parameters follow from what was asked alone, as Stripe refuses another body
under the same key. What has been done can be found by the payment's id, which the metadata names.
"""

from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN
from typing import Any, Literal

import stripe
from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from chassis.logs import log
from chassis.stripe_wire import Named, major, minor
from contracts.ledger import ProviderAsked
from services.payments.meaning import Object, of_error, of_page, of_refund, outcome_of
from services.payments.provider import Answer

TIMEOUT_S = 10.0
"""How long one attempt may take."""
UNEXPECTED = ("payment_intent_unexpected_state", "charge_already_captured", "charge_already_refunded")
"""Errors that say it is done already, or can never be: the payment itself says which."""

DESCRIPTION = "Electric charging"
"""What the payer reads, where accounts say nothing else."""

Capture = Literal["manual", "automatic"]


class _Http(stripe.HTTPXClient):
    """Stripe's HTTP over httpx, without the argument that httpx is about to drop."""

    def _get_request_args_kwargs(self, method: str, url: str, headers: Any, post_data: Any) -> list[Any]:
        return [(method, url), {"headers": headers, "content": post_data or "", "timeout": self._timeout}]


class Stripe:
    """An account at Stripe."""

    def __init__(self, key: str, *, return_url: str, api: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._return_url = return_url
        self._http = _Http(timeout=timeout_s)
        client = stripe.StripeClient(
            key,
            base_addresses={"api": api} if api else {},
            max_network_retries=0,
            http_client=self._http,
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds
        self._pages = client.v1.checkout.sessions

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # it is

    # ---- the port --------------------------------------------------------------------------------------------------

    async def authorise(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._pay(asked, "manual"))

    async def charge(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._pay(asked, "automatic"))

    async def increase(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._of_paid(asked, self._increase))

    async def capture(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._of_paid(asked, self._capture))

    async def release(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._release(asked))

    async def refund(self, asked: ProviderAsked) -> Answer:
        return await self._heard(asked, self._of_paid(asked, self._refund))

    async def fetch(self, asked: ProviderAsked) -> Answer | None:
        return await self._heard_of(self._fetch(asked))

    # ---- errors ----------------------------------------------------------------------------------------------------

    async def _heard(self, asked: ProviderAsked, ask: Awaitable[Answer]) -> Answer:
        """Return the answer. Where Stripe says that it is too late, the payment itself says for what."""
        try:
            return await ask
        except stripe.StripeError as error:
            if error.code in UNEXPECTED or isinstance(error, stripe.IdempotencyError):
                return await self.fetch(asked) or Answer(
                    "failed", reference=asked.reference, reason=error.code or "idempotency_error"
                )
            return _said_by(error)

    async def _heard_of(self, ask: Awaitable[Answer | None]) -> Answer | None:
        try:
            return await ask
        except stripe.StripeError as error:
            return _said_by(error)

    # ---- to hold and to take ---------------------------------------------------------------------------------------

    async def _pay(self, asked: ProviderAsked, capture: Capture) -> Answer:
        return await (self._by_mandate(asked, capture) if asked.mandate else self._on_a_page(asked, capture))

    async def _by_mandate(self, asked: ProviderAsked, capture: Capture) -> Answer:
        customer, _, method = asked.mandate.partition("/")
        params: PaymentIntentCreateParams = {
            "amount": minor(asked.amount, asked.currency),
            "currency": asked.currency.lower(),
            "customer": customer,
            "payment_method": method,
            "allowed_payment_method_types": ["card"],
            "capture_method": capture,
            "confirm": True,
            "off_session": True,
            "description": asked.description or DESCRIPTION,
            "metadata": _metadata(asked),
        }
        return _answer(asked, await self._intents.create_async(params, _once(asked)))

    async def _on_a_page(self, asked: ProviderAsked, capture: Capture) -> Answer:
        name, metadata = asked.description or DESCRIPTION, _metadata(asked)
        price = minor(asked.amount, asked.currency)
        params: SessionCreateParams = {
            "mode": "payment",
            "success_url": self._return_url,
            "client_reference_id": asked.payment,
            "metadata": metadata,
            "allowed_payment_method_types": ["card"],
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": asked.currency.lower(),
                        "unit_amount": price,
                        "product_data": {"name": name},
                    },
                }
            ],
            "payment_intent_data": {"capture_method": capture, "description": name, "metadata": metadata},
        }
        page = await self._pages.create_async(params, _once(asked))
        return Answer("action_required", reference=page.id, url=page.url or "")

    async def _of_paid(self, asked: ProviderAsked, act: Callable[[ProviderAsked, str], Awaitable[Answer]]) -> Answer:
        """Act on the payment intent, also where only the page is known on which it was paid."""
        if asked.reference.startswith("pi_"):
            return await act(asked, asked.reference)
        found = await self._found(asked)
        if found is None or found["object"] != "payment_intent":
            return Answer("failed", reference=asked.reference, reason="nobody has paid")
        return await act(asked, found["id"])

    async def _increase(self, asked: ProviderAsked, intent: str) -> Answer:
        increased = await self._intents.increment_authorization_async(
            intent,
            {"amount": minor(asked.amount, asked.currency), "metadata": _metadata(asked)},
            _once(asked),
        )
        return _answer(asked, increased)

    async def _capture(self, asked: ProviderAsked, intent: str) -> Answer:
        captured = await self._intents.capture_async(
            intent,
            {
                "amount_to_capture": minor(asked.amount, asked.currency, ROUND_DOWN),  # never more than is owed
                "metadata": _metadata(asked),
            },
            _once(asked),
        )
        return _answer(asked, captured)

    # ---- to give back ----------------------------------------------------------------------------------------------

    async def _release(self, asked: ProviderAsked) -> Answer:
        found = await self._found(asked)
        if found is None:
            return Answer("done", major(0, asked.currency), asked.reference)
        if found["object"] == "checkout.session":
            if found["status"] == "open":
                await self._pages.expire_async(found["id"], {}, _once(asked))
            return Answer("done", major(0, asked.currency), found["id"])
        if found["status"] in {"canceled", "succeeded"}:
            return _answer(asked, found)
        intent = await self._intents.cancel_async(found["id"], {"cancellation_reason": "abandoned"}, _once(asked))
        return _answer(asked, intent)

    async def _refund(self, asked: ProviderAsked, intent: str) -> Answer:
        refund = await self._refunds.create_async(
            {
                "payment_intent": intent,
                "amount": minor(asked.amount, asked.currency),
                "metadata": _metadata(asked),
            },
            _once(asked),
        )
        return of_refund(_plain(refund))

    # ---- to look for -----------------------------------------------------------------------------------------------

    async def _fetch(self, asked: ProviderAsked) -> Answer | None:
        if asked.kind == "refund":
            return await self._fetch_refund(asked)
        found = await self._found(asked)
        if found is None:
            return None
        return of_page(asked, found) if found["object"] == "checkout.session" else outcome_of(asked, found)

    async def _fetch_refund(self, asked: ProviderAsked) -> Answer | None:
        refunds = await self._refunds.list_async({"payment_intent": asked.reference, "limit": 100})
        async for refund in refunds.auto_paging_iter():
            plain = _plain(refund)
            if plain["metadata"].get("refund") == asked.operation:
                return of_refund(plain)
        return None

    async def _found(self, asked: ProviderAsked) -> Object | None:
        """Return the payment intent, or the page if nobody has paid there yet; None if there is nothing."""
        if asked.reference.startswith("cs_"):
            page = await self._pages.retrieve_async(asked.reference)
            paid = page.status == "complete" and page.payment_intent  # an attempt that was declined is not the last
            return await self._intent(str(page.payment_intent)) if paid else _plain(page)
        if asked.reference:
            return await self._intent(asked.reference)
        said = asked.payment.replace("\\", "\\\\").replace("'", "\\'")
        found = await self._intents.search_async({"query": f"metadata['payment']:'{said}'", "limit": 1})
        return _plain(found.data[0]) if found.data else None

    async def _intent(self, id: str) -> Object:
        return _plain(await self._intents.retrieve_async(id))


def _answer(asked: ProviderAsked, intent: Any) -> Answer:
    """Return what came of an operation whose answer was this payment intent."""
    plain = intent if isinstance(intent, dict) else _plain(intent)
    return outcome_of(asked, plain) or Answer("unreachable", reference=plain["id"], reason=plain["status"])


def _plain(thing: stripe.StripeObject) -> Object:
    return thing.to_dict()


def _metadata(asked: ProviderAsked) -> dict[str, str]:
    return Named(asked.tenant, asked.account, asked.payment).metadata(asked.kind, asked.operation)


def _once(asked: ProviderAsked) -> stripe.RequestOptions:
    return {"idempotency_key": asked.operation}


def _said_by(error: stripe.StripeError) -> Answer:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    answer = of_error(error.http_status, error.code, body.get("error") or {})
    log.warning(
        "Stripe refuses or does not answer", request=error.request_id, status=error.http_status, reason=answer.reason
    )
    return answer
