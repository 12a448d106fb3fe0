"""A client that does what the partner guide says when there is no answer: the same again, later.

No connection, a connection that broke, 503, 507, 429: the same request once more, an upload with
the same Idempotency-Key, after `Retry-After` or a little longer each time. Anything else is an
answer.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

LATER = {429, 503, 507}
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 2.0
GIVES_UP_S = 60.0

Ask = Callable[[], Awaitable[httpx.Response]]


@dataclass
class StandardClient:
    """Asks until it is told; counts what it took."""

    gives_up_s: float = GIVES_UP_S
    chance: random.Random = field(default_factory=random.Random)
    retried: Counter = field(default_factory=Counter)
    """By what was wrong: a status, or the name of an error."""
    asked: int = 0
    failed: list[str] = field(default_factory=list)
    """What was given up, in the words of the last try."""
    slowest_s: float = 0.0

    async def ask(self, ask: Ask) -> httpx.Response | None:
        """The answer; None when there was none in all that time."""
        self.asked += 1
        began_s, pause_s, why = time.monotonic(), PAUSE_FIRST_S, ""
        while time.monotonic() - began_s < self.gives_up_s:
            try:
                answer = await ask()
            except httpx.TransportError as error:
                why, wait_s = type(error).__name__, pause_s
            else:
                if answer.status_code not in LATER:
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
                    return answer
                why = str(answer.status_code)
                wait_s = min(float(answer.headers.get("Retry-After", pause_s)), PAUSE_MAX_S)
            self.retried[why] += 1
            await asyncio.sleep(self.chance.uniform(wait_s / 2, wait_s))
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
        self.failed.append(why)
        return None
