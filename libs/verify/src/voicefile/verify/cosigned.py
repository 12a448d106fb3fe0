"""What stands under a checkpoint beside its log's own signature: witnesses' lines, and others'."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from voicefile.translog.cosignature import COSIGNATURE, WitnessKey, cosigned_at
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey, key_id, split_note


@dataclass(frozen=True)
class Cosigned:
    """A witness has seen this checkpoint, and that it continues all it saw before."""

    name: str
    at_s: int
    """POSIX seconds, by the witness's clock; its latest, if it signed more than once."""


def require_single(note: str) -> None:
    """No signature stands there twice: it would look like two. Raises NoteInvalid."""
    _, lines = split_note(note)
    if len(set(lines)) != len(lines):
        raise NoteInvalid("a signature stands there twice")


def cosigned_by(note: str, witnesses: Iterable[WitnessKey]) -> Iterator[Cosigned]:
    """Those of the witnesses that cosigned. Raises NoteInvalid for a wrong line of one of them."""
    for witness in witnesses:
        at_s = cosigned_at(note, witness)
        if at_s is not None:
            yield Cosigned(witness.name, at_s)


def strangers(note: str, log: VerifierKey, witnesses: Iterable[WitnessKey]) -> Iterator[str]:
    """Names on lines by neither the log nor these witnesses; nothing is known of them."""
    known = {(log.name, key_id(log.name, log.public))}
    known |= {(each.name, key_id(each.name, each.public, kind=COSIGNATURE)) for each in witnesses}
    _, lines = split_note(note)
    yield from (line.name for line in lines if (line.name, line.key_id) not in known)
