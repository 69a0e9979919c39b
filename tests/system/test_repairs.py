"""What a person puts right, in one piece: from REST by the rules of sessions to the tables and the bills."""

from decimal import Decimal
from typing import Any

import pytest

from tests.system.network import Yard, ago, meter, shows, start, stop, until
from tests.system.test_bills import TARIFF, costing

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_session_that_a_person_ends_is_credited_and_billed_anew_and_then_discarded(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await yard.rest.put("/v1/tariffs/REPAIRED", {"tariff": TARIFF, "valid_from": "2020-01-01T00:00:00Z"})
    await yard.rest.put("/v1/tariff-assignments", {"station": station.identity, "tariff": "REPAIRED"})
    transaction = await start(station, token.uid, ago(minutes=30), meter=1000)
    await meter(station, transaction, ago(minutes=20), 3000)
    session = await yard.session(station, state="charging")
    await start(station, token.uid, ago(minutes=10), meter=5000)
    presumed = await costing(yard, session["id"], "billed", "8.00")

    wish = {"action": "end", "ended_at": ago(minutes=12).isoformat(), "meter_wh": 4500, "reason": "read at the meter"}
    done = await yard.rest.post(f"/v1/sessions/{session['id']}/repair", wish, wait=25)
    assert (done["state"], done["energy_before_wh"], done["energy_after_wh"]) == ("done", 2000, 3500)
    billed = await costing(yard, session["id"], "billed", "14.00")
    documents = await of_session(yard, session["id"])
    assert [each["kind"] for each in documents.values()].count("CREDIT_CDR") == 1
    assert documents[billed["cdr"]]["corrects"] == presumed["cdr"]
    shown = await yard.rest.get(f"/v1/sessions/{session['id']}")
    assert shows(shown, state="ended", energy_wh=3500, meter_stop_wh=4500)
    assert "repaired" in shown["flags"]
    [kept] = shown["repairs"]
    assert (kept["id"], kept["reason"], kept["action"]) == (done["id"], "read at the meter", "end")
    assert await yard.rest.get(f"/v1/repairs/{done['id']}") == kept

    gone = await yard.rest.post(f"/v1/sessions/{session['id']}/repair", {"action": "discard", "reason": "a test drive"})
    assert (gone["energy_before_wh"], gone["energy_after_wh"]) == (3500, 0)
    await until_balance(yard, session["id"], "0.00")
    refused = await yard.rest.ask("POST", f"/v1/sessions/{session['id']}/repair", wish)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "repair_refused")


async def test_a_stop_that_fitted_two_sessions_is_attached_to_the_one_it_ended(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await start(station, token.uid, ago(minutes=30), connector=1, meter=1000)
    other = await yard.token()
    await start(station, other.uid, ago(minutes=29), connector=2, meter=1000)
    await stop(station, -1, ago(minutes=10), 2500)
    first, second, lost = await yard.rest.until_sessions(station.identity, "charging", "charging", "quarantined")
    assert lost["energy_wh"] is None
    wish = {"action": "attach", "to": second["id"], "reason": "the driver called"}
    done = await yard.rest.post(f"/v1/sessions/{lost['id']}/repair", wish, wait=25)
    assert (done["state"], done["to"], done["energy_after_wh"]) == ("done", second["id"], 1500)
    shown = await yard.rest.get(f"/v1/sessions/{second['id']}")
    assert shows(shown, state="ended", energy_wh=1500, meter_stop_wh=2500)
    assert (await yard.rest.get(f"/v1/sessions/{lost['id']}"))["state"] == "attached"
    assert (await yard.rest.get(f"/v1/sessions/{first['id']}"))["state"] == "charging"


async def of_session(yard: Yard, session: str) -> dict[str, Any]:
    """Return the documents of a session by their ids."""
    return {each["id"]: each for each in (await yard.rest.get("/v1/cdrs", session=session))["items"]}


async def until_balance(yard: Yard, session: str, total: str) -> None:
    """Wait until what was charged and credited of a session comes to this."""

    async def look() -> bool | None:
        documents = (await of_session(yard, session)).values()
        return sum(Decimal(each["total_excl"]) for each in documents) == Decimal(total) or None

    await until(look, f"session {session} comes to {total}")


@pytest.mark.covers("X-22")
async def test_x_22_a_transaction_that_nobody_began_here_is_a_session_that_waits_for_a_person(yard: Yard) -> None:
    station = await yard.station()
    first = ago(minutes=20)
    await meter(station, 4711, first, 8000)
    await meter(station, 4711, ago(minutes=10), 8600)
    await stop(station, 4711, ago(minutes=5), 9000)
    session = await yard.session(station)
    assert shows(session, energy_wh=1000, meter_start_wh=8000, transaction="4711", started_at=first)
    assert {"adopted", "review"} <= set(session["flags"])
