"""A witness that is killed, really killed, between any two steps never cosigns a fork."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.witness.growing import Growing

from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.cosign import Witness
from voicefile.witness.errors import NotConsistent, SizeDiffers
from voicefile.witness.key import Signer
from voicefile.witness.memory import FolderHeld, FolderMemory, held, log_name

STEPS = ("begun", "written", "synced", "renamed", "kept", "answered")
KEPT = {"renamed", "kept", "answered"}
"""From here on the new checkpoint is what a new start reads."""


def killed_at(step: str, folder: Path, asked: AddCheckpoint) -> str:
    """What left the process before it died."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.services.witness.dying", str(folder), step],
        input=str(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


def fork_is_cosigned(memory: FolderMemory, signer: Signer, log: Growing) -> bool:
    """Whether a new start cosigns what contradicts the checkpoint the killed one had in hand."""
    fork = log.forked(5).grow(4, mark="other ")
    witness = Witness(memory, signer)
    for old in (5, 9):
        try:
            witness.add_checkpoint(AddCheckpoint(old, fork.proof(old, 9), fork.signed(9)))
        except (SizeDiffers, NotConsistent):
            continue
        return True
    return False


@pytest.fixture
def begun(memory, signer, log) -> Growing:
    memory.trust(log.verifier)
    Witness(memory, signer).add_checkpoint(log.asked(0, 5))
    return log.grow(4)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_never_leads_to_two_histories(step, begun, folder, memory, signer):
    answer = killed_at(step, folder, begun.asked(5, 9))
    assert bool(answer) == (step == "answered"), "the answer is the last thing"
    assert memory.seen(log_name(begun.origin)).size == (9 if step in KEPT else 5)
    forked = fork_is_cosigned(memory, signer, begun)
    assert not (answer and forked)
    assert forked == (step not in KEPT)


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_step_the_log_goes_on(step, begun, folder, memory, signer):
    killed_at(step, folder, begun.asked(5, 9))
    witness = Witness(memory, signer)
    begun.grow(1)
    try:
        witness.add_checkpoint(begun.asked(5))
    except SizeDiffers as differs:
        witness.add_checkpoint(begun.asked(differs.size))
    assert memory.seen(log_name(begun.origin)).size == 10


def test_a_planted_witness_that_answers_first_is_found(begun, folder, memory, signer):
    answer = killed_at("answers-first", folder, begun.asked(5, 9))
    assert answer
    assert fork_is_cosigned(memory, signer, begun)


def test_one_folder_is_one_witness(folder, signer):
    with held(folder), pytest.raises(FolderHeld), held(folder):
        pass
    with held(folder):
        pass
