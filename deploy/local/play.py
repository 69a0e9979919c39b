"""What happens in the demo: everybody charges, and a few have an adventure. All of it within forty seconds."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from ocpp.v16.enums import Reason

from deploy.local.cast import Cast
from deploy.local.network import Misspoken, Offline
from deploy.local.rest import Refused, Rest
from deploy.local.stations import Station, Tell

GOODBYE_S = 5
"""How long stations may take to end their charges when the demo ends."""

FEWEST = 7
"""Stations that the adventures need."""


class Play:
    """The stations of a cast, alive."""

    def __init__(self, cast: Cast, rest: Rest, seed: int, tell: Tell) -> None:
        self._cast, self._rest, self._seed, self._tell = cast, rest, seed, tell
        self._stations = list(cast.stations.values())

    async def run(self) -> None:
        """Play until cancelled; then every charge is ended, and every station gone."""
        lives = [asyncio.create_task(station.run()) for station in self._stations]
        deeds = [asyncio.create_task(self._part(index, station)) for index, station in enumerate(self._stations)]
        try:
            await asyncio.gather(*lives, *deeds)
        finally:
            await _ended(deeds)
            await self._say_goodbye()
            await _ended(lives)

    @property
    def complaints(self) -> list[str]:
        """What was said to stations that OCPP does not allow."""
        return [f"{station.identity}: {what}" for station in self._stations for what in station.complaints]

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                for station in self._stations:
                    station.network.find()
                    station.end(Reason.local)
                for station in self._stations:
                    await station.until_free()
                    await station.until_delivered()

    async def _part(self, index: int, station: Station) -> None:
        """Have an adventure, if there is one for this station, and then charge for ever."""
        dice = random.Random(f"{self._seed}/{station.identity}/part")
        adventures: Sequence[Callable[[Station], Awaitable[None]]] = (
            self._ordinary,
            self._shows_wrong_cards,
            self._loses_its_network,
            self._stops_what_nobody_knows,
            self._is_told_from_afar,
            self._was_alone,
            self._starts_before_it_asks,
        )
        try:
            await station.network.online.wait()
            await (adventures[index] if index < len(adventures) else self._ordinary)(station)
            while True:
                await asyncio.sleep(dice.uniform(1, 14))
                await self._charges(station, dice.uniform(25, 55))
        except Refused as refusal:
            self._tell(station.identity, f"plays no more: {refusal}", "")

    async def _ordinary(self, station: Station) -> None:
        """Nothing special."""

    async def _charges(self, station: Station, seconds: float) -> None:
        """Charge as drivers do: card, plug, wait, and unplug."""
        card = self._cast.cards[station.identity]
        with contextlib.suppress(Offline, Misspoken):  # offline it knows its regulars
            if (verdict := await station.present(card)) != "Accepted":
                self._tell(station.identity, f"refuses its own driver: {verdict}", "/v1/tokens")
                return
        station.begin(card, seconds)
        await station.until_free()

    async def _shows_wrong_cards(self, station: Station) -> None:
        for card, what in (
            (self._cast.blocked, "a blocked card"),
            (self._cast.expired, "an expired card"),
            (self._cast.unknown, "a card that nobody knows"),
        ):
            await asyncio.sleep(3)
            with contextlib.suppress(Offline, Misspoken):
                verdict = await station.present(card)
                self._tell(station.identity, f"was shown {what}, and told: {verdict}", self._frames_of(station))

    @staticmethod
    def _frames_of(station: Station) -> str:
        return f"/v1/stations/{station.identity}/frames"

    async def _loses_its_network(self, station: Station) -> None:
        """A charge that ends while nobody hears of it."""
        charging = asyncio.create_task(self._charges(station, 18))
        await asyncio.sleep(11)
        station.network.lose()
        self._tell(station.identity, "loses its network in the middle of a charge, and goes on charging", "")
        await charging
        await asyncio.sleep(4)
        self._tell(station.identity, f"finds its network again, and has kept {station.waiting} messages", "")
        station.network.find()
        await station.until_delivered()

    async def _stops_what_nobody_knows(self, station: Station) -> None:
        await asyncio.sleep(6)
        station.stop_unheard_of(transaction=987_654)
        await station.until_delivered()

    async def _is_told_from_afar(self, station: Station) -> None:
        """Somebody starts and stops it with an app."""
        await asyncio.sleep(4)
        token = self._cast.token_ids[self._cast.cards[station.identity]]
        wish = {"evse": f"{station.identity}/1", "token_id": token}
        start = await self._rest.post("/v1/sessions", wish, wait=20)
        self._tell(station.identity, f"was asked by REST to start: {start['state']}", f"/v1/commands/{start['id']}")
        if start["session"] is None:
            return
        await asyncio.sleep(15)
        stop = await self._rest.delete(f"/v1/sessions/{start['session']}/charging", wait=20)
        self._tell(station.identity, f"was asked by REST to stop: {stop['state']}", f"/v1/commands/{stop['id']}")
        await station.until_free()

    async def _was_alone(self, station: Station) -> None:
        station.charged_alone(self._cast.cards[station.identity], timedelta(minutes=90), minutes=42)
        await station.until_delivered()

    async def _starts_before_it_asks(self, station: Station) -> None:
        """Begin at once and ask later, as some do: the card turns out to be bad, and what was drawn is still counted."""
        await asyncio.sleep(2)
        station.begin(self._cast.expired, 30)
        await station.until_free()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
