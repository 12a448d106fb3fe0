"""Stamped: that a log's checkpoint existed on a day, by a time stamp over all heads of that day.

Once a day the heads of all logs are the leaves of a small tree. Its head is signed like a log's,
under a name that holds the day, and stamped. A log's part is a proof (C2SP tlog-proof) that leads
from its own checkpoint, the extra data, to what was stamped; of other logs it tells hashes only.
"""

import re
from dataclasses import dataclass
from typing import Final

from voicefile.translog.checkpoint import Checkpoint, open_checkpoint
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import heads_origin
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.timestamp import StampTrust, verify_stamp

_LOG: Final = re.compile(r"voicefile/([^/]+)/[^/]+")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Stamped:
    """A checkpoint, and a time at which it was there."""

    checkpoint: Checkpoint
    at_s: float
    """POSIX seconds, as the authority says."""


def verify_stamped(proof: str, response: bytes, key: VerifierKey, trust: StampTrust) -> Stamped:
    """What the proof and the stamp show of the log that `key` signs.

    Raises NoteInvalid, ProofInvalid, StampInvalid.
    """
    parsed = TlogProof.parse(proof)
    heads = VerifierKey(_heads_of(parsed, key), key.public)
    parsed.verify(parsed.extra, heads)
    try:
        checkpoint = open_checkpoint(parsed.extra.decode(), key)
    except UnicodeDecodeError:
        raise NoteInvalid("not a note's text") from None
    return Stamped(checkpoint, verify_stamp(response, parsed.checkpoint.encode(), trust))


def _heads_of(proof: TlogProof, key: VerifierKey) -> str:
    log = _LOG.fullmatch(key.name)
    origin = proof.checkpoint.partition("\n")[0]
    day = origin.rpartition("/")[2]
    if log is None or not _DAY.fullmatch(day) or origin != heads_origin(log[1], day):
        raise NoteInvalid("the proof is not of this deployment's heads")
    return origin
