"""Canaries: values that must stand nowhere in clear, in every spelling they could stand in.

Short digit strings meet by chance in random bytes. The rule: no pattern is shorter than
`PATTERN_BYTES_MIN`, which leaves ten digits and more their packed forms (BCD takes five bytes),
so the vault under test issues PINs of ten digits. In 50 MB of random bytes 200 such patterns are
expected 0.01 times; longer ones not in a lifetime. Eight digits (birth dates, the demo's PIN) count
where no other digit stands beside them; one-time codes are too short to be told from anything.
"""

import base64
import binascii
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

PATTERN_BYTES_MIN = 5
INTEGER_DIGITS = range(10, 20)
VARINT_DIGITS_MIN = 11


@dataclass(frozen=True)
class Canary:
    """One value that somebody said, was told, or was recorded saying."""

    what: str
    value: str | bytes

    def patterns(self) -> Iterator[tuple[str, bytes]]:
        """Each encoding's name with bytes that would give the value away."""
        if isinstance(self.value, bytes):
            found = _of_bytes(self.value)
        else:
            found = (pattern for text in spellings(self.value) for pattern in _of_text(text))
        for encoding, pattern in found:
            if len(pattern) >= PATTERN_BYTES_MIN:
                yield encoding, pattern


def spellings(text: str) -> set[str]:
    """As typed, and as an index or a telephone network would normalise it."""
    found = {text, text.lower(), text.upper(), text.casefold(), "".join(text.split())}
    digits = "".join(sign for sign in text if sign.isascii() and sign.isdigit())
    if len(digits) >= 8 and len(digits) * 2 > len(text):
        found |= {digits, digits.lstrip("0")}
    if len(digits) == 12:
        found.add(f"{digits[:4]} {digits[4:8]} {digits[8:]}")
    return {each for each in found if each}


def encodings() -> set[str]:
    """The names of all encodings that are looked for, containers aside."""
    return {name for text in ("Käthe & Vögel 1234", "0123456789012") for name, _ in _of_text(text)}


def _of_bytes(raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "plain", raw
    yield "reversed", raw[::-1]
    yield "hex-lower", raw.hex().encode()
    yield "hex-upper", raw.hex().upper().encode()
    for shift in range(3):
        core = _base64_core(raw, shift)
        yield f"base64-{shift}", core
        yield f"base64url-{shift}", core.translate(bytes.maketrans(b"+/", b"-_"))
    for shift in range(5):
        yield f"base32-{shift}", _base32_core(raw, shift)


def _of_text(text: str) -> Iterator[tuple[str, bytes]]:
    plain = text.encode()
    for name, pattern in _of_bytes(plain):
        yield ("utf-8" if name == "plain" else name), pattern
    yield "utf-16-le", text.encode("utf-16-le")
    yield "utf-16-be", text.encode("utf-16-be")
    yield "utf-32-le", text.encode("utf-32-le")
    yield "latin-1", text.encode("latin-1", "replace")
    yield "url", quote(text, safe="").encode()
    yield "url-form", quote(text, safe=" ").replace(" ", "+").encode()
    yield "url-every-byte", "".join(f"%{byte:02X}" for byte in plain).encode()
    yield "json", json.dumps(text)[1:-1].encode()
    yield "json-every-sign", "".join(f"\\u{ord(sign):04x}" for sign in text).encode()
    yield "html", html.escape(text).encode()
    yield "html-every-sign", "".join(f"&#{ord(sign)};" for sign in text).encode()
    yield "python-bytes", repr(plain)[2:-1].encode()
    yield "quoted-printable", binascii.b2a_qp(plain, quotetabs=True)
    if text.isascii() and text.isdigit():
        yield from _of_digits(text)


def _of_digits(digits: str) -> Iterator[tuple[str, bytes]]:
    even = digits if len(digits) % 2 == 0 else digits[:-1]
    packed = bytes.fromhex(even)
    yield "bcd", packed
    # As telephone networks do it: the first digit in the lower half.
    yield "bcd-swapped", bytes((byte & 15) << 4 | byte >> 4 for byte in packed)
    if len(digits) in INTEGER_DIGITS:
        number = int(digits)
        yield "integer-be", number.to_bytes(8, "big")
        yield "integer-le", number.to_bytes(8, "little")
        if len(digits) >= VARINT_DIGITS_MIN:
            yield "varint", _varint(number)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _base64_core(raw: bytes, shift: int) -> bytes:
    """The signs that are the same whatever stands before and behind, at this alignment."""
    whole = base64.b64encode(bytes(shift) + raw)
    start = (shift * 8 + 5) // 6
    return whole[start : (shift + len(raw)) * 8 // 6]


def _base32_core(raw: bytes, shift: int) -> bytes:
    whole = base64.b32encode(bytes(shift) + raw)
    start = (shift * 8 + 4) // 5
    return whole[start : (shift + len(raw)) * 8 // 5]
