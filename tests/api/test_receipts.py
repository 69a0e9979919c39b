"""A receipt is for whoever has its address: it says what was paid for, to whom and with which VAT, and nobody can guess another's."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace as changed

from contracts.bills import BillLine, Priced, TaxShare
from contracts.event import AccountId, PaymentId, SessionId, StationId, TenantId, TokenId
from contracts.ledger import ChargingRunning, PaymentOpened, PaymentSettled
from contracts.postings import Source
from contracts.topics import BILLS, LEDGER
from services.api.app import Api
from services.api.receipts import added
from services.invoicing.parties import Seller
from tests.api.network import Network, client_of
from tests.api.test_sites import HARBOUR
from tests.views.given import cdr, credit

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = AccountId("adhoc-p1")
OURS: dict[str, Any] = {"tenant": TenantId("default"), "account": ACCOUNT}
SELLER = Seller(
    name="Harbour <Charging> AS", street="Kai 1", postal_code="0150", city="Oslo", country="NO", vat_id="NO1"
)
TAXES = (TaxShare(Decimal(25), Decimal("31.68"), Decimal("39.60")),)
LINE: dict[str, Any] = {"element": 0, "component": 0, "measured": "11000.000", "net_exact": "0", "gross_exact": "0"}
LINES = (
    BillLine(dimension="ENERGY", price=Decimal("2.60"), unit="Wh", billed="11000.000", net=Decimal("28.60"),
             gross=Decimal("35.75"), vat=Decimal(25), **LINE),
    BillLine(dimension="TIME", price=Decimal("3.08"), unit="s", billed="3600.000", net=Decimal("3.08"),
             gross=Decimal("3.85"), vat=Decimal(25), **LINE),
    BillLine(dimension="FLAT", price=Decimal("0.00"), unit="", billed="1", net=Decimal("0.00"), gross=Decimal("0.00"), **LINE),
)  # fmt: skip
PRICED = Priced(
    currency="NOK",
    total_excl=Decimal("31.68"),
    total_incl=Decimal("39.60"),
    energy_wh=11_000,
    seconds=3600,
    lines=LINES,
)


@pytest.fixture
def selling(app: Api) -> Api:
    """The application of a deployment that says who sells."""
    app.state.backends = replace(app.state.backends, sellers={"default": SELLER})
    return app


async def pays(network: Network, payment: str = "p1", kind: Any = "hold") -> None:
    """Let somebody hold 50 for a session."""
    about: dict[str, Any] = {"at": NOON, "tenant": TenantId("default"), "account": AccountId(f"adhoc-{payment}")}
    opened = PaymentOpened(
        **about, payment=PaymentId(payment), kind=kind, amount=Decimal(50), currency="NOK", station=StationId("st-1"),
        evse=1, token=TokenId("tok-1"),
    )  # fmt: skip
    await network.says(LEDGER, opened)


async def charges(network: Network, admin: AsyncClient) -> None:
    """Let them charge for 39.60, and pay that."""
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR)).is_success
    about: dict[str, Any] = {"at": NOON, **OURS}
    running = ChargingRunning(
        **about, source=Source(0, 1), session=SessionId("s-1"), station=StationId("st-1"), currency="NOK",
        amount=Decimal(1),
    )  # fmt: skip
    settled = PaymentSettled(
        **about, payment=PaymentId("p1"), state="captured", taken=Decimal("39.60"), returned=Decimal(0)
    )
    await network.says(LEDGER, running, settled)
    await network.says(BILLS, cdr(priced=PRICED, taxes=TAXES, **OURS))


async def address(admin: AsyncClient, payment: str = "p1") -> str:
    return str((await admin.get(f"/v1/payments/{payment}")).json()["receipt_url"])


async def receipt(app: Api, path: str) -> Any:
    """Return what somebody without any key sees."""
    async with client_of(app, None) as anybody:
        answer = await anybody.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "private, no-store"
    return answer.json()


async def test_whoever_has_the_address_sees_what_was_paid_for(
    selling: Api, admin: AsyncClient, network: Network
) -> None:
    await pays(network)
    await charges(network, admin)
    said = await receipt(selling, await address(admin))
    assert (said["payment"], said["state"], said["place"]) == ("p1", "captured", HARBOUR["name"])
    assert (said["seller"]["name"], said["seller"]["vat_id"]) == (SELLER.name, "NO1")
    assert (said["net"], said["vat"], said["gross"], said["paid"]) == ("31.68", "7.92", "39.60", "39.60")
    assert said["taxes"] == [{"rate": "25", "net": "31.68", "gross": "39.60"}]
    [bill] = said["cdrs"]
    assert [(line["dimension"], line["billed"], line["vat"], line["gross"]) for line in bill["lines"]] == [
        ("ENERGY", "11000.000", "25", "35.75"),
        ("TIME", "3600.000", "25", "3.85"),
        ("FLAT", "1", None, "0.00"),
    ]
    assert (bill["cdr"], bill["energy_wh"], bill["net"], bill["gross"]) == ("cdr-1", 11_000, "31.68", "39.60")
    assert "tok-1" not in str(said)


async def test_a_corrected_bill_is_shown_with_its_credit_and_what_was_given_back(
    selling: Api, admin: AsyncClient, network: Network
) -> None:
    await pays(network)
    await charges(network, admin)
    taken_back = tuple(TaxShare(each.rate, -each.net, -each.gross) for each in TAXES)
    back = changed(credit(taxes=taken_back, **OURS), total_excl=Decimal("-31.68"))
    returned = PaymentSettled(
        at=NOON, **OURS, payment=PaymentId("p1"), state="refunded", taken=Decimal("39.60"), returned=Decimal("39.60")
    )
    await network.says(BILLS, back)
    await network.says(LEDGER, returned)
    said = await receipt(selling, await address(admin))
    assert [(each["kind"], each["credits"], each["gross"]) for each in said["cdrs"]] == [
        ("CDR", None, "39.60"),
        ("CREDIT_CDR", "cdr-1", "-39.60"),
    ]
    assert (said["net"], said["vat"], said["gross"], said["paid"]) == ("0.00", "0.00", "0.00", "0.00")
    assert said["taxes"] == [{"rate": "25", "net": "0.00", "gross": "0.00"}]


async def test_before_the_bill_and_without_a_seller_there_is_a_receipt_all_the_same(
    app: Api, admin: AsyncClient, network: Network
) -> None:
    await pays(network)
    said = await receipt(app, await address(admin))
    assert (said["state"], said["cdrs"], said["seller"], said["gross"], said["paid"]) == (
        "asked",
        [],
        None,
        "0.00",
        "0.00",
    )
    async with client_of(app, None) as browser:
        page = await browser.get(await address(admin), headers={"Accept": "text/html"})
    assert "Nothing has been billed yet." in page.text


async def test_a_browser_gets_a_page_to_print(selling: Api, admin: AsyncClient, network: Network) -> None:
    await pays(network)
    await charges(network, admin)
    async with client_of(selling, None) as browser:
        page = await browser.get(await address(admin), headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for text in (
        "Harbour &lt;Charging&gt; AS",
        "VAT id NO1",
        "11 kWh",
        "60 min",
        "25 %",
        "39.60",
        "cdr-1",
        "Payment p1",
    ):
        assert text in page.text, text
    assert "<Charging>" not in page.text


async def test_nobody_can_guess_another_address_or_tell_which_payments_there_are(
    selling: Api, admin: AsyncClient, network: Network
) -> None:
    await pays(network)
    await pays(network, "p2")
    path, token = (await address(admin)).rsplit("/", 1)
    async with client_of(selling, None) as anybody:
        wrong = [
            await anybody.get(f"{path}/{token[:-1]}{'0' if token[-1] != '0' else '1'}"),
            await anybody.get(f"{path}/ünicode"),
            await anybody.get(f"/v1/receipts/default/p2/{token}"),
            await anybody.get(f"/v1/receipts/other/p1/{token}"),
            await anybody.get(f"/v1/receipts/default/none/{token}"),
        ]
    assert {answer.status_code for answer in wrong} == {404}
    assert len({(answer.json()["type"], answer.json()["detail"]) for answer in wrong}) == 1
    assert len(token) == 40
    assert (await address(admin, "p2")).rsplit("/", 1)[1] != token


async def test_what_is_no_ad_hoc_payment_has_no_receipt(admin: AsyncClient, network: Network) -> None:
    await pays(network, "top", kind="top_up")
    assert (await admin.get("/v1/payments/top")).json()["receipt_url"] is None


async def test_a_payment_that_is_gone_is_as_unknown_as_any(selling: Api, admin: AsyncClient, network: Network) -> None:
    await pays(network)
    path = await address(admin)
    async with network.engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM payments")
    async with client_of(selling, None) as anybody:
        assert (await anybody.get(path)).status_code == 404


def test_sums_have_the_decimals_of_their_currency() -> None:
    assert (added([], "JPY"), added(["1.5"], "KWD"), added(["5", "-2"], "EUR")) == ("0", "1.500", "3.00")
