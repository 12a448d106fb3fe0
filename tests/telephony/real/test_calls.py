"""Real calls: FreeSWITCH as deploy/freeswitch has it, SIPS and SRTP, keys, and what is heard."""

import asyncio
import math
import statistics

import pytest
from tests.telephony.real.asked_for import asked_for
from tests.telephony.real.caller import (
    SHARED,
    heard_since,
    signed_in,
    until_asked,
    until_heard,
    until_silent,
)
from tests.telephony.real.phone import Phone
from tests.telephony.real.timecode import Recording, stretches

from voicefile.auth.issuing.access_id import new_access_id

pytestmark = asked_for
EXACT_S = 0.05
ALIKE_S = 0.05
TRIES = 6


@pytest.fixture(scope="module", autouse=True)
def known(vault):
    """One more than are told wrong PINs; at the start, as a partner's token lasts for minutes."""
    return [vault.customer(Recording(f"known {n}", 5)) for n in range(TRIES + 1)]


@pytest.fixture(scope="module", autouse=True)
def long(vault):
    return vault.customer(Recording("long", 150))


@pytest.fixture(scope="module", autouse=True)
def other(vault):
    return vault.customer(Recording("other", 20))


@pytest.mark.parametrize("info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_a_caller_hears_the_right_seconds_of_the_right_recording(edge, long, other, info):
    async with Phone(edge, "+49301000001", info=info) as phone:
        await signed_in(phone, long)
        at = await until_heard(phone, long.recording, 12)
        assert at.start == 0
        for key, step_s in [("6", 10), ("3", 60), ("4", -10), ("1", -60), ("2", -math.inf)]:
            before = (await until_heard(phone, long.recording, 2)).stop_s
            after = await jumped(phone, long.recording, key)
            heard_until = max(each.stop_s for each in all_of(phone, long) if each.at_s < after.at_s)
            expected = max(0.0, last_before(phone, long, after) + step_s)
            assert abs(after.start_s - expected) <= EXACT_S, (key, before, heard_until)
        # To its end, and then on until nobody says anything any more.
        await phone.press("3")
        await phone.press("3")
        await phone.press("#")
        await phone.until_over(60)
    assert stretches(phone.heard, [other.recording]) == []
    assert "apology" not in edge.log


@pytest.mark.parametrize("info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_id_and_pin_may_be_left_open(edge, other, info):
    async with Phone(edge, "+49301000006", info=info) as phone:
        await signed_in(phone, other, closed_by="")
        at = await until_heard(phone, other.recording, 2)
        assert at.start == 0


async def test_a_pause_goes_on_where_it_was(edge, long):
    async with Phone(edge, "+49301000002") as phone:
        await signed_in(phone, long)
        for _ in range(3):
            await until_heard(phone, long.recording, 3)
            await phone.press("5")
            paused = await quiet(phone, long.recording)
            goes_on = await jumped(phone, long.recording, "5")
            assert abs(goes_on.start_s - paused) <= EXACT_S


def all_of(phone, customer):
    return stretches(phone.heard, [customer.recording])


def last_before(phone, customer, stretch):
    """Where the recording stood when it was last heard before that stretch."""
    return next(
        each.stop_s for each in reversed(all_of(phone, customer)) if each.at_s < stretch.at_s
    )


async def jumped(phone, recording, key):
    """The stretch that begins when the key is pressed; it may begin before it is let go."""
    known = len(stretches(phone.heard, [recording]))
    await phone.press(key)
    async with asyncio.timeout(30):
        while True:
            found = stretches(phone.heard, [recording])
            if len(found) > known:
                return found[-1]
            await asyncio.sleep(0.05)


async def quiet(phone, recording):
    """Where the recording stands once it is heard no more, and the words after it are over."""
    await until_silent(phone)
    return stretches(phone.heard, [recording])[-1].stop_s


# ---- who is refused ----


async def test_what_is_not_encrypted_is_refused(edge):
    async with Phone(edge, "+49301000003", encrypted=False) as phone:
        assert await phone.dial(SHARED) == 488
    with pytest.raises((ConnectionError, AssertionError)):
        async with Phone(edge, "+49301000003", secure=False) as phone:
            await phone.dial(SHARED)
    async with Phone(edge, "+49301000003") as phone:
        assert await phone.dial(SHARED) == 200


async def test_what_goes_over_the_wire_is_noise(edge, other):
    async with Phone(edge, "+49301000004") as phone:
        await signed_in(phone, other)
        await until_heard(phone, other.recording, 3)
        wire = b"".join(raw[12:] for _, raw in phone.raw)
    assert other.recording.alaw[8_000:8_024] not in wire
    counts = [wire.count(bytes([n])) / len(wire) for n in range(256)]
    bits = -sum(share * math.log2(share) for share in counts if share)
    assert bits > 7.95


async def test_somebody_elses_address_is_refused(edge):
    async with Phone(edge, "+49301000005", near="127.0.0.2") as phone:
        assert await phone.dial(SHARED) == 403


# ---- who is not let in ----


async def test_unknown_id_wrong_pin_and_locked_id_sound_and_last_alike(edge, known):
    *known, locked = known
    ids = {
        "unknown": lambda n: (new_access_id(), "12345678"),
        "wrong": lambda n: (known[n].access_id, wrong(known[n].pin)),
        "locked": lambda n: (locked.access_id, locked.pin),
    }
    waits, sounds = {kind: [] for kind in ids}, set()
    for n in range(TRIES):
        # Anew each time: what locks it first are pauses, of half a minute and of two.
        async with Phone(edge, f"+4930200000{n}") as phone:
            await refused(phone, locked.access_id, wrong(locked.pin), times=3)
        for kind, keyed in reversed(ids.items()):
            async with Phone(edge, f"+49302{n}{len(kind)}0000") as phone:
                [(wait_s, sound)] = await refused(phone, *keyed(n))
            waits[kind].append(wait_s)
            sounds.add(sound)
    print({kind: [round(each * 1000) for each in sorted(told)] for kind, told in waits.items()})
    assert len(sounds) == 1
    medians = [statistics.median(told) for told in waits.values()]
    assert max(medians) - min(medians) <= ALIKE_S


def wrong(pin):
    return f"{(int(pin) + 1) % 10 ** len(pin):0{len(pin)}d}"


async def refused(phone, access_id, pin, *, times=1):
    """How long it took until something was said of each PIN, and what was said."""
    assert await phone.dial(SHARED) == 200
    await until_asked(phone)
    await phone.press(f"{access_id}#")
    found = []
    await until_asked(phone)
    for _ in range(times):
        # What is said of a wrong PIN ends with the question for the next one.
        await phone.press(pin)
        await phone.press("#", gap_s=0)
        keyed_s = phone.let_go_s
        first = await heard_since(phone, keyed_s)
        await until_silent(phone)
        words = [each.sound for each in phone.heard if each.at_s >= first.at_s]
        while words and not loud_sound(words[-1]):
            words.pop()
        found.append((first.at_s - keyed_s, b"".join(words)))
    return found


def loud_sound(sound):
    return any((byte ^ 0x55) & 0x7F > 16 for byte in sound)
