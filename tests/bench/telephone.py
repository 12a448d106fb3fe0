"""Real calls: the first sound after the PIN, and a hundred calls beside the same switch alone.

Needs an installed FreeSWITCH 1.10 or newer; says so where there is none.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import uvloop
from tests.bench.figures import Row, quantile, usage
from tests.bench.vault import folder
from tests.telephony.real.caller import (
    SHARED,
    heard_since,
    signed_in,
    until_asked,
    until_heard,
)
from tests.telephony.real.edge import SHIPPED, Edge, NotHere, running, switch
from tests.telephony.real.phone import PACKET_S, Phone
from tests.telephony.real.timecode import Recording
from tests.telephony.real.vault import Customer, Vault, vault_in

CALLS_UP = 50
PINS_A_SECOND = 5
PINS = 120
FIRST_SOUND_MS_MAX = 300
CALLS = 100
SECONDS = 30
LONG_S = 400
SWITCH, FORWARDER = "freeswitch", "nginx"
HTTAPI = '<action application="httapi" data="{httapi_profile=telephone}"/>'


def measure() -> list[Row]:
    try:
        switch()
    except NotHere as why:
        return [Row(f"NOT RUN: {why}", [0], "")]
    with folder() as scratch:
        vault = vault_in(scratch / "var")
        with vault.up(companies=1):
            who = [vault.customer(Recording(f"bench {n}", LONG_S)) for n in range(4)]
            alone = _alone(scratch, vault, who[0].recording)
            with running(scratch / "edge", vault=vault.edges, service=vault.telephone) as edge:
                many = uvloop.run(_many(edge, vault, who))
                first_ms = uvloop.run(_first_sounds(edge, who))
    return [*_first_rows(first_ms), *_many_rows(alone, many)]


def _first_rows(first_ms: list[float]) -> list[Row]:
    slow = quantile(first_ms, 0.99)
    return [
        Row(f"first sound after the PIN, {CALLS_UP} calls up", first_ms, "ms"),
        Row(
            f"  p99 of these {len(first_ms)}",
            [slow],
            "ms",
            promise=f"<= {FIRST_SOUND_MS_MAX} ms",
            kept=slow <= FIRST_SOUND_MS_MAX,
        ),
    ]


@dataclass
class Load:
    """What so many calls took, and what came of their packets."""

    switch: float
    """Cores."""
    service: float = 0.0
    forwarder: float = 0.0
    lost: int = 0
    packets: int = 0
    gaps_ms: list[float] = field(default_factory=list)


def _many_rows(alone: Load, many: Load) -> list[Row]:
    def late(load: Load) -> float:
        return quantile(load.gaps_ms, 0.99)

    plain = "a local file"
    return [
        Row(f"cores of the switch, {CALLS} calls", [many.switch], "", alone.switch, plain),
        Row("  of the forwarder", [many.forwarder], ""),
        Row("  of the whole embedded vault, one process", [many.service], ""),
        Row("  between two packets, p99", [late(many)], "ms", late(alone), plain),
        Row("  the longest", [max(many.gaps_ms)], "ms", max(alone.gaps_ms), plain),
        Row(
            f"  packets lost of {many.packets:,}",
            [many.lost],
            "",
            of=f"{alone.lost} of {alone.packets:,} by {plain}",
            promise="none",
            kept=many.lost == 0,
        ),
    ]


# ---- a hundred calls ----


def _alone(scratch: Path, vault: Vault, recording: Recording) -> Load:
    """The same switch and calls, but a file of its own instead of a dialogue."""
    shipped = shutil.copytree(SHIPPED, scratch / "alone")
    file = shipped / "sounds" / "local.wav"
    file.write_bytes(recording.wav)
    dialplan = shipped / "conf" / "dialplan" / "provider.xml"
    text = dialplan.read_text()
    assert HTTAPI in text
    plays = f'<action application="playback" data="{file}"/>'
    dialplan.write_text(text.replace(HTTAPI, plays))
    with running(
        scratch / "plain", vault=vault.edges, service=vault.telephone, shipped=shipped
    ) as edge:
        return uvloop.run(_loaded(edge, None, lambda phone, _: _dialled(phone)))


async def _dialled(phone: Phone) -> None:
    assert await phone.dial(SHARED) == 200


async def _many(edge: Edge, vault: Vault, who: Sequence[Customer]) -> Load:
    async def listens(phone: Phone, number: int) -> None:
        customer = who[number % len(who)]
        await signed_in(phone, customer)
        await until_heard(phone, customer.recording, 1)

    return await _loaded(edge, vault, listens)


async def _loaded(
    edge: Edge, vault: Vault | None, begins: "Callable[[Phone, int], object]"
) -> Load:
    async with _up(edge, CALLS, begins) as phones:
        # Those alone: what `start` looks after them with comes and goes.
        family = edge.family()
        watched = {name: [pid for pid, of in family if of == name] for name in (SWITCH, FORWARDER)}
        before = {name: _cpu_s(each) for name, each in watched.items()}
        served_s = vault.process.usage.cpu_s if vault else 0.0
        begun_s = time.perf_counter()
        await asyncio.sleep(SECONDS)
        took_s = time.perf_counter() - begun_s
        cores = {name: (_cpu_s(each) - before[name]) / took_s for name, each in watched.items()}
        served = (vault.process.usage.cpu_s - served_s) / took_s if vault else 0.0
        load = Load(cores[SWITCH], served, cores[FORWARDER])
    for phone in phones:
        _count(load, phone, begun_s, begun_s + took_s)
    return load


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(usage(pid).cpu_s for pid in pids)


def _count(load: Load, phone: Phone, since_s: float, until_s: float) -> None:
    came = [(at_s, int.from_bytes(raw[2:4], "big")) for at_s, raw in phone.raw]
    came = [each for each in came if since_s <= each[0] < until_s]
    numbers = {(number - came[0][1]) & 0xFFFF for _, number in came}
    load.packets += len(numbers)
    load.lost += max(numbers) + 1 - len(numbers)
    load.gaps_ms += [(after - before) * 1000 for (before, _), (after, _) in pairwise(came)]


@asynccontextmanager
async def _up(
    edge: Edge, count: int, begins: "Callable[[Phone, int], object]"
) -> AsyncIterator[list[Phone]]:
    async with AsyncExitStack() as calls:
        phones = []
        async with asyncio.TaskGroup() as dialling:
            for number in range(count):
                phone = await calls.enter_async_context(Phone(edge, f"+49305{number:06d}"))
                phones.append(phone)
                dialling.create_task(begins(phone, number))
                await asyncio.sleep(1 / PINS_A_SECOND)
        yield phones


# ---- the first sound ----


async def _first_sounds(edge: Edge, who: Sequence[Customer]) -> list[float]:
    first_ms: list[float] = []

    async def listens(phone: Phone, number: int) -> None:
        customer = who[number % len(who)]
        await signed_in(phone, customer)
        await until_heard(phone, customer.recording, 1)

    async def keys(number: int) -> None:
        customer = who[number % len(who)]
        async with Phone(edge, f"+49306{number % 50:06d}") as phone:
            assert await phone.dial(SHARED) == 200
            await until_asked(phone)
            await phone.press(f"{customer.access_id}#")
            await until_asked(phone)
            await phone.press(customer.pin)
            await phone.press("#", gap_s=0)
            first = await heard_since(phone, phone.let_go_s + PACKET_S)
            first_ms.append((first.at_s - phone.let_go_s) * 1000)

    async with _up(edge, CALLS_UP, listens), asyncio.TaskGroup() as callers:
        for number in range(PINS):
            callers.create_task(keys(number))
            await asyncio.sleep(1 / PINS_A_SECOND)
    return first_ms
