"""Guessing by telephone: a day of it, from many numbers, gains nothing and locks nobody out.

Form posts as an edge sends them, into real playback and auth, without the waiting between: a
million guesses are too many to be dialled. `VOICEFILE_FAULTS=long` makes a million from ten
thousand numbers on a hundred access IDs, and a thousand at a PIN's full cost; the default is a
sample of the same day, as dense in each hour as the whole.
"""

import asyncio
import os
import random
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest
from tests.services.auth.access_world import OPEN_THROTTLES, Clock
from tests.services.auth.quick_pins import quick_verifier
from tests.telephony.exchange import NUMBER, URL, Exchange, Forwarder, an_exchange

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.throttling.pin_pool import PinPool, Verifier
from voicefile.auth.throttling.throttle_policy import DAY_MS, SECOND_MS
from voicefile.auth.throttling.verifiers import pin_verifier

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
GUESSES = int(os.environ.get("VOICEFILE_GUESSES", "1000000" if LONG else "402"))
NUMBERS, IDS = (10_000, 100) if LONG else (200, 4)
FULL_COST = 1_336 if LONG else 16
AT_ONCE = 4
CALLS_AT_ONCE = 4 if LONG else 1
"""In a sample so much of the day passes between two guesses that no call may wait for others."""
DAY_S = DAY_MS / SECOND_MS
CHECKS_PER_ID_MAX = 15
"""By telephone; with the web's own budget at most thirty in any day."""
PER_CALL, PINS_PER_ID = 6, 3
"""As many as one call takes: whoever guesses makes the most of each."""
CUSTOMER_EVERY = 25 if LONG else 7
"""After so many rounds of calls, a customer's."""
pytestmark = pytest.mark.timeout(8 * 3_600 if LONG else 120)


@dataclass
class Counting:
    """Checks PINs, and knows when it did so for which credential."""

    verifier: Verifier
    now_s: Callable[[], float] = lambda: 0.0
    checked_ms: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_customers: bool = False

    def __call__(self, pepper, pin, *, tenant, credential, salt):
        if not self.by_customers:
            # Whole milliseconds, as throttles count: a day is as long here as there.
            self.checked_ms[credential].append(int(self.now_s() * SECOND_MS))
        return self.verifier(pepper, pin, tenant=tenant, credential=credential, salt=salt)

    def in_a_day(self, credential: str) -> int:
        """The most checks within any twenty-four hours."""
        times = sorted(self.checked_ms[credential])
        return max((sum(at - DAY_MS < each <= at for each in times) for at in times), default=0)

    @contextmanager
    def apart(self):
        """Around what customers do themselves."""
        self.by_customers = True
        yield
        self.by_customers = False


class StandingClock(Clock):
    """Moved by guesses alone: a wait for an answer takes nothing of anybody's day.

    So a day of guessing lasts a day, and a PIN is hashed in the moment its try was charged in.
    """

    async def sleep(self, seconds):
        """No time passes."""


@dataclass
class Robot:
    """One number that goes on guessing: a call of it ends when the dialogue ends it."""

    wire: httpx.AsyncBaseTransport
    """An edge keeps no cookies and follows nothing: a client would do that at each post."""
    number: str
    chance: random.Random
    call: str = ""
    asks: str = ""

    async def says(self, **keyed: str) -> None:
        form = {
            "session_id": self.call,
            "Caller-Caller-ID-Number": self.number,
            "Caller-Destination-Number": NUMBER,
        }
        answer = await self.wire.handle_async_request(httpx.Request("POST", URL, data=form | keyed))
        told = (await answer.aread()).decode()
        assert answer.status_code == 200, told
        asked = re.search(r'name="(id|pin|answer|key)"', told)
        self.asks = asked[1] if asked else ""

    async def reach_pin(self, access_id: str) -> None:
        """A call in which the PIN is asked for."""
        if self.asks == "pin":
            return
        if self.asks != "id":
            if self.call:
                await self.says(exiting="true")
            self.call = str(UUID(int=self.chance.getrandbits(128), version=4))
            await self.says()
        await self.says(id=f"{access_id}#")
        assert self.asks == "pin", "whatever the ID, it goes on like this"

    async def guesses(self, access_id: str, pin: str) -> bool:
        """Whether that opened anything."""
        await self.reach_pin(access_id)
        await self.says(pin=f"{pin}#")
        return self.asks in {"key", "answer"}

    async def hangs_up(self) -> None:
        await self.says(exiting="true")
        self.call = self.asks = ""

    async def signs_in(self, letter) -> bool:
        """A whole call of the customer's."""
        let_in = await self.guesses(letter.access_id, letter.pin)
        await self.hangs_up()
        return let_in


@dataclass
class Attack:
    """Numbers, and what they may gain."""

    exchange: Exchange
    chance: random.Random

    def robot(self, number: str) -> Robot:
        return Robot(Forwarder(self.exchange), number, self.chance)

    def wrong(self, letter) -> str:
        pin = f"{self.chance.randrange(10**8):08d}"
        return pin if pin != letter.pin else "1" + pin[1:]

    async def calls(self, robots, letters) -> int:
        """Calls at once that make the most of it; how many of their guesses opened anything."""
        opened = 0
        for guess in range(PER_CALL):
            self.exchange.world.clock.s += len(robots) * DAY_S / GUESSES
            if guess % PINS_PER_ID == 0:
                chosen = [self.chance.choice(letters) for _ in robots]
            tried = [
                robot.guesses(letter.access_id, self.wrong(letter))
                for robot, letter in zip(robots, chosen, strict=True)
            ]
            opened += sum(await asyncio.gather(*tried))
        await asyncio.gather(*(robot.hangs_up() for robot in robots))
        return opened


@pytest.fixture
def seed():
    chosen = os.environ.get("VOICEFILE_FAULTS_SEED") or secrets.token_hex(4)
    print(f"VOICEFILE_FAULTS_SEED={chosen}")
    return chosen


async def test_a_day_of_guessing_gains_fifteen_checks_of_an_id_and_locks_no_customer_out(
    tmp_path, seed
):
    counting = Counting(quick_verifier)
    pool = PinPool(verifier=counting)
    async with an_exchange(tmp_path, pool=pool, clock=StandingClock()) as exchange:
        exchange.looks, counting.now_s = False, exchange.world.clock
        attack = Attack(exchange, random.Random(seed))
        letters = [await exchange.letter(seconds=0.5) for _ in range(IDS)]
        customers = [attack.robot(f"+49170{n:07d}") for n in range(IDS)]
        for customer, letter in zip(customers, letters, strict=True):
            assert await customer.signs_in(letter)
        counting.checked_ms.clear()
        began_s = exchange.world.clock()
        robots = [attack.robot(f"+4930{n:08d}") for n in range(NUMBERS)]
        opened, served = 0, []
        for first in range(0, GUESSES // PER_CALL, CALLS_AT_ONCE):
            some = [robots[(first + n) % NUMBERS] for n in range(CALLS_AT_ONCE)]
            opened += await attack.calls(some, letters)
            if first // CALLS_AT_ONCE % CUSTOMER_EVERY == CUSTOMER_EVERY - 1:
                place = attack.chance.randrange(IDS)
                with counting.apart():
                    served.append(await customers[place].signs_in(letters[place]))
        checks = [counting.in_a_day(each.credential) for each in letters]
        print(
            f"guesses {GUESSES}, checked per ID and day {min(checks)} to {max(checks)}, "
            f"opened {opened}, customers served {sum(served)} of {len(served)}"
        )
        assert opened == 0
        assert exchange.world.clock() - began_s == pytest.approx(DAY_S, rel=0.02)
        assert max(checks) <= CHECKS_PER_ID_MAX
        assert min(checks) >= 3, "the attack was too weak to show anything"
        assert served
        assert all(served)
        newcomer = await exchange.letter(seconds=0.5)
        assert await attack.robot("+49891234567").signs_in(newcomer), "a first-time caller"


async def test_at_its_full_cost_a_flood_is_refused_and_a_known_caller_is_not(tmp_path, seed):
    counting = Counting(pin_verifier)
    pool = PinPool(verifier=counting)
    async with an_exchange(tmp_path, pool=pool) as exchange:
        exchange.looks = False
        attack = Attack(exchange, random.Random(seed))
        letter = await exchange.letter(seconds=0.5)
        customer = attack.robot("+491701234567")
        assert await customer.signs_in(letter)
        opened, took_s = 0, []

        async def heard() -> None:
            began_s = time.monotonic()
            assert await customer.signs_in(letter), "a known caller is let in throughout"
            took_s.append(time.monotonic() - began_s)

        for wave in range(FULL_COST // AT_ONCE):
            exchange.world.clock.s += AT_ONCE * DAY_S / FULL_COST
            robots = [attack.robot(f"+4930{wave:04d}{n:04d}") for n in range(AT_ONCE)]
            # IDs that nobody has cost the same, and each has a budget of its own.
            targets = [letter.access_id] + [new_access_id() for _ in robots[1:]]
            tried = [
                robot.guesses(target, attack.wrong(letter))
                for robot, target in zip(robots, targets, strict=True)
            ]
            *let, _ = await asyncio.gather(*tried, heard())
            opened += sum(let)
        hashed = sum(map(len, counting.checked_ms.values()))
        took_s.sort()
        print(
            f"{FULL_COST} at full cost, {hashed} hashed; "
            f"a known caller's PIN p95 {took_s[len(took_s) * 95 // 100]:.3f} s"
        )
        assert opened == 0
        assert hashed >= FULL_COST * (AT_ONCE - 1) // AT_ONCE


async def test_the_control_without_throttles_the_same_day_checks_every_guess(tmp_path, seed):
    counting = Counting(quick_verifier)
    pool = PinPool(verifier=counting)
    async with an_exchange(tmp_path, pool=pool, limits=OPEN_THROTTLES) as exchange:
        exchange.looks = False
        attack = Attack(exchange, random.Random(seed))
        letter = await exchange.letter(seconds=0.5)
        counting.checked_ms.clear()
        for n in range(40):
            robot = attack.robot(f"+4930{n:08d}")
            assert not await robot.guesses(letter.access_id, attack.wrong(letter))
        assert len(counting.checked_ms[letter.credential]) == 40
        refused = await exchange.world.told("CUSTOMER_SIGNED_IN")
        assert len(refused) == 40
