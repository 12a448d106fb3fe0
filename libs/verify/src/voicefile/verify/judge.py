"""The judge: runs every check over evidence, and says what is proven or what is wrong."""

from dataclasses import dataclass

from voicefile.translog.errors import NoteInvalid
from voicefile.verify.checks import findings
from voicefile.verify.cosigned import Cosigned, cosigned_by, strangers
from voicefile.verify.digits import spoken_digits
from voicefile.verify.evidence import Case, Evidence, Trusted, read_case
from voicefile.verify.names import PROOF
from voicefile.verify.refuted import Refuted


@dataclass(frozen=True)
class Judgement:
    """Wrong if there is anything in `wrong`. Otherwise `case` holds, under the log's key `key`."""

    wrong: tuple[Refuted, ...]
    case: Case | None
    confirmed: bool
    """Whether the log's key came from elsewhere. If not, all may be forged together with it."""
    cosigned: tuple[Cosigned, ...] = ()
    strangers: tuple[str, ...] = ()
    """Names on further signature lines; nothing is known of them."""

    @property
    def proven(self) -> bool:
        """Everything holds, and the key that all hangs on was known before."""
        return not self.wrong and self.confirmed

    @property
    def digits(self) -> str:
        """The receipt's six digits."""
        assert self.case is not None, "only of evidence that could be read"
        return spoken_digits(self.case.receipt.text)


def judge(evidence: Evidence, trusted: Trusted) -> Judgement:
    """Everything that is wrong, or what is proven."""
    confirmed = trusted.log_key is not None
    try:
        case = read_case(evidence, trusted)
    except Refuted as refuted:
        return Judgement((refuted,), None, confirmed)
    wrong = tuple(findings(case))
    if wrong:
        return Judgement(wrong, case, confirmed)
    note, witnesses = case.receipt_entry.proof.checkpoint, trusted.witnesses
    try:
        cosigned = tuple(cosigned_by(note, witnesses))
    except NoteInvalid as invalid:
        return Judgement((Refuted(PROOF, "checkpoint", str(invalid)),), case, confirmed)
    return Judgement((), case, confirmed, cosigned, tuple(strangers(note, case.key, witnesses)))
