"""Signed meter values in the Open Charge Metering Format: `OCMF|payload|signature` (OCMF 1.0 to 1.3; CDR-08).

What is signed is the payload byte for byte as it came: it is read here and never written again.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

START = "OCMF|"
CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256r1": ec.SECP256R1,
    "secp256k1": ec.SECP256K1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
}
HASHES: dict[str, type[hashes.HashAlgorithm]] = {"SHA256": hashes.SHA256, "SHA512": hashes.SHA512}
USUAL = "ECDSA-secp256r1-SHA256"


class Unreadable(ValueError):
    """It is no OCMF, or says nothing that could be verified. The message names what is wrong."""


class Reading(NamedTuple):
    """A register as it is signed."""

    at: datetime
    time_status: str
    """U unknown or unsynchronised, I informative, S synchronised, R relative to a synchronised time."""
    transaction: str
    """B begin, C charging, X exception, E end, L and R and A and P end by the car, by a fault, by abort, by power loss."""
    value: Decimal | None
    unit: str
    identifier: str
    """OBIS code."""
    status: str
    """G: the meter works well."""
    errors: str
    """E energy, t time: what is not to be relied on."""

    @property
    def wh(self) -> Decimal | None:
        """Return the register in Wh."""
        scale = {"kWh": 1000, "Wh": 1}.get(self.unit)
        return None if self.value is None or scale is None else self.value * scale


class Document(NamedTuple):
    """A signed document: what it says, and what its signature is about."""

    signed: bytes
    algorithm: str
    signature: bytes
    context: str
    """T of a transaction, F of the meter's own accord."""
    page: int | None
    """Counts up by one, from document to document of a context."""
    meter: str
    readings: tuple[Reading, ...]


def is_ocmf(text: str) -> bool:
    return text.startswith(START)


def parsed(text: str) -> Document:
    """Return what a document says. Raises `Unreadable`."""
    head, _, rest = text.partition("|")
    payload, bar, seal = rest.rpartition("|")
    if head != "OCMF" or not bar:
        raise Unreadable("it is not OCMF|payload|signature")
    said, sealed = _object(payload, "the payload"), _object(seal, "the signature")
    page = str(said.get("PG", ""))
    return Document(
        payload.encode(),
        str(sealed.get("SA", USUAL)),
        _bytes(sealed),
        page[:1],
        int(page[1:]) if page[1:].isascii() and page[1:].isdigit() else None,
        str(said.get("MS", "")),
        tuple(_readings(said.get("RD"))),
    )


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        said = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is no JSON") from error
    if not isinstance(said, dict):
        raise Unreadable(f"{what} is no object")
    return said


def _bytes(sealed: dict[str, Any]) -> bytes:
    said = str(sealed.get("SD", ""))
    try:
        return base64.b64decode(said, validate=True) if sealed.get("SE") == "base64" else bytes.fromhex(said)
    except (ValueError, binascii.Error) as error:
        raise Unreadable("the signature's SD is neither hex nor base64, as SE says") from error


def _readings(said: Any) -> list[Reading]:
    """Return the readings; what one leaves out is as in the one before it."""
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        raise Unreadable("RD is no list of readings")
    found, known = [], dict[str, Any]()
    for each in said:
        known = known | each
        found.append(_reading(known))
    return found


def _reading(said: dict[str, Any]) -> Reading:
    moment, _, status = str(said.get("TM", "")).partition(" ")
    try:
        at = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S,%f%z")
        value = None if said.get("RV") is None else Decimal(str(said["RV"]))
    except (ValueError, InvalidOperation) as error:
        raise Unreadable("a reading has no time TM, or its RV is no number") from error
    return Reading(
        at,
        status,
        str(said.get("TX", "")),
        value,
        str(said.get("RU", "")),
        str(said.get("RI", "")),
        str(said.get("ST", "")),
        str(said.get("EF", "") or ""),
    )


# ---- whether it is to be relied on --------------------------------------------------------------------------------------


def key_of(said: str, algorithm: str) -> ec.EllipticCurvePublicKey:
    """Return a public key from hex or base64: DER (SubjectPublicKeyInfo), or a point of the curve. Raises `Unreadable`."""
    raw = _raw(said)
    try:
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return _point(raw, algorithm)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Unreadable("the public key is on no elliptic curve")
    return key


def _raw(said: str) -> bytes:
    plain = "".join(said.split())
    try:
        return bytes.fromhex(plain)
    except ValueError:
        pass
    try:
        return base64.b64decode(plain, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Unreadable("the public key is neither hex nor base64") from error


def _point(raw: bytes, algorithm: str) -> ec.EllipticCurvePublicKey:
    curve, _ = _algorithm(algorithm)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve(), raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unreadable("the public key is neither DER nor a point of its curve") from error


def _algorithm(name: str) -> tuple[type[ec.EllipticCurve], type[hashes.HashAlgorithm]]:
    method, _, rest = name.partition("-")
    curve, _, digest = rest.rpartition("-")
    if method != "ECDSA" or curve not in CURVES or digest not in HASHES:
        raise Unreadable(f"nobody here verifies {name}")
    return CURVES[curve], HASHES[digest]


def is_genuine(document: Document, key: str) -> bool:
    """Tell whether the meter with this public key signed the document. Raises `Unreadable` where that cannot be told."""
    _, digest = _algorithm(document.algorithm)
    public = key_of(key, document.algorithm)
    try:
        public.verify(document.signature, document.signed, ec.ECDSA(digest()))
    except InvalidSignature:
        return False
    return True


def problems(document: Document) -> list[str]:
    """Return why what is signed is not to be relied on, whoever signed it."""
    found = []
    if not document.readings:
        found.append("no_reading")
    if any(reading.status != "G" for reading in document.readings):
        found.append("meter_status")
    if any(reading.errors for reading in document.readings):
        found.append("error_flags")
    return found


def gaps(documents: Sequence[Document]) -> list[tuple[int, int]]:
    """Return where documents of one context do not follow each other: from which page to which."""
    pages = [(each.context, each.page) for each in documents if each.page is not None]
    return [(one, other) for (c1, one), (c2, other) in pairwise(pages) if c1 == c2 and other != one + 1]
