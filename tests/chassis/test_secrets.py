"""Names, seals and spellings."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.secrets import CannotOpen, NoSecret, Secrets, fold, mask
from contracts.event import Sealed, TenantId

OURS = "0123456789abcdef0123456789abcdef"
THEIRS = "fedcba9876543210fedcba9876543210"
ACME, OTHER = TenantId("acme"), TenantId("other")

secrets, foreign = Secrets(OURS), Secrets(THEIRS)
spelt = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)


def test_a_tokens_name_never_changes() -> None:
    """All that is kept for ever is named by it. The same by hand: two HMACs of SHA-256, the key's first."""
    key = hmac.new(OURS.encode(), b"voltstream/token/acme", "sha256").digest()
    by_hand = hmac.new(key, b"04e1f3a2b5c6d7", "sha256").hexdigest()[:32]
    assert secrets.token_id(ACME, "04E1F3A2B5C6D7") == by_hand == "64a657b176f64696d76c67f0b4a77ad1"


def test_two_tenants_and_two_deployments_name_the_same_card_differently() -> None:
    names = {secrets.token_id(ACME, "CARD"), secrets.token_id(OTHER, "CARD"), foreign.token_id(ACME, "CARD")}
    assert len(names) == 3


@pytest.mark.parametrize("uid", ["04a1b2c3", "04A1B2C3", " 04A1 B2C3 ", "04a1b2c3\x00\x00", "04A1\tB2C3\r\n"])
def test_spellings_of_one_card_are_one_token(uid: str) -> None:
    assert fold(uid) == "04a1b2c3"
    assert secrets.token_id(ACME, uid) == secrets.token_id(ACME, "04A1B2C3")


@given(spelt)
def test_what_is_folded_stays_folded_in_any_case(uid: str) -> None:
    assert fold(fold(uid)) == fold(uid)
    assert all(c.isprintable() and not c.isspace() for c in fold(uid))


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=40))
def test_case_makes_no_difference(uid: str) -> None:
    assert fold(uid.upper()) == fold(uid.lower()) == fold(uid)


@given(spelt)
def test_what_is_sealed_can_be_opened_here_and_nowhere_else(text: str) -> None:
    sealed = secrets.seal(text)
    assert secrets.open(sealed) == text
    assert sealed.isascii()
    with pytest.raises(CannotOpen):
        foreign.open(sealed)


@given(st.text(min_size=8, max_size=40, alphabet="abcdefghijklmnop"))
def test_a_seal_shows_nothing_and_is_never_the_same(text: str) -> None:
    first, second = secrets.seal(text), secrets.seal(text)
    assert first != second
    assert text not in first


def test_what_is_sealed_for_the_same_is_the_same_and_for_another_another() -> None:
    one = secrets.seal_same("Anna", "acme/a")
    assert (secrets.open(one), secrets.seal_same("Anna", "acme/a")) == ("Anna", one)
    assert len({one, secrets.seal_same("Anna", "acme/b"), secrets.seal_same("Bert", "acme/a")}) == 3


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_seal_that_was_touched_cannot_be_opened(where: int, flip: int) -> None:
    import base64

    raw = bytearray(base64.b64decode(secrets.seal("password")))
    raw[where % len(raw)] ^= flip
    with pytest.raises(CannotOpen):
        secrets.open(Sealed(base64.b64encode(raw).decode()))


@given(st.text(max_size=60))
def test_what_is_no_seal_cannot_be_opened(text: str) -> None:
    with pytest.raises(CannotOpen):
        secrets.open(Sealed(text))


def test_keys_for_different_purposes_differ() -> None:
    assert secrets.derive("cursor", "x") != secrets.derive("cache", "x")
    assert secrets.derive("cursor", "x") == Secrets(OURS).derive("cursor", "x")
    assert len(secrets.derive("cursor", "x")) == 32


def test_nothing_of_the_secret_is_shown() -> None:
    secrets.token_id(ACME, "CARD")
    assert OURS not in f"{secrets!r} {secrets}"


def test_without_a_secret_there_is_a_sentence_that_names_the_setting() -> None:
    with pytest.raises(NoSecret, match="VOLTSTREAM_SECRET"):
        Secrets("")


@given(spelt)
def test_a_mask_shows_at_most_four_characters_and_half(uid: str) -> None:
    shown = mask(uid).replace("…", "")
    assert len(shown) <= 4 * 3  # upper case may be longer: ß, ŉ and ΐ
    assert not shown or len(fold(uid).upper()) >= 2 * len(shown)


def test_short_uids_are_masked_whole() -> None:
    assert (mask("04a1b2c"), mask("04a1b2c3")) == ("…", "04…C3")
