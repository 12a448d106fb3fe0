"""Agreement with other implementations: Certificate Transparency, Go's sumdb, C2SP."""

import json
from pathlib import Path
from typing import Any

import pytest

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey, open_note, sign_note
from voicefile.translog.proofs import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from voicefile.translog.tiles import TilePath, grown_tiles, hash_reader, parse_tile_path

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors/translog.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
READ = hash_reader(grown_tiles(0, LEAVES, {}))


def test_the_roots_are_those_of_certificate_transparency() -> None:
    assert [Frontier().extended(LEAVES[:size]).root() for size in range(9)] == ROOTS


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_the_inclusion_proofs_are_those_of_certificate_transparency(vector: Any) -> None:
    index, size = vector["index"], vector["size"]
    proof = [bytes.fromhex(step) for step in vector["proof"]]
    assert inclusion_proof(index, size, READ) == proof
    verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=ROOTS[size])


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_the_consistency_proofs_are_those_of_certificate_transparency(vector: Any) -> None:
    old_size, size = vector["old_size"], vector["size"]
    proof = [bytes.fromhex(step) for step in vector["proof"]]
    assert consistency_proof(old_size, size, READ) == proof
    verify_consistency(
        old_size=old_size, old_root=ROOTS[old_size], size=size, root=ROOTS[size], proof=proof
    )


def test_the_note_is_the_one_go_signs() -> None:
    note = VECTORS["note"]
    key = SigningKey.from_seed(SecretKey(bytes.fromhex(note["seed"])))
    signed = sign_note(note["text"], name=note["name"], key=key)
    assert signed == f"{note['text']}\n{note['signature_line']}"
    assert str(VerifierKey(note["name"], key.public)) == note["verifier_key"]


@pytest.mark.parametrize("which", ["verifier_key", "other_verifier_key"])
def test_the_note_that_go_signed_opens_with_either_key(which: str) -> None:
    note = VECTORS["note"]
    signed = f"{note['text']}\n{note['signature_line']}{note['other_signature_line']}"
    assert open_note(signed, VerifierKey.parse(note[which])) == note["text"]


@pytest.mark.parametrize("vector", VECTORS["tile_paths"])
def test_the_tile_paths_are_those_of_the_specification(vector: Any) -> None:
    tile = TilePath(vector["level"], vector["index"], vector["width"])
    assert str(tile) == vector["path"]
    assert parse_tile_path(vector["path"]) == tile
