import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.handshake import (
    Choice,
    choose,
    credentials,
    identities,
    is_canonical,
    offers,
    password,
    spellings,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/ocpp/CP-1", ["CP-1"]),
        ("/CP-1", ["CP-1"]),
        ("/ocpp/RDAM%20123", ["RDAM 123"]),
        ("/ocpp/RDAM%7C123", ["RDAM|123"]),
        ("/ocpp/a%252Fb", ["a%2Fb"]),
        ("/ocpp/a:b", ["a:b"]),
        ("///CP-1", ["CP-1"]),
        ("/ocpp/CP-1/", ["CP-1"]),
        ("/ocpp/CP-1?token=x", ["CP-1"]),
        ("ws://host:9000/ocpp/CP-1", ["CP-1"]),
        ("/ocpp/CP-1/SERIAL", ["SERIAL", "CP-1"]),
        ("/4/CBI-1", ["CBI-1", "4"]),
        ("/ocpp/%C3%A9", ["é"]),
    ],
)
def test_a_path_names_a_station_t01_t03_q05_q06_c002_c004(path: str, found: list[str]) -> None:
    assert identities(path, None) == found


@pytest.mark.parametrize(
    "path", ["/a%zz", "/%", "/%00", "/%FF", "/a%0Ab", "/" + "a" * 256, "/", "/ocpp", "", "/%C2%85"]
)
def test_a_broken_path_names_nobody_t02_c003(path: str) -> None:
    assert identities(path, None) == []
    if path.strip("/") not in {"", "ocpp"}:
        assert identities(path, b"CP-1:pw") == [], "the user is no way around"


@pytest.mark.parametrize("path", ["/", "/ocpp", "/ocpp/"])
def test_a_station_that_puts_nothing_in_the_path_is_its_user_q04(path: str) -> None:
    assert identities(path, b"CP-1:pw") == ["CP-1"]
    assert identities(path, b"\xff:pw") == []
    assert identities(path, b":pw") == []


@given(st.text(max_size=30))
def test_no_path_is_too_strange_c106(path: str) -> None:
    assert all(0 < len(identity) <= 255 for identity in identities(path, None))


@pytest.mark.parametrize(("path", "canonical"), [("/ocpp/CP-1", True), ("/CP-1", False), ("/ocpp/CP-1/", False)])
def test_only_one_path_is_the_stations_own_t03(path: str, canonical: bool) -> None:
    assert is_canonical(path) is canonical


def encoded(said: bytes) -> str:
    return base64.b64encode(said).decode()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (f"Basic {encoded(b'a:pw')}", b"a:pw"),
        (f"basic {encoded(b'a:pw')}", b"a:pw"),
        (f"Basic {encoded(b'a:pw').rstrip('=')}", b"a:pw"),
        (f"Basic  {encoded(b'a:')}", b"a:"),
        (f"Basic {encoded(bytes(range(256)))}", bytes(range(256))),
        (None, None),
        ("", None),
        ("Basic", None),
        ("Basic !!!", None),
        (f"Bearer {encoded(b'a:pw')}", None),
        (f"Basic {encoded(b'no colon')}", None),
    ],
)
def test_credentials_are_bytes_t23_t27(header: str | None, said: bytes | None) -> None:
    assert credentials(header) == said


def test_the_user_is_the_identity_which_may_have_colons_t02_t22_c005_c008() -> None:
    assert password(b"a:b:p:w", "a:b") == b"p:w"
    assert password(b"a:b", "a:b") is None
    assert password(b"other:pw", "CP-1") is None
    assert password("é:pw".encode(), "é") == b"pw"


def test_a_key_may_come_as_hex_text_t23_q07_c006_c007() -> None:
    key = bytes.fromhex("00ff10803a") * 4
    assert spellings(key) == (key,)
    assert spellings(key.hex().encode()) == (key.hex().encode(), key)
    assert spellings(key.hex().upper().encode())[1] == key
    assert spellings(b"00ff") == (b"00ff",)
    assert spellings(b"g" * 40) == (b"g" * 40,)


@pytest.mark.parametrize(
    ("offered", "pinned", "protocol", "echo", "rules"),
    [
        (["ocpp1.6"], None, "ocpp1.6", "ocpp1.6", []),
        (["ocpp2.0.1", "ocpp1.6"], None, "ocpp1.6", "ocpp1.6", []),
        (["OCPP1.6"], None, "ocpp1.6", "OCPP1.6", ["T-10"]),
        (["ocpp0.1"], None, None, None, []),
        ([], None, None, None, []),
        ([], "ocpp1.6", "ocpp1.6", None, ["T-10"]),
        (["ocpp1.6"], "ocpp2.0.1", None, None, []),
    ],
)
def test_the_version_is_the_stations_first_that_we_speak_t08_t10_c010_c011(
    offered: list[str], pinned: str | None, protocol: str | None, echo: str | None, rules: list[str]
) -> None:
    choice = choose(offered, pinned)
    assert (choice.protocol, choice.echo, [violation.rule for violation in choice.violations]) == (
        protocol,
        echo,
        rules,
    )


def test_offers_may_come_in_several_headers_c011() -> None:
    assert offers(["ocpp2.0.1, ocpp1.6", "ocpp1.5,", ""]) == ["ocpp2.0.1", "ocpp1.6", "ocpp1.5"]
    assert choose(offers([]), None) == Choice(None)
