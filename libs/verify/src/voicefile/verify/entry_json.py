"""Entries of a log as JSON: index, salt, the deed's bytes.

    {"entry":"<base64>","index":7,"salt":"<base64>"}

ASCII, keys sorted, no blanks: there is one form, so that not even a blank can be changed unseen.
No words stand beside the bytes: they could say something else, and who shows a deed can read it.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any, Final

from voicefile.translog.deed_leaf import SALT_BYTES
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import decoded
from voicefile.verify.deed_wire import Deed, read_deed
from voicefile.verify.refuted import Refuted

_FIELDS: Final = frozenset({"entry", "index", "salt"})


@dataclass(frozen=True)
class ShownEntry:
    """One entry, shown with its salt."""

    index: int
    salt: bytes
    entry: bytes
    deed: Deed

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "entry": base64.b64encode(self.entry).decode(),
            "index": self.index,
            "salt": base64.b64encode(self.salt).decode(),
        }


def canonical(value: object) -> str:
    """The one form of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def parse_canonical(text: str | bytes, *, file: str, place: str) -> Any:
    """A JSON value that is in its one form. Raises Refuted."""
    try:
        value = json.loads(text)
        same = canonical(value) == (text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        raise Refuted(file, place, "not JSON") from None
    if not same:
        raise Refuted(file, place, "not in the one form the format allows")
    return value


def entry_of(
    listed: Any, *, file: str, place: str, further: frozenset[str] = frozenset()
) -> ShownEntry:
    """The entry; fields named `further` are the caller's. Raises Refuted."""
    try:
        return _read(listed, _FIELDS | further)
    except (TypeError, ValueError, NoteInvalid):
        raise Refuted(file, place, "not an entry with its salt") from None


def _read(listed: Any, fields: frozenset[str]) -> ShownEntry:
    if set(listed) != fields:
        raise ValueError("other fields")
    index, salt, entry = listed["index"], decoded(listed["salt"]), decoded(listed["entry"])
    if type(index) is not int or len(salt) != SALT_BYTES:
        raise ValueError("not in their form")
    return ShownEntry(index, salt, entry, read_deed(entry))
