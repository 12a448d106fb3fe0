"""Agreement with people who never saw our code: Go's sumdb reads our logs, and we read its.

The Go program stands beside this file. Where Go or its modules can't be had, that is said aloud,
and the frozen vectors, which it made, are checked all the same.
"""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.libs.verify.log_world import Log
from tests.vectors.make_published_log import ASKED, FILE, SIZE, as_text, by_go

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey
from voicefile.translog.proofs import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from voicefile.translog.tiles import TilePath, entry_bundle, grown_tiles, hash_reader
from voicefile.verify.fsck import LogCheck

HERE = Path(__file__).parent
GO = shutil.which("go")
PUBLISHED = json.loads(FILE.read_text())["published"]
FILES = {path: base64.b64decode(held) for path, held in PUBLISHED["files"].items()}
KEY = VerifierKey.parse(PUBLISHED["key"])
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in ASKED["leaves"]]
READ = hash_reader(grown_tiles(0, LEAVES, {}))


def encoded(hashes):
    return [base64.b64encode(step).decode() for step in hashes]


def decoded(hashes):
    return [base64.b64decode(step) for step in hashes]


def root(size):
    return Frontier().extended(LEAVES[:size]).root()


def test_what_go_published_is_bit_for_bit_what_we_publish():
    key = SigningKey.from_seed(SecretKey(bytes.fromhex(ASKED["seed"])))
    assert str(VerifierKey(ASKED["name"], key.public)) == PUBLISHED["key"]
    checkpoint = Checkpoint(ASKED["name"], SIZE, root(SIZE))
    ours = {"checkpoint": sign_checkpoint(checkpoint, key).encode()}
    for tile, hashes in grown_tiles(0, LEAVES, {}).items():
        ours[f"tile/{TilePath(tile.level, tile.index, len(hashes) // 32)}"] = hashes
    raw = [bytes.fromhex(leaf) for leaf in ASKED["leaves"]]
    ours["tile/entries/000"] = entry_bundle(raw[:256])
    ours["tile/entries/001.p/44"] = entry_bundle(raw[256:])
    assert ours == FILES
    assert [
        each | {"proof": encoded(inclusion_proof(each["index"], each["size"], READ))}
        for each in ASKED["inclusion"]
    ] == [each | {"proof": each["proof"] or []} for each in PUBLISHED["inclusion"]]
    assert [
        each | {"proof": encoded(consistency_proof(each["old_size"], each["size"], READ))}
        for each in ASKED["consistency"]
    ] == [each | {"proof": each["proof"] or []} for each in PUBLISHED["consistency"]]


def test_our_verifier_accepts_what_go_published():
    assert open_checkpoint(FILES["checkpoint"].decode(), KEY).root == root(SIZE)
    assert LogCheck(FILES.get, KEY).run().checkpoint.size == SIZE
    for each in PUBLISHED["inclusion"]:
        verify_inclusion(
            LEAVES[each["index"]],
            index=each["index"],
            size=each["size"],
            proof=decoded(each["proof"] or []),
            root=root(each["size"]),
        )
    for each in PUBLISHED["consistency"]:
        verify_consistency(
            old_size=each["old_size"],
            old_root=root(each["old_size"]),
            size=each["size"],
            root=root(each["size"]),
            proof=decoded(each["proof"] or []),
        )


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The Go program, built."""
    if GO is None:
        pytest.skip("NOT RUN: no Go on this machine (Debian: apt install golang)")
    got = subprocess.run([GO, "mod", "download"], cwd=HERE, capture_output=True, check=False)
    if got.returncode:
        pytest.skip("NOT RUN: Go's modules can't be had here")
    built = tmp_path_factory.mktemp("go") / "third_party_log"
    subprocess.run([GO, "build", "-mod=readonly", "-o", built, "."], cwd=HERE, check=True)
    return built


def test_go_still_publishes_the_frozen_vectors(program):
    assert as_text(by_go(program)) == FILE.read_text()


def published(log, place):
    """Our log in a folder, with proofs of ours for Go to check."""
    for path, content in log.files().items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    size = len(log.entries)
    read = hash_reader(grown_tiles(0, [leaf_hash(leaf) for leaf in log.leaves()], {}))
    proofs = {
        "inclusion": [
            {"index": index, "size": size, "proof": encoded(inclusion_proof(index, size, read))}
            for index in range(size)
        ],
        "consistency": [
            {"old_size": old, "size": size, "proof": encoded(consistency_proof(old, size, read))}
            for old in range(1, size + 1)
        ],
    }
    (place / "proofs.json").write_text(json.dumps(proofs))


def checked(program, log, place):
    return subprocess.run(
        [program, "check", place, str(log.key)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_go_accepts_our_checkpoint_our_tiles_and_every_proof(program, tmp_path, size):
    log = Log(random.Random(size))
    log.add_often(size)
    published(log, tmp_path)
    ran = checked(program, log, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{size} leaves, {size} inclusion proofs, {size} consistency proofs\n"


@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/0/000.p/40", "tile/entries/000.p/40", "proofs.json"]
)
def test_go_refuses_each_of_them_with_one_bit_changed(program, tmp_path, path):
    log = Log(random.Random(1))
    log.add_often(40)
    published(log, tmp_path)
    raw = bytearray((tmp_path / path).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / path).write_bytes(raw)
    assert checked(program, log, tmp_path).returncode == 1
