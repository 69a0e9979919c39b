"""The live stream: what happens to stations, as server-sent events that nobody misses and nobody hears twice.

Each event carries a cursor as its id: where every partition stands after it. Whoever comes back with the last one they saw goes on
right behind it, at any replica, also after restarts (HTML Living Standard §9.2).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from chassis import metrics
from chassis.feed import Expired, Places
from chassis.feed import Listener as Listening
from chassis.kafka import KafkaError, Unavailable
from services.api import examples
from services.api.access import Access, Caller
from services.api.backends import Backends, Behind
from services.api.cursors import LONGEST, Cursors, NoCursor
from services.api.problems import Problem, answers, invalid
from services.api.queries import Away
from services.api.stream_tokens import Listener
from services.api.told import TOPIC_OF, Told, Wanted

router = APIRouter(prefix="/v1/stream", tags=["stream"], responses=answers(400, 401, 403, 410, 422, 429, 503))

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 1000
"""After how long a browser comes back."""
HEARTBEAT_S = 15.0
"""The longest silence: proxies close what is silent for a minute."""
RECHECK_S = 5.0
"""How often it is asked whether the key is there still."""
TAKEN_WITHIN_S = 30.0
"""How long a client may take for a piece of a stream before it is let go; it can come back for the rest."""
PIECE = 1 << 16
"""Bytes that are written at once."""
MOST_NAMES = 100
MOST_OF_KEY = 20
"""Streams that a key may have open at one replica."""
MOST = 1000
"""Streams at one replica."""

Names = list[str] | None
Several = "repeated, or with commas between"


class Streams:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one_more(self, caller: Caller) -> Iterator[None]:
        """Count one while entered; raises a problem if there are too many."""
        whose = (caller.tenant, caller.key)
        if self._open[whose] >= MOST_OF_KEY:
            raise Problem("too_many_streams", f"a key may have {MOST_OF_KEY} streams open: close one")
        if self._open.total() >= MOST:
            raise Problem("unavailable", "as many streams are open as this replica takes: try again")
        self._open[whose] += 1
        metrics.STREAMS.inc()
        try:
            yield
        finally:
            metrics.STREAMS.dec()
            self._open[whose] -= 1
            self._open += Counter()  # forgets who has none


class Live:
    """One stream."""

    def __init__(
        self, behind: Backends, access: Access, caller: Caller, wanted: Wanted, listening: Listening[Told]
    ) -> None:
        self._behind, self._access, self._caller, self._wanted = behind, access, caller, wanted
        self._listening = listening
        self._cursors = Cursors(behind.secrets, caller.tenant)
        self._uids = caller.may("tokens:read")
        self.ended_by = "gone"

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the stream, from its beginning until it must end."""
        places = self._listening.places
        yield f": Voltstream\nretry: {RETRY_MS}\nid: {self._cursors.encode(places)}\n\n".encode()
        now = asyncio.get_running_loop().time
        spoken = checked = now()
        try:
            while True:
                chunk = await self._listening.read(RECHECK_S)
                told = await self._asked_for(chunk.items)
                for piece in self._written(told, places):
                    yield piece
                    spoken = now()
                places |= chunk.after
                if now() - spoken >= HEARTBEAT_S:
                    yield f": nothing new\nid: {self._cursors.encode(places)}\n\n".encode()
                    spoken = now()
                if now() - checked >= RECHECK_S:
                    if not await self._welcome():
                        self.ended_by = "key"
                        return
                    checked = now()
                await asyncio.sleep(0)  # a window may hold much that nobody waits for
        except Expired:
            self.ended_by = "expired"
        except (Away, Unavailable, KafkaError):
            self.ended_by = "away"

    async def _asked_for(self, items: Sequence[Told]) -> Sequence[Told]:
        """Return the events that the client asked for."""
        fitting = [item for item in items if self._wanted.fits(item)]
        if self._wanted.sites is None or not fitting:
            return fitting
        stations = sorted({item.station for item in fitting})
        there = await self._behind.queries.at_sites(self._wanted.tenant, sorted(self._wanted.sites), stations)
        return [item for item in fitting if item.station in there]

    def _written(self, told: Sequence[Told], places: Places) -> Iterator[bytes]:
        """Yield events as pieces of the stream, and move the places behind each."""
        piece = bytearray()
        for event in told:
            record = event.record
            places[record.topic.name, record.partition] = record.offset + 1
            if (text := event.text(uids=self._uids)) is None:
                continue
            piece += b"event: %b\nid: %b\ndata: %b\n\n" % (
                event.type.encode(),
                self._cursors.encode(places).encode(),
                text,
            )
            metrics.STREAM_EVENTS.inc()
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)

    async def _welcome(self) -> bool:
        """Whether the key may still listen. While SQL is away nobody can say, and the stream goes on."""
        with suppress(Away):
            return await self._access.still(self._caller)
        return True


class EventStream(Response):
    """Answers with a stream until it ends, the client goes, or the process stops."""

    media_type = MEDIA_TYPE

    def __init__(self, live: Live, held: AsyncExitStack, stopping: asyncio.Event) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._live, self._held, self._stopping = live, held, stopping

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            writing = asyncio.create_task(self._write(send), name="stream")
            gone = asyncio.create_task(_gone(receive))
            stopping: asyncio.Task[Any] = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait([writing, gone, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (writing, gone, stopping):
                    task.cancel()
                await asyncio.wait([writing, gone, stopping])
            why = "stopping" if self._stopping.is_set() else self._live.ended_by
            metrics.STREAM_ENDS.labels(why).inc()
            if not writing.cancelled():
                writing.result()
            if gone.cancelled():
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        async with aclosing(self._live.pieces()) as pieces:
            async for piece in pieces:
                try:
                    async with asyncio.timeout(TAKEN_WITHIN_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                except TimeoutError:
                    self._live.ended_by = "slow"
                    return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def split(values: Names) -> frozenset[str] | None:
    """Return the names in a filter; None: there is no filter. A name that has a comma itself is taken whole as well."""
    if not values:
        return None
    return frozenset(values) | {part for value in values for part in value.split(",")} - {""}


def wanted(caller: Caller, type: Names, site: Names, station: Names) -> Wanted:
    """Return what a client asks for, if that can be."""
    types = split([part for value in type or () for part in value.split(",")])
    if unknown := sorted((types or frozenset()) - TOPIC_OF.keys()):
        raise invalid("type", f"there is no event {unknown[0]!r}: docs/events.md lists them", where="query")
    filters = {"type": types, "site": split(site), "station": split(station)}
    for name, names in filters.items():
        if names is not None and len(names) > MOST_NAMES:
            raise invalid(name, f"at most {MOST_NAMES} can be named", where="query")
        if any(not each.isprintable() for each in names or ()):
            raise invalid(name, "should have no control characters", where="query")
    return Wanted(caller.tenant, *filters.values())


def begun(cursors: Cursors, text: str | None, asked: Wanted, partitions: int) -> Places | None:
    """Return the places that a cursor names for what is asked for; None: there is no cursor."""
    if not text:
        return None
    try:
        places = cursors.decode(text)
    except NoCursor:
        raise Problem("bad_cursor", "begin again without a cursor") from None
    parts = asked.parts(partitions)
    if not places.keys() >= set(parts):
        raise Problem(
            "bad_cursor", "the cursor is of a stream with other filters, and cannot say where this one begins"
        )
    return {part: places[part] for part in parts}


DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The stream. It does not end; whoever is cut off comes back with the last `id`",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "examples": examples.STREAM}},
    }
}


@router.get("", operation_id="stream", status_code=200, response_class=EventStream, responses=DESCRIBED)
async def stream(
    request: Request,
    caller: Listener,
    behind: Behind,
    type: Annotated[
        Names,
        Query(description=f"only events of these types, {Several}", examples=[["SessionStarted", "SessionEnded"]]),
    ] = None,
    site: Annotated[Names, Query(description=f"only of stations that are at these sites now, {Several}")] = None,
    station: Annotated[Names, Query(description=f"only of these stations, {Several}")] = None,
    cursor: Annotated[
        str | None,
        Query(max_length=LONGEST, description="the `id` after which to go on; `Last-Event-ID` goes first"),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", max_length=LONGEST, description="what a browser sends when it comes back"),
    ] = None,
) -> Response:
    """Tell what happens to stations as it happens: every event once, those of a topic and station in their order.

    The stream begins now, or after a cursor. Uids are masked and frames left out without the scope `tokens:read`.
    """
    if behind.feed is None:
        raise Problem("unavailable", "there are no streams here")
    asked = wanted(caller, type, site, station)
    places = begun(Cursors(behind.secrets, caller.tenant), last_event_id or cursor, asked, behind.feed.partitions)
    streams: Streams = request.app.state.streams
    async with AsyncExitStack() as held:
        held.enter_context(streams.one_more(caller))
        try:
            listening = await behind.feed.listen(asked.parts(behind.feed.partitions), places)
        except Expired:
            raise Problem(
                "expired_cursor", "begin again without a cursor: what came between is in the reports"
            ) from None
        await held.enter_async_context(listening)
        live = Live(behind, request.app.state.access, caller, asked, listening)
        return EventStream(live, held.pop_all(), behind.stopping)
    raise AssertionError
