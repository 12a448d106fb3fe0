import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.translog.errors import ProofInvalid
from voicefile.translog.merkle import EMPTY_ROOT, Frontier, HashReader, leaf_hash
from voicefile.translog.proofs import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from voicefile.translog.tiles import TileId, grown_tiles, hash_reader

LEAVES = [os.urandom(i % 40) for i in range(600)]
SIZES = st.integers(1, 600)

# The reference: RFC 6962, section 2.1, word for word; slow, and therefore easy to believe.


def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_below(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: list[bytes]) -> list[bytes]:
    return subproof(m, leaves, whole=True) if 0 < m < len(leaves) else []


def subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def reading(leaves: list[bytes]) -> HashReader:
    return hash_reader(tiles_of(leaves))


def tiles_of(leaves: list[bytes]) -> dict[TileId, bytes]:
    return grown_tiles(0, [leaf_hash(leaf) for leaf in leaves], {})


ALL = reading(LEAVES)


@pytest.mark.parametrize("size", [*range(70), 255, 256, 257, 511, 512, 513, 600])
def test_the_frontier_leads_to_the_root_of_the_reference(size: int) -> None:
    frontier = Frontier().extended(map(leaf_hash, LEAVES[:size]))
    assert frontier.root() == mth(LEAVES[:size])
    assert frontier == Frontier.read(size, ALL)


def test_the_empty_tree_has_a_root() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 600), max_size=6))
def test_appending_in_pieces_is_appending_at_once(cuts: list[int]) -> None:
    frontier = Frontier()
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 600], strict=True):
        frontier = frontier.extended(map(leaf_hash, LEAVES[begin:end]))
    assert frontier == Frontier().extended(map(leaf_hash, LEAVES))


@settings(max_examples=150, deadline=None)
@given(size=SIZES, data=st.data())
def test_inclusion_proofs_are_those_of_the_reference_and_verify(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, ALL)
    assert proof == path(index, LEAVES[:size])
    verify_inclusion(
        leaf_hash(LEAVES[index]), index=index, size=size, proof=proof, root=mth(LEAVES[:size])
    )


@settings(max_examples=150, deadline=None)
@given(size=SIZES, data=st.data())
def test_consistency_proofs_are_those_of_the_reference_and_verify(
    size: int, data: st.DataObject
) -> None:
    old_size = data.draw(st.integers(0, size))
    steps = consistency_proof(old_size, size, ALL)
    assert steps == proof(old_size, LEAVES[:size])
    verify_consistency(
        old_size=old_size,
        old_root=mth(LEAVES[:old_size]),
        size=size,
        root=mth(LEAVES[:size]),
        proof=steps,
    )


def test_every_proof_of_small_trees_is_the_reference_s() -> None:
    for size in range(1, 20):
        for index in range(size):
            assert inclusion_proof(index, size, ALL) == path(index, LEAVES[:size])
        for old_size in range(size + 1):
            assert consistency_proof(old_size, size, ALL) == proof(old_size, LEAVES[:size])


def flipped(text: bytes, bit: int) -> bytes:
    changed = bytearray(text)
    changed[bit // 8 % len(text)] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=300, deadline=None)
@given(size=st.integers(2, 600), bit=st.integers(0, 1 << 16), data=st.data())
def test_a_mutated_inclusion_proof_never_verifies(size: int, bit: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    steps = inclusion_proof(index, size, ALL)
    leaf, root = leaf_hash(LEAVES[index]), Frontier.read(size, ALL).root()
    at = data.draw(st.integers(0, len(steps) - 1))
    changed_step = [*steps[:at], flipped(steps[at], bit), *steps[at + 1 :]]
    swapped = [steps[-1], *steps[1:-1], steps[0]]
    other_leaf, other_index = flipped(leaf, bit), (index + 1 + bit % (size - 1)) % size
    lies = [
        (leaf, index, size, changed_step, root),
        (other_leaf, index, size, steps, root),
        (leaf, other_index, size, steps, root),
        (leaf, index, size, steps[:-1], root),
        (leaf, index, size, steps[1:], root),
        (leaf, index, size, [*steps, steps[0]], root),
        (leaf, index, size, [flipped(root, bit), *steps], root),
        (leaf, index, size, steps, flipped(root, bit)),
        (leaf, index, size, [steps[0][:31], *steps[1:]], root),
        (leaf, size, size, steps, root),
        (leaf, -1, size, steps, root),
        (leaf, index, 0, steps, root),
    ]
    if swapped != steps:
        lies.append((leaf, index, size, swapped, root))
    for a_leaf, an_index, a_size, a_proof, a_root in lies:
        with pytest.raises(ProofInvalid):
            verify_inclusion(a_leaf, index=an_index, size=a_size, proof=a_proof, root=a_root)


@settings(max_examples=300, deadline=None)
@given(size=st.integers(2, 600), bit=st.integers(0, 1 << 16), data=st.data())
def test_a_mutated_consistency_proof_never_verifies(
    size: int, bit: int, data: st.DataObject
) -> None:
    old_size = data.draw(st.integers(1, size - 1))
    steps = consistency_proof(old_size, size, ALL)
    old_root, root = Frontier.read(old_size, ALL).root(), Frontier.read(size, ALL).root()
    at = data.draw(st.integers(0, len(steps) - 1))
    lies = [
        (old_size, old_root, size, root, [*steps[:at], flipped(steps[at], bit), *steps[at + 1 :]]),
        (old_size, flipped(old_root, bit), size, root, steps),
        (old_size, old_root, size, flipped(root, bit), steps),
        (old_size, old_root, size, root, steps[:-1]),
        (old_size, old_root, size, root, [*steps, steps[0]]),
        (old_size, old_root, size, root, []),
        (size, old_root, size, root, []),
        (size + 1, old_root, size, root, steps),
        (0, old_root, size, root, []),
        (0, EMPTY_ROOT, size, root, steps),
    ]
    for an_old_size, an_old_root, a_size, a_root, a_proof in lies:
        with pytest.raises(ProofInvalid):
            verify_consistency(
                old_size=an_old_size, old_root=an_old_root, size=a_size, root=a_root, proof=a_proof
            )


def test_there_is_no_proof_of_what_is_not_there() -> None:
    for index, size in [(-1, 5), (5, 5), (0, 0)]:
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(index, size, ALL)
    for old_size, size in [(-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match="no later beginning"):
            consistency_proof(old_size, size, ALL)
