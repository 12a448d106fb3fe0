"""The embedded vault's prompts: made at its first start, by a process that holds no key."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Final

import structlog

from voicefile.playback.telephone.build_prompts import faults
from voicefile.playback.telephone.prompts import PromptRefused, Prompts
from voicefile.playback.telephone.speak import Espeak

BUILD_S_MAX: Final = 300.0
"""It takes some seconds; on a machine with much else to do, more."""
log = structlog.get_logger(__name__)


async def spoken_prompts(folder: Path, speaker: Espeak | None = None) -> Prompts | None:
    """All prompts, made first where need be; None, and the log says why, if some can't be had.

    Never raises for want of a prompt: a vault without a telephone is still a vault.
    """
    speaker = speaker or Espeak()
    if any(each.ours for each in await asyncio.to_thread(faults, folder, speaker)):
        await _make(folder, speaker)
    try:
        prompts = await asyncio.to_thread(Prompts.load, folder)
    except PromptRefused:
        # Which file it is stands in no log, but in the answer of `voicefile prompts missing`.
        log.warning("telephone_unavailable", reason="prompt-refused")
        return None
    absent = len(prompts.missing())
    if absent:
        log.warning("telephone_unavailable", reason="prompts-missing", count=absent)
        return None
    return prompts


async def _make(folder: Path, speaker: Espeak) -> None:
    if shutil.which(speaker.program) is None:
        log.warning("prompts_not_made", reason="espeak-ng-not-installed")
        return
    # Not in this process: what makes sound of speech is a large library that no process with keys
    # has to hold. With the same umask, so it is for us alone.
    making = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voicefile.cli.prompts", "build", "--into", str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(BUILD_S_MAX):
            status = await making.wait()
    except TimeoutError:
        log.warning("prompts_not_made", reason="too-slow")
        return
    finally:
        if making.returncode is None:
            making.kill()
            await making.wait()
    if status:
        log.warning("prompts_not_made", reason="building-failed", status=status)
