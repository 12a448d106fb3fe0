"""`voicefile prompts`, and the prompts that an embedded vault makes for itself."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from voicefile.cli.spoken_prompts import spoken_prompts
from voicefile.playback.telephone.phrases import Fragment, Text
from voicefile.playback.telephone.prompts import file_of
from voicefile.playback.telephone.speak import Espeak

VOICEFILE = Path(sys.executable).with_name("voicefile")
GREETING = Fragment("de", "greeting")
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None,
    reason="NOT RUN: no espeak-ng on this machine (Debian: apt install espeak-ng)",
)


def run(*words, **environment):
    return subprocess.run(
        [VOICEFILE, "prompts", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Nobody writes in here: `folder` is a copy."""
    folder = tmp_path_factory.mktemp("spoken") / "prompts"
    made = run("build", "--into", str(folder))
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.endswith(" made, 0 were there\n")
    return folder


@pytest.fixture
def folder(spoken, tmp_path):
    return shutil.copytree(spoken, tmp_path / "prompts")


@needs_espeak
def test_what_was_built_is_complete_and_built_once(folder):
    assert (run("missing", str(folder)).returncode, run("missing", str(folder)).stdout) == (0, "")
    assert run("build", "--into", str(folder)).stdout.startswith("0 made, ")


@needs_espeak
def test_what_is_amiss_is_listed_and_mended(folder):
    path = file_of(folder, GREETING)
    path.unlink()
    listed = run("missing", str(folder))
    assert listed.returncode == 1
    assert listed.stdout == f"{path}  missing: there is no such file\n"
    assert run("build", "--into", str(folder)).stdout.startswith("1 made, ")
    assert run("missing", str(folder)).returncode == 0


@needs_espeak
def test_a_file_that_can_not_stay_is_named_and_left_to_its_owner(folder):
    path = file_of(folder, GREETING)
    path.write_bytes(b"my own words")
    built = run("build", "--into", str(folder))
    assert built.returncode == 1
    assert built.stderr.startswith(f"{path}  wrong format: ")
    assert path.read_bytes() == b"my own words"


def test_without_the_program_its_package_is_named(tmp_path):
    refused = run("build", "--into", str(tmp_path), PATH="/nowhere")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        "espeak-ng is not installed; on Debian its package is espeak-ng."
    ]


def test_a_folder_that_is_not_there_lacks_everything(tmp_path):
    listed = run("missing", str(tmp_path / "nowhere"))
    assert listed.returncode == 1
    assert len(listed.stdout.splitlines()) > 400


def test_a_folder_that_can_not_be_written_is_said_in_one_line():
    refused = run("build", "--into", "/proc/nowhere")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


@needs_espeak
async def test_an_embedded_vault_makes_its_prompts_once(folder):
    file_of(folder, GREETING).unlink()
    with structlog.testing.capture_logs() as logs:
        prompts = await spoken_prompts(folder)
    assert logs == []
    assert prompts is not None
    assert prompts.say([Text("greeting")], "de")
    stamp = file_of(folder, GREETING).stat().st_mtime_ns
    assert await spoken_prompts(folder) is not None
    assert file_of(folder, GREETING).stat().st_mtime_ns == stamp


async def test_without_the_program_there_is_no_telephone_and_the_log_says_why(tmp_path):
    with structlog.testing.capture_logs() as logs:
        assert await spoken_prompts(tmp_path, Espeak("espeak-of-nowhere")) is None
    assert [(each["event"], each["reason"]) for each in logs] == [
        ("prompts_not_made", "espeak-ng-not-installed"),
        ("telephone_unavailable", "prompts-missing"),
    ]


@needs_espeak
async def test_without_the_program_what_was_made_before_is_good_enough(folder):
    """Of an older text, say: better than no telephone."""
    with structlog.testing.capture_logs() as logs:
        assert await spoken_prompts(folder, Espeak("espeak-of-nowhere")) is not None
    assert logs == []


@needs_espeak
async def test_a_file_that_can_not_be_played_is_no_telephone(folder):
    file_of(folder, GREETING).write_bytes(b"my own words")
    with structlog.testing.capture_logs() as logs:
        assert await spoken_prompts(folder) is None
    assert [(each["event"], each["reason"]) for each in logs] == [
        ("telephone_unavailable", "prompt-refused")
    ]


async def test_a_building_that_fails_is_said(tmp_path):
    (tmp_path / "lock").mkdir()
    program = tmp_path / "speaks"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with structlog.testing.capture_logs() as logs:
        assert await spoken_prompts(tmp_path, Espeak(str(program))) is None
    assert [each["reason"] for each in logs] == ["building-failed", "prompts-missing"]
