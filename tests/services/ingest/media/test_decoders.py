"""Decoders come back when they die, go when they should, and are never too many."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.corpus.spoken_files import spoken
from tests.services.ingest.media.hearing import hear
from tests.services.ingest.media.processes import children_of, zygotes

from voicefile.chassis import event_loop
from voicefile.ingest.media.decoder import DecodeLimits, Decoders
from voicefile.ingest.media.errors import DecoderUnavailable

SPEECH = spoken("pcm16-8k.wav")


class Interrupted(Exception):
    """Something of ingest's own went wrong in the middle."""


async def ignore(piece: bytes) -> None:
    """A rendition nobody wants."""


class Gate:
    """An upload that is not read before the gate opens."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.opened = asyncio.Event()

    async def read_plain(self, start, stop):
        self.asked.set()
        await self.opened.wait()
        return SPEECH[start:stop]

    async def decode(self, decoders):
        return await decoders.decode(
            self.read_plain, len(SPEECH), telephone=ignore, limits=DecodeLimits()
        )


async def test_a_zygote_that_dies_takes_its_jobs_along_and_is_replaced():
    async with Decoders().running() as decoders:
        await hear(decoders, SPEECH)
        (zygote,) = zygotes()
        gate = Gate()
        async with asyncio.TaskGroup() as group:
            job = group.create_task(outcome(gate.decode(decoders)))
            await gate.asked.wait()
            (decoder,) = children_of(zygote)
            os.kill(zygote, signal.SIGKILL)
            await gone(decoder)
            gate.opened.set()
        assert isinstance(job.result(), DecoderUnavailable)
        assert (await hear(decoders, SPEECH)).telephone == SPEECH
        assert zygotes() != [zygote]


async def test_a_decoder_is_ready_only_while_it_runs():
    decoders = Decoders()
    assert not decoders.ready
    async with decoders.running():
        await hear(decoders, SPEECH)
        assert decoders.ready
    assert not decoders.ready
    assert zygotes() == []


async def test_a_decoder_on_demand_starts_with_the_first_upload():
    async with Decoders(on_demand=True).running() as decoders:
        await asyncio.sleep(0.2)
        assert decoders.ready
        assert zygotes() == []
        await hear(decoders, SPEECH)
        assert len(zygotes()) == 1
        assert decoders.ready


async def test_a_program_that_never_starts_makes_decoders_unavailable(tmp_path):
    program = tmp_path / "fails.py"
    program.write_text("raise SystemExit(1)")
    async with Decoders(program=[str(program)], ready_max_s=0.5).running() as decoders:
        with pytest.raises(DecoderUnavailable):
            await hear(decoders, SPEECH)
        assert not decoders.ready


async def test_no_more_uploads_are_decoded_at_once_than_there_are_places():
    gates = [Gate() for _ in range(5)]
    async with Decoders(concurrency=2).running() as decoders, asyncio.TaskGroup() as group:
        jobs = [group.create_task(gate.decode(decoders)) for gate in gates]
        await asyncio.gather(gates[0].asked.wait(), gates[1].asked.wait())
        (zygote,) = zygotes()
        assert len(children_of(zygote)) == 2
        assert [gate.asked.is_set() for gate in gates] == [True, True, False, False, False]
        for gate in gates:
            gate.opened.set()
    assert [job.result().duration_ms for job in jobs] == [4_000] * 5


async def test_an_upload_given_up_leaves_no_process():
    async with Decoders(concurrency=1).running() as decoders:
        await hear(decoders, SPEECH)
        gate = Gate()
        async with asyncio.TaskGroup() as group:
            job = group.create_task(gate.decode(decoders))
            await gate.asked.wait()
            job.cancel()
        (zygote,) = zygotes()
        assert children_of(zygote) == []
        assert (await hear(decoders, SPEECH)).telephone == SPEECH


async def test_what_goes_wrong_while_reading_or_storing_comes_out_as_it_is():
    async def read_plain(start, stop):
        return SPEECH[start:stop]

    async def fail(*_):
        raise Interrupted

    async with Decoders(concurrency=1).running() as decoders:
        for callables in ((fail, ignore), (read_plain, fail)):
            with pytest.raises(Interrupted):
                await decoders.decode(
                    callables[0], len(SPEECH), telephone=callables[1], limits=DecodeLimits()
                )
        (zygote,) = zygotes()
        assert children_of(zygote) == []


async def test_what_fails_while_decoders_run_is_not_wrapped():
    with pytest.raises(Interrupted):
        async with Decoders().running():
            raise Interrupted


async def test_an_upload_that_is_being_decoded_at_the_end_is_given_up():
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        async with Decoders().running() as decoders:
            job = group.create_task(outcome(gate.decode(decoders)))
            await gate.asked.wait()
        gate.opened.set()
    assert isinstance(job.result(), DecoderUnavailable)
    assert zygotes() == []


def test_decoders_run_under_uvloop():
    async def main():
        async with Decoders().running() as decoders:
            return await asyncio.gather(*(hear(decoders, SPEECH) for _ in range(4)))

    assert [heard.telephone for heard in event_loop.run(main())] == [SPEECH] * 4


def test_ingest_itself_loads_no_decoder():
    script = (
        "import sys, voicefile.ingest.media.decoder;"
        "sys.exit(any(name.split('.')[0] in {'av', 'numpy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def outcome(decoding):
    try:
        return await decoding
    except DecoderUnavailable as unavailable:
        return unavailable


async def gone(pid):
    async with asyncio.timeout(30):
        while is_running(pid):
            await asyncio.sleep(0.01)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}
