"""espeak-ng speaks both languages, loud and not too loud, and says what it lacks."""

import shutil
import stat
import time

import numpy as np
import pytest

from voicefile.playback.telephone.catalogue import LANGUAGES, catalogue
from voicefile.playback.telephone.prompt_wav import pcm_of
from voicefile.playback.telephone.prompts import all_fragments, file_of
from voicefile.playback.telephone.speak import Espeak, NotSpoken, SpeakerMissing, mark

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None,
    reason="NOT RUN: no espeak-ng on this machine (Debian: apt install espeak-ng)",
)


def program(folder, script, **limits):
    path = folder / "speaks"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Espeak(str(path), **limits)


def sounds(folder):
    for fragment in all_fragments():
        pcm = pcm_of(file_of(folder, fragment).read_bytes())
        yield fragment, np.frombuffer(pcm, "<i2") / 32_767


def test_every_language_has_a_voice():
    for language in LANGUAGES:
        assert Espeak().recipe("x", language)


def test_every_fragment_lasts_as_long_as_one_can_listen(spoken):
    odd = {each: len(s) / 8_000 for each, s in sounds(spoken) if not 0.1 <= len(s) / 8_000 <= 15}
    assert odd == {}


def test_no_fragment_is_silent_clipped_or_much_louder_than_the_others(spoken):
    levels = {each: 20 * np.log10(np.sqrt(np.mean(s**2))) for each, s in sounds(spoken)}
    assert {each: level for each, level in levels.items() if not -30 < level < -14} == {}
    assert not [each for each, s in sounds(spoken) if np.abs(s).max() > 0.9001]


def test_longer_texts_take_longer(spoken):
    """What is said is the text: a program that gives up half way would be quicker than that."""
    for fragment, sound in sounds(spoken):
        letters = len(catalogue(fragment.language).fragments[fragment.key])
        if letters > 40:
            assert 8 < letters / (len(sound) / 8_000) < 22, fragment


def test_no_two_texts_sound_alike(spoken):
    heard = {}
    for fragment, sound in sounds(spoken):
        text = catalogue(fragment.language).fragments[fragment.key]
        assert heard.setdefault((fragment.language, sound.tobytes()), text) == text


@needs_espeak
def test_it_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert Espeak().speak("Guten Tag", "de").startswith(b"RIFF")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_installed_is_named_with_its_package():
    with pytest.raises(SpeakerMissing, match=r"espeak-of-nowhere is not installed.*espeak-ng"):
        Espeak("espeak-of-nowhere").speak("x", "de")


def test_a_program_that_fails_is_an_error(tmp_path):
    with pytest.raises(NotSpoken, match="ended with 3"):
        program(tmp_path, "exit 3").speak("x", "de")


def test_a_text_reaches_the_program_by_its_input_alone(tmp_path):
    """On the command line others of this machine could read it."""
    said = program(tmp_path, 'cat; echo; echo "$@"').speak("der Text", "de").decode()
    assert said.splitlines()[0] == "der Text"
    assert "Text" not in said.splitlines()[1]


def test_what_is_misread_is_spelled_for_the_program_alone(tmp_path):
    assert program(tmp_path, "cat").speak("Ihre Pin", "de") == b"Ihre Pinn"
    assert program(tmp_path, "cat").speak("your Iban", "en") == b"your eye ban"


def test_a_program_that_hangs_is_given_up(tmp_path):
    begun = time.monotonic()
    with pytest.raises(NotSpoken, match="TimeoutExpired"):
        program(tmp_path, "exec sleep 60", seconds_max=0.2).speak("x", "de")
    assert time.monotonic() - begun < 30


def test_the_mark_changes_with_whatever_is_heard():
    class Other:
        def recipe(self, text, language):
            return "another"

    first = mark(Espeak(), "Guten Tag", "de")
    assert mark(Espeak(), "Guten Tag", "de") == first
    others = {
        mark(Espeak(), "Guten Abend", "de"),
        mark(Espeak(), "Guten Tag", "en"),
        mark(Other(), "Guten Tag", "de"),
    }
    assert len({first, *others}) == 4
