"""Posts: what the edge tells with each request, and what of it counts as having happened.

Nothing of it is believed but what was asked for last: the call's own step says which field may
bring something, and an `exiting` post brings nothing, whatever was keyed before the caller went.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from voicefile.crypto.secret import SecretText
from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import CHUNK_SAMPLES, Call
from voicefile.playback.telephone.documents import FIELDS, KEY, KEYS, OFFSET

FIELDS_MAX: Final = 200
VALUE_CHARS_MAX: Final = 512
CALL_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"\+?[0-9]{2,20}")
_ENTRY: Final = re.compile(r"#?([0-9]{0,24})([#*]?)")
_SAMPLES: Final = re.compile(r"[0-9]{1,9}")
_WITHHELD: Final = frozenset({"", "anonymous", "unknown", "restricted", "unavailable"})


class NotAPost(Exception):
    """Not what an edge of ours sends; the text names no value."""


@dataclass(frozen=True)
class Post:
    """One request of the edge."""

    call_id: str
    caller: str = field(repr=False)
    """The calling number as the provider says; empty if withheld. A hint, never a proof."""
    dialled: str
    exiting: bool
    fields: Mapping[str, str] = field(repr=False)


def post_of(body: bytes) -> Post:
    """Raises NotAPost."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise NotAPost("not a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any(len(value) > VALUE_CHARS_MAX for value in fields.values()):
        raise NotAPost("a field twice, or too long")
    call_id = fields.get("session_id", "")
    if not CALL_ID.fullmatch(call_id):
        raise NotAPost("no session_id")
    return Post(
        call_id=call_id,
        caller=_number(fields.get("Caller-Caller-ID-Number", "")),
        dialled=_number(fields.get("Caller-Destination-Number", "")),
        exiting=fields.get("exiting") == "true",
        fields=fields,
    )


def _number(value: str) -> str:
    if value.lower() in _WITHHELD or not _NUMBER.fullmatch(value):
        return ""
    return value


def happened(post: Post, call: Call) -> moves.Happened:
    """What it says to a call that stands there."""
    if post.exiting:
        return moves.HungUp()
    if call.step in FIELDS:
        return _entry(post.fields.get(FIELDS[call.step], ""))
    offset = _offset(post.fields.get(OFFSET, ""))
    key = post.fields.get(KEY, "")
    if len(key) == 1 and key in KEYS:
        return moves.Pressed(key, offset)
    return moves.PlayedOn(offset)


def _entry(value: str) -> moves.Happened:
    if value == "*":
        return moves.Pressed("*")
    entry = _ENTRY.fullmatch(value)
    if entry is None or not value:
        return moves.PlayedOn()
    return moves.Entered(SecretText(entry[1]), entry[2])


def _offset(value: str) -> int:
    return min(int(value), CHUNK_SAMPLES) if _SAMPLES.fullmatch(value) else 0
