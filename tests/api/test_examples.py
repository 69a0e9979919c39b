"""The description shows what answers look like, and they do."""

from typing import Any

import pytest
from httpx import AsyncClient
from pydantic import BaseModel

from services.api import (
    access_keys,
    accounts,
    alerts,
    cdrs,
    commands,
    credentials,
    frames,
    invoices,
    postings,
    price_quotes,
    re_ratings,
    readings,
    receipts,
    reconciliation,
    repairs,
    reports,
    revenue,
    reviewing,
    sessions,
    signed_values,
    sites,
    stations,
    stream_tokens,
    tariffs,
    tokens,
    webhooks,
)
from services.api.app import describe

MODELS: list[type[BaseModel]] = [
    access_keys.AccessKey,
    access_keys.Me,
    access_keys.ShownKey,
    accounts.Account,
    alerts.Alert,
    cdrs.Cdr,
    cdrs.Cost,
    commands.Command,
    credentials.Credentials,
    frames.Frame,
    postings.Begun,
    postings.Entry,
    invoices.AskedFor,
    invoices.Invoice,
    price_quotes.PriceQuote,
    price_quotes.QuotedDocuments,
    re_ratings.ReRating,
    readings.Reading,
    receipts.Receipt,
    repairs.Repair,
    reports.EnergyLedger,
    reconciliation.Reconciliation,
    revenue.Revenue,
    reviewing.CdrReview,
    sessions.Session,
    sessions.WholeSession,
    signed_values.SignedMeterValue,
    sites.Site,
    stations.Station,
    tariffs.Assignment,
    tariffs.TariffShown,
    stream_tokens.StreamToken,
    tokens.Found,
    tokens.Token,
    tokens.UnknownToken,
    webhooks.Taken,
]


def fits(part: Any, whole: Any) -> bool:
    """Return whether an example says nothing that an answer does not; defaults may be left out."""
    match part, whole:
        case dict(), dict():
            return all(name in whole and fits(value, whole[name]) for name, value in part.items())
        case list(), list():
            return len(part) == len(whole) and all(map(fits, part, whole))
        case _:
            return bool(part == whole)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_example_is_an_answer_that_can_be_given(model: type[BaseModel]) -> None:
    [example] = model.model_json_schema()["examples"]
    assert fits(example, model.model_validate(example).model_dump(mode="json"))


def _described(schemas: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Return whether a schema has an example, or is a list of what has one."""
    match schema:
        case {"$ref": str(reference)}:
            return _described(schemas, schemas[reference.rpartition("/")[2]])
        case {"examples": _}:
            return True
        case {"properties": {"items": {"items": inner}}}:
            return _described(schemas, inner)
        case _:
            return False


def test_every_answer_under_v1_has_an_example() -> None:
    described = describe().openapi()
    for path, operations in described["paths"].items():
        for operation in operations.values() if path.startswith("/v1") else ():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items() if status.startswith("2") else ():
                    shown = "examples" in content or _described(described["components"]["schemas"], content["schema"])
                    assert shown, (path, status, kind)


async def test_what_cannot_be_asked_is_answered_with_what_can(admin: AsyncClient) -> None:
    answer = await admin.patch("/v1/sites/harbour", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PUT")
    assert answer.json()["detail"] == "it knows DELETE, GET, PUT"


async def test_who_finds_nothing_is_told_where_to_look(admin: AsyncClient) -> None:
    answer = await admin.get("/v1")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is nothing at /v1: /docs says what there is"
