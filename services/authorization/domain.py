"""What a station hears about the id tokens presented to it, and what is remembered to say the same again.

State is kept per station. Where nobody can decide in time, the gateway answers by itself: nothing is said here then.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from contracts.authorizations import AuthorizationEvent, Purpose, TokenDecided, UnknownTokenSeen
from contracts.cloudevents import timestamp
from contracts.event import Message, TokenId
from contracts.gateways import AuthorizeAnswered
from contracts.stations import StationEvent, TokenPresented, TransactionEnded, TransactionStarted
from services.authorization.verdict import Asked, Verdict, WithToken, judge

REMEMBERED_STARTS = 32
"""A start among the station's newest so many gets the same decision when it is said again."""
COLLECTED = 32
"""From one station, at most so many unknown tokens are collected in `COLLECTED_AGAIN_AFTER`, each of them once."""
COLLECTED_AGAIN_AFTER = timedelta(hours=1)

Output = AuthorizationEvent | AuthorizeAnswered


class DecidedStart(Struct, frozen=True):
    """A start, by a digest of what the station said, and its decision."""

    digest: str
    verdict: Verdict


class Collected(Struct, frozen=True):
    """An unknown token, and when we learnt of it."""

    token: TokenId
    at: datetime


class Remembered(Struct, frozen=True, tag=True, omit_defaults=True):
    """What is remembered of a station."""

    starts: tuple[DecidedStart, ...] = ()
    collected: tuple[Collected, ...] = ()


State = Remembered

initial: State = Remembered()


def decide(state: State, heard: Asked | Message[StationEvent]) -> list[Output]:
    """Return what a report that names a token causes; any other causes nothing."""
    match heard:
        case Asked():
            decided = decision(state, heard)
            return [decided, *collection(state, heard), *answer(heard, decided)]
        case _:
            return []


def decision(state: State, asked: Asked) -> TokenDecided:
    """Return the decision on a token; on a start that has been decided before, the same again (X-10)."""
    match asked.message.event:
        case TransactionStarted() as start:
            decided = on_token(asked, verdict_before(state, start) or judge(asked))
            return replace(decided, evse=start.evse, connector=start.connector, meter_wh=start.meter_wh)
        case _:
            return on_token(asked, judge(asked))


def on_token(asked: Asked, verdict: Verdict) -> TokenDecided:
    report = asked.message.event
    return TokenDecided(
        at=report.at,
        tenant=report.tenant,
        station=report.station,
        report=asked.message.id,
        purpose=purpose_of(report),
        token=asked.name,
        info=verdict.info,
        reason=verdict.reason,
        token_version=verdict.token_version,
        price_text=asked.price_text if verdict.info.status == "Accepted" else "",
    )


def purpose_of(report: WithToken) -> Purpose:
    match report:
        case TokenPresented():
            return "authorize"
        case TransactionStarted():
            return "start"
        case TransactionEnded():  # pragma: no branch
            return "stop"


def collection(state: State, asked: Asked) -> list[UnknownTokenSeen]:
    """Return that an unknown token was seen, unless it, or too many, have been seen here within the hour."""
    message = asked.message
    recent = {seen.token for seen in state.collected if message.recorded_at - seen.at < COLLECTED_AGAIN_AFTER}
    if asked.token is not None or asked.name in recent or len(recent) >= COLLECTED:
        return []
    return [
        UnknownTokenSeen(
            at=message.recorded_at,
            tenant=message.event.tenant,
            station=message.event.station,
            token=asked.name,
            masked_uid=message.event.masked_uid,
            purpose=purpose_of(message.event),
        )
    ]


def answer(asked: Asked, decided: TokenDecided) -> list[AuthorizeAnswered]:
    """Return the answer to a token that was presented; starts and stops are answered by sessions."""
    match asked.message.event:
        case TokenPresented() as report:
            return [
                AuthorizeAnswered(
                    at=report.at,
                    tenant=report.tenant,
                    station=report.station,
                    gateway=report.gateway,
                    reply_to=report.reply_to,
                    epoch=report.epoch,
                    message_id=report.message_id,
                    report=asked.message.id,
                    info=decided.info,
                )
            ]
        case _:
            return []


def verdict_before(state: State, start: TransactionStarted) -> Verdict | None:
    """Return the verdict on the same start, if it is one of those remembered."""
    asked = digest(start)
    return next((known.verdict for known in state.starts if known.digest == asked), None)


def digest(start: TransactionStarted | TokenDecided) -> str:
    """Return 16 bytes, in hex, that tell a start from any other of its station (X-10)."""
    content = [start.evse, start.connector, start.token, timestamp(start.at), start.meter_wh]
    return blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


def evolve(state: State, event: Output) -> State:
    """Return what is remembered after `event`."""
    match event:
        case TokenDecided(purpose="start"):
            return with_start(state, event)
        case UnknownTokenSeen():
            others = tuple(seen for seen in state.collected if seen.token != event.token)
            return replace(state, collected=(*others, Collected(event.token, event.at))[-COLLECTED:])
        case TokenDecided() | AuthorizeAnswered():  # pragma: no branch
            return state


def with_start(state: State, start: TokenDecided) -> State:
    known = DecidedStart(digest(start), Verdict(start.info, start.reason, start.token_version))
    if known in state.starts:
        return state
    return replace(state, starts=(*state.starts, known)[-REMEMBERED_STARTS:])
