import pytest
from httpx import AsyncClient


@pytest.mark.parametrize(
    ("method", "path", "name", "known"),
    [
        ("GET", "/v1/sites?limit=1&sit=a", "sit", "cursor, limit"),
        ("GET", "/v1/sessions?State=charging", "State", "cursor, limit, site, state, station, token, updated_after"),
        ("GET", "/v1/me?verbose", "verbose", "none at all"),
        ("PUT", "/v1/sites/a?dry_run=1", "dry_run", "none at all"),
        ("GET", "/v1/stream?types=SessionEnded", "types", "cursor, site, station, stream_token, type"),
        ("GET", "/v1/reports/energy-ledger?first=2026-01-01", "first", "format, from, site, to"),
    ],
)
async def test_a_parameter_that_nobody_reads_is_refused_by_its_name(
    admin: AsyncClient, method: str, path: str, name: str, known: str
) -> None:
    answer = await admin.request(method, path, json={} if method == "PUT" else None)
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["where"], fault["pointer"]) == ("query", name)
    assert fault["detail"].endswith(f"there is {known}")


async def test_a_key_in_a_url_is_not_repeated(admin: AsyncClient) -> None:
    answer = await admin.get("/v1/sites?access_token=vs_secret")
    assert (answer.status_code, "vs_secret" in answer.text) == (422, False)
