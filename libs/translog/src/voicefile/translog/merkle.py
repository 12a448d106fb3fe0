"""The Merkle tree of RFC 6962: its hashes, and appending with nothing but the frontier in hand."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voicefile.translog.errors import ProofInvalid

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

HashReader = Callable[[int, int], bytes]
"""Answers the root of a complete subtree: `read(level, index)` covers the 2**level leaves
from index * 2**level on. Level 0 are the leaf hashes."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf; its prefix keeps a leaf from passing for an inner node."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below `size`: where RFC 6962 divides a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def subtree_root(begin: int, end: int, read: HashReader) -> bytes:
    """The root over leaves begin..end-1, where `begin` is a place at which the tree divides."""
    hashes = [read(level, index) for level, index in complete_subtrees(begin, end)]
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


def complete_subtrees(begin: int, end: int) -> list[tuple[int, int]]:
    """The complete subtrees that make up leaves begin..end-1, largest first."""
    found: list[tuple[int, int]] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append((level, begin >> level))
        begin += 1 << level
    return found


@dataclass(frozen=True)
class Frontier:
    """A tree as far as appending needs it: the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.peaks) == self.size.bit_count(), "one peak for each bit of the size"

    def extended(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """The tree with these leaves after its last."""
        peaks, size = list(self.peaks), self.size
        for leaf in leaf_hashes:
            node, carry = leaf, size
            while carry & 1:
                node = node_hash(peaks.pop(), node)
                carry >>= 1
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        *larger, root = self.peaks
        for peak in reversed(larger):
            root = node_hash(peak, root)
        return root

    @classmethod
    def read(cls, size: int, read: HashReader) -> "Frontier":
        """The frontier of the tree's first `size` leaves."""
        return cls(size, tuple(read(level, index) for level, index in complete_subtrees(0, size)))


def check_hashes(proof: Iterable[bytes]) -> None:
    """Every step of a proof is one whole hash. Raises ProofInvalid."""
    if any(len(step) != HASH_BYTES for step in proof):
        raise ProofInvalid("a step of the proof is not a hash")
