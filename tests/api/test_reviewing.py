"""Sessions that are held are decided on by hand, and everybody can see by whom, when and why."""

from typing import Any

import pytest
from httpx import AsyncClient

from contracts.bills import CdrWaived, Review, ReviewRefused
from contracts.event import Event
from contracts.reviews import CdrReviewed
from contracts.topics import BILLS
from services.api.app import Api
from tests.api.network import Network, client_of, key_of
from tests.views.given import bound, cdr, held, over, whose_session

REVIEW = "/v1/cdr-reviews/s-1"
RELEASE = {"decision": "release", "reason": "the driver confirms it"}
WAIVE = {"decision": "waive", "reason": "a test by the installer"}
OURS: Any = {"tenant": "default"}


@pytest.fixture(autouse=True)
async def session(network: Network) -> None:
    await network.says(BILLS, bound(**OURS), over(**OURS), held(**OURS))


def review_of(asked: CdrReviewed) -> Review:
    return Review(asked.review, asked.decision, asked.reason, asked.requested_by, asked.fingerprint)


def decided(asked: CdrReviewed) -> list[Event]:
    if asked.decision == "release":
        return [cdr(review=review_of(asked), **OURS)]
    waived: Any = whose_session("s-1") | OURS
    return [CdrWaived(at=asked.at, review=review_of(asked), currency="NOK", **waived)]


def refused(asked: CdrReviewed) -> list[Event]:
    whose: Any = whose_session("s-1") | OURS
    return [ReviewRefused(at=asked.at, review=review_of(asked), reason="already_decided", **whose)]


def asked(network: Network) -> list[CdrReviewed]:
    return [event for event in network.written if isinstance(event, CdrReviewed)]


async def test_what_is_released_is_billed_and_says_who_released_it(admin: AsyncClient, network: Network) -> None:
    network.reviews = decided
    answer = await admin.post(REVIEW, json=RELEASE)
    assert answer.status_code == 200
    assert answer.headers["Location"] == REVIEW
    review = answer.json()
    assert (review["outcome"], review["cdr"], review["requested_by"]) == ("billed", "cdr-1", "admin")
    assert (await admin.get("/v1/cdr-reviews")).json()["items"] == []
    assert (await admin.get(REVIEW)).json() == {"items": [review]}
    cost = (await admin.get("/v1/sessions/s-1/price-explanation")).json()
    assert (cost["state"], cost["held_because"]) == ("billed", None)


async def test_what_is_waived_costs_nothing(admin: AsyncClient, network: Network) -> None:
    network.reviews = decided
    assert (await admin.post(REVIEW, json=WAIVE)).json()["outcome"] == "waived"
    cost = (await admin.get("/v1/sessions/s-1/price-explanation")).json()
    assert (cost["state"], cost["total_incl"], cost["details"]) == ("waived", None, None)


async def test_a_decision_is_asked_for_once_under_one_key(admin: AsyncClient, network: Network) -> None:
    network.reviews = decided
    key = {"Idempotency-Key": "one"}
    first = await admin.post(REVIEW, json=RELEASE, headers=key)
    assert (await admin.post(REVIEW, json=RELEASE, headers=key)).json() == first.json()
    assert len(asked(network)) == 1
    other = await admin.post(REVIEW, json=WAIVE, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency_key_reused")


async def test_what_billing_refuses_is_a_problem_and_stays_known(admin: AsyncClient, network: Network) -> None:
    network.reviews = refused
    answer = await admin.post(REVIEW, json=RELEASE)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/review_refused")
    [review] = (await admin.get(REVIEW)).json()["items"]
    assert (review["outcome"], review["refused_because"]) == ("refused", "already_decided")


async def test_nobody_need_wait(admin: AsyncClient, network: Network) -> None:
    answer = await admin.post(REVIEW, params={"wait": 0}, json=RELEASE)
    assert answer.status_code == 202
    assert (answer.json()["outcome"], answer.json()["decided_at"]) == ("requested", None)
    assert asked(network)[0].decision == "release"


async def test_only_operators_decide_and_only_on_what_is_theirs(
    app: Api, admin: AsyncClient, acme: AsyncClient
) -> None:
    async with client_of(app, await key_of(admin, ["read"])) as reader:
        assert (await reader.post(REVIEW, json=RELEASE)).status_code == 403
        assert (await reader.get(REVIEW)).json() == {"items": []}
    assert (await acme.post(REVIEW, json=RELEASE)).status_code == 404
    assert (await admin.post("/v1/cdr-reviews/none", json=RELEASE)).status_code == 404
    assert (await admin.post(REVIEW, json={"decision": "release"})).status_code == 422
