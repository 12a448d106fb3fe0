"""What a restore came to: kept in the folder, and told to whoever has said it."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from voicefile.auth.dumping.brought_back import BroughtBack
from voicefile.backup.manifest import Link


@dataclass(frozen=True)
class Source:
    """What a restore was made of: its manifest, and what it knew of erasing since."""

    note: str
    tombstones: Link
    newest: str
    """The note of the newest manifest: its log was read for erase deeds."""


@dataclass
class Restored:
    """What was restored, and what was not. Kept in the folder, for whoever asks later."""

    manifest: int
    taken_at_s: int
    deployment: str
    """What it is called, and has to be called again: its keys are bound to the name."""
    source: Source
    auth: BroughtBack
    into: str = ""
    """The destination's name."""
    blobs: int = 0
    blobs_missing: list[str] = field(default_factory=list)
    """Blobs that documents name and the backup does not have, or not whole."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing but what was erased."""
        return not (self.blobs_missing or self.auth.without_keys or self.auth.refused)


def said(restored: Restored) -> str:
    """What a person is told."""
    done = restored.auth
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(restored.taken_at_s))
    lines = [
        f"restored     manifest {restored.manifest}, begun {begun} UTC",
        f"deployment   {restored.deployment} (VOICEFILE_DEPLOYMENT)",
        f"tenants      {done.tenants}",
        f"access IDs   {done.credentials}",
        f"recordings   {done.recordings}",
        f"blobs        {restored.blobs}",
        f"erased since {done.erased}, and left out; {done.certificates} certificates are back",
    ]
    lines += _missing("tenant erased since", done.shredded)
    lines += _missing("erased since, certificate unknown", done.without_certificate)
    lines += _missing("without a key", done.without_keys)
    lines += _missing("refused: carries no seal of ours", done.refused)
    lines += _missing("blob missing", restored.blobs_missing)
    lines += _missing("root version left, nothing here hangs on it", done.roots_left)
    return "\n".join((*lines, ""))


def _missing(what: str, ids: Sequence[str]) -> list[str]:
    return [f"{what}: {each}" for each in ids]


def tell(restored: Restored) -> int:
    """Prints the report; 1 if something is missing that was not erased."""
    sys.stdout.write(said(restored))
    return 0 if restored.whole else 1
