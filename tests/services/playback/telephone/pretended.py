"""Prompts by the fake speaker, made once for a whole run: a vault that is called can speak."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from tests.services.playback.telephone.fake_speaker import FakeSpeaker

from voicefile.playback.telephone.build_prompts import build_prompts
from voicefile.playback.telephone.prompts import Prompts


@functools.cache
def prompts_folder() -> Path:
    """Nobody writes in here."""
    folder = Path(tempfile.mkdtemp(prefix="voicefile-prompts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build_prompts(folder, FakeSpeaker())
    return folder


@functools.cache
def prompts() -> Prompts:
    """What can be said."""
    return Prompts.load(prompts_folder())
