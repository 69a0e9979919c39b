"""Watches the stations of the demo by the REST API alone, as any client can: every change of a session, and what stations do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy.local.cast import TAG
from deploy.local.rest import Rest
from deploy.local.stations import PACE, Tell

Thing = dict[str, Any]
"""A thing of the API, as JSON."""


@dataclass
class Row:
    """A station, and the newest of its sessions."""

    station: Thing
    session: Thing | None

    @property
    def status(self) -> str:
        """What its connector said last."""
        said = [c["status"] for evse in self.station["evses"] for c in evse["connectors"] if c["status"]]
        return str(said[0]["status"]) if said else ""

    @property
    def seconds(self) -> float | None:
        """How long the session has lasted, up to its last change."""
        if self.session is None or self.session["started_at"] is None:
            return None
        until = moment(self.session["ended_at"] or self.session["updated_at"])
        return (until - moment(self.session["started_at"])).total_seconds()

    @property
    def kilowatts(self) -> float | None:
        """The session's mean power, at the pace of the stations' meters."""
        if self.session is None or not self.seconds or self.session["energy_wh"] is None:
            return None
        if "offline" in self.session["flags"]:
            return float(self.session["energy_wh"]) * 3.6 / self.seconds  # that one took its time
        return float(self.session["energy_wh"]) * 3.6 / self.seconds / PACE


class Watch:
    """What the API shows, and what is new in it since `begin`."""

    def __init__(self, rest: Rest, begin: datetime, tell: Tell) -> None:
        self._rest, self._begin, self._tell = rest, begin, tell
        self._cursor: str | None = None
        self._stations: dict[str, Thing] = {}
        self._newest: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self.sessions: dict[str, Thing] = {}

    @property
    def rows(self) -> list[Row]:
        """Return the stations in the order of their names."""
        return [Row(station, self.sessions.get(self._newest.get(id, ""))) for id, station in self._stations.items()]

    @property
    def energy_wh(self) -> int:
        """What has been charged since `begin`, as far as it is known."""
        return sum(session["energy_wh"] or 0 for session in self.sessions.values())

    async def look(self) -> None:
        """Ask the API once, and tell what is new."""
        await self._look_at_stations()
        for session in await self._changed():
            self._take(session)
        for session in self.sessions.values():
            self._tell_of(session)
        await self._look_at_cards()

    async def _changed(self) -> list[Thing]:
        changed: list[Thing] = []
        while True:
            where = {"cursor": self._cursor} if self._cursor else {"updated_after": self._begin.isoformat()}
            page = await self._rest.get("/v1/sessions", limit=500, **where)
            self._cursor = page["next_cursor"]
            changed += [session for session in page["items"] if session["station"] in self._stations]
            if len(page["items"]) < 500:
                return changed

    def _take(self, session: Thing) -> None:
        if session["id"] not in self.sessions:
            self._newest[session["station"]] = session["id"]
        self.sessions[session["id"]] = session

    async def _look_at_stations(self) -> None:
        found = await self._rest.get("/v1/stations", tag=TAG, limit=500)
        for station in found["items"]:
            before = self._stations.get(station["id"])
            self._stations[station["id"]] = station
            if before is not None and before["online"] and not station["online"]:
                self._tell(station["id"], "is offline", f"/v1/stations/{station['id']}")

    async def _look_at_cards(self) -> None:
        found = await self._rest.get("/v1/unknown-tokens", limit=100)
        for card in found["items"]:
            if moment(card["seen_at"]) >= self._begin and card["station"] in self._stations:
                what = f"a card that nobody registered was presented: {card['masked_uid']}"
                self._once(card["token_id"], card["station"], what, "/v1/unknown-tokens")

    def _tell_of(self, session: Thing) -> None:
        for what, see in self._remarkable(session):
            self._once(session["id"], session["station"], what, see)

    def _remarkable(self, session: Thing) -> Iterable[tuple[str, str]]:
        """Return what a person may want to know of a session, each with where to look."""
        of_it = f"/v1/sessions?station={session['station']}"
        ended = session["state"] in {"ended", "quarantined", "presumed_ended"}
        if "refused" in session["flags"] and ended:
            yield (
                f"began with a bad card ({session['authorization_status']}): stopped, and {kwh(session)} are accounted for",
                of_it,
            )
        if session["state"] == "quarantined":
            yield (
                f"stopped transaction {session['transaction']}, which nobody ever started: it waits in quarantine",
                "/v1/sessions?state=quarantined",
            )
        if "offline" in session["flags"] and ended:
            yield f"delivers a charge that it made offline, long ago: {kwh(session)}", of_it
        elif session["state"] == "ended" and self._was_away(session):
            yield f"is back, and delivers how its charge ended meanwhile: {kwh(session)}, nothing is lost", of_it

    def _was_away(self, session: Thing) -> bool:
        """Whether the session ended before the connection began by which we learnt of it."""
        connection = self._stations[session["station"]]["connection"]
        since = connection["since"] if connection and connection["online"] else None
        return since is not None and moment(session["ended_at"]) < moment(since) < moment(session["updated_at"])

    def _once(self, key: str, station: str, what: str, see: str) -> None:
        if (key, what) not in self._told:
            self._told.add((key, what))
            self._tell(station, what, see)


def kwh(session: Thing) -> str:
    """Return a session's energy for people. No energy is known: a dash, not a zero."""
    return "-" if session["energy_wh"] is None else f"{session['energy_wh'] / 1000:.2f} kWh"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
