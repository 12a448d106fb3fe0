"""Makes speech of text when prompts are built: the port, and espeak-ng behind it."""

import hashlib
import subprocess
from dataclasses import dataclass
from typing import Final, Protocol

PACKAGE: Final = "espeak-ng"
SOUND_VERSION: Final = 1
"""Counted up when `telephone_sound` makes something else of the same speech."""


class NotSpoken(Exception):
    """A text could not be made speech; says why, for whoever builds prompts."""


class SpeakerMissing(NotSpoken):
    """The program that speaks is not installed."""


class Speaker(Protocol):
    """Speaks a text: a WAV file of one channel and 16 bits, at any rate from 8 kHz.

    The same text may sound different each time; what a file says is known by its recipe alone.
    """

    def recipe(self, text: str, language: str) -> str:
        """Whatever decides how it sounds: prompts made by another recipe are made anew."""
        ...

    def speak(self, text: str, language: str) -> bytes:
        """Safe to call in several threads. Raises NotSpoken."""
        ...


@dataclass(frozen=True)
class EspeakVoice:
    """How one language is spoken, and what its rules of pronunciation get wrong."""

    name: str
    words_per_minute: int
    amplitude: int
    spelled: tuple[tuple[str, str], ...] = ()


# Slower than its own 175 words a minute: for old ears. At this amplitude the loudest vowel stays
# 4 dB below full scale; at its own, 100, some come close to being clipped.
_VOICES: Final = {
    "de": EspeakVoice("de", 140, 80, spelled=(("Pin", "Pinn"),)),
    "en": EspeakVoice("en-gb", 140, 80, spelled=(("Iban", "eye ban"),)),
}


@dataclass(frozen=True)
class Espeak:
    """espeak-ng, a process for each text: the text goes in and the sound comes out by pipes."""

    program: str = PACKAGE
    seconds_max: float = 30.0
    """It takes a hundredth of one; whatever hangs is given up."""

    def recipe(self, text: str, language: str) -> str:
        return "\0".join([*_options(language), _spelled(text, language)])

    def speak(self, text: str, language: str) -> bytes:
        try:
            # The program is ours to name, and its options are constants; the text is its input.
            done = subprocess.run(  # noqa: S603
                [self.program, *_options(language)],
                input=_spelled(text, language).encode(),
                capture_output=True,
                timeout=self.seconds_max,
                check=False,
            )
        except FileNotFoundError:
            said = f"{self.program} is not installed; on Debian its package is {PACKAGE}"
            raise SpeakerMissing(said) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotSpoken(f"{self.program}: {type(error).__name__}") from None
        if done.returncode:
            raise NotSpoken(f"{self.program} ended with {done.returncode}")
        return done.stdout


def _options(language: str) -> tuple[str, ...]:
    voice = _VOICES[language]
    speed, amplitude = str(voice.words_per_minute), str(voice.amplitude)
    how = ("-v", voice.name, "-s", speed, "-a", amplitude)
    return (*how, "-z", "-b", "1", "--stdin", "--stdout")


def _spelled(text: str, language: str) -> str:
    for word, spelling in _VOICES[language].spelled:
        text = text.replace(word, spelling)
    return text


def mark(speaker: Speaker, text: str, language: str) -> str:
    """What a file is marked with that says this text: it changes with whatever changes it."""
    recipe = f"{SOUND_VERSION}\0{language}\0{text}\0{speaker.recipe(text, language)}"
    return hashlib.sha256(recipe.encode()).hexdigest()
