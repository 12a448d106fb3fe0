"""Logs for a witness to watch: they grow, and some of them lie."""

from dataclasses import dataclass, field

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.checkpoint import Checkpoint, sign_checkpoint
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey
from voicefile.translog.proofs import consistency_proof
from voicefile.translog.tiles import grown_tiles, hash_reader
from voicefile.translog.witnessing import AddCheckpoint

ORIGIN = "voicefile/test/" + "ab" * 16
LOG_KEY = SigningKey.from_seed(SecretKey(b"log key " * 4))
OTHER_KEY = SigningKey.from_seed(SecretKey(b"another " * 4))


@dataclass
class Growing:
    """A log that anybody can fork: copy its leaves and go on differently."""

    origin: str = ORIGIN
    key: SigningKey = LOG_KEY
    leaves: list[bytes] = field(default_factory=list)

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.origin, self.key.public)

    @property
    def size(self) -> int:
        return len(self.leaves)

    def grow(self, count: int, *, mark: str = "") -> "Growing":
        self.leaves += [f"{mark}{self.size + at}".encode() for at in range(count)]
        return self

    def forked(self, at: int) -> "Growing":
        return Growing(self.origin, self.key, self.leaves[:at])

    def root(self, size: int) -> bytes:
        return Frontier().extended(map(leaf_hash, self.leaves[:size])).root()

    def signed(self, size: int | None = None) -> str:
        size = self.size if size is None else size
        return sign_checkpoint(Checkpoint(self.origin, size, self.root(size)), self.key)

    def proof(self, old: int, size: int) -> tuple[bytes, ...]:
        if not 0 <= old <= size:
            return ()
        tiles = grown_tiles(0, [leaf_hash(leaf) for leaf in self.leaves[:size]], {})
        return tuple(consistency_proof(old, size, hash_reader(tiles)))

    def asked(self, old: int, size: int | None = None) -> AddCheckpoint:
        """What an honest log asks, whose witness is at `old`."""
        size = self.size if size is None else size
        return AddCheckpoint(old, self.proof(old, size), self.signed(size))
