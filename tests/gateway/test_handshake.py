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
    is_list,
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
        ("/ocpp/ocpp/CP-1", ["CP-1", "ocpp"]),
        ("/ws://host/CP-1/SERIAL", ["SERIAL", "ws:", "host", "CP-1"]),
    ],
)
@pytest.mark.covers("T-01", "T-03", "Q-05", "Q-06", "C-002", "C-004")
def test_a_path_names_a_station(path: str, found: list[str]) -> None:
    assert identities(path, None) == found


@pytest.mark.parametrize(
    "path", ["/a%zz", "/%", "/%00", "/%FF", "/a%0Ab", "/" + "a" * 256, "/", "/ocpp", "", "/%C2%85"]
)
@pytest.mark.covers("T-02", "C-003")
def test_a_broken_path_names_nobody(path: str) -> None:
    assert identities(path, None) == []
    if path.strip("/") not in {"", "ocpp"}:
        assert identities(path, b"CP-1:pw") == [], "the user is no way around"


@pytest.mark.parametrize("path", ["/", "/ocpp", "/ocpp/"])
@pytest.mark.covers("Q-04")
def test_a_station_that_puts_nothing_in_the_path_is_its_user(path: str) -> None:
    assert identities(path, b"CP-1:pw") == ["CP-1"]
    assert identities(path, b"\xff:pw") == []
    assert identities(path, b":pw") == []


@given(st.text(max_size=30))
@pytest.mark.covers("C-106")
def test_no_path_is_too_strange(path: str) -> None:
    assert all(0 < len(identity) <= 255 for identity in identities(path, None))


@pytest.mark.parametrize(("path", "canonical"), [("/ocpp/CP-1", True), ("/CP-1", False), ("/ocpp/CP-1/", False)])
@pytest.mark.covers("T-03")
def test_only_one_path_is_the_stations_own(path: str, canonical: bool) -> None:
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
@pytest.mark.covers("T-23", "T-27")
def test_credentials_are_bytes(header: str | None, said: bytes | None) -> None:
    assert credentials(header) == said


@pytest.mark.covers("T-02", "T-22", "C-005", "C-008")
def test_the_user_is_the_identity_which_may_have_colons() -> None:
    assert password(b"a:b:p:w", "a:b") == b"p:w"
    assert password(b"a:b", "a:b") is None
    assert password(b"other:pw", "CP-1") is None
    assert password("é:pw".encode(), "é") == b"pw"


@pytest.mark.covers("T-03")
def test_of_several_names_in_a_path_the_users_is_the_stations() -> None:
    assert identities("/4/CBI-1", b"4:pw") == ["4", "CBI-1"]
    assert identities("/4/CBI-1", b"CBI-1:pw") == ["CBI-1", "4"]
    assert identities("/4/CBI-1", b"other:pw") == ["CBI-1", "4"]


@pytest.mark.covers("T-23", "Q-07", "C-006", "C-007")
def test_a_key_may_come_as_hex_text_and_hex_text_as_a_key() -> None:
    key = bytes.fromhex("00ff10803a") * 4
    text, shouted = key.hex().encode(), key.hex().upper().encode()
    assert spellings(text) == (text, key, shouted)
    assert spellings(shouted) == (shouted, key, text)
    assert spellings(key) == (key, text, shouted)
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
@pytest.mark.covers("T-08", "T-10", "C-010", "C-011")
def test_the_version_is_the_stations_first_that_we_speak(
    offered: list[str], pinned: str | None, protocol: str | None, echo: str | None, rules: list[str]
) -> None:
    choice = choose(offered, pinned)
    assert (choice.protocol, choice.echo, [violation.rule for violation in choice.violations]) == (
        protocol,
        echo,
        rules,
    )


@pytest.mark.covers("Q-16", "T-08", "T-11")
def test_q_16_each_connection_chooses_anew() -> None:
    """A probe with the one version, and then an offer that begins with another."""
    assert [choose(offer, None).protocol for offer in (["ocpp1.6"], ["ocpp2.0.1", "ocpp1.6"])] == ["ocpp1.6"] * 2


@pytest.mark.covers("C-011")
def test_offers_may_come_in_several_headers() -> None:
    assert offers(["ocpp2.0.1, ocpp1.6", "ocpp1.5,", ""]) == ["ocpp2.0.1", "ocpp1.6", "ocpp1.5"]
    assert choose(offers([]), None) == Choice(None)


@pytest.mark.covers("T-10", "Q-01", "C-010")
def test_a_deployment_may_say_what_stations_speak_that_name_nothing() -> None:
    assert choose([], None, otherwise="ocpp1.6").protocol == "ocpp1.6"
    assert choose([], "ocpp2.0.1", otherwise="ocpp1.6").protocol is None, "pinned to another one"
    assert choose(["ocpp0.1"], None, otherwise="ocpp1.6").protocol is None, "it named something else"


@pytest.mark.covers("T-13", "C-011")
@pytest.mark.parametrize(
    ("header", "names", "well_formed"),
    [
        ("ocpp1.6", ["ocpp1.6"], True),
        (",ocpp2.0.1 , ocpp1.6,", ["ocpp2.0.1", "ocpp1.6"], True),
        ('"ocpp1.6"', ["ocpp1.6"], False),
        ("ocpp2.0.1;ocpp1.6", ["ocpp2.0.1", "ocpp1.6"], False),
        ("ocpp2.0.1 ocpp1.6", ["ocpp2.0.1", "ocpp1.6"], False),
        ('""', [], False),
    ],
)
def test_malformed_offers_are_understood(header: str, names: list[str], well_formed: bool) -> None:
    assert offers([header]) == names
    assert is_list(header) is well_formed
