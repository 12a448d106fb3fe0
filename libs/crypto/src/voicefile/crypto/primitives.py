"""The algorithms: libsodium's through PyNaCl, AES-GCM and HMAC by OpenSSL.

The only module of the project that imports nacl. AES-256-GCM comes from the `cryptography`
package: the same bytes several times as fast, and on any processor (docs/decisions/0007); HMAC,
too, whose keyed state is copied there in a third of the standard library's time. Keys go in and
out as secrets, failures as our own errors.
"""

import functools
import hashlib
import hmac
import secrets
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import bindings as sodium
from nacl.exceptions import CryptoError as SodiumError
from nacl.exceptions import UnavailableError

from voicefile.crypto.errors import Malformed, Reason, Tampered, WrongContext
from voicefile.crypto.secret import KEY_BYTES, Secret, SecretKey

TAG = 16
AES_NONCE = 12
XCHACHA_NONCE = 24
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
BOX_OVERHEAD = 48

ARGON2_SALT_BYTES = 16
ARGON2_MEMORY_BYTES = 19 * 1024 * 1024
ARGON2_PASSES = 2
ARGON2_OUTPUT_BYTES = 32

_SHA512_BYTES = 64
_HKDF_BYTES_MAX = 255 * _SHA512_BYTES


class Aead(Protocol):
    """Authenticated encryption under one key; the tag is the sealed text's last 16 bytes."""

    def seal(self, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
        """The ciphertext and its tag."""

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        """The plaintext. Raises Tampered; `sealed` is at least a tag long."""


class XChaCha(Secret):
    """XChaCha20-Poly1305 by libsodium."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
        return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, self._key)

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        try:
            return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, self._key)
        except SodiumError:
            raise Tampered(Reason.CHUNK) from None


class AesGcm(Secret):
    """AES-256-GCM by OpenSSL."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
        return self._cipher.encrypt(nonce, plain, aad)

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise Tampered(Reason.CHUNK) from None


@functools.cache
def aes_in_hardware() -> bool:
    """Whether this processor has the AES instructions; libsodium is the one that tells."""
    try:
        sodium.crypto_aead_aes256gcm_encrypt(b"", b"", bytes(AES_NONCE), bytes(KEY_BYTES))
    except UnavailableError:
        return False
    return True


def sha256(message: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(message).digest()


def hmac_sha512(key: SecretKey, message: bytes) -> bytes:
    """HMAC-SHA-512 (RFC 2104), 64 bytes."""
    mac = key.hmac_sha512()
    mac.update(message)
    return mac.finalize()


def hkdf_expand_sha512(key: SecretKey, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-512 (RFC 5869, 2.3). The key is uniform, so Extract has no work."""
    if not 0 < length <= _HKDF_BYTES_MAX:
        raise Malformed("HKDF can't give that many bytes")
    block = okm = b""
    for counter in range(1, -(-length // _SHA512_BYTES) + 1):
        block = hmac_sha512(key, block + info + bytes((counter,)))
        okm += block
    return okm[:length]


def argon2id(password: bytes, salt: bytes) -> bytes:
    """Argon2id (RFC 9106) with 19 MiB, two passes, one lane: 32 bytes. Takes tens of ms."""
    if len(salt) != ARGON2_SALT_BYTES:
        raise Malformed(f"an Argon2 salt is {ARGON2_SALT_BYTES} bytes")
    return sodium.crypto_pwhash_alg(
        ARGON2_OUTPUT_BYTES,
        password,
        salt,
        ARGON2_PASSES,
        ARGON2_MEMORY_BYTES,
        sodium.crypto_pwhash_ALG_ARGON2ID13,
    )


def random_digits(count: int) -> str:
    """That many decimal digits, each string as likely as any other."""
    if count < 1:
        raise Malformed("at least one digit")
    return f"{secrets.randbelow(10**count):0{count}d}"


def constant_time_equal(one: bytes, other: bytes) -> bool:
    """Whether both are the same, without telling by its time where they differ."""
    return hmac.compare_digest(one, other)


class SealingKeyPair(Secret):
    """X25519: whoever has the public half can put in, only the secret half takes out."""

    __slots__ = ("public", "secret")

    def __init__(self, secret: SecretKey) -> None:
        self.secret = secret
        self.public = sodium.crypto_scalarmult_base(secret.expose())

    @classmethod
    def generate(cls) -> Self:
        """A new pair."""
        return cls(SecretKey.random())

    @classmethod
    def from_secret(cls, secret: SecretKey) -> Self:
        """The pair of this secret half."""
        return cls(secret)


def seal_to(public: bytes, ctx: bytes, key: SecretKey) -> bytes:
    """A libsodium sealed box over ctx ‖ key: an envelope in transit, opened by `open_sealed`."""
    return seal_text_to(public, ctx, key.expose())


def open_sealed(pair: SealingKeyPair, sealed: bytes, ctx: bytes) -> SecretKey:
    """The key that was sealed for exactly this context. Raises Tampered, WrongContext."""
    key = open_text(pair, sealed, ctx)
    if len(key) != KEY_BYTES:
        raise WrongContext(Reason.CONTEXT)
    return SecretKey(key)


def seal_text_to(public: bytes, ctx: bytes, text: bytes) -> bytes:
    """The same over ctx ‖ text, for a letter shop that prints what nobody else may read."""
    if len(public) != PUBLIC_BYTES:
        raise Malformed("an X25519 public key is 32 bytes")
    try:
        return sodium.crypto_box_seal(ctx + text, public)
    except SodiumError:
        # libsodium refuses points of small order: they would make the box everybody's.
        raise Malformed("not an X25519 public key") from None


def open_text(pair: SealingKeyPair, sealed: bytes, ctx: bytes) -> bytes:
    """The text that was sealed for exactly this context. Raises Tampered, WrongContext."""
    if len(sealed) < BOX_OVERHEAD:
        raise Tampered(Reason.BOX)
    try:
        plain = sodium.crypto_box_seal_open(sealed, pair.public, pair.secret.expose())
    except SodiumError:
        raise Tampered(Reason.BOX) from None
    # No context is the beginning of another (each kind has fixed fields, each with its length),
    # so comparing what is expected with as many bytes decides.
    if not hmac.compare_digest(plain[: len(ctx)], ctx):
        raise WrongContext(Reason.CONTEXT)
    return plain[len(ctx) :]


class SigningKey(Secret):
    """Ed25519."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: SecretKey) -> None:
        self.seed = seed
        self.public, self._secret = sodium.crypto_sign_seed_keypair(seed.expose())

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(SecretKey.random())

    @classmethod
    def from_seed(cls, seed: SecretKey) -> Self:
        """The key of this seed."""
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """The signature alone, 64 bytes."""
        return sodium.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns if the signature is the key's over this message. Raises Tampered."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise Tampered(Reason.SIGNATURE)
    try:
        sodium.crypto_sign_open(signature + message, public)
    except SodiumError:
        raise Tampered(Reason.SIGNATURE) from None
