from typing import Any

import pytest
from httpx import AsyncClient

from contracts.topics import BILLS
from tests.api.network import Network
from tests.views.given import bound, cdr, credit, held, over

DEFAULT: Any = {"tenant": "default"}


@pytest.fixture
async def billed(network: Network) -> None:
    """A session whose first CDR was credited, and one that is held."""
    first = (bound(**DEFAULT), over(**DEFAULT), cdr(**DEFAULT), credit(**DEFAULT))
    await network.says(BILLS, *first, cdr("cdr-2", number=2, corrects="cdr-1", **DEFAULT))
    await network.says(BILLS, bound("s-2", **DEFAULT), held("s-2", **DEFAULT))


@pytest.mark.usefixtures("billed")
async def test_cdrs_and_credits_are_listed_and_shown(admin: AsyncClient) -> None:
    page = (await admin.get("/v1/cdrs", params={"session": "s-1", "limit": 2})).json()
    rest = (await admin.get("/v1/cdrs", params={"session": "s-1", "cursor": page["next_cursor"]})).json()
    listed = [*page["items"], *rest["items"]]
    assert [(each["id"], each["kind"], each["total_excl"]) for each in listed] == [
        ("cdr-1-c", "CREDIT_CDR", "-39.60"),
        ("cdr-2", "CDR", "39.60"),
        ("cdr-1", "CDR", "39.60"),
    ]
    assert listed[2]["credited_by"] == "cdr-1-c"
    assert (await admin.get("/v1/cdrs/cdr-2")).json() == listed[1]
    assert (await admin.get("/v1/cdrs", params={"station": "elsewhere"})).json()["items"] == []
    assert (await admin.get("/v1/cdrs/none")).status_code == 404


@pytest.mark.usefixtures("billed")
async def test_a_session_says_what_it_costs_and_why(admin: AsyncClient) -> None:
    cost = (await admin.get("/v1/sessions/s-1/price-explanation")).json()
    assert (cost["state"], cost["cdr"], cost["total_incl"], cost["tariff_version"]) == ("billed", "cdr-2", "39.60", 2)
    assert cost["details"]["energy_wh"] == 11_000
    assert (await admin.get("/v1/sessions/none/price-explanation")).status_code == 404


@pytest.mark.usefixtures("billed")
async def test_what_somebody_should_look_at_is_listed(admin: AsyncClient, acme: AsyncClient) -> None:
    [cost] = (await admin.get("/v1/cdr-reviews")).json()["items"]
    assert (cost["session"], cost["held_because"]) == ("s-2", ["refused"])
    assert (await acme.get("/v1/cdr-reviews")).json()["items"] == []
    assert (await acme.get("/v1/cdrs")).json()["items"] == []
