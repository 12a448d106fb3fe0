"""A decoder that an upload has taken over can reach nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from tests.services.ingest.media.hearing import hear

from voicefile.ingest.media.decoder import ENVIRONMENT, Decoders, Sandbox
from voicefile.ingest.media.errors import BrokenAudio, DecodeLimitExceeded, Reason

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROBING = Path(__file__).parent / "probing_zygote.py"

FORBIDDEN = [
    "open_socket",
    "open_unix_socket",
    "read_a_file",
    "write_a_file",
    "write_memory_file",
    "run_a_program",
    "execve",
    "fork",
    "start_a_thread",
    "signal_another",
    "trace",
    "executable_memory",
    "limit_another",
    "list_directory",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def probing():
    secret = "VOICEFILE_TEST_SECRET"
    os.environ[secret] = "not for decoders"
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        async with Decoders(concurrency=2, program=[str(PROBING)]).running() as decoders:
            await hear(decoders, b"environment")
            if Sandbox.SECCOMP not in decoders.sandbox:
                pytest.skip("this platform offers no seccomp")
            yield decoders
    finally:
        os.close(inherited)
        del os.environ[secret]


async def tried(decoders, name, **limits):
    heard = await hear(decoders, name.encode(), **limits)
    return heard.telephone[44:].decode().strip()


def tried_freely(name):
    command = [sys.executable, "-I", str(PROBING), "--free", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_the_decoder_may_not(probing, name):
    assert (await tried(probing, name)).startswith("denied")


@pytest.mark.parametrize("name", [name for name in FORBIDDEN if name != "trace"])
async def test_without_the_sandbox_it_could(name):
    assert tried_freely(name).startswith("done")


async def test_limits_can_not_be_raised_again(probing):
    assert (await tried(probing, "raise_a_limit")).startswith("denied")


async def test_nothing_of_our_environment_reaches_the_decoder(probing):
    assert set((await tried(probing, "environment")).split()) <= set(ENVIRONMENT) | {"LC_CTYPE"}


async def test_the_decoder_has_one_socket_and_nothing_else(probing):
    assert await tried(probing, "open_files") == "0 1 2 3"


@pytest.mark.parametrize("name", ["use_memory", "use_memory_outside_python"])
async def test_memory_is_bounded(probing, name):
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await tried(probing, name)
    assert refusal.value.reason is Reason.MEMORY
    assert (await tried(probing, name, memory_max_mib=4_096)).startswith("done")


async def test_processor_time_is_bounded(probing):
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await tried(probing, "use_time", cpu_min_s=1, duration_max_s=1)
    assert refusal.value.reason is Reason.TIME


async def test_waiting_is_bounded(probing):
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await tried(probing, "wait_forever", wall_max_s=1)
    assert refusal.value.reason is Reason.TIME


@pytest.mark.parametrize("name", ["crash", "raise_something", "end_at_once", "say_nonsense"])
async def test_a_decoder_that_falls_over_refuses_its_upload_and_no_other(probing, name):
    with pytest.raises(BrokenAudio) as refusal:
        await tried(probing, name)
    assert refusal.value.reason is Reason.DECODER_CRASHED
    assert await tried(probing, "open_files") == "0 1 2 3"
