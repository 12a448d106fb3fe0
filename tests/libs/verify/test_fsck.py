"""A whole log, recounted from its files: what holds, and what is named when it does not."""

import dataclasses
import json
import random
import zipfile

import pytest
from tests.libs.verify.log_world import AUDIO, Keys, Log, bundle, filed

from voicefile.verify.command import PROVEN, UNCONFIRMED, UNREADABLE, WRONG, run_fsck, run_verify
from voicefile.verify.fsck import LogCheck
from voicefile.verify.refuted import Refuted
from voicefile.verify.source import SourceAway, folder, web


def a_log(size, seed=0):
    log = Log(random.Random(seed))
    log.add_often(size)
    return log


def refuted(log, files, *known):
    with pytest.raises(Refuted) as wrong:
        LogCheck(files.get, log.key, known).run()
    return wrong.value.file, wrong.value.place


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_a_whole_log_holds_at_any_size(size):
    log = a_log(size)
    counted = LogCheck(log.files().get, log.key).run()
    assert (counted.checkpoint.size, counted.deeds) == (size, size)


def test_a_log_without_exported_deeds_holds_by_its_leaves():
    log = a_log(300)
    files = log.files()
    del files["entries.jsonl"]
    assert LogCheck(files.get, log.key).run().deeds == 0


def test_every_older_checkpoint_of_a_log_fits_it():
    log = a_log(600)
    kept = [log.checkpoint(size) for size in range(0, 601, 37)]
    assert LogCheck(log.files().get, log.key, kept).run().deeds == 600


def test_a_log_that_was_cut_back_contradicts_what_was_kept():
    log = a_log(300)
    kept = log.checkpoint()
    log.entries = log.entries[:299]
    assert refuted(log, log.files(), kept) == ("checkpoint", "known 0")


def test_a_log_that_was_forked_contradicts_what_was_kept():
    log = a_log(300)
    kept = log.checkpoint(270)
    log.entries[12] = a_log(13, seed=1).entries[12]
    assert refuted(log, log.files(), kept) == ("checkpoint", "known 0")


def test_a_deed_that_stands_twice_is_named_even_if_all_is_signed():
    log = a_log(20)
    log.entries.append((bytes(32), log.entries[3][1]))
    assert refuted(log, log.files()) == ("entries.jsonl", "line 21")


def test_a_log_signed_by_somebody_else_is_none():
    log = a_log(20)
    files = dataclasses.replace(log, keys=Keys(log=b"another " * 4)).files()
    assert refuted(log, files) == ("checkpoint", "signature")


def test_a_signature_that_stands_twice_is_not_two():
    log = a_log(7)
    files = log.files()
    files["checkpoint"] += files["checkpoint"].splitlines(keepends=True)[-1]
    assert refuted(log, files) == ("checkpoint", "signature")


@pytest.fixture
def exported(tmp_path):
    log = a_log(300)
    for path, content in log.files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "key").write_text(f"{log.key}\n")
    return tmp_path, log


def test_the_command_says_what_it_recounted(exported, capsys):
    place, log = exported
    assert run_fsck([str(place), "--log-key", str(log.key)]) == PROVEN
    said = capsys.readouterr().out
    assert said.startswith("PROVEN\n")
    assert f"{log.origin}: 300 leaves, 3 tiles" in said


def test_the_command_does_not_take_the_word_of_the_log_for_its_own_key(exported, capsys):
    assert run_fsck([str(exported[0])]) == UNCONFIRMED
    assert "NOT PROVEN" in capsys.readouterr().out


def test_the_command_names_the_tile_and_the_hash(exported, capsys):
    place, _ = exported
    tile = place / "tile" / "0" / "001.p" / "44"
    raw = bytearray(tile.read_bytes())
    raw[5 * 32] ^= 1
    tile.write_bytes(raw)
    assert run_fsck([str(place), "--log-key", str(place / "key")]) == WRONG
    told = "WRONG\n  tile/0/001.p/44: hash 5: not that of leaf 261 in tile/entries/001.p/44\n"
    assert capsys.readouterr().out == told


def test_what_can_not_be_read_is_neither_right_nor_wrong(tmp_path, capsys):
    assert run_fsck([str(tmp_path)]) == UNREADABLE
    assert run_verify([str(tmp_path / "none.zip")]) == UNREADABLE
    assert run_verify([]) == UNREADABLE
    assert "none.zip" in capsys.readouterr().err


def test_a_log_is_fetched_over_https_or_not_at_all():
    with pytest.raises(SourceAway):
        web("http://localhost/logs/x")


def test_a_folder_answers_what_is_there(tmp_path):
    (tmp_path / "key").write_bytes(b"x")
    (tmp_path / "tile").mkdir()
    read = folder(tmp_path)
    assert (read("key"), read("tile"), read("checkpoint")) == (b"x", None, None)


@pytest.fixture
def packed(tmp_path):
    filing = filed()
    path = tmp_path / "evidence.zip"
    path.write_bytes(bundle(filing.papers()))
    return path, filing


def test_the_command_says_what_a_bundle_proves(packed, capsys):
    path, filing = packed
    witness = str(filing.log.witness)[:-4]
    words = [str(path), "--log-key", str(filing.log.key)]
    assert run_verify(words) == PROVEN
    said = capsys.readouterr().out
    assert filing.recording in said
    assert f"leaf 4 of {len(filing.log.entries)}" in said
    assert "key not given: not checked" in said
    assert run_verify([*words, "--witness", witness]) == UNREADABLE


def test_the_command_takes_a_bundle_unpacked_by_hand(packed, tmp_path, capsys):
    path, filing = packed
    place = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as bundled:
        bundled.extractall(place)
    assert run_verify([str(place), "--log-key", str(filing.log.key)]) == PROVEN
    (place / "audio.wav").write_bytes(b"RIFF")
    assert run_verify([str(place), "--log-key", str(filing.log.key)]) == WRONG
    assert "audio.wav: whole: not the audio of the receipt" in capsys.readouterr().out
    (place / "deeds.json").unlink()
    assert run_verify([str(place)]) == WRONG


def test_a_bundle_alone_proves_nothing(packed, capsys):
    assert run_verify([str(packed[0])]) == UNCONFIRMED
    assert "NOT PROVEN" in capsys.readouterr().out


@pytest.fixture
def apart(tmp_path):
    """Receipt, audio and the vault's two answers, each as it comes."""
    filing = filed()
    papers = filing.papers()
    proof = {
        "tlog_proof": papers.proof,
        "receipt_key_proof": papers.key_proof,
        "verifier_key": str(filing.log.key),
    }
    key = json.loads(papers.receipt_key) | {"alg": "EdDSA", "use": "sig"}
    (tmp_path / "receipt.jws").write_text(f"{filing.receipt}\n")
    (tmp_path / "mine.WAV").write_bytes(AUDIO)
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key]}))
    words = ["--receipt", "receipt.jws", "--audio", "mine.WAV", "--proof", "proof.json"]
    words += ["--receipt-keys", "keys.json"]
    places = [str(tmp_path / word) if "." in word else word for word in words]
    return [*places, "--log-key", str(filing.log.key)], tmp_path


def test_what_came_apart_is_packed_into_a_bundle_that_holds(apart, capsys):
    words, place = apart
    out = place / "evidence.zip"
    assert run_verify([*words, "--pack", str(out)]) == PROVEN
    assert run_verify([str(out), *words[-2:]]) == PROVEN
    assert run_verify([*words, "--pack", str(out)]) == UNREADABLE  # nothing is overwritten
    assert "evidence.zip" in capsys.readouterr().err


def test_what_is_wrong_is_not_packed(apart):
    words, place = apart
    (place / "mine.WAV").write_bytes(AUDIO[:-1])
    assert run_verify([*words, "--pack", str(place / "evidence.zip")]) == WRONG
    assert not (place / "evidence.zip").exists()
