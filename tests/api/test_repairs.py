"""Sessions are put right by hand, and everybody can see by whom, when and why."""

from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from chassis import clock
from contracts.commands import Attach, Discard, End, SessionRepairRequested
from contracts.event import Event, SessionId
from contracts.sessions import RepairRefused, SessionRepaired
from contracts.topics import SESSIONS
from services.api.app import Api
from tests.api.network import Network, client_of, key_of
from tests.api.test_sites import pointers
from tests.api.test_stations import OURS
from tests.views.given import started

REPAIR = "/v1/sessions/s-1/repair"
DISCARD = {"action": "discard", "reason": "a test by the installer"}


@pytest.fixture(autouse=True)
async def session(network: Network, admin: AsyncClient) -> None:
    await admin.put("/v1/stations/st-1", json={})
    await network.says(SESSIONS, started(**OURS))


def done(asked: SessionRepairRequested) -> list[Event]:
    to = asked.do.to if isinstance(asked.do, Attach) else None
    action: Any = {Attach: "attach", End: "end", Discard: "discard"}[type(asked.do)]
    return [
        SessionRepaired(
            at=asked.at,
            tenant=asked.tenant,
            station=asked.station,
            session=asked.session,
            repair=asked.repair,
            action=action,
            to=to,
            reason=asked.reason,
            requested_by=asked.requested_by,
            fingerprint=asked.fingerprint,
            energy_before_wh=100,
            energy_after_wh=0,
        )
    ]


def refused(reason: Any, detail: str = "") -> Any:
    def refuse(asked: SessionRepairRequested) -> list[Event]:
        return [
            RepairRefused(
                at=asked.at,
                tenant=asked.tenant,
                station=asked.station,
                session=asked.session,
                repair=asked.repair,
                action="discard",
                reason=reason,
                detail=detail,
                requested_by=asked.requested_by,
                fingerprint=asked.fingerprint,
            )
        ]

    return refuse


def asked(network: Network) -> list[SessionRepairRequested]:
    return [event for event in network.written if isinstance(event, SessionRepairRequested)]


async def test_a_repair_is_asked_of_sessions_and_shown_with_who_asked_and_why(
    admin: AsyncClient, network: Network
) -> None:
    network.repairs = done
    before = await admin.get("/v1/sessions/s-1")
    answer = await admin.post(REPAIR, json=DISCARD)
    assert answer.status_code == 200
    [request] = asked(network)
    assert (request.session, request.station, request.do) == ("s-1", "st-1", Discard())
    shown = answer.json()
    assert shown | {"id": "", "decided_at": ""} == {
        "id": "",
        "session": "s-1",
        "station": "st-1",
        "action": "discard",
        "state": "done",
        "to": None,
        "reason": "a test by the installer",
        "refused_because": None,
        "detail": None,
        "requested_by": "admin",
        "decided_at": "",
        "energy_before_wh": 100,
        "energy_after_wh": 0,
    }
    assert (await admin.get(answer.headers["location"])).json() == shown
    after = await admin.get("/v1/sessions/s-1")
    assert (before.json()["repairs"], after.json()["repairs"]) == ([], [shown])
    assert after.json()["state"] == "discarded"
    assert before.headers["etag"] != after.headers["etag"]


async def test_each_kind_of_repair_says_what_it_needs(admin: AsyncClient, network: Network) -> None:
    await network.says(SESSIONS, started("s-2", **OURS))
    network.repairs = done
    moment = clock.now() - timedelta(hours=1)
    end = {"action": "end", "ended_at": moment.isoformat(), "meter_wh": 9000, "reason": "read from the display"}
    attach = {"action": "attach", "to": "s-2", "reason": "a reset"}
    for wish in (end, attach):
        assert (await admin.post(REPAIR, json=wish)).status_code == 200
    assert [request.do for request in asked(network)] == [End(moment, 9000), Attach(SessionId("s-2"))]
    target = (await admin.get("/v1/sessions/s-2")).json()
    assert [repair["session"] for repair in target["repairs"]] == ["s-1"]


@pytest.mark.parametrize(
    ("reason", "status", "kind", "pointer"),
    [
        ("wrong_state", 409, "repair_refused", None),
        ("not_in_quarantine", 409, "repair_refused", None),
        ("unknown_session", 409, "repair_refused", None),
        ("unknown_target", 422, "invalid", "#/to"),
        ("meter_went_back", 422, "invalid", "#/meter_wh"),
        ("ends_before_start", 422, "invalid", "#/ended_at"),
        ("idempotency_key_reused", 422, "idempotency_key_reused", None),
    ],
)
async def test_a_refusal_by_the_rules_is_a_problem_and_stays_visible(
    admin: AsyncClient, network: Network, reason: str, status: int, kind: str, pointer: str | None
) -> None:
    network.repairs = refused(reason, "because")
    answer = await admin.post(REPAIR, json=DISCARD)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert pointer is None or answer.json()["errors"][0]["pointer"] == pointer
    [repair] = (await admin.get("/v1/sessions/s-1")).json()["repairs"]
    assert (repair["state"], repair["refused_because"], repair["detail"]) == ("refused", reason, "because")


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"action": "end", "ended_at": "2999-01-01T00:00:00Z"}, "#/ended_at"),
        ({"action": "end"}, "#/ended_at"),
        ({"action": "end", "ended_at": "2026-01-01T00:00:00Z", "meter_wh": -1}, "#/meter_wh"),
        ({"action": "attach", "to": 7}, "#/to"),
        ({"action": "discard", "end": 1}, "#/end"),
        ({"action": "undo"}, "#"),
    ],
)
async def test_what_is_wrong_with_a_wish_is_pointed_to_where_it_stands(
    admin: AsyncClient, wish: dict[str, Any], pointer: str
) -> None:
    answer = await admin.post(REPAIR, json=wish | {"reason": "because"})
    assert (answer.status_code, pointers(answer)) == (422, [pointer])


async def test_what_nobody_has_decided_yet_is_answered_so_and_can_be_asked_for(
    admin: AsyncClient, network: Network
) -> None:
    answer = await admin.post(f"{REPAIR}?wait=0", json=DISCARD)
    assert (answer.status_code, answer.json()["state"]) == (202, "requested")
    assert (await admin.get(answer.headers["location"])).status_code == 404
    await network.says(SESSIONS, *done(asked(network)[0]))
    assert (await admin.get(answer.headers["location"])).json()["state"] == "done"


async def test_a_repetition_is_the_same_repair_and_another_request_under_its_key_is_refused(
    admin: AsyncClient, network: Network
) -> None:
    network.repairs = done
    key = {"Idempotency-Key": "k"}
    first, again = [await admin.post(REPAIR, json=DISCARD, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert len(asked(network)) == 1
    other = await admin.post(REPAIR, json=DISCARD | {"reason": "another"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency_key_reused")


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"action": "undo", "reason": "x"},
        {"action": "discard"},
        {"action": "discard", "reason": ""},
        {"action": "discard", "reason": "a\u0000b"},
        {"action": "discard", "reason": "x", "to": "s-2"},
        {"action": "attach", "reason": "x"},
        {"action": "end", "reason": "x", "ended_at": "2026-01-01T00:00:00"},
        {"action": "end", "reason": "x", "ended_at": "9999-12-31T23:59:59-14:00"},
        {"action": "end", "reason": "x", "ended_at": "0001-01-01T00:00:00+14:00"},
        {"action": "end", "reason": "x", "ended_at": "2026-01-01T00:00:00Z", "meter_wh": -1},
        {"action": "end", "reason": "x", "ended_at": "2026-01-01T00:00:00Z", "meter_wh": 1.5},
    ],
)
async def test_a_wish_that_means_nothing_reaches_nobody(
    admin: AsyncClient, network: Network, wish: dict[str, Any]
) -> None:
    assert (await admin.post(REPAIR, json=wish)).status_code == 422
    assert not asked(network)


async def test_only_who_may_operate_repairs_and_only_what_is_theirs(
    app: Api, admin: AsyncClient, acme: AsyncClient, network: Network
) -> None:
    async with client_of(app, await key_of(admin, ["read"])) as reader:
        assert (await reader.post(REPAIR, json=DISCARD)).status_code == 403
    assert (await acme.post(REPAIR, json=DISCARD)).status_code == 404
    assert not asked(network)
