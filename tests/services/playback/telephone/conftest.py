"""A folder of prompts as the fake speaker makes them, and one by the real program."""

import shutil
from pathlib import Path

import pytest
from tests.services.playback.telephone.fake_speaker import FakeSpeaker

from voicefile.playback.telephone.build_prompts import build_prompts
from voicefile.playback.telephone.speak import Espeak


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Nobody writes in here: `folder` is a copy."""
    folder = tmp_path_factory.mktemp("made")
    build_prompts(folder, FakeSpeaker())
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "prompts")


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> Path:
    """Everything, spoken by espeak-ng."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("NOT RUN: no espeak-ng on this machine (Debian: apt install espeak-ng)")
    folder = tmp_path_factory.mktemp("spoken")
    build_prompts(folder, Espeak())
    return folder
