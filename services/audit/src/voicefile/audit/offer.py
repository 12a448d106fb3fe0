"""Offer: shows one witness a log's checkpoint, and understands what it says.

It is asked from the size on that it is believed to know; it says so if that is wrong, and then
gets the proof from there. What nothing explains but two histories is a contradiction: the witness
has seen more of the log than there is, or a tree that this one does not continue.
"""

from http import HTTPStatus
from typing import Final

from voicefile.audit.errors import AuditError
from voicefile.audit.prove import read_head
from voicefile.audit.store import Head
from voicefile.audit.tiles import hashes_of, read_tiles
from voicefile.audit.witness import WitnessAway, WitnessDoor
from voicefile.docstore.port import DocStore
from voicefile.translog.checkpoint import decimal
from voicefile.translog.cosignature import WitnessKey, cosignature_in
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import SignatureLine, split_note
from voicefile.translog.proofs import consistency_proof
from voicefile.translog.tiles import hash_reader, tiles_read
from voicefile.translog.witnessing import AddCheckpoint

AHEAD_S_MAX: Final = 300
"""A cosignature from further in the future is none: its witness's clock is not to be believed."""
QUESTIONS_MAX: Final = 3
"""What it knows, what it really knows, and once more if another instance was in between."""


class Refused(AuditError):
    """The witness does not cosign, and says nothing against the log: `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Contradicted(AuditError):
    """The witness has seen another history, of `size` leaves: `reason`."""

    def __init__(self, reason: str, size: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.size = size


class Offer:
    """One witness, its key, and how much of each log it is believed to know."""

    def __init__(self, docs: DocStore, door: WitnessDoor, key: WitnessKey) -> None:
        self._docs = docs
        self._door = door
        self._key = key
        self._known: dict[str, int] = {}

    async def cosignature(self, tenant: str, head: Head, *, now_s: float) -> SignatureLine | None:
        """The witness's line under this head; None if a newer head is there by now.

        Raises WitnessAway, Refused, Contradicted; TileMissing if the log itself is damaged.
        """
        for _ in range(QUESTIONS_MAX):
            known = self._known.get(tenant, 0)
            if known > head.size:
                await self._check_history(tenant, known)
                return None
            answer = await self._door.add_checkpoint(str(await self._asked(tenant, known, head)))
            if answer.status == HTTPStatus.OK:
                self._known[tenant] = head.size
                return self._checked(answer.text, head, now_s)
            if answer.status != HTTPStatus.CONFLICT:
                raise _refusal(answer.status, known)
            self._known[tenant] = _size(answer.text)
        raise Refused("confused")

    async def _check_history(self, tenant: str, known: int) -> None:
        """The witness knows more than was offered: of a newer head, or of one that is no more."""
        if (await read_head(self._docs, tenant)).size < known:
            self._known.pop(tenant)
            raise Contradicted("rolled-back", known)

    async def _asked(self, tenant: str, known: int, head: Head) -> AddCheckpoint:
        wanted = tiles_read(lambda read: consistency_proof(known, head.size, read))
        tiles = hashes_of(await read_tiles(self._docs, tenant, wanted))
        proof = consistency_proof(known, head.size, hash_reader(tiles))
        return AddCheckpoint(known, tuple(proof), head.checkpoint)

    def _checked(self, answer: str, head: Head, now_s: float) -> SignatureLine:
        try:
            at_s, line = cosignature_in(split_note(head.checkpoint)[0], answer, self._key)
        except NoteInvalid:
            raise Refused("wrong-signature") from None
        if at_s > now_s + AHEAD_S_MAX:
            raise Refused("clock")
        return line


def _refusal(status: int, known: int) -> AuditError:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        # It compared from the size that it knows itself, so no resync can explain it.
        return Contradicted("forked", known)
    return Refused(_REASONS.get(status, "refused"))


_REASONS: Final[dict[int, str]] = {
    HTTPStatus.FORBIDDEN: "key-unknown",
    HTTPStatus.NOT_FOUND: "log-unknown",
}


def _size(text: str) -> int:
    try:
        return decimal(text.removesuffix("\n"))
    except NoteInvalid:
        raise WitnessAway from None
