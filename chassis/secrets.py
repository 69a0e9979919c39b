"""What only a holder of the deployment's secret can name, seal and open (architecture §7)."""

import base64
import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.errors import SaysWhatToDo
from contracts.event import Sealed, TenantId, TokenId


class NoSecret(SaysWhatToDo):
    """The deployment's secret is not set."""


class CannotOpen(Exception):
    """It was not sealed with this deployment's secret."""


class Secrets:
    """Derives one key per purpose and tenant from the deployment's secret."""

    def __init__(self, secret: str) -> None:
        if not secret:
            raise NoSecret("VOLTSTREAM_SECRET is not set: give all services the same secret of at least 32 characters")
        self._secret = secret.encode()
        self._seal = AESGCM(self._key("seal"))
        self._tenant_key = lru_cache(maxsize=1024)(lambda tenant: self._key(f"token/{tenant}"))

    def token_id(self, tenant: TenantId, uid: str) -> TokenId:
        """Return the name of the id token with this uid: 32 hexadecimal digits, the same however the uid is spelt."""
        return TokenId(hmac.digest(self._tenant_key(tenant), fold(uid).encode(), hashlib.sha256).hex()[:32])

    def seal(self, text: str) -> Sealed:
        """Return `text` as only this deployment can read it."""
        nonce = os.urandom(12)
        return Sealed(base64.b64encode(nonce + self._seal.encrypt(nonce, text.encode(), b"voltstream")).decode())

    def seal_same(self, text: str, of: str) -> Sealed:
        """Return `text` as only this deployment can read it: the same each time for the same `of`, so that nothing seems to change."""
        nonce = self.derive("nonce", f"{of}\n{text}")[:12]
        return Sealed(base64.b64encode(nonce + self._seal.encrypt(nonce, text.encode(), b"voltstream")).decode())

    def open(self, sealed: Sealed) -> str:
        """Return what was sealed, or raise `CannotOpen`."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._seal.decrypt(raw[:12], raw[12:], b"voltstream").decode()
        except (ValueError, InvalidTag) as error:
            raise CannotOpen("sealed with another deployment's secret") from error

    def derive(self, purpose: str, text: str) -> bytes:
        """Return 32 bytes that only this deployment can derive from `text`."""
        return hmac.digest(self._key(purpose), text.encode(), hashlib.sha256)

    def _key(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, f"voltstream/{purpose}".encode(), hashlib.sha256)


DIGESTED = "$sha256$"
"""How the digest of a password begins that was made of so many random bits that guessing it needs no slowing down."""


def digested(password: bytes) -> str:
    """Return a salted digest of a password with at least 100 random bits. One that a person chose needs argon2 instead."""
    salt = os.urandom(16)
    return f"{DIGESTED}{salt.hex()}${hashlib.sha256(salt + password).hexdigest()}"


def is_digest_of(stored: str, password: bytes) -> bool:
    """Return whether `stored` is what `digested` made of this password."""
    salt, _, digest = stored.removeprefix(DIGESTED).partition("$")
    try:
        return hmac.compare_digest(hashlib.sha256(bytes.fromhex(salt) + password).hexdigest(), digest)
    except ValueError:
        return False


def fold(uid: str) -> str:
    """Return `uid` without case, blanks and control characters: what makes two spellings the same token (X-32)."""
    if uid.isascii() and uid.isalnum():
        return uid.lower()
    return "".join(c for c in uid if c.isprintable() and not c.isspace()).casefold()


def mask(uid: str) -> str:
    """Return enough of `uid` to recognise it beside others, and too little to charge with."""
    shown = fold(uid).upper()
    return f"{shown[:2]}…{shown[-2:]}" if len(shown) >= 8 else "…"
