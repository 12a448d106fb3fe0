"""Building makes what is missing and stale, and nothing else, whenever it was killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.services.playback.telephone.fake_speaker import FakeSpeaker, tone, wav

from voicefile.playback.telephone.build_prompts import Fault, build_prompts, faults
from voicefile.playback.telephone.catalogue import catalogue
from voicefile.playback.telephone.phrases import Fragment
from voicefile.playback.telephone.prompt_wav import mark_of, wav_of
from voicefile.playback.telephone.prompts import Prompts, all_fragments, file_of
from voicefile.playback.telephone.speak import NotSpoken, mark

ALL = list(all_fragments())
GREETING = Fragment("de", "greeting")
TENANT = "ab" * 16


def kinds(folder):
    return Counter(each.fault for each in faults(folder, FakeSpeaker()))


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.wav")}


def test_everything_is_made_once(tmp_path):
    speaker = FakeSpeaker()
    built = build_prompts(tmp_path / "new" / "prompts", speaker)
    assert (built.made, built.kept, built.refused) == (len(ALL), 0, [])
    texts = [catalogue(each.language).fragments[each.key] for each in ALL]
    assert Counter(speaker.asked) == Counter(texts)
    assert Prompts.load(tmp_path / "new" / "prompts").missing() == []


def test_building_again_makes_nothing(folder):
    before, speaker = content(folder), FakeSpeaker()
    stamps = {path: path.stat().st_mtime_ns for path in before}
    built = build_prompts(folder, speaker)
    assert (built.made, built.kept, speaker.asked) == (0, len(ALL), [])
    assert content(folder) == before
    assert {path: path.stat().st_mtime_ns for path in before} == stamps


def test_what_is_missing_is_made_and_nothing_else(folder):
    file_of(folder, GREETING).unlink()
    speaker = FakeSpeaker()
    assert build_prompts(folder, speaker).made == 1
    assert speaker.asked == [catalogue("de").fragments["greeting"]]


def test_another_voice_makes_everything_anew(folder):
    built = build_prompts(folder, FakeSpeaker(voice="another"))
    assert (built.made, built.kept) == (len(ALL), 0)


def test_a_file_of_an_older_text_is_made_anew(folder):
    path = file_of(folder, GREETING)
    older = mark(FakeSpeaker(), "Guten Tag, wie es früher hieß.", "de")
    path.write_bytes(wav_of(bytes(8_000), mark=older))
    assert kinds(folder) == {Fault.STALE: 1}
    assert build_prompts(folder, FakeSpeaker()).made == 1
    assert kinds(folder) == {}


@pytest.mark.parametrize("kept_bytes", [0, 150, 1_000])
def test_a_file_of_ours_that_was_cut_off_is_made_anew(folder, kept_bytes):
    path = file_of(folder, GREETING)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept_bytes])
    assert kinds(folder) == {Fault.WRONG_FORMAT: 1}
    assert build_prompts(folder, FakeSpeaker()).made == 1
    assert path.read_bytes() == whole


def test_a_file_of_somebody_else_is_left_alone(folder):
    path, theirs = file_of(folder, GREETING), wav_of(bytes(20_000))
    path.write_bytes(theirs)
    assert kinds(folder) == {}
    built = build_prompts(folder, FakeSpeaker(voice="another"))
    assert built.kept == 1
    assert path.read_bytes() == theirs


def test_a_file_of_somebody_else_in_a_wrong_format_is_named_and_left_alone(folder):
    path, theirs = file_of(folder, GREETING), wav(tone(440))
    path.write_bytes(theirs)
    built = build_prompts(folder, FakeSpeaker())
    assert [(each.path, each.fault) for each in built.refused] == [(path, Fault.WRONG_FORMAT)]
    assert "22050 Hz" in built.refused[0].why
    assert path.read_bytes() == theirs


def test_every_planted_fault_is_found(folder):
    file_of(folder, Fragment("en", "number_7")).unlink()
    file_of(folder, Fragment("en", "number_8")).write_bytes(wav(tone(440)))
    file_of(folder, GREETING).write_bytes(wav_of(bytes(8_000), mark="0" * 64))
    own = folder / "tenants" / TENANT / "de"
    own.mkdir(parents=True)
    (own / "greeting.wav").write_bytes(wav_of(bytes(8_000)))
    (own / "goodbye.wav").write_bytes(wav(tone(440)))
    (own / "greting.wav").write_bytes(wav_of(bytes(8_000)))
    found = {(each.path.relative_to(folder).as_posix(), each.fault) for each in
             faults(folder, FakeSpeaker())}  # fmt: skip
    assert found == {
        ("en/number_7.wav", Fault.MISSING),
        ("en/number_8.wav", Fault.WRONG_FORMAT),
        ("de/greeting.wav", Fault.STALE),
        (f"tenants/{TENANT}/de/goodbye.wav", Fault.WRONG_FORMAT),
        (f"tenants/{TENANT}/de/greting.wav", Fault.UNKNOWN),
    }


def test_a_tenants_own_prompts_are_never_built(folder):
    own = folder / "tenants" / TENANT / "de" / "goodbye.wav"
    own.parent.mkdir(parents=True)
    own.write_bytes(wav(tone(440)))
    build_prompts(folder, FakeSpeaker(voice="another"))
    assert own.read_bytes() == wav(tone(440))
    assert list((folder / "tenants").rglob("*.wav")) == [own]


def test_every_file_is_marked_with_what_it_says(made):
    for each in ALL:
        text = catalogue(each.language).fragments[each.key]
        marked = mark_of(file_of(made, each).read_bytes())
        assert marked == mark(FakeSpeaker(), text, each.language)


def test_a_building_that_was_stopped_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build_prompts(tmp_path, FakeSpeaker(fails_after=100), workers=1)
    speaker = FakeSpeaker()
    built = build_prompts(tmp_path, speaker)
    assert (built.made, built.kept) == (len(ALL) - 100, 100)
    assert kinds(tmp_path) == {}


KILLED = """
import sys, time
from pathlib import Path
from tests.services.playback.telephone.fake_speaker import FakeSpeaker
from voicefile.playback.telephone.build_prompts import build_prompts
print("begun", flush=True)
build_prompts(Path(sys.argv[1]), FakeSpeaker())
"""


@pytest.mark.parametrize("made_before", [1, 60, 200])
def test_a_building_that_was_killed_leaves_only_whole_files(tmp_path, made, made_before):
    folder = tmp_path / "prompts"
    killed = subprocess.Popen([sys.executable, "-c", KILLED, folder], stdout=subprocess.PIPE)
    with killed:
        assert killed.stdout.readline() == b"begun\n"
        deadline = time.monotonic() + 60
        while len(list(folder.rglob("*.wav"))) < made_before:
            assert time.monotonic() < deadline
        killed.send_signal(signal.SIGKILL)
    assert set(kinds(folder)) <= {Fault.MISSING}
    before = content(folder)
    build_prompts(folder, FakeSpeaker())
    assert before.items() <= content(folder).items()
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == {
        path.relative_to(made) for path in made.rglob("*.*")
    }
    assert kinds(folder) == {}


def test_two_that_build_at_once_do_not_hinder_each_other(tmp_path):
    both = [subprocess.Popen([sys.executable, "-c", KILLED, tmp_path]) for _ in range(2)]
    assert [each.wait(timeout=100) for each in both] == [0, 0]
    assert kinds(tmp_path) == {}


def test_what_can_not_be_spoken_is_named(tmp_path):
    class Silent(FakeSpeaker):
        def speak(self, text, language):
            return wav([0.0] * 22_050)

    with pytest.raises(NotSpoken, match=r"de/.*nothing can be heard"):
        build_prompts(tmp_path, Silent())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_an_error(folder):
    folder.chmod(0o500)
    shutil.rmtree(folder / "de", ignore_errors=True)
    with pytest.raises(OSError):
        build_prompts(folder / "de" / "below", FakeSpeaker())
