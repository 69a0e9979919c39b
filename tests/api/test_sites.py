import asyncio
import json
from typing import Any

import pytest
from httpx import AsyncClient, Response

from services.api.app import Api
from tests.api.network import Network, impatient

HARBOUR: dict[str, Any] = {"name": "Harbour", "time_zone": "Europe/Oslo", "currency": "NOK"}


def pointers(answer: Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_a_site_says_what_becomes_of_a_start_that_no_tariff_fits(admin: AsyncClient) -> None:
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR)).json()["without_tariff"] == "charge"
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR | {"without_tariff": "refuse"})
    assert answer.json()["without_tariff"] == "refuse"
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR | {"without_tariff": "ask"})).status_code == 422


async def test_a_site_that_was_put_can_be_read(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR | {"latitude": 59.9, "longitude": 10.7})
    assert answer.status_code == 201
    assert answer.json()["version"] == 1
    assert answer.headers["etag"] == '"v1"'
    assert (await admin.get("/v1/sites/harbour")).json() == answer.json()


async def test_a_site_that_is_put_again_has_another_version(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR | {"name": "Old harbour"})
    assert (answer.status_code, answer.json()["name"], answer.headers["etag"]) == (200, "Old harbour", '"v2"')


async def test_a_site_that_is_put_as_it_is_stays_as_it_is(admin: AsyncClient) -> None:
    first = await admin.put("/v1/sites/harbour", json=HARBOUR)
    again = await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_deleted_site_is_not_there(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (await admin.delete("/v1/sites/harbour")).status_code == 204
    assert (await admin.get("/v1/sites/harbour")).status_code == 404
    assert (await admin.delete("/v1/sites/harbour")).status_code == 404


async def test_a_site_that_comes_back_goes_on_counting(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    await admin.delete("/v1/sites/harbour")
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (answer.status_code, answer.json()["version"]) == (201, 3)


async def test_a_site_with_stations_is_not_deleted(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    await admin.put("/v1/stations/CP1", json={"site": "harbour"})
    answer = await admin.delete("/v1/sites/harbour")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/site_in_use")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Europe/Atlantis"),
        ("time_zone", "../../etc/passwd"),
        ("currency", "XXX"),
        ("currency", "eur"),
        ("name", ""),
        ("name", "a\u0000b"),
        ("name", "\ud800"),
        ("latitude", 91),
        ("longitude", "east"),
        ("colour", "red"),
    ],
)
async def test_a_field_that_is_wrong_is_named(admin: AsyncClient, field: str, value: object) -> None:
    body = HARBOUR | {"latitude": 1, "longitude": 1} | {field: value}
    answer = await admin.put(
        "/v1/sites/harbour", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert pointers(answer) == [f"#/{field}"]


async def test_a_problem_does_not_repeat_what_was_said(admin: AsyncClient) -> None:
    answer = await admin.put(
        "/v1/sites/harbour", json=HARBOUR | {"time_zone": "s3cret", "currency": 17, "more": "s3cret"}
    )
    assert len(pointers(answer)) == 3
    assert "s3cret" not in answer.text


async def test_a_zone_must_be_named(admin: AsyncClient) -> None:
    assert pointers(await admin.put("/v1/sites/harbour", json={"name": "Harbour"})) == ["#/time_zone"]


async def test_one_coordinate_is_none(admin: AsyncClient) -> None:
    assert pointers(await admin.put("/v1/sites/harbour", json=HARBOUR | {"latitude": 1})) == ["#"]


@pytest.mark.parametrize("id", ["a" * 49, "%00", "%1F", "%20a", "a%20", "%7F", "%E2%80%8B"])
async def test_an_id_that_names_nothing_is_refused_in_a_write_and_not_there_in_a_read(
    admin: AsyncClient, id: str
) -> None:
    assert pointers(await admin.put(f"/v1/sites/{id}", json=HARBOUR)) == ["id"]
    assert (await admin.get(f"/v1/sites/{id}")).status_code == 404
    assert (await admin.delete(f"/v1/sites/{id}")).status_code == 404


@pytest.mark.parametrize("id", ["RDAM 123", "a%b", "a|b", "a:b", "Ünï", "%2F"])
async def test_an_id_is_percent_encoded_once(admin: AsyncClient, id: str) -> None:
    path = "/v1/sites/" + "".join(f"%{byte:02X}" for byte in id.encode())
    answer = await admin.put(path, json=HARBOUR)
    assert (answer.status_code, answer.json()["id"]) == (201, id)
    assert (await admin.get(path)).json()["id"] == id


# ---- conditions ------------------------------------------------------------------------------------------------------


async def test_a_change_of_another_version_is_refused_with_the_present_one(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    await admin.put("/v1/sites/harbour", json=HARBOUR | {"name": "Old"})
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR, headers={"If-Match": '"v1"'})
    assert (answer.status_code, answer.json()["version"]) == (412, 2)
    assert (await admin.delete("/v1/sites/harbour", headers={"If-Match": '"v1"'})).status_code == 412
    assert (await admin.delete("/v1/sites/harbour", headers={"If-Match": '"v1", W/"v2"'})).status_code == 204


async def test_a_site_is_created_once(admin: AsyncClient) -> None:
    absent = {"If-None-Match": "*"}
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR, headers=absent)).status_code == 201
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR, headers=absent)).status_code == 412


@pytest.mark.parametrize("tag", ["*", '"v1"', '"other"', '"v0"', '"v0", "v00"'])
async def test_what_is_not_there_matches_nothing(admin: AsyncClient, tag: str) -> None:
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["type"]) == (412, "/problems/version_mismatch")


async def test_what_is_there_matches_anything(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR | {"name": "Old"}, headers={"If-Match": "*"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers", [{"If-Match": "v1"}, {"If-None-Match": '"v1"'}, {"If-Match": "*", "If-None-Match": "*"}]
)
async def test_a_condition_that_means_nothing_is_a_bad_request(admin: AsyncClient, headers: dict[str, str]) -> None:
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR, headers=headers)).status_code == 400


async def test_who_has_the_same_already_gets_it_not_again(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    same = await admin.get("/v1/sites/harbour", headers={"If-None-Match": '"v7", "v1"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"v1"')
    assert (await admin.get("/v1/sites/harbour", headers={"If-None-Match": '"v7"'})).status_code == 200


@pytest.mark.parametrize(
    ("tags", "status"), [('"a,b"', 200), ('"a,b" , W/"v1"', 304), (', "v1",', 304), ('"a"b"', 400)]
)
async def test_a_tag_of_somebody_elses_may_hold_a_comma(admin: AsyncClient, tags: str, status: int) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (await admin.get("/v1/sites/harbour", headers={"If-None-Match": tags})).status_code == status


# ---- repetitions -----------------------------------------------------------------------------------------------------


async def test_a_repetition_is_done_once_and_answered_the_same(admin: AsyncClient, network: Network) -> None:
    once = {"Idempotency-Key": "k-1", "If-None-Match": "*"}
    first = await admin.put("/v1/sites/harbour", json=HARBOUR, headers=once)
    again = await admin.put("/v1/sites/harbour", json=HARBOUR, headers=once)
    assert first.json() == again.json()
    assert len(network.written) == 1


async def test_a_refusal_is_repeated_too(admin: AsyncClient) -> None:
    stale = {"Idempotency-Key": "k-1", "If-Match": '"v7"'}
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    first = await admin.put("/v1/sites/harbour", json=HARBOUR, headers=stale)
    again = await admin.put("/v1/sites/harbour", json=HARBOUR, headers=stale)
    assert (first.status_code, first.json()) == (412, again.json())


async def test_another_request_under_the_same_key_is_refused(admin: AsyncClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    await admin.put("/v1/sites/harbour", json=HARBOUR, headers=key)
    for path, body in (("harbour", HARBOUR | {"name": "Other"}), ("airport", HARBOUR)):
        answer = await admin.put(f"/v1/sites/{path}", json=body, headers=key)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency_key_reused")


async def test_the_same_key_of_another_tenant_is_another_key(admin: AsyncClient, acme: AsyncClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    assert (await admin.put("/v1/sites/harbour", json=HARBOUR, headers=key)).status_code == 201
    assert (await acme.put("/v1/sites/harbour", json=HARBOUR | {"name": "Theirs"}, headers=key)).status_code == 201
    assert (await admin.get("/v1/sites/harbour")).json()["name"] == "Harbour"


async def test_a_repetition_of_what_has_been_deleted_since_says_so(admin: AsyncClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    await admin.put("/v1/sites/harbour", json=HARBOUR, headers=key)
    await admin.delete("/v1/sites/harbour")
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR, headers=key)
    assert (answer.status_code, answer.json()["detail"]) == (404, "it was so, and has been deleted since")


async def test_a_repeated_deletion_is_done(admin: AsyncClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (await admin.delete("/v1/sites/harbour", headers=key)).status_code == 204
    assert (await admin.delete("/v1/sites/harbour", headers=key)).status_code == 204


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
async def test_an_idempotency_key_is_short_and_printable(admin: AsyncClient, key: str) -> None:
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR, headers={"Idempotency-Key": key})
    assert pointers(answer) == ["idempotency-key"]


# ---- waiting ---------------------------------------------------------------------------------------------------------


async def test_a_write_is_answered_when_reads_show_it(admin: AsyncClient, network: Network) -> None:
    network.deaf = True
    writing = asyncio.create_task(admin.put("/v1/sites/harbour", json=HARBOUR))
    while not network.written:
        await asyncio.sleep(0.001)
    assert (await admin.get("/v1/sites/harbour")).status_code == 404
    assert not writing.done()
    await network.hear(network.written[0], "id")
    assert (await writing).status_code == 201


async def test_a_write_of_which_nothing_comes_may_be_repeated(app: Api, admin: AsyncClient, network: Network) -> None:
    impatient(app)
    network.deaf = True
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert "Idempotency-Key" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    network.deaf = False
    again = await admin.put("/v1/sites/harbour", json=HARBOUR, headers={"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json()["version"]) == (201, 1)
    await network.hear(network.written[0], "id")
    assert (await admin.get("/v1/sites/harbour")).json()["version"] == 1


async def test_a_write_without_kafka_says_so(admin: AsyncClient, network: Network) -> None:
    network.away = True
    answer = await admin.put("/v1/sites/harbour", json=HARBOUR)
    assert (answer.status_code, "Kafka" in answer.json()["detail"]) == (503, True)


async def test_a_wait_ends_with_the_process(app: Api, admin: AsyncClient, network: Network) -> None:
    network.deaf = True
    writing = asyncio.create_task(admin.put("/v1/sites/harbour", json=HARBOUR))
    while not network.written:
        await asyncio.sleep(0.001)
    app.state.backends.stopping.set()
    assert (await writing).status_code == 503


async def test_a_trace_goes_on_in_the_log(admin: AsyncClient, network: Network) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await admin.put("/v1/sites/a", json=HARBOUR, headers={"traceparent": trace})
    await admin.put("/v1/sites/b", json=HARBOUR, headers={"traceparent": "nonsense"})
    assert network.traces[0] == trace
    assert network.traces[1].startswith("00-")


# ---- lists -----------------------------------------------------------------------------------------------------------


async def test_a_list_comes_in_pages(admin: AsyncClient, acme: AsyncClient) -> None:
    for id in "edcba":
        await admin.put(f"/v1/sites/{id}", json=HARBOUR)
    await acme.put("/v1/sites/f", json=HARBOUR)
    answer = await admin.get("/v1/sites?limit=2")
    pages = [[site["id"] for site in answer.json()["items"]]]
    while "next" in answer.links:
        assert answer.json()["next_cursor"] in answer.links["next"]["url"]
        answer = await admin.get(answer.links["next"]["url"])
        pages.append([site["id"] for site in answer.json()["items"]])
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    assert answer.json()["next_cursor"] is None


@pytest.mark.parametrize("limit", ["0", "501", "x", "99999999999999999999999"])
async def test_a_page_has_bounds(admin: AsyncClient, limit: str) -> None:
    assert pointers(await admin.get(f"/v1/sites?limit={limit}")) == ["limit"]


@pytest.mark.parametrize("cursor", ["", "x", "ä", "IlxkODAwIg", "IgAi", "MQ", "bnVsbA", "e30"])
async def test_a_cursor_that_was_not_given_out_is_refused(admin: AsyncClient, cursor: str) -> None:
    answer = await admin.get("/v1/sites", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad_cursor")
