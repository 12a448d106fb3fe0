"""Ten thousand dialogues while playback restarts and auth is away now and then: who is not served?

A call in which the outage fell ends with an apology, and that is that; every other one is to be
served whole. `VOICEFILE_FAULTS=long` makes ten thousand of them, else some dozens.
"""

import os
import random
import secrets
from dataclasses import dataclass, field

import pytest
from tests.telephony.call import Call, End
from tests.telephony.exchange import Exchange, Trouble, an_exchange, keyed, reached

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
DIALOGUES = int(os.environ.get("VOICEFILE_DIALOGUES", "10000" if LONG else "24"))
LOST_SHARE_MAX = 1e-4
LETTERS = 100 if LONG else 6
EVERY, RESTART, OUTAGE = 10, 3, 7
"""Of so many dialogues playback restarts in this one, and in that one auth is away for a while."""
BETWEEN_S = 60.0
HEARD_WITHIN_S = 40
"""The recording and what is said before it."""
pytestmark = pytest.mark.timeout(8 * 3_600 if LONG else 120)


@dataclass
class Tally:
    served: int = 0
    hit: int = 0
    """Auth was away while they called."""
    restarted: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass
class Line:
    """A customer after the other, each with keys of their own."""

    exchange: Exchange
    client: object
    chance: random.Random
    tally: Tally = field(default_factory=Tally)

    async def dialogue(self, number: int, letter, caller: str) -> None:
        exchange, fault = self.exchange, {RESTART: self.restart, OUTAGE: self.outage}
        away = number % EVERY == OUTAGE
        falls = self.chance.randrange(4)
        async with exchange.call(self.client, caller=caller) as call:
            for step, name in enumerate(("id", "pin", "key", "key")):
                await reached(call, lambda name=name: call.asks == name)
                if step == falls:
                    await fault.get(number % EVERY, self.nothing)()
                await self.step(call, step, letter)
            await reached(call, lambda: call.ended is not None)
        exchange.auth.trouble = Trouble.NONE
        whole = exchange.sound[letter.recordings[0]]
        fine = (call.ended, call.apology) == (End.SERVICE, None)
        if away:
            # Nothing is worse than an apology: the dialogue's, or the edge's for want of a sound.
            assert call.ended in {End.SERVICE, End.APOLOGY}, call.ended
            self.tally.hit += 1
        elif fine and whole in call.pcm:
            self.tally.served += 1
        else:
            self.tally.lost.append(f"{call.ended} {call.apology} {call.now_s}")

    async def step(self, call: Call, step: int, letter) -> None:
        if step == 0:
            await keyed(call, "id", letter.access_id)
        elif step == 1:
            if self.chance.random() < 0.1:
                await keyed(call, "pin", "00000000")
                await reached(call, lambda: call.asks == "pin")
            await keyed(call, "pin", letter.pin)
        elif step == 2:
            await call.wait(self.chance.choice([0.5, 2.0]))
            await call.press(self.chance.choice(["", "5", "8", "44", "7"]))
            await call.wait(1)
            await call.press(self.chance.choice(["2", "52"]))
        else:
            for _ in range(HEARD_WITHIN_S):
                await call.wait(1)
                if call.ended is not None or self.exchange.sound[letter.recordings[0]] in call.pcm:
                    break
            await call.press("#")

    async def nothing(self) -> None:
        pass

    async def outage(self) -> None:
        chosen = [each for each in Trouble if each is not Trouble.NONE]
        self.exchange.auth.trouble = self.chance.choice(chosen)

    async def restart(self) -> None:
        self.tally.restarted += 1
        if self.chance.random() < 0.5:
            self.exchange.restart()
        else:
            await self.exchange.stop()


@pytest.fixture
def seed():
    chosen = os.environ.get("VOICEFILE_FAULTS_SEED") or secrets.token_hex(4)
    print(f"VOICEFILE_FAULTS_SEED={chosen}")
    return chosen


async def test_of_dialogues_among_restarts_and_outages_none_is_lost(tmp_path, seed):
    async with an_exchange(tmp_path, instances=2) as exchange:
        exchange.looks, exchange.alternately = False, True
        letters = [await exchange.letter(seconds=6) for _ in range(LETTERS)]
        async with exchange.client() as client:
            line = Line(exchange, client, random.Random(seed))
            for number in range(DIALOGUES):
                place = number % LETTERS
                # Known callers, as most are: strangers have their budgets, elsewhere shown.
                await line.dialogue(number, letters[place], f"+49170{place:07d}")
                exchange.world.clock.s += BETWEEN_S
        tally = line.tally
        print(
            f"{DIALOGUES} dialogues, {tally.restarted} with a restart, {tally.hit} in an outage, "
            f"{tally.served} served, {len(tally.lost)} lost"
        )
        assert tally.restarted
        assert tally.hit
        assert len(tally.lost) <= LOST_SHARE_MAX * DIALOGUES, tally.lost[:3]
