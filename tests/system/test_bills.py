"""What charging costs, from a tariff to a CDR, and to its correction by the real stop."""

from typing import Any

import pytest

from tests.system.network import Yard, ago, meter, start, stop, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TARIFF: dict[str, Any] = {
    "currency": "NOK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "4.00", "vat": "25"}]}],
}


async def test_a_session_is_priced_while_it_charges_billed_after_its_end_and_corrected(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await yard.rest.put("/v1/tariffs/AC", {"tariff": TARIFF, "valid_from": "2020-01-01T00:00:00Z"})
    await yard.rest.put("/v1/tariff-assignments", {"station": station.identity, "tariff": "AC"})

    transaction = await start(station, token.uid, ago(minutes=30), meter=1000)
    await meter(station, transaction, ago(minutes=20), 3000)
    session = await yard.session(station, state="charging")
    running = await costing(yard, session["id"], "running", "8.00")
    assert (running["total_incl"], running["tariff"], running["assignment"]) == (
        "10.00",
        "AC",
        f"station/{station.identity}",
    )

    # Another transaction begins, so this one must be over: it is billed by what is known.
    second = await start(station, token.uid, ago(minutes=15), meter=3000)
    presumed = await costing(yard, session["id"], "billed", "8.00")
    # Its real stop, from before the other began, says more.
    await stop(station, transaction, ago(minutes=16), 3500)
    billed = await costing(yard, session["id"], "billed", "10.00")
    await stop(station, second, ago(minutes=5), 4000)

    documents = (await yard.rest.get("/v1/cdrs", session=session["id"]))["items"]
    assert sorted((each["kind"], each["total_excl"]) for each in documents) == [
        ("CDR", "10.00"),
        ("CDR", "8.00"),
        ("CREDIT_CDR", "-8.00"),
    ]
    by_id = {each["id"]: each for each in documents}
    assert by_id[presumed["cdr"]]["credited_by"] is not None
    assert by_id[billed["cdr"]]["corrects"] == presumed["cdr"]
    [line] = billed["details"]["lines"]
    assert (line["measured"], line["price"], line["net"], line["gross"]) == ("2500.000", "4.00", "10.00", "12.50")


async def costing(yard: Yard, session: str, state: str, total: str) -> Any:
    """Return what a session costs, once it costs that."""

    async def look() -> Any:
        answer = await yard.rest.ask("GET", f"/v1/sessions/{session}/price-explanation")
        cost = answer.json()
        return cost if answer.is_success and (cost["state"], cost["total_excl"]) == (state, total) else None

    return await until(look, f"session {session} {state} at {total}")
