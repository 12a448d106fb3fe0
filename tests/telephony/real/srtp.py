"""SRTP as RFC 3711 has it, of the one suite that calls here agree on: AES_CM_128_HMAC_SHA1_80.

Own code, as no library for it is among ours: what is wrong in it the switch's own SRTP refuses.
"""

import base64
import hashlib
import hmac
import os
import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
TAG_BYTES: Final = 10
HEADER_BYTES: Final = 12
_KEY_BYTES: Final = 16
_SALT_BYTES: Final = 14
_HALF: Final = 1 << 15
_ROUND: Final = 1 << 16


class Forged(Exception):
    """A packet that is not from whoever has the key."""


def new_secret() -> str:
    """Master key and salt, as a line of SDP has them."""
    return base64.b64encode(os.urandom(_KEY_BYTES + _SALT_BYTES)).decode()


class Stream:
    """One direction of one call, packet by packet."""

    def __init__(self, secret: str) -> None:
        master = base64.b64decode(secret)
        key, salt = master[:_KEY_BYTES], master[_KEY_BYTES : _KEY_BYTES + _SALT_BYTES]
        self._key = derived(key, salt, 0, 16)
        self._tag_key = derived(key, salt, 1, 20)
        self._salt = int.from_bytes(derived(key, salt, 2, _SALT_BYTES), "big") << 16
        self._last: int | None = None

    def sealed(self, packet: bytes) -> bytes:
        """Of a whole RTP packet with a header of twelve bytes."""
        index = self._index(packet)
        body = packet[:HEADER_BYTES] + self._crypted(packet, index)
        return body + self._tag(body, index)

    def opened(self, packet: bytes) -> bytes:
        """Raises Forged."""
        body, tag = packet[:-TAG_BYTES], packet[-TAG_BYTES:]
        index = self._index(body)
        if not hmac.compare_digest(self._tag(body, index), tag):
            raise Forged
        return body[:HEADER_BYTES] + self._crypted(body, index)

    def _index(self, packet: bytes) -> int:
        """The packet's number, with the rounds that its 16 bits don't tell."""
        number = int.from_bytes(packet[2:4], "big")
        if self._last is None:
            self._last = number
            return number
        rounds, last = divmod(self._last, _ROUND)
        if number - last > _HALF and rounds:
            rounds -= 1
        elif last - number > _HALF:
            rounds += 1
        index = rounds * _ROUND + number
        self._last = max(self._last, index)
        return index

    def _crypted(self, packet: bytes, index: int) -> bytes:
        source = int.from_bytes(packet[8:12], "big")
        counter = self._salt ^ (source << 64) ^ (index << 16)
        cipher = Cipher(algorithms.AES(self._key), modes.CTR(counter.to_bytes(16, "big")))
        return cipher.encryptor().update(packet[HEADER_BYTES:])

    def _tag(self, body: bytes, index: int) -> bytes:
        rounds = struct.pack(">I", index // _ROUND)
        return hmac.digest(self._tag_key, body + rounds, hashlib.sha1)[:TAG_BYTES]


def derived(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """A key of a stream: 0 encrypts, 1 signs, 2 is its salt."""
    counter = (int.from_bytes(salt, "big") ^ (label << 48)) << 16
    cipher = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big")))
    return cipher.encryptor().update(bytes(length))
