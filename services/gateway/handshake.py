"""What a station's opening handshake says: who it is, its password, and which OCPP it speaks (OCPP 1.6-J §3, T-01 to T-27)."""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from contracts.stations import Protocol, Violation

ENABLED: tuple[Protocol, ...] = ("ocpp1.6",)
"""What this gateway speaks."""

PREFIX = "ocpp"
"""The station's URL is `/ocpp/{identity}` for ever."""

_NAME = r"[\w!#$%&'*+.^`|~-]+"
"""A token of HTTP's headers (RFC 9110 §5.6.2)."""
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


def identities(path: str, said: bytes | None) -> list[str]:
    """Return whom a request may come from, the likeliest first; nobody if its path is broken (T-01 to T-03).

    Of several segments the one that is also the Basic user is likeliest, then the last. A station that puts nothing in
    the path is its Basic user (Q-04).
    """
    bare = re.sub(r"^[a-z]+://[^/]*", "", path, flags=re.IGNORECASE).partition("?")[0]
    segments = [segment for segment in bare.split("/") if segment]
    if segments and segments[0] == PREFIX:
        del segments[0]
    if not segments:
        return [name] if said is not None and (name := _user(said)) else []
    if _decoded(segments[-1]) is None:
        return []
    named = [name for segment in (segments[-1:] + segments[:-1]) if (name := _decoded(segment)) is not None]
    return sorted(named, key=lambda name: said is None or password(said, name) is None)


def is_canonical(path: str) -> bool:
    """Whether a request's path is `/ocpp/{identity}` and nothing else."""
    return re.fullmatch(rf"/{PREFIX}/[^/?]+", path) is not None


def _decoded(segment: str) -> str | None:
    """Decode exactly once; None for what no identity is (T-02)."""
    if not _ESCAPES.fullmatch(segment):
        return None
    try:
        identity = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return identity if 0 < len(identity) <= 255 and not re.search(r"[\x00-\x1f\x7f-\x9f]", identity) else None


def credentials(header: str | None) -> bytes | None:
    """Return `user:password` of an Authorization header, as bytes; None if it holds none. Padding may lack (T-27)."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    text = encoded.strip().rstrip("=")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return decoded if b":" in decoded else None


def _user(said: bytes) -> str | None:
    try:
        return said.partition(b":")[0].decode() or None
    except UnicodeDecodeError:
        return None


def password(said: bytes, identity: str) -> bytes | None:
    """Return the password if the user is `identity`, which may contain a colon (T-02, T-22)."""
    prefix = f"{identity}:".encode()
    return said[len(prefix) :] if said.startswith(prefix) else None


def spellings(presented: bytes) -> tuple[bytes, ...]:
    """Return the bytes that a presented password may stand for, itself first: what it is the hex text of, and its hex
    text, which the station decoded though we know the text (T-23).
    """
    if 32 <= len(presented) <= 40 and re.fullmatch(rb"(?:[0-9A-Fa-f]{2})+", presented):
        others: tuple[bytes, ...] = (bytes.fromhex(presented.decode()), presented.lower(), presented.upper())
    elif 16 <= len(presented) <= 20:
        others = (text := presented.hex().encode()), text.upper()
    else:
        others = ()
    return tuple(dict.fromkeys((presented, *others)))


class Choice(Struct, frozen=True):
    """The OCPP version of a connection; `echo` is how to say it in the answer."""

    protocol: Protocol | None
    echo: str | None = None
    violations: tuple[Violation, ...] = ()


def choose(offered: list[str], pinned: str | None, *, otherwise: str | None = None) -> Choice:
    """Choose by the station's order (T-08); a station that offers nothing speaks what it is pinned to (T-10), or else
    what all such stations of the deployment speak.
    """
    wanted = [protocol for protocol in ENABLED if pinned in (None, protocol)]
    for offer in offered:
        for protocol in wanted:
            if offer == protocol:
                return Choice(protocol, offer)
            if offer.lower() == protocol:
                return Choice(protocol, offer, (Violation("T-10", "subprotocol in other letters"),))
    if not offered:
        for protocol in wanted:
            if protocol == (pinned or otherwise):
                return Choice(protocol, None, (Violation("T-10", "no subprotocol offered"),))
    return Choice(None)


def offers(headers: list[str]) -> list[str]:
    """Return the subprotocols that these headers offer, in order; what else is in them is left out."""
    return [name for header in headers for name in re.findall(_NAME, header, flags=re.ASCII)]


def is_list(header: str) -> bool:
    """Whether a header offers subprotocols as it should: names with commas between."""
    return re.fullmatch(rf"[ \t,]*{_NAME}(?:[ \t]*,[ \t,]*{_NAME})*[ \t,]*", header, flags=re.ASCII) is not None
