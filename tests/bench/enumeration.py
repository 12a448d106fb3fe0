"""Does the time of a refusal tell whether an access ID exists? Welch's t, unknown against known.

The throttles are open, or nothing would be measured; every try is another access ID. The grid
on which refusals leave is off in the first figure (the work itself) and on in the second (what
an attacker sees).
"""

import asyncio
import math
import random
import statistics
import tempfile
import time
from pathlib import Path

from tests.services.auth.access_world import OPEN_THROTTLES, a_world

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.store import CredentialState
from voicefile.auth.throttling.pin_pool import PinPool

KNOWN_T_MAX = 4.5
"""Beyond it the difference is no chance any more (TVLA's usual bound)."""
CREDENTIALS = 40
STATES = (CredentialState.ISSUED, CredentialState.FROZEN, CredentialState.EXPIRED)


def welch_t(one: list[float], other: list[float]) -> float:
    """Welch's t of two samples."""
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / math.sqrt(spread)


async def _measured(tries: int, directory: Path, *, grid_s: float) -> dict[str, list[float]]:
    settings = AccessSettings(refusals_every_s=grid_s)
    async with a_world(
        directory, settings=settings, limits=OPEN_THROTTLES, pool=PinPool()
    ) as world:
        world.doors.pace._sleep = asyncio.sleep
        world.doors.pace._now_s = time.monotonic
        tenant = await world.tenant()
        letters = [
            await world.letter(tenant, state=state, count=1 + number % 3)
            for number in range(CREDENTIALS)
            for state in STATES
        ]
        took: dict[str, list[float]] = {"unknown": [], **{state.value: [] for state in STATES}}
        kinds = [*STATES, None, None, None]
        dice = random.Random(1)
        async with world.client(world.public, peer="portal") as portal:
            for number in range(tries + 20):
                state = dice.choice(kinds)
                of_state = letters[STATES.index(state) :: len(STATES)] if state else []
                access_id = dice.choice(of_state).access_id if state else new_access_id()
                body = {"access_id": access_id, "pin": "00000000"}
                headers = {"Voicefile-Client-Address": f"10.{number % 256}.{number // 256}.1"}
                begun = time.perf_counter()
                answer = await portal.post("/v1/customer-sessions", json=body, headers=headers)
                lasted_ms = (time.perf_counter() - begun) * 1000
                assert answer.status_code == 401
                if number >= 20:  # the first ones load code and keys
                    took[state.value if state else "unknown"].append(lasted_ms)
        return took


def measure(tries: int = 2_000, *, grid_s: float = 0.0) -> dict[str, float]:
    """Welch's t of unknown against each kind of known, and the means in ms."""
    with tempfile.TemporaryDirectory() as directory:
        took = asyncio.run(_measured(tries, Path(directory), grid_s=grid_s))
    known = [each for kind, times in took.items() if kind != "unknown" for each in times]
    figures = {"t": welch_t(took["unknown"], known)}
    for kind, times in took.items():
        figures[f"{kind}_ms"] = statistics.fmean(times)
        if kind != "unknown":
            figures[f"t_{kind}"] = welch_t(took["unknown"], times)
    return figures


def main() -> None:
    """Prints the figures of the bare work and of what is seen from outside."""
    for name, grid_s, tries in (("work", 0.0, 2_000), ("answers", 0.1, 300)):
        figures = measure(tries, grid_s=grid_s)
        told = "  ".join(f"{key} {value:+.3f}" for key, value in figures.items())
        within = abs(figures["t"]) < KNOWN_T_MAX
        print(f"enumeration/{name}: {told}  {'ok' if within else 'TELLS'}")


if __name__ == "__main__":
    main()
