"""Signed meter values are read, and told from those that somebody changed."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.billing import ocmf
from tests.billing.ocmf_says import Meter

METER = Meter()
BEGIN = METER.shows("2935.600")


def test_a_document_says_what_the_meter_showed() -> None:
    document = ocmf.parsed(BEGIN)
    [reading] = document.readings
    assert (document.context, document.page, document.meter) == ("T", 1, "m-7")
    assert (reading.value, reading.unit, reading.wh) == (Decimal("2935.600"), "kWh", Decimal("2935600.000"))
    assert (reading.at, reading.time_status, reading.transaction) == (datetime(2026, 11, 23, 12, tzinfo=UTC), "S", "B")
    assert ocmf.is_ocmf(BEGIN)
    assert ocmf.problems(document) == []


@pytest.mark.parametrize(
    ("curve", "name"),
    [
        (ec.SECP192R1(), "secp192r1"),
        (ec.SECP256R1(), "secp256r1"),
        (ec.SECP256K1(), "secp256k1"),
        (ec.SECP384R1(), "secp384r1"),
        (ec.BrainpoolP256R1(), "brainpool256r1"),
    ],
)
def test_what_a_meter_signed_is_genuine_by_its_key_and_no_others(curve: ec.EllipticCurve, name: str) -> None:
    meter = Meter(curve, name)
    document = ocmf.parsed(meter.shows("1.5"))
    assert ocmf.is_genuine(document, meter.public_key)
    assert ocmf.is_genuine(document, meter.point)
    assert not ocmf.is_genuine(document, Meter(curve, name).public_key)


def test_a_key_may_be_hex_or_base64_with_spaces() -> None:
    document = ocmf.parsed(BEGIN)
    in_base64 = base64.b64encode(bytes.fromhex(METER.public_key)).decode()
    assert ocmf.is_genuine(document, in_base64)
    assert ocmf.is_genuine(document, " ".join([METER.public_key[:20], METER.public_key[20:]]))


def test_every_changed_byte_is_noticed() -> None:
    head, payload, seal = BEGIN.split("|")
    for at in range(len(payload)):
        changed = payload[:at] + chr(ord(payload[at]) ^ 1) + payload[at + 1 :]
        try:
            document = ocmf.parsed(f"{head}|{changed}|{seal}")
        except ocmf.Unreadable:
            continue
        assert not ocmf.is_genuine(document, METER.public_key)


def test_the_same_number_written_otherwise_is_another_document() -> None:
    again = BEGIN.replace("2935.600", "2935.6")
    assert ocmf.parsed(again).readings == ocmf.parsed(BEGIN).readings
    assert not ocmf.is_genuine(ocmf.parsed(again), METER.public_key)


def test_a_reading_that_leaves_something_out_has_it_from_the_one_before() -> None:
    first = '{"TM":"2026-11-23T13:00:00,000+0100 S","TX":"B","RV":1.0,"RI":"1-b:1.8.0","RU":"Wh","ST":"G"}'
    document = ocmf.parsed(METER.signs(f'{{"PG":"T9","RD":[{first},{{"TX":"E","RV":2.5}}]}}'))
    assert [(each.transaction, each.wh, each.status) for each in document.readings] == [
        ("B", Decimal("1.0"), "G"),
        ("E", Decimal("2.5"), "G"),
    ]


def test_a_signature_may_be_in_base64() -> None:
    head, payload, seal = BEGIN.split("|")
    raw = bytes.fromhex(json.loads(seal)["SD"])
    said = json.dumps({"SE": "base64", "SD": base64.b64encode(raw).decode()})
    assert ocmf.is_genuine(ocmf.parsed(f"{head}|{payload}|{said}"), METER.public_key)


def test_what_the_meter_does_not_vouch_for_is_named() -> None:
    def named(text: str) -> list[str]:
        return ocmf.problems(ocmf.parsed(text))

    assert named(METER.shows("1.0", ST="F")) == ["meter_status"]
    assert named(METER.shows("1.0", EF="E")) == ["error_flags"]
    assert named(METER.signs('{"PG":"T1","RD":[]}')) == ["no_reading"]


def test_pages_count_up_by_one() -> None:
    meter = Meter()
    documents = [ocmf.parsed(meter.shows(str(n))) for n in range(4)]
    assert ocmf.gaps(documents) == []
    assert ocmf.gaps([documents[0], documents[3]]) == [(1, 4)]
    assert ocmf.gaps([documents[1], documents[1]]) == [(2, 2)]
    assert ocmf.parsed(meter.signs('{"PG":"Tx","RD":[]}')).page is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not OCMF"),
        ("OCMF|{}", "not OCMF"),
        ("EDL|{}|{}", "not OCMF"),
        ("OCMF|{|{}", "payload is no JSON"),
        ("OCMF|[]|{}", "payload is no object"),
        ("OCMF|{}|x", "signature is no JSON"),
        ('OCMF|{}|{"SD":"xyz"}', "neither hex nor base64"),
        ('OCMF|{}|{"SE":"base64","SD":"?"}', "neither hex nor base64"),
        ('OCMF|{}|{"SD":"00"}', "RD is no list"),
        ('OCMF|{"RD":[1]}|{"SD":"00"}', "RD is no list"),
        ('OCMF|{"RD":[{"TM":"noon"}]}|{"SD":"00"}', "no time"),
        ('OCMF|{"RD":[{"TM":"2026-11-23T13:00:00,000+0100 S","RV":"much"}]}|{"SD":"00"}', "no number"),
    ],
)
def test_what_is_no_ocmf_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ocmf.Unreadable, match=why):
        ocmf.parsed(text)


def test_what_nobody_can_verify_is_not_called_genuine() -> None:
    document = ocmf.parsed(BEGIN)
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    der = rsa_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo).hex()
    for key, why in [("??", "neither hex nor base64"), ("04ff", "neither DER nor a point"), (der, "no elliptic curve")]:
        with pytest.raises(ocmf.Unreadable, match=why):
            ocmf.is_genuine(document, key)
    with pytest.raises(ocmf.Unreadable, match="nobody here verifies"):
        ocmf.is_genuine(document._replace(algorithm="RSA-2048-SHA256"), METER.public_key)


def test_a_register_in_other_units_has_no_energy() -> None:
    [reading] = ocmf.parsed(METER.shows("1.0", RU="kvarh")).readings
    assert reading.wh is None
    [reading] = ocmf.parsed(METER.shows("null")).readings
    assert reading.wh is None
