"""What audit answers, as the interface promises it. Bytes are standard base64."""

import base64
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel

from voicefile.audit.appendable import Verdict
from voicefile.audit.events import shown
from voicefile.audit.prove import Entry, Proof
from voicefile.audit.store import Head
from voicefile.audit.timestamps import TimeStamp
from voicefile.translog.note import VerifierKey


class EntryAnswer(BaseModel):
    """One deed of a log. Its leaf is SHA-256("voicefile/deed" 00 ‖ salt ‖ entry)."""

    index: int
    salt: str
    entry: str
    """The deed as protobuf, exactly the bytes the leaf commits to."""
    deed: dict[str, str | int]
    """The same in words, for people."""

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            index=entry.index,
            salt=_base64(entry.salt),
            entry=_base64(entry.entry),
            deed=dict(shown(entry.entry)),
        )


class EntriesAnswer(BaseModel):
    """A page of a log."""

    log: str
    size: int
    """Entries under the checkpoint."""
    checkpoint: str
    entries: list[EntryAnswer]
    next: int | None
    """Where the next page starts; none after the last published entry."""

    @classmethod
    def of(cls, log: str, head: Head, entries: list[Entry], *, start: int) -> Self:
        following = entries[-1].index + 1 if entries else start
        return cls(
            log=log,
            size=head.size,
            checkpoint=head.checkpoint,
            entries=[EntryAnswer.of(entry) for entry in entries],
            next=following if following < head.size else None,
        )


class ProofAnswer(BaseModel):
    """All that is needed to check, offline, that a receipt's deed is in its log."""

    log: str
    verifier_key: str
    """The log's public key in the form of C2SP signed-note; compare it with one you know."""
    index: int
    checkpoint: str
    proof: list[str]
    """Hashes from the leaf's sibling to the root's child (RFC 6962)."""
    salt: str
    entry: str
    deed: dict[str, str | int]
    tlog_proof: str
    """The same as one C2SP tlog-proof text; its extra data are salt ‖ entry."""
    receipt_key_proof: str | None
    """Likewise of the deed whose commitment names the key that signs receipts."""

    @classmethod
    def of(cls, log: str, key: VerifierKey, proof: Proof) -> Self:
        return cls(
            log=log,
            verifier_key=str(key),
            index=proof.entry.index,
            checkpoint=proof.checkpoint,
            proof=[_base64(step) for step in proof.hashes],
            salt=_base64(proof.entry.salt),
            entry=_base64(proof.entry.entry),
            deed=dict(shown(proof.entry.entry)),
            tlog_proof=proof.text,
            receipt_key_proof=proof.receipt_key.text if proof.receipt_key else None,
        )


class TimeStampAnswer(BaseModel):
    """That the log's checkpoint existed on a day."""

    day: str
    stamped_at: datetime
    """The time that the authority states."""
    tlog_proof: str
    """C2SP tlog-proof: from the log's checkpoint, the extra data, to the note that was stamped."""
    response: str
    """The time-stamp response (RFC 3161) over that note, its signature included."""

    @classmethod
    def of(cls, stamp: TimeStamp) -> Self:
        return cls(
            day=stamp.day,
            stamped_at=datetime.fromtimestamp(stamp.stamped_at_s, UTC),
            tlog_proof=stamp.proof,
            response=_base64(stamp.response),
        )


class TimeStampsAnswer(BaseModel):
    """A page of a log's time stamps, oldest first."""

    log: str
    timestamps: list[TimeStampAnswer]
    next: str | None
    """What to ask behind for the next page; none if this one was not full."""

    @classmethod
    def of(cls, log: str, stamps: list[TimeStamp], *, limit: int) -> Self:
        return cls(
            log=log,
            timestamps=[TimeStampAnswer.of(stamp) for stamp in stamps],
            next=stamps[-1].day if len(stamps) == limit else None,
        )


class AppendableAnswer(BaseModel):
    """Whether deeds can be appended, and how far each instance's deeds have come."""

    appendable: bool
    sequenced: dict[str, int]

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        return cls(appendable=verdict.appendable, sequenced=verdict.sequenced)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
