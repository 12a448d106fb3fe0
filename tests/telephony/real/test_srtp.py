"""SRTP against the figures of RFC 3711, and against itself; a changed packet is refused."""

import base64
import struct

import pytest
from tests.telephony.real.srtp import Forged, Stream, derived, new_secret

# Appendix B.3.
KEY = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de4139")
SALT = bytes.fromhex("0ec675ad498afeebb6960b3aabe6")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, "c61e7a93744f39ee10734afe3ff7a087"),
        (1, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"),
        (2, "30cbbc08863d8c85d49db34a9ae1"),
    ],
)
def test_keys_are_derived_as_the_standard_shows(label, expected):
    assert derived(KEY, SALT, label, len(expected) // 2).hex() == expected


def test_packets_are_opened_over_the_end_of_their_numbers():
    secret = new_secret()
    there, here = Stream(secret), Stream(secret)
    for number in (65_534, 65_535, 0, 1):
        packet = rtp(number)
        sealed = there.sealed(packet)
        assert packet[12:] not in sealed
        assert here.opened(sealed) == packet


def test_a_changed_packet_is_refused():
    secret = base64.b64encode(KEY + SALT).decode()
    sealed = bytearray(Stream(secret).sealed(rtp(7)))
    sealed[-1] ^= 1
    with pytest.raises(Forged):
        Stream(secret).opened(bytes(sealed))


def rtp(number):
    return struct.pack(">BBHII", 0x80, 8, number, 160, 5) + bytes(range(160))
