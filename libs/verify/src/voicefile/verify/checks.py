"""The checks, one by one: each holds one promise against the evidence and raises Refuted.

None relies on another having passed, and `judge.py` runs them all: so each fault is named, and a
test can leave one out and show which manipulations would then go unseen.
"""

from collections.abc import Callable, Iterator
from typing import Final

from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.deed_leaf import commitment
from voicefile.translog.errors import NoteInvalid, ProofInvalid
from voicefile.translog.merkle import leaf_hash
from voicefile.translog.origin import origin_of
from voicefile.translog.proofs import verify_inclusion
from voicefile.verify.cosigned import require_single
from voicefile.verify.deed_wire import (
    ACCESS_ISSUED,
    DONE,
    RECORDING_JOINED,
    SIGNING_KEY_ADDED,
    TENANT_OPENED,
    Deed,
)
from voicefile.verify.evidence import Case
from voicefile.verify.guide import GUIDE_TEXT
from voicefile.verify.names import DEEDS, GUIDE, KEY_PROOF, LOG_KEY, PROOF, RECEIPT, RECEIPT_KEY
from voicefile.verify.receipt import check_signature
from voicefile.verify.refuted import Refuted

CLOCK_MS_MAX: Final = 10 * 60_000
"""Between a receipt's time and its deed's: both come from one process within seconds."""

Check = Callable[[Case], None]


def log_key(case: Case) -> None:
    """The key that came along is the trusted one, letter by letter."""
    if case.evidence.log_key != f"{case.key}\n":
        raise Refuted(LOG_KEY, "whole", "another key than the one trusted")


def receipts_log(case: Case) -> None:
    """The checkpoint is of the log that the receipt names, and that log is its tenant's."""
    receipt = case.receipt
    if receipt.log != case.checkpoint.origin:
        raise Refuted(RECEIPT, "claim log", "another log than the checkpoint's")
    if receipt.log != origin_of(receipt.issuer, receipt.tenant):
        raise Refuted(RECEIPT, "claim log", "not the log of its issuer and tenant")


def receipts_place(case: Case) -> None:
    """The deed that vouches for the receipt is in the log."""
    entry = case.receipt_entry
    _require_included(PROOF, entry.proof.index, entry.salt, entry.entry, entry.proof.hashes, case)


def receipts_deed(case: Case) -> None:
    """That deed is the filing of this recording, and it committed to this very receipt."""
    deed, receipt = case.receipt_entry.deed, case.receipt
    _require_deed(PROOF, deed, {ACCESS_ISSUED, RECORDING_JOINED}, receipt.tenant)
    if deed.object_id != receipt.recording:
        raise Refuted(PROOF, "deed object_id", "about another recording than the receipt")
    if deed.commitment != receipt.commitment:
        raise Refuted(RECEIPT, "whole", "not the text that the log committed to")


def receipts_time(case: Case) -> None:
    """The receipt says the same time as its deed in the log."""
    if abs(case.receipt_entry.deed.at_ms - case.receipt.stored_at_ms) > CLOCK_MS_MAX:
        raise Refuted(RECEIPT, "claim stored_at", "another time than its deed in the log says")


def receipts_signature(case: Case) -> None:
    """The receipt is signed by the key that came along, and names it."""
    if case.receipt.kid != case.receipt_key.kid:
        raise Refuted(RECEIPT_KEY, "kid", "another key than the receipt names")
    check_signature(case.receipt, case.receipt_key.public)


def keys_place(case: Case) -> None:
    """The deed that names the receipt key is in the log, under the very same checkpoint."""
    entry = case.key_entry
    if entry.proof.checkpoint != case.receipt_entry.proof.checkpoint:
        raise Refuted(KEY_PROOF, "checkpoint", f"another than in {PROOF}")
    hashes = entry.proof.hashes
    _require_included(KEY_PROOF, entry.proof.index, entry.salt, entry.entry, hashes, case)


def keys_deed(case: Case) -> None:
    """That deed opened this tenant or gave it a key, and it committed to this very one."""
    deed, tenant = case.key_entry.deed, case.receipt.tenant
    _require_deed(KEY_PROOF, deed, {TENANT_OPENED, SIGNING_KEY_ADDED}, tenant)
    if deed.action == TENANT_OPENED and deed.object_id != tenant:
        raise Refuted(KEY_PROOF, "deed object_id", "the opening of another tenant")
    if deed.action == SIGNING_KEY_ADDED and deed.object_id != case.receipt.kid:
        raise Refuted(KEY_PROOF, "deed object_id", "about another key than the receipt names")
    if deed.commitment != case.receipt_key.commitment:
        raise Refuted(RECEIPT_KEY, "x", "not the key that the log committed to")


def audio(case: Case) -> None:
    """The audio is, bit for bit, what was filed."""
    if case.evidence.audio_sha256 != case.receipt.audio_sha256:
        raise Refuted(case.evidence.audio_file, "whole", "not the audio of the receipt")


def listed_deeds(case: Case) -> None:
    """Each deed listed is in the log, about this recording, and stands there once, in order."""
    last = -1
    for place, each in enumerate(case.deeds):
        where = f"deed {place}"
        shown = each.entry
        if shown.index <= last:
            raise Refuted(DEEDS, where, f"leaf {shown.index} is out of order or stands twice")
        last = shown.index
        if shown.deed.object_id != case.receipt.recording:
            raise Refuted(DEEDS, where, "about another recording")
        try:
            _require_included(DEEDS, shown.index, shown.salt, shown.entry, each.proof, case)
        except Refuted as refuted:
            raise Refuted(DEEDS, f"{where}, {refuted.place}", refuted.what) from None


def witnesses(case: Case) -> None:
    """Every witness asked for has cosigned the checkpoint."""
    for witness in case.trusted.witnesses:
        try:
            at_s = cosigned_at(case.receipt_entry.proof.checkpoint, witness)
        except NoteInvalid as invalid:
            raise Refuted(PROOF, f"checkpoint, {witness.name}", str(invalid)) from None
        if at_s is None:
            raise Refuted(PROOF, f"checkpoint, {witness.name}", "not cosigned by this witness")


def signature_lines(case: Case) -> None:
    """No signature stands under the checkpoint twice."""
    try:
        require_single(case.receipt_entry.proof.checkpoint)
    except NoteInvalid as invalid:
        raise Refuted(PROOF, "checkpoint", str(invalid)) from None


def guide(case: Case) -> None:
    """The words for people are ours: nobody may smuggle in others."""
    if case.evidence.guide != GUIDE_TEXT:
        raise Refuted(GUIDE, "whole", "other words than the vault puts there")


CHECKS: Final[tuple[Check, ...]] = (
    log_key,
    receipts_log,
    receipts_place,
    receipts_deed,
    receipts_time,
    receipts_signature,
    keys_place,
    keys_deed,
    audio,
    listed_deeds,
    witnesses,
    signature_lines,
    guide,
)


def findings(case: Case, checks: tuple[Check, ...] = CHECKS) -> Iterator[Refuted]:
    """What each check that fails has found."""
    for check in checks:
        try:
            check(case)
        except Refuted as refuted:
            yield refuted


def _require_included(
    file: str, index: int, salt: bytes, entry: bytes, hashes: tuple[bytes, ...], case: Case
) -> None:
    try:
        verify_inclusion(
            leaf_hash(commitment(salt, entry)),
            index=index,
            size=case.checkpoint.size,
            proof=hashes,
            root=case.checkpoint.root,
        )
    except ProofInvalid as invalid:
        raise Refuted(file, f"leaf {index}", f"not in the log: {invalid}") from None


def _require_deed(file: str, deed: Deed, actions: set[int], tenant: str) -> None:
    if deed.action not in actions:
        raise Refuted(file, "deed action", "a deed of another kind")
    if deed.outcome != DONE:
        raise Refuted(file, "deed outcome", "not done")
    if deed.tenant != tenant:
        raise Refuted(file, "deed tenant", "another tenant's")
