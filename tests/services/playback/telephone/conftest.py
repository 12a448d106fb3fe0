"""A folder of prompts as the fake speaker makes them, and one by the real program."""

import shutil
from pathlib import Path

import pytest
from tests.services.playback.telephone.pretended import prompts_folder

from voicefile.playback.telephone.build_prompts import build_prompts
from voicefile.playback.telephone.speak import Espeak


@pytest.fixture(scope="session")
def made() -> Path:
    """Nobody writes in here: `folder` is a copy."""
    return prompts_folder()


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
