"""Evidence: what is handed in to be judged, and the same after it was read."""

from dataclasses import dataclass, field

from voicefile.translog.checkpoint import Checkpoint, open_checkpoint
from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.deed_leaf import SALT_BYTES
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey
from voicefile.translog.proof_text import TlogProof
from voicefile.verify.deed_list import ProvenDeed, parse_deeds
from voicefile.verify.deed_wire import Deed, read_deed
from voicefile.verify.names import KEY_PROOF, LOG_KEY, PROOF
from voicefile.verify.receipt import Receipt, ReceiptKey, parse_receipt
from voicefile.verify.refuted import Refuted


@dataclass(frozen=True)
class Evidence:
    """The texts of a bundle's files, and the hash of its audio."""

    receipt: str
    proof: str
    receipt_key: str
    key_proof: str
    log_key: str
    """The key line that came with the evidence, and its line end: nobody vouches for it."""
    audio_file: str
    audio_sha256: str
    """Hex, of the audio file as it lies there."""
    deeds: str
    guide: str


@dataclass(frozen=True)
class Trusted:
    """What the judge knows from elsewhere."""

    log_key: VerifierKey | None = None
    witnesses: tuple[WitnessKey, ...] = ()
    """Each of them must have cosigned the checkpoint."""


@dataclass(frozen=True)
class Entry:
    """A deed with its salt and its proof, as the proof's file holds them."""

    proof: TlogProof
    salt: bytes
    entry: bytes
    deed: Deed


@dataclass(frozen=True)
class Case:
    """Evidence, read: every file is in its form, and nothing of it is believed yet."""

    evidence: Evidence
    trusted: Trusted
    key: VerifierKey
    """The log's: the trusted one, or else the one that came along."""
    checkpoint: Checkpoint
    """Signed by that key."""
    receipt: Receipt
    receipt_key: ReceiptKey
    receipt_entry: Entry
    key_entry: Entry
    deeds: list[ProvenDeed] = field(default_factory=list)


def read_case(evidence: Evidence, trusted: Trusted) -> Case:
    """Raises Refuted at the first file that is not in its form."""
    key = trusted.log_key or _log_key(evidence.log_key)
    receipt_entry = _entry(PROOF, evidence.proof)
    try:
        checkpoint = open_checkpoint(receipt_entry.proof.checkpoint, key)
    except NoteInvalid as invalid:
        raise Refuted(PROOF, "checkpoint", str(invalid)) from None
    return Case(
        evidence,
        trusted,
        key,
        checkpoint,
        receipt=parse_receipt(evidence.receipt),
        receipt_key=ReceiptKey.parse(evidence.receipt_key),
        receipt_entry=receipt_entry,
        key_entry=_entry(KEY_PROOF, evidence.key_proof),
        deeds=parse_deeds(evidence.deeds),
    )


def _log_key(line: str) -> VerifierKey:
    try:
        return VerifierKey.parse(line.removesuffix("\n"))
    except NoteInvalid as invalid:
        raise Refuted(LOG_KEY, "whole", str(invalid)) from None


def _entry(file: str, text: str) -> Entry:
    try:
        proof = TlogProof.parse(text)
    except NoteInvalid as invalid:
        raise Refuted(file, "whole", str(invalid)) from None
    if str(proof) != text:
        raise Refuted(file, "whole", "not in the one form the format allows")
    salt, entry = proof.extra[:SALT_BYTES], proof.extra[SALT_BYTES:]
    if len(salt) != SALT_BYTES:
        raise Refuted(file, "extra", "not salt and entry")
    try:
        return Entry(proof, salt, entry, read_deed(entry))
    except ValueError:
        raise Refuted(file, "extra", "its entry is not a deed") from None
