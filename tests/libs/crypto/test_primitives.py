"""The algorithms do what their papers say: published vectors, or a second library."""

import collections

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from voicefile.crypto import primitives
from voicefile.crypto.errors import Malformed, Tampered, WrongContext
from voicefile.crypto.secret import SecretKey

key_bytes = st.binary(min_size=32, max_size=32)


def test_xchacha_gives_the_drafts_example():
    """draft-irtf-cfrg-xchacha-03, A.3.1."""
    key = bytes(range(0x80, 0xA0))
    nonce = bytes(range(0x40, 0x58))
    aad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    sealed = bytes.fromhex(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49"
    )
    assert primitives.XChaCha(key).seal(nonce, aad, plain) == sealed
    assert primitives.XChaCha(key).open(nonce, aad, sealed) == plain


def test_aes_gcm_gives_the_specifications_example():
    """McGrew and Viega, test case 16."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    sealed = bytes.fromhex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )
    assert primitives.AesGcm(key).seal(nonce, aad, plain) == sealed
    assert primitives.AesGcm(key).open(nonce, aad, sealed) == plain


@pytest.mark.skipif(
    not primitives.aes_in_hardware(), reason="libsodium refuses AES on this processor"
)
@given(key_bytes, st.binary(min_size=12, max_size=12), st.binary(max_size=9), st.binary())
def test_aes_gcm_is_the_same_in_libsodium(key, nonce, aad, plain):
    sealed = sodium.crypto_aead_aes256gcm_encrypt(plain, aad, nonce, key)
    assert primitives.AesGcm(key).seal(nonce, aad, plain) == sealed
    assert primitives.AesGcm(key).open(nonce, aad, sealed) == plain


@given(key_bytes, st.binary(max_size=300), st.integers(1, 300))
def test_hkdf_is_the_one_of_the_rfc(key, info, length):
    expected = HKDFExpand(algorithm=SHA512(), length=length, info=info).derive(key)
    assert primitives.hkdf_expand_sha512(SecretKey(key), info, length) == expected


def test_hkdf_refuses_what_it_cannot_give():
    for length in (0, 255 * 64 + 1):
        with pytest.raises(Malformed):
            primitives.hkdf_expand_sha512(SecretKey.random(), b"", length)


def test_hmac_and_sha_give_the_rfcs_examples():
    """RFC 4231, case 1 with its key padded by zeros (as HMAC itself does); FIPS 180-4's abc."""
    key = SecretKey(b"\x0b" * 20 + bytes(12))
    assert primitives.hmac_sha512(key, b"Hi There").hex().startswith("87aa7cdea5ef619d4ff0b4241a1d")
    assert primitives.sha256(b"abc").hex().startswith("ba7816bf8f01cfea414140de5dae2223")


def test_argon2_is_the_one_of_the_rfc():
    salt = bytes(range(16))
    other = Argon2id(salt=salt, length=32, iterations=2, lanes=1, memory_cost=19 * 1024)
    assert primitives.argon2id(b"12345678", salt) == other.derive(b"12345678")
    with pytest.raises(Malformed):
        primitives.argon2id(b"12345678", salt[:8])


def test_digits_are_uniform():
    drawn = collections.Counter(primitives.random_digits(1) for _ in range(20_000))
    assert set(drawn) == set("0123456789")
    # Nine degrees of freedom: above 40 once in 10⁵ runs.
    assert sum((n - 2000) ** 2 / 2000 for n in drawn.values()) < 40
    assert len(primitives.random_digits(10)) == 10
    with pytest.raises(Malformed):
        primitives.random_digits(0)


def test_small_numbers_keep_their_zeros():
    assert any(primitives.random_digits(2).startswith("0") for _ in range(500))


def test_a_signature_verifies_in_another_library():
    seed = SecretKey.random()
    key = primitives.SigningKey.from_seed(seed)
    other = Ed25519PrivateKey.from_private_bytes(seed.expose())
    assert key.public == other.public_key().public_bytes_raw()
    assert key.sign(b"receipt") == other.sign(b"receipt")
    primitives.verify(key.public, b"receipt", key.sign(b"receipt"))


def test_a_changed_signature_does_not_verify():
    key, stranger = primitives.SigningKey.generate(), primitives.SigningKey.generate()
    signature = key.sign(b"receipt")
    for public, message, claimed in (
        (key.public, b"receipts", signature),
        (stranger.public, b"receipt", signature),
        (key.public, b"receipt", stranger.sign(b"receipt")),
        (key.public, b"receipt", signature[:-1]),
        (key.public, b"receipt", signature + b"\0"),
        (key.public, b"receipt", b""),
        (key.public[:-1], b"receipt", signature),
        (bytes(32), b"receipt", bytes(64)),
        *(
            (
                key.public,
                b"receipt",
                signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :],
            )
            for at in range(64)
        ),
    ):
        with pytest.raises(Tampered):
            primitives.verify(public, message, claimed)


def test_a_sealing_pair_is_x25519():
    secret = SecretKey.random()
    other = X25519PrivateKey.from_private_bytes(secret.expose())
    pair = primitives.SealingKeyPair.from_secret(secret)
    assert pair.public == other.public_key().public_bytes_raw()


def test_a_text_reaches_the_letter_shop_and_nobody_else():
    shop = primitives.SealingKeyPair.generate()
    box = primitives.seal_text_to(shop.public, b"context", b"48151623")
    assert primitives.open_text(shop, box, b"context") == b"48151623"
    with pytest.raises(WrongContext):
        primitives.open_text(shop, box, b"another")
    with pytest.raises(WrongContext):
        primitives.open_sealed(shop, box, b"context")
    with pytest.raises(Tampered):
        primitives.open_text(primitives.SealingKeyPair.generate(), box, b"context")


def test_the_same_box_is_never_made_twice():
    shop, key = primitives.SealingKeyPair.generate(), SecretKey.random()
    boxes = {primitives.seal_to(shop.public, b"context", key) for _ in range(20)}
    assert len(boxes) == 20


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)])
def test_nothing_is_sealed_to_what_is_no_key(public):
    """Among them points of small order: a box to them would open for everybody."""
    with pytest.raises(Malformed):
        primitives.seal_to(public, b"context", SecretKey.random())


def test_comparing_says_the_truth():
    assert primitives.constant_time_equal(b"same", b"same")
    assert not primitives.constant_time_equal(b"same", b"sane")
    assert not primitives.constant_time_equal(b"same", b"sam")
