"""After fifty calls, some of which end with the switch's death: nothing of them is left anywhere.

Everything below the edge's folder in memory, what it said, and whatever it opened to write at any
other place. In each of these places something is planted, and found.
"""

import asyncio
import os
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.telephony.real.asked_for import asked_for
from tests.telephony.real.caller import signed_in, until_heard
from tests.telephony.real.edge import running
from tests.telephony.real.phone import Phone
from tests.telephony.real.timecode import Recording
from tests.telephony.real.traces import leaks, patterns
from tests.telephony.real.vault import vault_in
from tests.telephony.real.writes import opened_to_write, traced

pytestmark = asked_for
AT_ONCE = 10
BEFORE_THE_END = 40
AT_THE_END = 10
APOLOGY_S = 12
PLAYING = "storage/http_file_cache/"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}(?=\.wav)")


@dataclass
class Day:
    """What was keyed and heard on an edge."""

    customers: list
    tokens: set[str] = field(default_factory=set)

    @property
    def keyed(self):
        return [word for each in self.customers for word in (each.access_id, each.pin)]

    @property
    def patterns(self):
        return patterns(self.keyed, [each.recording for each in self.customers], self.tokens)

    def left(self, *folders: Path):
        return {leak for folder in folders for leak in leaks(folder, self.patterns, self.keyed)}


@pytest.fixture(scope="module")
def day(vault):
    return Day([vault.customer(Recording(f"left {n}", 30)) for n in range(AT_ONCE)])


async def calls(edge, day, count, *, first=0, end=None):
    """So many, ten at a time, by both kinds of digits; `end` while the last ones listen."""
    for start in range(first, first + count, AT_ONCE):
        listening = [asyncio.Event() for _ in day.customers]
        go = asyncio.Event()
        async with asyncio.TaskGroup() as callers:
            for n in range(AT_ONCE):
                callers.create_task(call(edge, day, start + n, listening[n], go))
            for each in listening:
                await each.wait()
            seen = caught(edge.run, day)
            if end is not None and start + AT_ONCE >= first + count:
                end()
            go.set()
    return seen


async def call(edge, day, number, listening, go):
    customer = day.customers[number % AT_ONCE]
    async with Phone(edge, f"+4930400{number % AT_ONCE:04d}", info=number % 2 == 1) as phone:
        await signed_in(phone, customer)
        await until_heard(phone, customer.recording, 1)
        listening.set()
        await go.wait()
        if not phone.over and number % 3:
            await phone.press("6")


def caught(run, day):
    """What is there while a recording plays; the addresses that it came from are remembered."""
    for meta in (run / PLAYING).rglob("*.meta"):
        day.tokens |= set(TOKEN.findall(meta.read_text(errors="replace")))
    return day.left(run)


async def test_nothing_is_left_of_fifty_calls_and_a_switch_that_is_killed(day, vault, tmp_path):
    folder = tmp_path / "edge"
    with running(folder, vault=vault.edges, service=vault.telephone, wrap=traced(tmp_path)) as edge:
        seen = await calls(edge, day, BEFORE_THE_END)
        assert {leak.what for leak in seen} == {"sound", "token"}
        assert all(leak.where.startswith(PLAYING) for leak in seen)
        await asyncio.sleep(2)
        assert day.left(edge.run, folder) == set()
        assert not list((edge.run / PLAYING).rglob("*.wav"))
        for place in (edge.run / "log", edge.run / "db", edge.run / "temp", folder):
            planted(place, day)
        found = day.left(edge.run, folder)
        assert len({leak.where for leak in found}) == 4 * len(PLANTS)
        for place in (edge.run / "log", edge.run / "db", edge.run / "temp", folder):
            for name in PLANTS:
                (place / name).unlink()
        with pytest.raises(ExceptionGroup):
            await calls(edge, day, AT_THE_END, first=BEFORE_THE_END, end=edge.kill)
        assert edge.ended() == 70
        assert list(edge.run.iterdir()) == []
        assert day.left(edge.run, folder) == set()
        outside = opened_to_write(tmp_path) - {edge.said}
        assert {each for each in outside if edge.run not in each.parents} == set()
        assert any(edge.run in each.parents for each in opened_to_write(tmp_path))


PLANTS = {
    "pin.log": lambda day: day.customers[0].pin.encode(),
    "digits.log": lambda day: b"".join(
        b"2026-01-01 10:00:00.%06d 98.50%% [DEBUG] switch_rtp.c:100 RTP RECV DTMF %c:800\n"
        % (n, key)
        for n, key in enumerate(day.customers[1].pin.encode())
    ),
    "sound.wav": lambda day: day.customers[2].recording.wav[20_000:30_000],
    "token.meta": lambda day: min(day.tokens).encode(),
}


def planted(place, day):
    for name, what in PLANTS.items():
        (place / name).write_bytes(b"before " + what(day) + b" behind")


async def test_a_switch_that_crashes_leaves_no_core(day, vault, tmp_path):
    folder = tmp_path / "edge"
    with running(folder, vault=vault.edges, service=vault.telephone) as edge:
        assert {core_limit(pid) for pid, _ in edge.family()} == {"1"}
        with pytest.raises(ExceptionGroup):
            await calls(edge, day, AT_ONCE, end=lambda: edge.kill(signal.SIGSEGV))
        assert edge.ended() == 70
        assert day.left(edge.run, folder) == set()
        assert not [each for each in folder.rglob("*") if each.name.startswith("core")]


def core_limit(pid):
    """Bytes; with one, not even a program that crashes are piped to gets anything."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    [line] = [each for each in limits if each.startswith("Max core file size")]
    return line.split()[4]


async def test_nothing_is_left_when_the_vault_is_killed_in_the_middle_of_calls(able, tmp_path):
    place = vault_in(tmp_path / "var")
    folder = tmp_path / "edge"
    with place.up(companies=1) as vault:
        day = Day([place.customer(Recording(f"lost {n}", 30)) for n in range(AT_ONCE)])
        with running(folder, vault=place.edges, service=place.telephone) as edge:
            seen = await calls(
                edge, day, AT_ONCE, end=lambda: os.kill(vault.process.pid, signal.SIGKILL)
            )
            assert {leak.what for leak in seen} == {"sound", "token"}
            await asyncio.sleep(APOLOGY_S)
            assert day.left(edge.run, folder) == set()
            planted(edge.run / "log", day)
            assert len({leak.where for leak in day.left(edge.run)}) == len(PLANTS)


async def test_what_a_machine_that_died_left_is_gone_before_the_next_start(day, vault, tmp_path):
    folder = tmp_path / "edge"
    with running(folder, vault=vault.edges, service=vault.telephone) as edge:
        with pytest.raises(ExceptionGroup):
            await calls(edge, day, AT_ONCE, end=edge.kill_all)
        assert {leak.what for leak in day.left(edge.run)} >= {"sound"}
        edge.start()
        assert day.left(edge.run) == set()
