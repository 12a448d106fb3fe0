"""Files for their owner's eyes: written whole or not at all, and durable."""

import os
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600


def write_private(path: Path, content: bytes) -> None:
    """On the disk when it returns; never readable by others, not even while it is written.

    What a crash left half written beside it is written anew. Raises OSError.
    """
    fresh = unfinished(path)
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync(path.parent)


def unfinished(path: Path) -> Path:
    """Where it is written before it gets its name."""
    return path.with_name(path.name + ".new")


def sync(path: Path) -> None:
    """Makes a file's content durable, or which names a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
