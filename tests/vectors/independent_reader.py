"""VFE1 once more, from docs/sealed-format.md alone: the vault's own code is not used here.

Whoever wants to read sealed recordings without our software can start from this file. It takes
each cipher from the library the vault does not use for it: ChaCha20 from `cryptography`, with
XChaCha20's first step (HChaCha20) written out, AES-GCM from libsodium (`pynacl`; only processors
with AES instructions have it). Run as a program, it says whether it agrees with vfe1.json.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from nacl import bindings, exceptions

CHUNK, TAG, HEADER = 65536, 16, 76
FIXED = ">4sBBHI"  # magic, suite, kind, header length, chunk size
WORDS = 0xFFFFFFFF


class Refused(Exception):
    """The text is the reason, one of those in docs/sealed-format.md."""


def hchacha20(key, nonce16):
    """draft-irtf-cfrg-xchacha-03, section 2.2."""
    state = [
        *struct.unpack("<4I", b"expand 32-byte k"),
        *struct.unpack("<8I", key),
        *struct.unpack("<4I", nonce16),
    ]

    def mix(a, b, c, d):
        for one, other, third, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[one] = (state[one] + state[other]) & WORDS
            turned = state[third] ^ state[one]
            state[third] = (turned << left | turned >> (32 - left)) & WORDS

    for _ in range(10):
        for column in range(4):
            mix(column, column + 4, column + 8, column + 12)
        for row in range(4):
            mix(row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


class XChaCha:
    def __init__(self, key):
        self.key, self.subkeys = key, {}

    def at(self, nonce):
        if nonce[:16] not in self.subkeys:
            self.subkeys[nonce[:16]] = ChaCha20Poly1305(hchacha20(self.key, nonce[:16]))
        return self.subkeys[nonce[:16]], bytes(4) + nonce[16:]

    def encrypt(self, nonce, plain, aad):
        cipher, short = self.at(nonce)
        return cipher.encrypt(short, plain, aad)

    def decrypt(self, nonce, sealed, aad):
        cipher, short = self.at(nonce)
        return cipher.decrypt(short, sealed, aad)


class Aes:
    def __init__(self, key):
        self.key = key

    def encrypt(self, nonce, plain, aad):
        return bindings.crypto_aead_aes256gcm_encrypt(plain, aad, nonce, self.key)

    def decrypt(self, nonce, sealed, aad):
        try:
            return bindings.crypto_aead_aes256gcm_decrypt(sealed, aad, nonce, self.key)
        except exceptions.CryptoError:
            raise InvalidTag from None


def aes(key):
    try:
        bindings.crypto_aead_aes256gcm_encrypt(b"", b"", bytes(12), key)
    except exceptions.UnavailableError:
        return AESGCM(key)
    return Aes(key)


def encoded(context):
    """`context` is a dict: deployment, tenant, object_id, wrapping_key in hex; kind a number."""
    fields = [
        (1, bytes.fromhex(context["deployment"])),
        (2, bytes.fromhex(context["tenant"])),
        (3, bytes.fromhex(context["object_id"])),
        (4, bytes([context["kind"]])),
    ]
    if context["kind"] == 2:
        fields.append((5, bytes.fromhex(context["wrapping_key"])))
    return b"".join(struct.pack(">BI", tag, len(value)) + value for tag, value in fields)


def schedule(key, context, salted):
    info = b"voicefile/vfe1\x00" + salted + encoded(context)
    okm = HKDFExpand(algorithm=SHA512(), length=88, info=info).derive(key)
    if salted[4] == 2:
        return aes(okm[:32]), okm[32:44], okm[56:]
    return XChaCha(okm[:32]), okm[32:56], okm[56:]


def placed(nonce, index, final):
    low = int.from_bytes(nonce[-8:], "big") ^ index
    return nonce[:-8] + low.to_bytes(8, "big"), struct.pack(">QB", index, final)


def seal(key, context, plain, suite, salt=None):
    salted = struct.pack(FIXED, b"VFE1", suite, context["kind"], HEADER, CHUNK)
    salted += salt or os.urandom(32)
    cipher, base, commitment = schedule(key, context, salted)
    out = [salted, commitment]
    full = len(plain) // CHUNK
    for index in range(full + 1):
        nonce, aad = placed(base, index, index == full)
        out.append(cipher.encrypt(nonce, plain[index * CHUNK : (index + 1) * CHUNK], aad))
    return b"".join(out)


def opened(key, context, sealed):
    """The plaintext, or Refused."""
    if len(sealed) < HEADER:
        raise Refused("size")
    magic, suite, kind, header, chunk = struct.unpack_from(FIXED, sealed)
    exact = (
        ("magic", magic == b"VFE1"),
        ("suite", suite in (1, 2)),
        ("kind", kind == context["kind"]),
        ("header-length", header == HEADER),
        ("chunk-size", chunk == CHUNK),
    )
    for reason, holds in exact:
        if not holds:
            raise Refused(reason)
    cipher, base, commitment = schedule(key, context, sealed[:44])
    if not hmac.compare_digest(commitment, sealed[44:76]):
        raise Refused("commitment")
    full, rest = divmod(len(sealed) - HEADER, CHUNK + TAG)
    small = kind not in (1, 4)
    if rest < TAG or full >= 2**32 or (small and full) or (kind == 2 and rest != 32 + TAG):
        raise Refused("size")

    def chunk_at(index, reason):
        nonce, aad = placed(base, index, index == full)
        start = HEADER + index * (CHUNK + TAG)
        try:
            return cipher.decrypt(nonce, sealed[start : start + CHUNK + TAG], aad)
        except InvalidTag:
            raise Refused(reason) from None

    last = chunk_at(full, "last-chunk")
    return b"".join([*(chunk_at(index, "chunk") for index in range(full)), last])


def sealed_bytes(case, objects):
    """A case's sealed bytes: an object, changed by its edits in their order."""
    sealed = bytearray(base64.b64decode(objects[case["object"]]["sealed"]))
    for edit in case["edits"]:
        if edit["op"] == "xor":
            sealed[edit["at"]] ^= edit["with"]
        elif edit["op"] == "cut":
            del sealed[edit["from"] : edit["to"]]
        else:  # insert: zeros, or a piece of an object
            piece = bytes(edit.get("zeros", 0))
            if "object" in edit:
                other = base64.b64decode(objects[edit["object"]]["sealed"])
                piece = other[edit["from"] : edit["to"]]
            sealed[edit["at"] : edit["at"]] = piece
    return bytes(sealed)


def agrees(case, objects):
    """Whether this reader answers what the case says it must."""
    key = bytes.fromhex(case["key"])
    try:
        plain = opened(key, case["context"], sealed_bytes(case, objects))
    except Refused as refused:
        return case.get("refused") == str(refused)
    found = {"bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    return case.get("plaintext") == found


if __name__ == "__main__":
    vectors = json.loads(Path(__file__).with_name("vfe1.json").read_text())
    wrong = [case["id"] for case in vectors["cases"] if not agrees(case, vectors["objects"])]
    print(f"{len(vectors['cases'])} cases, {len(wrong)} disagreements {wrong}")
    sys.exit(bool(wrong))
