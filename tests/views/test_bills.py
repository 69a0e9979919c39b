"""What charging costs, as rows."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from contracts import tables
from contracts.bills import (
    CdrConfirmed,
    CdrWaived,
    ChargedFree,
    LateUsageHeard,
    ReRatingSkipped,
    Review,
    ReviewRefused,
    SessionRecalled,
    TariffMissing,
    TaxShare,
)
from contracts.event import AccountId, Event, JobId, RequestId
from contracts.reference import TariffAssignmentForgotten
from contracts.topics import BILLS, TARIFFS, Topic
from services.views.worker import TOPICS, Views
from tests.samples import SAMPLES
from tests.views.given import (
    NORTH,
    assignment,
    at,
    bound,
    cdr,
    chunk,
    costing,
    credit,
    held,
    over,
    priced,
    tariff,
    whose_session,
)


async def rows_after(engine: AsyncEngine, topic: Topic[Any], *events: Event) -> dict[str, list[dict[str, Any]]]:
    views = Views(engine)
    await views.positions({(each.name, 0) for each in TOPICS})
    await views.apply([chunk(topic, list(events))])
    found: dict[str, list[dict[str, Any]]] = {}
    async with sql.reading(engine) as connection:
        for table in (
            tables.costs,
            tables.cdrs,
            tables.cdr_reviews,
            tables.tariffs,
            tables.tariff_versions,
            tables.tariff_assignments,
        ):
            found[table.name] = [dict(row._mapping) for row in await connection.execute(_in_order(table))]
    return found


def _in_order(table: Table) -> Any:
    return select(table).order_by(*table.primary_key.columns)


async def cost_after(engine: AsyncEngine, *events: Event) -> dict[str, Any]:
    [cost] = (await rows_after(engine, BILLS, *events))["costs"]
    return cost


async def test_a_session_costs_what_was_said_last(migrated: AsyncEngine) -> None:
    cost = await cost_after(migrated, bound(), costing("4.50"), costing("9.00"))
    assert (cost["state"], cost["total_incl"], cost["energy_wh"], cost["currency"]) == ("running", "9.00", 1000, "NOK")
    assert (cost["tariff"], cost["tariff_version"], cost["assignment"]) == ("AC", 2, "tenant")


async def test_a_session_that_is_over_waits_for_its_cdr(migrated: AsyncEngine) -> None:
    cost = await cost_after(migrated, bound(), over())
    assert (cost["state"], cost["due"]) == ("measured", at(303))


async def test_a_billed_session_names_its_cdr_and_why(migrated: AsyncEngine) -> None:
    cost = await cost_after(migrated, bound(), over(), cdr())
    assert (cost["state"], cost["cdr"], cost["total_excl"], cost["energy_wh"]) == ("billed", "cdr-1", "39.60", 11_000)
    assert cost["priced"]["total_excl"] == "39.60"


async def test_a_held_session_says_why_until_it_is_billed(migrated: AsyncEngine) -> None:
    cost = await cost_after(migrated, bound(), over(), held())
    assert (cost["state"], cost["held_because"]) == ("held", ["refused"])


async def test_no_tariff_and_free_are_told_apart(migrated: AsyncEngine) -> None:
    missing = TariffMissing(at=at(1), evse=1, connector=1, **whose_session("a"))
    free = ChargedFree(at=at(1), assignment="tenant", **whose_session("b"))
    costs = (await rows_after(migrated, BILLS, missing, free))["costs"]
    assert [cost["state"] for cost in costs] == ["no_tariff", "free"]
    assert [cost["total_incl"] for cost in costs] == [None, None]


async def test_a_credited_cdr_says_so_and_stays(migrated: AsyncEngine) -> None:
    second = cdr("cdr-2", number=2, corrects="cdr-1", priced=priced("41.18"))
    found = await rows_after(migrated, BILLS, bound(), over(), cdr(), credit(), second)
    first, taken_back, counts = found["cdrs"]
    assert (first["id"], first["total_excl"], first["credited_by"]) == ("cdr-1", "39.60", "cdr-1-c")
    assert (taken_back["kind"], taken_back["credits"], taken_back["total_excl"]) == ("CREDIT_CDR", "cdr-1", "-39.60")
    assert (counts["id"], counts["corrects"], counts["total_excl"], counts["credited_by"]) == (
        "cdr-2",
        "cdr-1",
        "41.18",
        None,
    )
    assert found["costs"][0]["cdr"] == "cdr-2"


async def test_a_confirmed_cdr_is_still_the_one(migrated: AsyncEngine) -> None:
    confirmed = CdrConfirmed(at=at(500), cdr="cdr-1", input_hash="h", **whose_session("s-1"))
    cost = await cost_after(migrated, bound(), over(), cdr(), over(), confirmed)
    assert (cost["state"], cost["cdr"], cost["total_excl"]) == ("billed", "cdr-1", "39.60")


async def test_a_tariff_shows_its_newest_version_and_keeps_all(migrated: AsyncEngine) -> None:
    found = await rows_after(migrated, TARIFFS, tariff(1), tariff(2))
    assert [row["version"] for row in found["tariffs"]] == [2]
    assert [row["version"] for row in found["tariff_versions"]] == [1, 2]
    assert found["tariffs"][0]["tariff"]["elements"][0]["price_components"][0]["price"] == "4.50"


async def test_an_assignment_that_is_forgotten_is_gone(migrated: AsyncEngine) -> None:
    gone = TariffAssignmentForgotten(at=at(2), tenant=NORTH, id="site/harbour")
    found = await rows_after(migrated, TARIFFS, assignment("site/harbour"), assignment("tenant"), gone)
    assert [row["id"] for row in found["tariff_assignments"]] == ["tenant"]


async def test_a_cdr_says_who_pays_and_its_taxes(migrated: AsyncEngine) -> None:
    taxes = (TaxShare(Decimal(25), Decimal("39.60"), Decimal("49.50")),)
    paid = cdr(account=AccountId("anna"), taxes=taxes)
    rows = await rows_after(migrated, BILLS, bound(), over(), paid)
    [document], [cost] = rows["cdrs"], rows["costs"]
    assert (document["account"], cost["account"]) == ("anna", "anna")
    assert document["taxes"] == [{"rate": "25", "net": "39.60", "gross": "49.50"}]


REVIEW = Review(RequestId("rev-1"), "release", "seen", "ops", "f")


@pytest.mark.parametrize(
    ("event", "state", "outcome", "held_because"),
    [
        (cdr(review=REVIEW), "billed", "billed", None),
        (
            CdrConfirmed(at=at(400), cdr="cdr-1", input_hash="x", review=REVIEW, **whose_session("s-1")),
            "billed",
            "confirmed",
            None,
        ),
        (CdrWaived(at=at(400), currency="NOK", review=REVIEW, **whose_session("s-1")), "waived", "waived", None),
        (
            CdrWaived(at=at(400), currency="NOK", cdr="cdr-0", review=REVIEW, **whose_session("s-1")),
            "billed",
            "waived",
            None,
        ),
        (
            ReviewRefused(at=at(400), review=REVIEW, reason="nothing_held", **whose_session("s-1")),
            "held",
            "refused",
            ["refused"],
        ),
    ],
)
async def test_what_was_decided_is_kept_with_who_and_why(
    migrated: AsyncEngine, event: Event, state: str, outcome: str, held_because: list[str] | None
) -> None:
    rows = await rows_after(migrated, BILLS, bound(), over(), held(), event, event)
    [cost], [review] = rows["costs"], rows["cdr_reviews"]
    assert (cost["state"], cost["held_because"], review["outcome"]) == (state, held_because, outcome)
    assert (review["decision"], review["reason"], review["requested_by"]) == ("release", "seen", "ops")


async def test_a_re_rating_leaves_a_session_billed_by_its_new_version(migrated: AsyncEngine) -> None:
    whose = whose_session("s-1")
    again = replace(bound(), job=JobId("j"), tariff_version=3)
    told = (
        ReRatingSkipped(at=at(400), job=JobId("j"), reason="other_bill", **whose),
        LateUsageHeard(at=at(400), due=at(500), **whose),
    )
    cost = await cost_after(migrated, bound(), over(), cdr(), *told, again)
    assert (cost["state"], cost["tariff_version"], cost["cdr"]) == ("billed", 3, "cdr-1")


async def test_what_billing_recalls_is_no_news(migrated: AsyncEngine) -> None:
    recalled = msgspec.json.decode((SAMPLES / "SessionRecalled.1.json").read_bytes(), type=SessionRecalled)
    assert (await rows_after(migrated, BILLS, recalled))["costs"] == []
