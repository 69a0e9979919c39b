"""Two networks on one deployment."""

import pytest

from tests.system.network import SITE, Network, Yard, ago, authorize, shows, start, start_of, stop

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_tenants_share_nothing_but_the_deployment(network: Network, yard: Yard) -> None:
    acme = await network.tenant("acme")
    theirs = Yard(network, acme)
    try:
        await acme.put(f"/v1/sites/{SITE}", {"name": "Acme's harbour", "time_zone": "America/Lima", "currency": "PEN"})
        ours, station = await yard.station(), await theirs.station()
        card = await yard.token()
        # The same card is another token, and opens nothing there until it is registered.
        assert await authorize(ours, card.uid) == "Accepted"
        assert await authorize(station, card.uid) == "Invalid"
        same_card = await theirs.token(card.uid)
        assert same_card.id != card.id

        first = await start(ours, card.uid, ago(seconds=30), meter=0)
        second = await start(station, card.uid, ago(seconds=30), meter=0)  # no rival: it charges in another network
        assert await stop(ours, first, ago(seconds=1), 100) == {}
        assert await stop(station, second, ago(seconds=1), 200) == {}
        mine, other = await yard.session(ours), await theirs.session(station)
        assert shows(mine, energy_wh=100, token_id=card.id, time_zone="Europe/Oslo")
        assert shows(other, energy_wh=200, token_id=same_card.id, time_zone="America/Lima")

        # Neither sees, or can ask anything of, what is the other's.
        assert [shown["id"] for shown in await acme.everything("/v1/stations")] == [station.identity]
        assert [shown["id"] for shown in await acme.everything("/v1/sessions")] == [other["id"]]
        assert [shown["token_id"] for shown in await acme.everything("/v1/unknown-tokens")] == []
        assert (await acme.get("/v1/me"))["tenant"] == "acme"
        refused = [
            await acme.ask("GET", f"/v1/stations/{ours.identity}"),
            await acme.ask("GET", f"/v1/stations/{ours.identity}/frames"),
            await acme.ask("GET", f"/v1/sessions/{mine['id']}"),
            await acme.ask("GET", f"/v1/sessions/{mine['id']}/readings"),
            await acme.ask("DELETE", f"/v1/sessions/{mine['id']}/charging"),
            await acme.ask("GET", f"/v1/tokens/{card.id}"),
            await acme.ask("POST", f"/v1/stations/{ours.identity}/credentials"),
            await yard.rest.ask("GET", f"/v1/stations/{station.identity}"),
            await yard.rest.ask("GET", f"/v1/sessions/{other['id']}"),
        ]
        assert [answer.status_code for answer in refused] == [404] * len(refused)
        taken = await acme.ask("PUT", f"/v1/stations/{ours.identity}", {"security_profile": 0})
        assert (taken.status_code, taken.json()["type"]) == (409, "/problems/identity_taken")
        wish = {"evse": f"{ours.identity}/1", "token_id": same_card.id}
        assert (await acme.ask("POST", "/v1/sessions", wish)).status_code == 422
        keys = await acme.ask("POST", "/v1/access-keys", {"scopes": ["read"], "tenant": "default"})
        assert keys.status_code == 403
    finally:
        await theirs.close()
        await acme.client.aclose()


async def test_a_card_that_charges_may_not_charge_elsewhere(yard: Yard) -> None:
    """Within one network the same card is one token, wherever it is presented (architecture §1, `charging`)."""
    here, there, card = await yard.station(), await yard.station(), await yard.token()
    await start(here, card.uid, ago(seconds=20))
    await yard.session(here, state="charging")
    answer = await there.call("StartTransaction", start_of(card.uid, ago(seconds=1)))
    assert answer["idTagInfo"]["status"] == "ConcurrentTx"
