"""Entries of a log as JSON: index, salt, the deed's bytes, and the same deed in words for people.

    {"deed":{…},"entry":"<base64>","index":7,"salt":"<base64>"}

ASCII, keys sorted, no blanks: there is one form, so that not even a blank can be changed unseen.
The words must be those of the bytes; only the bytes count.
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

_FIELDS: Final = frozenset({"deed", "entry", "index", "salt"})


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
            "deed": self.deed.shown(),
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
        found = _read(listed, _FIELDS | further)
    except (TypeError, ValueError, NoteInvalid):
        raise Refuted(file, place, "not an entry with its salt") from None
    _check_words(listed["deed"], found.deed.shown(), file=file, place=place)
    return found


def _read(listed: Any, fields: frozenset[str]) -> ShownEntry:
    if set(listed) != fields:
        raise ValueError("other fields")
    index, salt, entry = listed["index"], decoded(listed["salt"]), decoded(listed["entry"])
    if type(index) is not int or len(salt) != SALT_BYTES:
        raise ValueError("not in their form")
    return ShownEntry(index, salt, entry, read_deed(entry))


def _check_words(words: Any, shown: dict[str, str | int], *, file: str, place: str) -> None:
    if not isinstance(words, dict) or set(words) != set(shown):
        raise Refuted(file, f"{place}, deed", "other words than its entry says")
    for name, said in shown.items():
        given = words[name]
        # A code that a later version added has a word that is not known here.
        later = isinstance(said, str) and said.startswith("code-") and isinstance(given, str)
        if not later and (type(given) is not type(said) or given != said):
            raise Refuted(file, f"{place}, deed {name}", "another word than its entry says")
