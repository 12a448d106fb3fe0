"""VFE1's header and key schedule, and the small things it seals: wrapped keys and fields.

Who a sealed object belongs to (deployment, tenant, object, kind) goes into the derivation of
its key, and the header commits to that key. So an object opened for another tenant or in another
place fails before the first ciphertext byte is touched, even where every authorisation check
has been forgotten. docs/sealed-format.md is the format's normative text.
"""

import functools
import hmac
import re
import secrets
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from voicefile.crypto.errors import Malformed, Reason, Tampered
from voicefile.crypto.primitives import (
    AES_NONCE,
    TAG,
    XCHACHA_NONCE,
    Aead,
    AesGcm,
    XChaCha,
    aes_in_hardware,
    hkdf_expand_sha512,
)
from voicefile.crypto.secret import KEY_BYTES, Secret, SecretKey

MAGIC = b"VFE1"
CHUNK = 65_536
HEADER = 76
CHUNKS_MAX = 2**32
"""256 TiB: far below what either cipher bears under one key (docs/sealed-format.md, Limits)."""
SALT_BYTES = 32
COMMITMENT_BYTES = 32
LABEL = b"voicefile/vfe1\x00"
ID_BYTES = 16
WRAPPED_BYTES = HEADER + KEY_BYTES + TAG

_FIXED = struct.Struct(">4sBBHI")
_INDEX = struct.Struct(">Q")
_AAD = struct.Struct(">QB")
_LENGTH = struct.Struct(">BI")
_HEX_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DERIVED_BYTES = KEY_BYTES + XCHACHA_NONCE + COMMITMENT_BYTES


class Kind(IntEnum):
    """What a sealed object is."""

    AUDIO = 1
    WRAPPED_KEY = 2
    FIELD = 3
    BACKUP_SEGMENT = 4
    DEED_DETAIL = 5


class Suite(IntEnum):
    """Which algorithms sealed it. Readers take both."""

    XCHACHA = 1
    AES_GCM = 2


STREAMED = frozenset({Kind.AUDIO, Kind.BACKUP_SEGMENT})
"""Kinds of any number of chunks; the others have one."""
_SUITES = frozenset(int(suite) for suite in Suite)


@functools.cache
def preferred_suite() -> Suite:
    """What writers take here: AES where the processor has it, being five times as fast or more."""
    return Suite.AES_GCM if aes_in_hardware() else Suite.XCHACHA


def object_id(id_hex: str, role: str) -> bytes:
    """An object's name inside its tenant: the 16 bytes of an id, then what it is of that id."""
    if not role.isascii():
        raise Malformed("a role is ASCII")
    return _raw_id(id_hex) + role.encode("ascii")


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sealed object belongs. It opens nowhere else."""

    deployment: bytes
    tenant: str
    """32 hexadecimal digits, or nothing for what belongs to no tenant."""
    object_id: bytes
    kind: Kind
    wrapping_key: bytes | None = None
    """The id of the key a wrapped key is wrapped under; of kind 2 only, and always there."""

    def __post_init__(self) -> None:
        if (self.kind is Kind.WRAPPED_KEY) != (self.wrapping_key is not None):
            raise Malformed("a wrapped key, and nothing else, names its wrapping key")
        _whose(self.deployment, self.tenant)

    def encode(self) -> bytes:
        """Every field with its tag and length; no encoding is the beginning of another."""
        whose = _whose(self.deployment, self.tenant)
        return whose + _tlv(3, self.object_id) + _what(self.kind, self.wrapping_key)


class Envelope(Secret):
    """One object's derived key at work: seals and opens its chunks, each at its own place."""

    __slots__ = ("_aead", "_counter", "_prefix", "header")

    def __init__(self, header: bytes, aead: Aead, nonce: bytes) -> None:
        self.header = header
        self._aead = aead
        self._prefix = nonce[: -_INDEX.size]
        (self._counter,) = _INDEX.unpack(nonce[-_INDEX.size :])

    @classmethod
    def create(
        cls,
        key: SecretKey,
        context: Context,
        suite: Suite | None = None,
        *,
        _salt: bytes | None = None,
    ) -> Self:
        """For a new object. `_salt` is for the frozen vectors: one used twice is a breach."""
        salt = secrets.token_bytes(SALT_BYTES) if _salt is None else _salt
        if len(salt) != SALT_BYTES:
            raise Malformed("a salt is 32 bytes")
        suite = preferred_suite() if suite is None else suite
        fixed = _FIXED.pack(MAGIC, suite, context.kind, HEADER, CHUNK)
        aead, nonce, commitment = _derive(key, context, suite, fixed + salt)
        return cls(fixed + salt + commitment, aead, nonce)

    @classmethod
    def admit(cls, key: SecretKey, context: Context, header: bytes) -> Self:
        """For an object that is there, once its header proves to be this key's and context's."""
        suite = _checked_suite(header, context.kind)
        salted, claimed = header[:-COMMITMENT_BYTES], header[-COMMITMENT_BYTES:]
        aead, nonce, commitment = _derive(key, context, suite, salted)
        # Before any decryption: an AEAD alone would let one ciphertext open under two keys.
        if not hmac.compare_digest(claimed, commitment):
            raise Tampered(Reason.COMMITMENT)
        return cls(header, aead, nonce)

    def seal(self, index: int, plain: bytes, *, final: bool) -> bytes:
        """The sealed chunk. Each index is sealed once only."""
        return self._aead.seal(self._nonce(index), _AAD.pack(index, final), plain)

    def open(self, index: int, sealed: bytes, *, final: bool) -> bytes:
        """The chunk that was sealed at this very place. Raises Tampered."""
        if len(sealed) < TAG:
            raise Tampered(Reason.SIZE)
        return self._aead.open(self._nonce(index), _AAD.pack(index, final), sealed)

    def _nonce(self, index: int) -> bytes:
        return self._prefix + _INDEX.pack(self._counter ^ index)


def wrap(key: SecretKey, *, under: SecretKey, context: Context) -> bytes:
    """The key, sealed under another: 124 bytes of kind 2."""
    if context.kind is not Kind.WRAPPED_KEY:
        raise Malformed("a wrapped key's context is of kind 2")
    return _seal_small(under, context, key.expose())


def unwrap(sealed: bytes, *, under: SecretKey, context: Context) -> SecretKey:
    """The key that was wrapped under this one for this context. Raises Tampered."""
    if context.kind is not Kind.WRAPPED_KEY:
        raise Malformed("a wrapped key's context is of kind 2")
    return SecretKey(_open_small(under, context, sealed))


def seal_field(key: SecretKey, context: Context, plaintext: bytes) -> bytes:
    """A small thing, less than a chunk, in one piece: a customer's name, a deed's detail."""
    if context.kind not in {Kind.FIELD, Kind.DEED_DETAIL}:
        raise Malformed("a field's context is of kind 3 or 5")
    return _seal_small(key, context, plaintext)


def open_field(key: SecretKey, context: Context, sealed: bytes) -> bytes:
    """What was sealed as this field. Raises Tampered."""
    if context.kind not in {Kind.FIELD, Kind.DEED_DETAIL}:
        raise Malformed("a field's context is of kind 3 or 5")
    return _open_small(key, context, sealed)


def sealed_sizes(kind: Kind) -> range:
    """How long a sealed object of this kind can be; that it has whole chunks is checked apart."""
    if kind is Kind.WRAPPED_KEY:
        return range(WRAPPED_BYTES, WRAPPED_BYTES + 1)
    chunks_max = CHUNKS_MAX if kind in STREAMED else 1
    return range(HEADER + TAG, HEADER + chunks_max * (CHUNK + TAG))


def _seal_small(key: SecretKey, context: Context, plaintext: bytes) -> bytes:
    if HEADER + len(plaintext) + TAG not in sealed_sizes(context.kind):
        raise Malformed("not the length of one such thing: longer ones are streams")
    envelope = Envelope.create(key, context)
    return envelope.header + envelope.seal(0, plaintext, final=True)


def _open_small(key: SecretKey, context: Context, sealed: bytes) -> bytes:
    envelope = Envelope.admit(key, context, sealed[:HEADER])
    if len(sealed) not in sealed_sizes(context.kind):
        raise Tampered(Reason.SIZE)
    try:
        return envelope.open(0, sealed[HEADER:], final=True)
    except Tampered:
        raise Tampered(Reason.LAST_CHUNK) from None


def _derive(
    key: SecretKey, context: Context, suite: Suite, salted: bytes
) -> tuple[Aead, bytes, bytes]:
    material = hkdf_expand_sha512(key, LABEL + salted + context.encode(), _DERIVED_BYTES)
    derived, nonce = material[:KEY_BYTES], material[KEY_BYTES:-COMMITMENT_BYTES]
    commitment = material[-COMMITMENT_BYTES:]
    if suite is Suite.AES_GCM:
        return AesGcm(derived), nonce[:AES_NONCE], commitment
    return XChaCha(derived), nonce, commitment


def _checked_suite(header: bytes, kind: Kind) -> Suite:
    """The suite, after every fixed field proved exactly what it must be."""
    if len(header) != HEADER:
        raise Tampered(Reason.SIZE)
    magic, suite, claimed_kind, header_bytes, chunk_bytes = _FIXED.unpack_from(header)
    if magic != MAGIC:
        raise Tampered(Reason.MAGIC)
    if suite not in _SUITES:
        raise Tampered(Reason.SUITE)
    if claimed_kind != kind:
        raise Tampered(Reason.KIND)
    if header_bytes != HEADER:
        raise Tampered(Reason.HEADER_LENGTH)
    if chunk_bytes != CHUNK:
        raise Tampered(Reason.CHUNK_SIZE)
    return Suite(suite)


def _tlv(tag: int, value: bytes) -> bytes:
    return _LENGTH.pack(tag, len(value)) + value


# Kept: whoever wraps many keys does it for few tenants, under fewer keys.
@functools.lru_cache(maxsize=256)
def _whose(deployment: bytes, tenant: str) -> bytes:
    return _tlv(1, deployment) + _tlv(2, _raw_id(tenant) if tenant else b"")


@functools.lru_cache(maxsize=256)
def _what(kind: Kind, wrapping_key: bytes | None) -> bytes:
    kind_of = _tlv(4, bytes((kind,)))
    return kind_of if wrapping_key is None else kind_of + _tlv(5, wrapping_key)


def _raw_id(id_hex: str) -> bytes:
    # Strict: two spellings of one id would be two contexts.
    if not _HEX_ID.fullmatch(id_hex):
        raise Malformed("an id is 32 lower-case hexadecimal digits")
    return bytes.fromhex(id_hex)
