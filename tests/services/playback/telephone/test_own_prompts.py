"""A tenant's own prompts: checked before they are there, heard by its callers and nobody else's."""

import pytest

from voicefile.playback.telephone.own_prompts import checked, put_prompt, remove_prompt
from voicefile.playback.telephone.phrases import Fragment, Text
from voicefile.playback.telephone.prompt_wav import header, wav_of
from voicefile.playback.telephone.prompts import PromptRefused, Prompts

TENANT, OTHER = "a1" * 16, "b2" * 16
GREETING = Fragment("de", "greeting_tenant")
PCM = b"\x01\x02" * 8_000
MARKER = b"made by Erika in Berlin"


@pytest.fixture
def sound(tmp_path):
    def written(content):
        path = tmp_path / "mine.wav"
        path.write_bytes(content)
        return path

    return written


def said(folder, tenant):
    return Prompts.load(folder).say([Text("greeting_tenant")], "de", tenant=tenant)


def test_its_callers_hear_it_and_nobody_elses(folder, sound):
    before = said(folder, OTHER)
    put_prompt(folder, TENANT, GREETING, checked(GREETING, sound(wav_of(PCM))))
    assert said(folder, TENANT) == header(len(PCM)) + PCM
    assert said(folder, OTHER) == before
    assert said(folder, "") == before
    assert remove_prompt(folder, TENANT, GREETING)
    assert said(folder, TENANT) == before
    assert not remove_prompt(folder, TENANT, GREETING)


def test_nothing_but_the_sound_goes_along(folder, sound):
    noted = wav_of(PCM)[:12] + b"note" + len(MARKER + b"\0").to_bytes(4, "little")
    noted += MARKER + b"\0" + wav_of(PCM)[12:]
    noted = b"RIFF" + (len(noted) - 8).to_bytes(4, "little") + noted[8:]
    assert MARKER in noted  # the control
    assert checked(GREETING, sound(noted)) == wav_of(PCM)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no sound", "no WAV"),
        (wav_of(PCM)[:-2], "cut off"),
        (wav_of(PCM[:400]), "lasts 25 ms"),
        (wav_of(bytes(16_000 * 16)), "lasts 16000 ms"),
        (
            wav_of(PCM).replace((8_000).to_bytes(4, "little"), (44_100).to_bytes(4, "little"), 1),
            "44100 Hz",
        ),
        (bytes(1_000_000), "more than"),
    ],
)
def test_what_cannot_be_played_is_refused_and_says_why(folder, sound, content, why):
    with pytest.raises(PromptRefused, match=why):
        checked(GREETING, sound(content))
    assert not (folder / "tenants").exists()


@pytest.mark.parametrize(
    "named", [Fragment("de", "nowhere"), Fragment("fr", "greeting"), Fragment("de", "../x")]
)
def test_what_nothing_is_called_is_refused(sound, named):
    with pytest.raises(PromptRefused, match="nothing is called"):
        checked(named, sound(wav_of(PCM)))


def test_so_much_that_no_service_would_start_is_refused(folder):
    held = sum(each.stat().st_size for each in folder.rglob("*.wav"))
    with pytest.raises(PromptRefused, match="more than"):
        put_prompt(folder, TENANT, GREETING, wav_of(PCM), bytes_max=held + 10)
    assert said(folder, TENANT) == said(folder, OTHER)


def test_an_interrupted_put_leaves_the_one_before(folder):
    put_prompt(folder, TENANT, GREETING, wav_of(PCM))
    half = folder / "tenants" / TENANT / "de" / "greeting_tenant.new"
    half.write_bytes(b"RIFF")
    assert said(folder, TENANT) == header(len(PCM)) + PCM
