"""Prompts as a running service has them: read once, then joined to whatever is to be said.

    <folder>/<language>/<fragment>.wav
    <folder>/tenants/<tenant id>/<language>/<fragment>.wav    a tenant's own, in place of it

Everything is in memory, so that an answer to a call waits for no disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicefile.playback.telephone.catalogue import LANGUAGES, catalogue
from voicefile.playback.telephone.phrases import Fragment, Phrase, Silence, fragments
from voicefile.playback.telephone.prompt_wav import (
    BYTES_PER_MS,
    FILE_BYTES_MAX,
    NotForTelephone,
    header,
    pcm_of,
)

PROMPTS_BYTES_MAX: Final = 128 * 1024 * 1024
"""In memory for as long as the service runs. Ours take 15 MB; the rest is for tenants' own."""
TENANTS: Final = "tenants"
AFTER_SENTENCE_MS: Final = 450
AFTER_COMMA_MS: Final = 200
AFTER_PART_MS: Final = 60
"""Between the parts of one sentence: hardly more than nothing, or it falls apart."""


class PromptRefused(Exception):
    """A file in the folder can't be used as it is; says which and why."""


class PromptMissing(LookupError):
    """There is no sound for a fragment; `Prompts.missing` tells beforehand."""


@dataclass(frozen=True)
class _Spoken:
    pcm: bytes
    pause_ms: int
    """Until the next fragment, if there is one."""


Sounds = Mapping[Fragment, _Spoken]


class Prompts:
    """What can be said, and in whose voice."""

    def __init__(self, ours: Sounds, tenants: Mapping[str, Sounds]) -> None:
        self._ours = ours
        self._tenants = tenants

    @classmethod
    def load(cls, folder: Path, *, bytes_max: int = PROMPTS_BYTES_MAX) -> "Prompts":
        """Reads all there is; what there is not, `missing` names. Raises PromptRefused."""
        reading = _Reading(bytes_max)
        ours = reading.sounds(folder)
        own = sorted(each for each in (folder / TENANTS).glob("*") if each.is_dir())
        return cls(ours, {each.name: reading.sounds(each) for each in own})

    @property
    def bytes_held(self) -> int:
        """All sound in memory."""
        everyone = (self._ours, *self._tenants.values())
        return sum(len(spoken.pcm) for sounds in everyone for spoken in sounds.values())

    def missing(self) -> list[Fragment]:
        """What could be wanted and can't be said: the telephone is to be answered if none is."""
        return [each for each in all_fragments() if each not in self._ours]

    def say(self, phrases: Sequence[Phrase], language: str, tenant: str = "") -> bytes:
        """One whole WAV file. Raises PromptMissing, LookupError."""
        pieces = list(self._pieces(phrases, language, tenant))
        return b"".join([header(sum(map(len, pieces))), *pieces])

    def length_ms(self, phrases: Sequence[Phrase], language: str, tenant: str = "") -> int:
        """How long saying it takes. Raises PromptMissing, LookupError."""
        return sum(map(len, self._pieces(phrases, language, tenant))) // BYTES_PER_MS

    def _pieces(self, phrases: Sequence[Phrase], language: str, tenant: str) -> Iterator[bytes]:
        pause_ms = 0
        own = self._tenants.get(tenant, {})
        for phrase in phrases:
            for each in fragments(phrase, language):
                if isinstance(each, Silence):
                    yield bytes(each.ms * BYTES_PER_MS)
                    # Said in so many milliseconds, silence is as long as that, and not longer.
                    pause_ms = 0
                    continue
                spoken = own.get(each) or self._ours.get(each)
                if spoken is None:
                    raise PromptMissing(f"{each.language}/{each.key}")
                yield bytes(pause_ms * BYTES_PER_MS)
                yield spoken.pcm
                pause_ms = spoken.pause_ms


def all_fragments() -> Iterator[Fragment]:
    """Every fragment of every language."""
    for language in LANGUAGES:
        for key in catalogue(language).fragments:
            yield Fragment(language, key)


def file_of(folder: Path, fragment: Fragment) -> Path:
    """Where a fragment's sound is kept."""
    return folder / fragment.language / f"{fragment.key}.wav"


def read_file(path: Path) -> bytes | None:
    """A prompt's file; None if there is none. Raises PromptRefused."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PromptRefused(f"{path}: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise PromptRefused(f"{path}: it has more than {FILE_BYTES_MAX} bytes")
    return content


class _Reading:
    """Reads files until they are too many."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def sounds(self, folder: Path) -> dict[Fragment, _Spoken]:
        found: dict[Fragment, _Spoken] = {}
        for fragment in all_fragments():
            path = file_of(folder, fragment)
            content = read_file(path)
            if content is None:
                continue
            try:
                pcm = pcm_of(content)
            except NotForTelephone as why:
                raise PromptRefused(f"{path}: {why}") from None
            self._bytes += len(pcm)
            if self._bytes > self._bytes_max:
                raise PromptRefused(f"{path}: all prompts have more than {self._bytes_max} bytes")
            found[fragment] = _Spoken(pcm, _pause_ms(fragment))
        return found


def _pause_ms(fragment: Fragment) -> int:
    ending = catalogue(fragment.language).fragments[fragment.key][-1]
    if ending == ",":
        return AFTER_COMMA_MS
    return AFTER_SENTENCE_MS if ending in ".?!:" else AFTER_PART_MS
