"""What the arithmetic refuses, named after what happened.

TranslogError
├── ProofInvalid       a proof does not lead to the root it was given with
├── NoteInvalid        a note, checkpoint, key or proof text is malformed or not signed by the key
├── StampInvalid       a time stamp is malformed, of something else, or not by a trusted authority
├── TilePathInvalid    the text names no tile
└── TileMissing        a hash was asked for that none of the given tiles holds
"""


class TranslogError(Exception):
    """What this package raises on purpose."""


class ProofInvalid(TranslogError):
    """The proof does not lead to the root."""


class NoteInvalid(TranslogError):
    """The text is not what its format asks for, or no signature by the key is on it."""


class StampInvalid(TranslogError):
    """The time stamp does not show that this existed then."""


class TilePathInvalid(TranslogError):
    """The text names no tile."""


class TileMissing(TranslogError):
    """None of the given tiles holds the hash."""
