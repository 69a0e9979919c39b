"""Certificate signing requests of stations: what they ask for, and what is wrong with them (M-12)."""

import base64
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from msgspec import Struct

LEAST_RSA, LEAST_EC = 2048, 224
"""Bits of a key that is strong enough (OCPP 1.6 security whitepaper §2.6)."""


class Request(Struct, frozen=True):
    """What a certificate is asked for. `problem` says why there can be none; empty: nothing is wrong."""

    common_name: str = ""
    organization: str = ""
    key: str = ""
    problem: str = ""
    is_bare: bool = False
    """It came without the lines that a PEM begins and ends with."""


def request(said: str) -> Request:
    """Return what is asked for in a PKCS#10 request: PEM, or the same in base64 without its first and last line."""
    text = said.replace("\\n", "\n").strip()
    is_bare = "-----BEGIN" not in text
    try:
        asked = x509.load_der_x509_csr(_der(text)) if is_bare else x509.load_pem_x509_csr(text.encode())
        names, key = asked.subject, asked.public_key()
        problem = _problem(asked, key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Request(problem="no certificate signing request", is_bare=is_bare)
    return Request(
        _named(names, NameOID.COMMON_NAME), _named(names, NameOID.ORGANIZATION_NAME), _key(key), problem, is_bare
    )


def _der(text: str) -> bytes:
    return base64.b64decode(re.sub(r"\s", "", text), validate=True)


def _problem(asked: x509.CertificateSigningRequest, key: object) -> str:
    if not asked.is_signature_valid:
        return "its signature is not by its own key"
    least = LEAST_RSA if isinstance(key, rsa.RSAPublicKey) else LEAST_EC
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return "its key is neither RSA nor on an elliptic curve"
    return f"its key has fewer than {least} bits" if key.key_size < least else ""


def _named(names: x509.Name, what: x509.ObjectIdentifier) -> str:
    found = names.get_attributes_for_oid(what)
    return str(found[0].value) if found else ""


def _key(key: object) -> str:
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case _:
            return type(key).__name__
