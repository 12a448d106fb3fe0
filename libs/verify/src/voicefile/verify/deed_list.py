"""The deeds about a recording, as they lie in a bundle: each with its way to the one checkpoint.

    {"deeds":[{"entry":…,"index":7,"proof":["<base64>",…],"salt":…}],"v":1}

Ascending by index, in the form of `entry_json`, no end of line. All proofs lead to the checkpoint
of the receipt's proof. The list may be empty, and nothing says that it is complete.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import decoded
from voicefile.verify.entry_json import ShownEntry, canonical, entry_of, parse_canonical
from voicefile.verify.names import DEEDS
from voicefile.verify.refuted import Refuted

VERSION: Final = 1
HASHES_MAX: Final = 64


@dataclass(frozen=True)
class ProvenDeed:
    """An entry of the log, and the hashes from its leaf to the root."""

    entry: ShownEntry
    proof: tuple[bytes, ...]


def deeds_text(deeds: Iterable[ProvenDeed]) -> str:
    """The file."""
    listed = [
        each.entry.shown() | {"proof": [base64.b64encode(step).decode() for step in each.proof]}
        for each in deeds
    ]
    return canonical({"deeds": listed, "v": VERSION})


def parse_deeds(text: str) -> list[ProvenDeed]:
    """The deeds a file lists; nothing is verified but its form. Raises Refuted."""
    whole = parse_canonical(text, file=DEEDS, place="whole")
    if not isinstance(whole, dict) or set(whole) != {"deeds", "v"} or whole["v"] != VERSION:
        raise Refuted(DEEDS, "whole", "not a list of deeds in a version known here")
    if not isinstance(whole["deeds"], list):
        raise Refuted(DEEDS, "deeds", "not a list")
    return [_parsed(f"deed {place}", each) for place, each in enumerate(whole["deeds"])]


def _parsed(place: str, listed: Any) -> ProvenDeed:
    entry = entry_of(listed, file=DEEDS, place=place, further=frozenset({"proof"}))
    try:
        proof = tuple(decoded(step) for step in listed["proof"])
    except (TypeError, NoteInvalid):
        raise Refuted(DEEDS, f"{place}, proof", "not a list of hashes") from None
    if len(proof) > HASHES_MAX:
        raise Refuted(DEEDS, f"{place}, proof", "too long")
    return ProvenDeed(entry, proof)
