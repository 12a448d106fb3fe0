"""What audit keeps: segments of deeds, the tiles over them, each log's head, who wrote what.

A segment is the truth: one document, written once, that holds a run of deeds and the frontier
after them. Tiles, heads and boots follow from the segments and can be made again from them.
"""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from voicefile.deeds.series import DEEDS
from voicefile.docstore.lease import LEASES
from voicefile.docstore.port import Collection, Document, Index, Value
from voicefile.translog.merkle import Frontier
from voicefile.translog.origin import log_of
from voicefile.translog.tiles import TileId

T = TypeVar("T", bound=Struct)

COMMITMENT_BYTES: Final = 32
SALT_BYTES: Final = 32


class Vouched(Struct, frozen=True):
    """A deed that vouches for a receipt or its key: whose, and which place in its segment."""

    recording: str
    """Of the key, the tenant's id instead."""
    at: int


class Segment(Struct, frozen=True):
    """Deeds first..stop-1 of one log."""

    first: int
    stop: int
    event_ids: list[str]
    entries: list[bytes]
    """The deeds as serialised; `entry.py` says how a leaf follows from one."""
    salts: bytes
    """32 bytes for each entry, one after the other."""
    leaves: bytes
    """The commitments: 32 bytes for each entry."""
    peaks: list[bytes]
    """The log's frontier after this segment."""
    numbers: dict[str, list[int]]
    """Which numbers of which instance are in here."""
    marks: list[str]
    """What a deed delivered again is found by: `mark_of`."""
    vouched: list[Vouched]
    sequenced_at_ms: int
    stored_through: dict[str, int] = {}
    """Up to which number an instance had stored all, as its deeds in here say."""

    @property
    def frontier(self) -> Frontier:
        return Frontier(self.stop, tuple(self.peaks))

    def leaf(self, at: int) -> bytes:
        return self.leaves[at * COMMITMENT_BYTES : (at + 1) * COMMITMENT_BYTES]

    def salt(self, at: int) -> bytes:
        return self.salts[at * SALT_BYTES : (at + 1) * SALT_BYTES]


class TileRecord(Struct, frozen=True):
    """A tile as far as it has grown."""

    hashes: bytes
    leaves: bytes = b""
    """Level 0 only: the commitments whose hashes they are."""


class Head(Struct, frozen=True):
    """How much of a log is published. The document's id is the log's name."""

    size: int
    root: bytes
    checkpoint: str
    """The signed note; empty before the first."""
    signed_at_ms: int


class Cosigned(Struct, frozen=True):
    """A log's newest checkpoint that a witness cosigned. The document's id is the log's name."""

    size: int
    root: bytes
    checkpoint: str
    """The signed note, with the witnesses' lines under the log's."""


class DayStamp(Struct, frozen=True):
    """That the heads of a day existed at a time. The document's id is the day: 2026-11-28."""

    heads: str
    """The signed note over the heads' tree: what was stamped."""
    response: bytes
    """The time-stamp response (RFC 3161), verified."""
    stamped_at_s: int
    """The time it states."""


class StampedHead(Struct, frozen=True):
    """A log's head in a day's tree. The document's id is log, day, and which tree of that day."""

    day: str
    checkpoint: str
    index: int
    hashes: list[bytes]


class Boot(Struct, frozen=True):
    """Which of an instance's numbers are published. The document's id is the boot id."""

    runs: list[tuple[int, int]]
    """As (first, last)."""
    seen_at_s: int
    stored_through: int = 0


class LogKey(Struct, frozen=True):
    """The key that signs checkpoints, wrapped under audit's own root."""

    root_version: str
    wrapped: bytes
    public: bytes
    created_at_s: int


class Findable(Struct, frozen=True):
    """By what a segment is found again: tokens of what stands in it (`findable.py`)."""

    first: int
    stop: int
    tokens: list[int]


class Indexed(Struct, frozen=True):
    """How far a log's segments can be found by what is in them. Its id is the log's name."""

    stop: int


class Watched(Struct, frozen=True):
    """What the log has of a release so far, until it is even. Its id is the release's.

    Each deed by its index, so that one that is noted twice counts once.
    """

    due_at_s: int | None
    """When what is not there is missed; None once that was told."""
    given: tuple[int, ...] = ()
    """The deeds by which an instance was given the key."""
    ended: tuple[tuple[int, int], ...] = ()
    """The ends of listenings, with the bytes that playback sent."""
    returned: tuple[tuple[int, int], ...] = ()
    """The keys that came back, with the bytes that auth was told of."""


class Unreadable(Struct, frozen=True):
    """An event that holds no deed audit can take in, kept for whoever looks into it."""

    topic: str
    payload: bytes
    received_at_ms: int


MARK_BITS: Final = 6


def mark_of(event_id: str, boot: str, n: int) -> str:
    """Deeds of one instance share a mark, 64 neighbours each; one without a number has its own.

    An index over random event ids would touch a page of its own for every deed. Deeds come in
    the order of their numbers, so an index over marks grows at its end.
    """
    return f"{boot}:{n >> MARK_BITS:x}" if n else f"event:{event_id}"


SEGMENTS = Collection(
    "segments",
    indexes=(
        Index("stop", "stop"),
        Index("mark", "marks"),
        Index("vouched", "vouched.recording"),
    ),
    silent=True,
)
TILES = Collection("tiles", silent=True)
HEADS = Collection("heads", silent=True)
BOOTS = Collection("boots", indexes=(Index("seen", "seen_at_s"),), silent=True)
KEYS = Collection("log_keys", silent=True)
UNREADABLE = Collection("unreadable", silent=True)
COSIGNED = Collection("cosigned", silent=True)
DAY_STAMPS = Collection("day_stamps", indexes=(Index("stamped", "stamped_at_s"),), silent=True)
STAMPED_HEADS = Collection("stamped_heads", silent=True)
PULSE = Collection("pulse", silent=True, passing=True)
"""One document without content: its version moves while an instance leads."""
FINDABLE = Collection("findable", indexes=(Index("token", "tokens"),), silent=True)
INDEXED = Collection("indexed", silent=True)
WATCHED = Collection("watched", indexes=(Index("due", "due_at_s"),), silent=True)
COLLECTIONS = (
    *(SEGMENTS, TILES, HEADS, BOOTS, KEYS, UNREADABLE, PULSE, DEEDS, LEASES),
    *(COSIGNED, DAY_STAMPS, STAMPED_HEADS, FINDABLE, INDEXED, WATCHED),
)
"""What audit's store has to declare."""


def segment_id(tenant: str, first: int) -> str:
    """Log and first index: two segments can never claim the same place."""
    return f"{log_of(tenant)}:{first:016x}"


def tile_id(tenant: str, tile: TileId) -> str:
    return f"{log_of(tenant)}:{tile.level:02}:{tile.index:016x}"


def body_of(record: Struct) -> dict[str, Value]:
    """A record as a document's body."""
    body: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
    return body


def record_of(document: Document, kind: type[T]) -> T:
    """A document's body as the record it was."""
    return msgspec.convert(document.body, kind)
