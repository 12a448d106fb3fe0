"""What a customer does with a telephone, up to the moment at which the recording is heard."""

import asyncio
import time

from tests.telephony.real.phone import Packet, Phone
from tests.telephony.real.timecode import Recording, Stretch, loud, stretches
from tests.telephony.real.vault import Customer

SHARED = "+49800123456"
"""A number that is nobody's own."""
QUIET_S = 1.0
"""Prompts have shorter breaks than that."""


async def until_silent(phone: Phone, *, within_s: float = 60.0) -> None:
    """Until somebody has said something and has come to an end of it."""
    since_s = time.perf_counter()
    ends_s = since_s + within_s
    while True:
        now_s = time.perf_counter()
        assert now_s < ends_s, "it does not stop speaking"
        assert not phone.over, "the edge has hung up"
        spoken = [each.at_s for each in phone.heard[-1500:] if each.at_s > since_s and loud(each)]
        if spoken and now_s - spoken[-1] > QUIET_S:
            return
        await asyncio.sleep(0.1)


async def signed_in(
    phone: Phone, customer: Customer, *, patient: bool = False, closed_by: str = "#"
) -> None:
    """Dials and keys both; `patient`: hears out what is said before."""
    assert await phone.dial(SHARED) == 200
    await until_asked(phone, patient=patient)
    await phone.press(f"{customer.access_id}{closed_by}")
    await until_asked(phone, patient=patient)
    await phone.press(f"{customer.pin}{closed_by}")


async def until_asked(phone: Phone, *, patient: bool = False) -> None:
    """Until a prompt is heard, or has been."""
    if patient:
        await until_silent(phone)
        return
    since_s = time.perf_counter()
    await heard_since(phone, since_s)


async def heard_since(phone: Phone, since_s: float, *, within_s: float = 15.0) -> Packet:
    """The first packet from then on that has sound in it."""
    ends_s = time.perf_counter() + within_s
    seen = 0
    while time.perf_counter() < ends_s:
        heard = phone.heard
        for packet in heard[seen:]:
            if packet.at_s > since_s and loud(packet):
                return packet
        seen = len(heard)
        assert not phone.over, "the edge has hung up"
        await asyncio.sleep(0.01)
    raise AssertionError(f"nothing heard within {within_s} s")


async def until_heard(
    phone: Phone, recording: Recording, seconds: float, *, within_s: float = 60.0
) -> Stretch:
    """Until so much of the recording was heard since now; the last stretch of it."""
    since_s = time.perf_counter()
    ends_s = since_s + within_s
    while time.perf_counter() < ends_s:
        fresh = [each for each in phone.heard if each.at_s > since_s]
        found = stretches(fresh, [recording])
        if found and found[-1].stop - found[-1].start >= seconds * 8000:
            return found[-1]
        assert not phone.over, "the edge has hung up"
        await asyncio.sleep(0.05)
    raise AssertionError(f"{recording.name} is not heard")
