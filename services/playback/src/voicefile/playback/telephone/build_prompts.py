"""Makes prompts: a file for each fragment that has none or says something else by now.

A file is given its name when it is whole, and carries the mark of what it says: whoever is killed
goes on where it was. Nothing is made durable on purpose; what a power cut takes is made again.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from voicefile.playback.telephone.catalogue import catalogue
from voicefile.playback.telephone.phrases import Fragment
from voicefile.playback.telephone.prompt_wav import NotForTelephone, mark_of, pcm_of, wav_of
from voicefile.playback.telephone.prompts import (
    TENANTS,
    PromptRefused,
    all_fragments,
    file_of,
    read_file,
)
from voicefile.playback.telephone.speak import NotSpoken, Speaker, SpeakerMissing, mark

WORKERS: Final = 2
"""Speakers are processes of their own: so many at once."""


class Fault(Enum):
    """Why a file can't stay as it is."""

    MISSING = "missing"
    STALE = "stale"
    WRONG_FORMAT = "wrong format"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Found:
    """A file with a fault, and what there is to say of it."""

    path: Path
    fault: Fault
    why: str
    ours: bool = True
    """Whether it may be made anew: a file that somebody else put there is theirs."""


@dataclass(frozen=True)
class Built:
    """What a building did."""

    made: int
    kept: int
    refused: Sequence[Found]
    """Files of others that can't be used, and were left alone."""


def build_prompts(folder: Path, speaker: Speaker, *, workers: int = WORKERS) -> Built:
    """Makes what is missing or stale. Raises NotSpoken, OSError."""
    with _alone(folder), ThreadPoolExecutor(workers, thread_name_prefix="speak") as speaking:
        wanted: list[Fragment] = []
        refused: list[Found] = []
        kept = 0
        for fragment in all_fragments():
            found = _fault(folder, fragment, speaker)
            if found is None:
                kept += 1
            elif found.ours:
                wanted.append(fragment)
            else:
                refused.append(found)
        for fragment in wanted:
            file_of(folder, fragment).parent.mkdir(exist_ok=True)
        tasks = [speaking.submit(_make, folder, fragment, speaker) for fragment in wanted]
        try:
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
    return Built(len(wanted), kept, refused)


def faults(folder: Path, speaker: Speaker) -> list[Found]:
    """What is wrong with the prompts in a folder, tenants' own ones included."""
    found = [_fault(folder, each, speaker) for each in all_fragments()]
    return [each for each in found if each] + list(_tenants_faults(folder))


def _fault(folder: Path, fragment: Fragment, speaker: Speaker) -> Found | None:
    path = file_of(folder, fragment)
    try:
        content = read_file(path)
    except PromptRefused as why:
        return Found(path, Fault.WRONG_FORMAT, str(why), ours=False)
    if content is None:
        return Found(path, Fault.MISSING, "there is no such file")
    marked = mark_of(content)
    try:
        pcm_of(content)
    except NotForTelephone as why:
        # An empty file is nobody's work: a power cut leaves such ones.
        ours = marked is not None or not content
        return Found(path, Fault.WRONG_FORMAT, str(why), ours=ours)
    text = catalogue(fragment.language).fragments[fragment.key]
    if marked is None or marked == mark(speaker, text, fragment.language):
        return None
    return Found(path, Fault.STALE, "it says something else by now, or in another way")


def _tenants_faults(folder: Path) -> Iterator[Found]:
    known = {file_of(Path(), each) for each in all_fragments()}
    for tenant in sorted(each for each in (folder / TENANTS).glob("*") if each.is_dir()):
        for path in sorted(each for each in tenant.rglob("*") if each.is_file()):
            if path.relative_to(tenant) not in known:
                yield Found(path, Fault.UNKNOWN, "nothing is called so, it will not be heard")
                continue
            try:
                pcm_of(read_file(path) or b"")
            except (NotForTelephone, PromptRefused) as why:
                yield Found(path, Fault.WRONG_FORMAT, str(why), ours=False)


def _make(folder: Path, fragment: Fragment, speaker: Speaker) -> None:
    # Loaded by whoever makes prompts, and by no service that plays them.
    from voicefile.playback.telephone.telephone_sound import for_telephone  # noqa: PLC0415

    text = catalogue(fragment.language).fragments[fragment.key]
    try:
        pcm = for_telephone(speaker.speak(text, fragment.language))
    except SpeakerMissing:
        raise
    except NotSpoken as why:
        raise NotSpoken(f"{fragment.language}/{fragment.key}: {why}") from None
    path = file_of(folder, fragment)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(wav_of(pcm, mark=mark(speaker, text, fragment.language)))
    fresh.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until nobody else builds here: two would write the same file at once."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
