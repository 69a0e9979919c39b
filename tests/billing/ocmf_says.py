"""A meter that signs, for tests: its key is made anew each time."""

import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Meter:
    """Signs what it shows."""

    def __init__(self, curve: ec.EllipticCurve | None = None, name: str = "secp256r1") -> None:
        self._key = ec.generate_private_key(curve or ec.SECP256R1())
        self._algorithm = f"ECDSA-{name}-SHA256"
        self._page = 0

    @property
    def public_key(self) -> str:
        """Return the key as it is registered: DER in hex."""
        public = self._key.public_key()
        return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo).hex()

    @property
    def point(self) -> str:
        public = self._key.public_key()
        return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint).hex()

    def signs(self, payload: str) -> str:
        """Return a document with this payload, byte for byte."""
        seal = self._key.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex()
        return f"OCMF|{payload}|{json.dumps({'SA': self._algorithm, 'SD': seal})}"

    def shows(self, kwh: str, transaction: str = "B", clock: str = "13:00:00", **more: Any) -> str:
        """Return a document with one reading; its numbers as a meter writes them."""
        self._page += 1
        rest = "".join(f',"{name}":{json.dumps(value)}' for name, value in more.items())
        reading = f'{{"TM":"2026-11-23T{clock},000+0100 S","TX":"{transaction}","RV":{kwh},"RI":"1-b:1.8.0","RU":"kWh","ST":"G"{rest}}}'
        return self.signs(f'{{"FV":"1.0","GI":"AC 1","PG":"T{self._page}","MS":"m-7","IS":true,"RD":[{reading}]}}')
