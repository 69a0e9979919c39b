"""What no client should send, sent to the real application."""

import json

import pytest
from httpx import AsyncClient

from services.api.pages import encode

JSON = {"Content-Type": "application/json"}
SITE = '"name": "a", "time_zone": "Europe/Oslo", "currency": "NOK"'


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"name": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
        (b"NaN", 422),
        (b'{"name": "a\\u0000b", "time_zone": "Europe/Oslo"}', 422),
        (b'{"name": "\\ud800", "time_zone": "Europe/Oslo"}', 422),
        (f'{{{SITE}, "latitude": {"9" * 5000}}}'.encode(), 400),
        (f'{{{SITE}, "latitude": 1e999}}'.encode(), 422),
        (f'{{{SITE}, "name": "b"}}'.encode(), 201),
        (b" " * (1 << 20) + b"{}", 413),
    ],
)
async def test_a_body_that_is_none_is_a_problem(admin: AsyncClient, content: bytes, status: int) -> None:
    answer = await admin.put("/v1/sites/a", content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        json.loads(answer.text)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "application/jsonp", ""])
async def test_a_body_that_does_not_say_it_is_json_is_refused(admin: AsyncClient, kind: str) -> None:
    answer = await admin.put("/v1/sites/a", content=f"{{{SITE}}}", headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sites/%FF",
        "/v1/sites/%00",
        "/v1/sites/%C3%28",
        "/v1/sites/a%2Fb",
        "/v1/sessions?site=%FF%FE",
        "/v1/sessions?updated_after=0001-01-01T00:00:00%2B14:00",
        "/v1/sessions?updated_after=9999-12-31T23:59:59-14:00",
        "/v1/sessions?updated_after=99999999999999999999",
        "/v1/sites?limit=99999999999999999999999999999",
        "/v1/sites?limit=1&limit=2",
        "/v1/commands?station=a&cursor=%00",
        "/v1/reports/energy-ledger?from=0000-00-00",
    ],
)
async def test_a_url_that_means_nothing_is_no_defect_of_ours(admin: AsyncClient, path: str) -> None:
    answer = await admin.get(path)
    assert answer.status_code in {200, 400, 404, 422}, answer.text


@pytest.mark.parametrize("things", ["alerts", "cdrs", "invoices", "payments", "commands?station=a"])
@pytest.mark.parametrize("id", ["a\0b", "\n", "x" * 10_000, "ü"])
async def test_a_place_in_a_list_that_no_database_could_be_asked_for_was_not_given_out(
    admin: AsyncClient, things: str, id: str
) -> None:
    cursor = encode(("2026-03-01T08:00:00Z", id))
    answer = await admin.get(f"/v1/{things}{'&' if '?' in things else '?'}cursor={cursor}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad_cursor")
