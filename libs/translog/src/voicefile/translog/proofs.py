"""Proofs: that a leaf is in a tree, and that a tree only grew (RFC 6962, 2.1.1 and 2.1.2).

The verifying halves follow RFC 9162 (2.1.3.2 and 2.1.4.2): another algorithm than the making
halves, so that a mistake in one does not hide in the other.
"""

from collections.abc import Sequence

from voicefile.crypto.primitives import constant_time_equal
from voicefile.translog.errors import ProofInvalid
from voicefile.translog.merkle import (
    EMPTY_ROOT,
    HashReader,
    check_hashes,
    node_hash,
    split,
    subtree_root,
)


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """The hashes beside the way from leaf `index` up to the root of `size`, leaf's sibling first.

    Raises ValueError if there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of that size")
    beside: list[tuple[int, int]] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        if index < middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((begin, middle))
            begin = middle
    return [subtree_root(first, last, read) for first, last in reversed(beside)]


def consistency_proof(old_size: int, size: int, read: HashReader) -> list[bytes]:
    """What shows that the tree of `old_size` is the beginning of that of `size`.

    Raises ValueError unless 0 <= old_size <= size.
    """
    if not 0 <= old_size <= size:
        raise ValueError("a tree has no later beginning")
    if old_size in {0, size}:
        return []
    beside: list[tuple[int, int]] = []
    begin, end, whole = 0, size, True
    while end != old_size:
        middle = begin + split(end - begin)
        if old_size <= middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((begin, middle))
            begin, whole = middle, False
    if not whole:  # otherwise the verifier knows this one: it is the old root
        beside.append((begin, end))
    return [subtree_root(first, last, read) for first, last in reversed(beside)]


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Returns if `leaf` (a leaf hash) is number `index` of the tree. Raises ProofInvalid."""
    check_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise ProofInvalid("no such leaf in a tree of that size")
    node, last, computed = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            computed = node_hash(step, computed)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the proof is too short")
    _same(computed, root)


def verify_consistency(
    *, old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Returns if the old tree is the beginning of the new one. Raises ProofInvalid."""
    check_hashes([old_root, root, *proof])
    if not 0 <= old_size <= size:
        raise ProofInvalid("a tree has no later beginning")
    if old_size in {0, size}:
        if proof:
            raise ProofInvalid("the proof is too long")
        _same(old_root, root if old_size == size else EMPTY_ROOT)
        return
    steps = list(proof)
    if not steps:
        raise ProofInvalid("the proof is too short")
    if old_size & (old_size - 1) == 0:  # a power of two: the old root itself is the first step
        steps.insert(0, old_root)
    computed_old, computed = _walk(old_size - 1, size - 1, steps)
    _same(computed_old, old_root)
    _same(computed, root)


def _walk(node: int, last: int, steps: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Climbs from the old tree's last leaf to both roots at once."""
    while node & 1:
        node, last = node >> 1, last >> 1
    computed_old = computed = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            computed_old = node_hash(step, computed_old)
            computed = node_hash(step, computed)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the proof is too short")
    return computed_old, computed


def _same(computed: bytes, given: bytes) -> None:
    if not constant_time_equal(computed, given):
        raise ProofInvalid("the proof leads to another root")
