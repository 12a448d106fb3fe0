"""What goes wrong with backups, named after what happened.

BackupError
├── DumpFailed       a service did not give out its dump, or not all of it
│   └── NothingToDump    it says that nobody is set who could open it
├── Plaintext        what should be sealed does not look it; nothing of it is kept
├── Damaged          an object at a target is missing, or not what its name says
├── ManifestInvalid  a manifest or a list is not signed, not chained, or can't be read
├── NothingToRestore no manifest at or before that time
├── ListTooOld       tombstones are missing that a manifest knows of
└── KeyInvalid       the file is no key of the kind that is meant
"""


class BackupError(Exception):
    """What this package raises on purpose."""


class DumpFailed(BackupError):
    """A service refused, broke off, or left documents out."""


class NothingToDump(DumpFailed):
    """Nobody is set whom it could be sealed to."""


class Plaintext(BackupError):
    """It does not begin like a sealed segment or blob."""


class Damaged(BackupError):
    """`str(error)` names the object: its room, and its name there."""


class ManifestInvalid(BackupError):
    """`str(error)` names the note: its room, and its name there."""


class NothingToRestore(BackupError):
    """The target has no manifest that old."""


class ListTooOld(BackupError):
    """To serve without the newest tombstones would bring back what was erased."""


class KeyInvalid(BackupError):
    """Not a key, another kind of key, or one that others may read."""
