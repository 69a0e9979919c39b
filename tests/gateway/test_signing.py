import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from services.gateway.signing import Request, request

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


def asked(key: object, *, named: bool = True, encoding: serialization.Encoding = PEM) -> bytes:
    """A request for CP-1 of ACME."""
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "CP-1"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names if named else []))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(encoding)


EC_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.covers("M-12")
def test_a_request_says_for_whom_and_with_which_key() -> None:
    assert request(asked(EC_KEY).decode()) == Request("CP-1", "ACME", "EC secp256r1")
    strong = rsa.generate_private_key(65537, 2048)
    assert request(asked(strong).decode()) == Request("CP-1", "ACME", "RSA 2048")


@pytest.mark.covers("M-12")
def test_a_request_may_come_bare_or_with_its_lines_written_out() -> None:
    bare = base64.b64encode(asked(EC_KEY, encoding=DER)).decode()
    assert request(bare) == Request("CP-1", "ACME", "EC secp256r1", is_bare=True)
    assert request("\n".join(bare[at : at + 64] for at in range(0, len(bare), 64))).problem == ""
    assert request(asked(EC_KEY).decode().replace("\n", "\\n")) == Request("CP-1", "ACME", "EC secp256r1")


@pytest.mark.covers("M-12")
def test_a_request_may_name_nobody() -> None:
    assert request(asked(EC_KEY, named=False).decode()) == Request(key="EC secp256r1")


@pytest.mark.covers("M-12")
def test_a_weak_or_strange_key_is_a_problem() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    assert request(asked(weak).decode()).problem == "its key has fewer than 2048 bits"
    short = ec.generate_private_key(ec.SECP192R1())
    assert request(asked(short).decode()).problem == "its key has fewer than 224 bits"
    strange = request(asked(ed25519.Ed25519PrivateKey.generate()).decode())
    assert (strange.key, strange.problem) == ("Ed25519PublicKey", "its key is neither RSA nor on an elliptic curve")


@pytest.mark.covers("M-12")
def test_a_request_that_its_key_has_not_signed_is_a_problem() -> None:
    der = bytearray(asked(EC_KEY, encoding=DER))
    der[der.index(b"CP-1")] = ord("X")
    found = request(base64.b64encode(bytes(der)).decode())
    assert (found.common_name, found.problem) == ("XP-1", "its signature is not by its own key")


@pytest.mark.covers("M-12")
@pytest.mark.parametrize("said", ["", "none", "AAAA", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "é", "A" * 5500])
def test_what_is_no_request_is_said_to_be_none(said: str) -> None:
    found = request(said)
    assert (found.common_name, found.problem) == ("", "no certificate signing request")
