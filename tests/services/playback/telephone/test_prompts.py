"""Prompts in memory: joined without a click, a tenant's own in place of ours, nothing missing."""

import datetime as dt
import io
import subprocess
import sys
import time
import wave

import numpy as np
import pytest
from tests.services.playback.telephone.fake_speaker import tone, wav

from voicefile.playback.telephone.catalogue import catalogue
from voicefile.playback.telephone.phrases import (
    Date,
    Digits,
    Fragment,
    Silence,
    Text,
    choice,
    keys_help,
)
from voicefile.playback.telephone.prompt_wav import wav_of
from voicefile.playback.telephone.prompts import (
    AFTER_PART_MS,
    AFTER_SENTENCE_MS,
    PromptMissing,
    PromptRefused,
    Prompts,
    all_fragments,
    file_of,
)
from voicefile.playback.telephone.telephone_sound import for_telephone

TENANT, OTHER_TENANT = "ab" * 16, "cd" * 16
DAY = Date(dt.date(2026, 3, 12))


@pytest.fixture
def prompts(made):
    return Prompts.load(made)


def heard(file):
    """The sound of a whole WAV file, whose header must be true."""
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    with wave.open(io.BytesIO(file)) as opened:
        assert (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) == (
            8_000,
            1,
            2,
        )
        pcm = opened.readframes(opened.getnframes())
    assert len(pcm) == len(file) - 44
    return pcm


def own_prompt(folder, key, sound, *, tenant=TENANT, language="de"):
    path = file_of(folder / "tenants" / tenant, Fragment(language, key))
    path.parent.mkdir(parents=True)
    path.write_bytes(sound)
    return path


def test_one_text_is_its_own_sound(prompts, made):
    file = file_of(made, Fragment("de", "greeting")).read_bytes()
    assert file.endswith(heard(prompts.say([Text("greeting")], "de")))


def test_sentences_are_joined_with_a_pause_and_parts_with_hardly_any(prompts):
    greeting, dated = Text("greeting"), Text("dated")
    alone = {each: prompts.length_ms([each], "de") for each in (greeting, dated)}
    assert prompts.length_ms([greeting, dated], "de") == sum(alone.values()) + AFTER_SENTENCE_MS
    assert prompts.length_ms([dated, greeting], "de") == sum(alone.values()) + AFTER_PART_MS
    sound = heard(prompts.say([greeting, dated], "de"))
    start = alone[greeting] * 16
    assert sound[start : start + AFTER_SENTENCE_MS * 16] == bytes(AFTER_SENTENCE_MS * 16)


def test_silence_lasts_as_long_as_was_said(prompts):
    greeting = Text("greeting")
    alone = prompts.length_ms([greeting], "de")
    assert prompts.length_ms([greeting, Silence(700), greeting], "de") == 2 * alone + 700
    assert prompts.length_ms([Silence(700)], "de") == 700


def test_nothing_clicks_where_fragments_are_joined(prompts):
    phrases = [Text("dated"), DAY, Digits("123456"), Text("goodbye")]
    sound = np.frombuffer(heard(prompts.say(phrases, "en")), "<i2")
    silent = np.convolve(sound != 0, np.ones(80), "valid") == 0
    pauses = np.flatnonzero(np.diff(silent.astype(int)) == 1)
    assert len(pauses) == 11
    # The loudest tone takes steps of 16,000; into a pause and out of it there are none.
    assert max(abs(int(sound[pause])) for pause in pauses) < 2_000
    assert max(abs(int(sound[-2])), abs(int(sound[1]))) < 2_000


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_length_is_that_of_what_is_said(prompts, language):
    phrases = [*choice(3, "Strom", DAY.day), *keys_help(next_one=True, operator=True)]
    sound = heard(prompts.say(phrases, language))
    assert prompts.length_ms(phrases, language) == len(sound) // 16


def test_nothing_to_say_is_an_empty_file(prompts):
    assert heard(prompts.say([], "de")) == b""
    assert prompts.length_ms([], "de") == 0


def test_another_language_can_be_offered_in_its_own_words(prompts):
    offered = prompts.say([Text("switch_language", language="en")], "de")
    assert offered == prompts.say([Text("switch_language")], "en")
    assert offered != prompts.say([Text("switch_language")], "de")


def test_a_tenants_own_prompt_is_heard_by_its_callers_alone(folder):
    own = for_telephone(wav(tone(1_234, ms=900)))
    own_prompt(folder, "greeting_tenant", wav_of(own))
    prompts, said = Prompts.load(folder), [Text("greeting_tenant")]
    assert heard(prompts.say(said, "de", TENANT)) == own
    assert prompts.say(said, "de", OTHER_TENANT) == prompts.say(said, "de") != wav_of(own)
    assert prompts.say(said, "en", TENANT) == prompts.say(said, "en")
    assert prompts.say([Text("goodbye")], "de", TENANT) == prompts.say([Text("goodbye")], "de")


def test_a_tenants_name_leads_out_of_no_folder(folder):
    prompts, said = Prompts.load(folder), [Text("greeting")]
    for tenant in ("..", "../de", "/", "\0"):
        assert prompts.say(said, "de", tenant) == prompts.say(said, "de")


def test_everything_made_means_nothing_missing(prompts):
    assert prompts.missing() == []


def test_what_is_missing_is_named_and_an_error_if_said(folder):
    gone = Fragment("en", "month_3")
    file_of(folder, gone).unlink()
    prompts = Prompts.load(folder)
    assert prompts.missing() == [gone]
    assert prompts.say([DAY], "de")
    with pytest.raises(PromptMissing, match="en/month_3"):
        prompts.say([DAY], "en")


def test_a_folder_that_is_not_there_has_nothing(tmp_path):
    assert Prompts.load(tmp_path / "nowhere").missing() == list(all_fragments())


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        (b"", "no WAV"),
        (wav(tone(500)), "22050 Hz"),
        (wav_of(bytes(8_000))[:-10], "cut off"),
        (wav_of(bytes(1_000_000)), "more than"),
    ],
)
def test_a_file_of_a_wrong_format_is_refused_by_name(folder, sound, why):
    path = file_of(folder, Fragment("de", "greeting"))
    path.write_bytes(sound)
    with pytest.raises(PromptRefused, match=f"{path}.*{why}"):
        Prompts.load(folder)


def test_a_tenants_file_of_a_wrong_format_is_refused_by_name(folder):
    path = own_prompt(folder, "greeting", wav(tone(500)))
    with pytest.raises(PromptRefused, match=str(path)):
        Prompts.load(folder)


def test_a_folder_in_place_of_a_file_is_refused_by_name(folder):
    path = file_of(folder, Fragment("de", "greeting"))
    path.unlink()
    path.mkdir()
    with pytest.raises(PromptRefused, match=str(path)):
        Prompts.load(folder)


def test_memory_is_bounded(made):
    held = Prompts.load(made).bytes_held
    assert Prompts.load(made, bytes_max=held).bytes_held == held
    with pytest.raises(PromptRefused, match="all prompts"):
        Prompts.load(made, bytes_max=held - 1)


def test_whoever_says_prompts_reads_no_file(folder):
    prompts = Prompts.load(folder)
    before = prompts.say([DAY], "de")
    for fragment in all_fragments():
        file_of(folder, fragment).unlink()
    assert prompts.say([DAY], "de") == before


def test_a_caller_does_not_wait_for_the_joining(prompts):
    """The fastest of many: a loaded machine may stop us, but the work itself is small."""
    phrases = [phrase for key in range(1, 5) for phrase in choice(key, "Strom", DAY.day)]
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        prompts.say(phrases, "de")
        times.append(time.perf_counter() - begun)
    assert min(times) < 0.005


def test_every_fragment_of_every_text_says_what_the_catalogue_knows(prompts):
    for fragment in all_fragments():
        if fragment.key in catalogue("de").fragments and not fragment.key.startswith("year_"):
            assert prompts.say([Text(fragment.key)], fragment.language)


def test_a_service_that_says_prompts_loads_nothing_that_makes_them():
    script = (
        "import sys, voicefile.playback.telephone.prompts;"
        "sys.exit(any(name.split('.')[0] in {'av', 'numpy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
