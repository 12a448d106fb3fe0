"""A tenant's own prompts: put into the folder one by one, checked before they get there.

    <folder>/tenants/<tenant id>/<language>/<fragment>.wav

A running service reads the folder at its start. So what is put there has to be heard by then, and
must not keep it from starting.
"""

import os
from pathlib import Path

from voicefile.playback.telephone.phrases import Fragment
from voicefile.playback.telephone.prompt_wav import NotForTelephone, pcm_of, wav_of
from voicefile.playback.telephone.prompts import (
    PROMPTS_BYTES_MAX,
    TENANTS,
    PromptRefused,
    all_fragments,
    file_of,
    read_file,
)


def checked(fragment: Fragment, sound: Path) -> bytes:
    """A WAV file of nothing but the sound. Raises PromptRefused, which says why."""
    if fragment not in set(all_fragments()):
        raise PromptRefused(f"nothing is called {fragment.language}/{fragment.key}")
    content = read_file(sound)
    if content is None:
        raise PromptRefused(f"{sound}: there is no such file")
    try:
        # What an editor of sound wrote beside it, names and places perhaps, does not go along.
        return wav_of(pcm_of(content))
    except NotForTelephone as why:
        raise PromptRefused(f"{sound}: {why}") from None


def put_prompt(
    folder: Path, tenant: str, fragment: Fragment, wav: bytes, *, bytes_max: int = PROMPTS_BYTES_MAX
) -> None:
    """Whole or not at all, in the place of the one before. Raises PromptRefused, OSError."""
    path = file_of(folder / TENANTS / tenant, fragment)
    before = path.stat().st_size if path.exists() else 0
    held = sum(each.stat().st_size for each in folder.rglob("*.wav"))
    if held - before + len(wav) > bytes_max:
        raise PromptRefused(f"all prompts would have more than {bytes_max} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(wav)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def remove_prompt(folder: Path, tenant: str, fragment: Fragment) -> bool:
    """Ours is heard again. Whether there was one."""
    path = file_of(folder / TENANTS / tenant, fragment)
    there = path.exists()
    path.unlink(missing_ok=True)
    return there
