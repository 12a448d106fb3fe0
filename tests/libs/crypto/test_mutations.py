"""No change to a sealed thing is ever accepted, and the game that shows it would notice."""

import hmac
import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.libs.crypto import attacks

from voicefile.crypto.envelope import (
    CHUNK,
    HEADER,
    LABEL,
    Context,
    Envelope,
    Kind,
    Suite,
    object_id,
    open_field,
    unwrap,
)
from voicefile.crypto.errors import CryptoError, Tampered, WrongContext
from voicefile.crypto.keyring import slip_context
from voicefile.crypto.primitives import (
    TAG,
    AesGcm,
    SealingKeyPair,
    XChaCha,
    hkdf_expand_sha512,
    open_sealed,
    seal_to,
)
from voicefile.crypto.secret import DataKey, SecretKey
from voicefile.crypto.stream import SEALED_CHUNK, Opener, open_whole, seal

DEPLOYMENT, TENANT, RECORDING = b"house", "a1" * 16, "b2" * 16
KEY = DataKey.random()
AUDIO = Context(DEPLOYMENT, TENANT, object_id(RECORDING, "original"), Kind.AUDIO)
FIELD = Context(DEPLOYMENT, TENANT, object_id(RECORDING, "metadata"), Kind.FIELD)
SLIP = slip_context(DEPLOYMENT, TENANT, object_id(RECORDING, "slip"), "c3" * 16)


def sealed_of(context: Context, length: int, suite: Suite) -> attacks.Sealed:
    return attacks.Sealed(KEY, context, seal(KEY, context, random.randbytes(length), suite=suite))


def small_reader(key: SecretKey, context: Context, content: bytes) -> bytes:
    if context.kind is Kind.WRAPPED_KEY:
        return unwrap(content, under=key, context=context).expose()
    if context.kind in {Kind.FIELD, Kind.DEED_DETAIL}:
        return open_field(key, context, content)
    return open_whole(key, context, content)


def all_attacks(sealed: attacks.Sealed, others: list[attacks.Sealed], rng: random.Random):
    total = len(sealed.content)
    large = total > HEADER + CHUNK
    positions = range(HEADER) if large else range(total)
    yield from attacks.every_value_of(sealed, positions)
    yield from attacks.random_changes(sealed, 9_000 if large else 205_000, rng)
    yield from attacks.lengths(sealed)
    yield from attacks.rearranged(sealed)
    yield from attacks.elsewhere(sealed, 300, rng)
    for other in others:
        yield from attacks.spliced(sealed, other)


TARGETS = [
    pytest.param(AUDIO, 2 * CHUNK + 5, id="audio"),
    pytest.param(FIELD, 40, id="field"),
    pytest.param(SLIP, 32, id="slip"),
]


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize(("context", "length"), TARGETS)
def test_no_mutation_is_accepted(context, length, suite):
    rng = random.Random(f"{context.kind}{suite}")
    sealed = sealed_of(context, length, suite)
    twin, cousin = sealed_of(context, length, suite), sealed_of(FIELD, 300, suite)
    foreign_suite = sealed_of(context, length, Suite(3 - suite))
    assert len(small_reader(KEY, context, sealed.content)) == length

    attempts = all_attacks(sealed, [twin, cousin, foreign_suite], rng)
    tried, answered = attacks.survivors(small_reader, attempts)

    assert answered == []
    assert tried >= ENOUGH[context.kind]


ENOUGH = {Kind.AUDIO: 30_000, Kind.FIELD: 235_000, Kind.WRAPPED_KEY: 235_000}
"""Per suite: a million in all."""


class Untagged:
    """AES-GCM as somebody writes it who only wants the plaintext: counter mode, tag ignored."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        start = nonce + (2).to_bytes(4, "big")
        return Cipher(algorithms.AES(self._key), modes.CTR(start)).decryptor().update(sealed[:-TAG])


def careless(*, commitment=True, tags=True, knows_final=True, knows_index=True):
    """A reader of suite 2 that leaves out what is said to be left out, and nothing else."""

    def read(key, context, content):
        if len(content) < HEADER + TAG or content[:12] != expected_header(context):
            raise Tampered
        info = LABEL + content[:44] + context.encode()
        material = hkdf_expand_sha512(key, info, 88)
        if commitment and not hmac.compare_digest(material[56:], content[44:HEADER]):
            raise Tampered
        aead = AesGcm(material[:32]) if tags else Untagged(material[:32])
        body = content[HEADER:]
        chunks = [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]
        envelope = Envelope(content[:HEADER], aead, material[32:44])
        last = len(chunks) - 1
        return b"".join(
            first_that_opens(
                envelope,
                chunk,
                [index] if knows_index else range(4),
                [index == last] if knows_final else [False, True],
            )
            for index, chunk in enumerate(chunks)
        )

    return read


def expected_header(context):
    return b"VFE1" + bytes((2, context.kind, 0, HEADER, 0, 1, 0, 0))


def first_that_opens(envelope, chunk, indexes, finals):
    for index in indexes:
        for final in finals:
            try:
                return envelope.open(index, chunk, final=final)
            except CryptoError:
                continue
    raise Tampered


@pytest.mark.parametrize(
    "left_out", [{"commitment"}, {"tags"}, {"knows_final"}, {"knows_index"}, set()], ids=str
)
def test_the_game_catches_a_careless_reader(left_out):
    read = careless(**dict.fromkeys(left_out, False))
    sealed = sealed_of(AUDIO, 2 * CHUNK + 5, Suite.AES_GCM)
    twin = sealed_of(AUDIO, 2 * CHUNK + 5, Suite.AES_GCM)
    assert read(KEY, AUDIO, sealed.content) == open_whole(KEY, AUDIO, sealed.content)

    # Among the attempts are all that the vault's reader is tried with, but for their number.
    attempts = [
        *attacks.every_value_of(sealed, range(0, HEADER, 5)),
        *attacks.random_changes(sealed, 40, random.Random(1)),
        *attacks.lengths(sealed),
        *attacks.rearranged(sealed),
        *attacks.spliced(sealed, twin),
    ]
    _, answered = attacks.survivors(read, attempts)

    assert bool(answered) == bool(left_out)


def test_a_box_opens_for_its_receiver_and_its_context_alone():
    rng = random.Random(7)
    pair, stranger = SealingKeyPair.generate(), SealingKeyPair.generate()
    ctx, key = SLIP.encode(), SecretKey.random()
    box = seal_to(pair.public, ctx, key)
    assert open_sealed(pair, box, ctx) == key

    for at in range(len(box)):
        for bit in range(8):
            changed = bytearray(box)
            changed[at] ^= 1 << bit
            with pytest.raises(Tampered):
                open_sealed(pair, bytes(changed), ctx)
    for length in range(len(box)):
        with pytest.raises(Tampered):
            open_sealed(pair, box[:length], ctx)
    with pytest.raises(Tampered):
        open_sealed(stranger, box, ctx)
    for _, context in attacks.foreign(SLIP, 50, rng):
        with pytest.raises(WrongContext):
            open_sealed(pair, box, context.encode())
    for shifted in (ctx[:-1], ctx + b"\0", b"", ctx + key.expose()[:1]):
        with pytest.raises(WrongContext):
            open_sealed(pair, box, shifted)


def test_no_bad_chunk_gives_a_single_byte_of_plaintext():
    content = seal(KEY, AUDIO, bytes(2 * CHUNK + 5))
    damaged = bytearray(content)
    damaged[HEADER + 9] ^= 1
    opener = Opener(KEY, AUDIO, bytes(damaged[:HEADER]), len(damaged))
    start, stop = opener.span(opener.last)
    opener.open(opener.last, damaged[start:stop])
    for index in (0, 1, opener.last):  # once one failed, the sound ones stay shut too
        start, stop = opener.span(index)
        with pytest.raises(Tampered):
            opener.open(index, damaged[start:stop])


@pytest.mark.parametrize("cipher", [XChaCha, AesGcm])
def test_each_cipher_refuses_a_changed_tag(cipher):
    aead, nonce = cipher(KEY.expose()), bytes(24 if cipher is XChaCha else 12)
    sealed = aead.seal(nonce, b"place", b"plain")
    assert aead.open(nonce, b"place", sealed) == b"plain"
    for bad in (sealed[:-1] + bytes((sealed[-1] ^ 1,)), sealed[:TAG], sealed + b"\0"):
        with pytest.raises(Tampered):
            aead.open(nonce, b"place", bad)
    with pytest.raises(Tampered):
        aead.open(nonce, b"plaice", sealed)
