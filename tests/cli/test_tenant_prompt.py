"""`voicefile tenant prompt`: a voice of the tenant's own, or a line that says why not."""

import os

from tests.cli import typed

from voicefile.playback.telephone.prompt_wav import wav_of

NOBODY = "ab" * 16


def run(data, *words):
    return typed.run(("tenant", *words), os.environ | {"VOICEFILE_DATA_DIR": str(data)})


def test_it_is_put_for_a_tenant_that_there_is_and_taken_away(tmp_path):
    data, folder, sound = tmp_path / "vault", tmp_path / "prompts", tmp_path / "mine.wav"
    sound.write_bytes(wav_of(bytes(16_000)))
    opened = run(data, "open", "Nordwind", "nordwind.example").stdout
    tenant = opened.split()[1]
    words = ("de", "greeting_tenant", str(sound), "--into", str(folder))
    put = run(data, "prompt", tenant, *words)
    assert (put.returncode, put.stdout, put.stderr) == (0, "put\n", "")
    path = folder / "tenants" / tenant / "de" / "greeting_tenant.wav"
    assert path.read_bytes() == wav_of(bytes(16_000))
    nobodys = run(data, "prompt", NOBODY, *words)
    assert (nobodys.returncode, nobodys.stdout) == (1, "")
    assert nobodys.stderr.startswith("There is no such tenant")
    assert not (folder / "tenants" / NOBODY).exists()
    removed = run(data, "prompt", tenant, "de", "greeting_tenant", "--into", str(folder))
    assert (removed.returncode, removed.stdout) == (0, "removed\n")
    assert not path.exists()


def test_what_cannot_be_played_is_said_in_a_line_and_opens_no_vault(tmp_path):
    sound = tmp_path / "mine.wav"
    sound.write_bytes(b"no sound")
    words = ("de", "greeting_tenant", str(sound), "--into", str(tmp_path / "prompts"))
    refused = run(tmp_path / "vault", "prompt", NOBODY, *words)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no WAV" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "vault").exists()
