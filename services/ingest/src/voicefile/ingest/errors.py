"""What can go wrong while a voice file comes in.

IngestError
├── IngestRefused                  the upload is not taken; nothing of it stays
│   ├── IdempotencyKeyUnfit        missing, or guessable
│   ├── NotMultipart               the request's content type is something else
│   ├── BoundaryUnfit              missing, too long, or with signs no boundary has
│   ├── UploadMalformed            the parts can't be told apart
│   ├── UploadTruncated            the body ended before its closing boundary
│   ├── UploadStalled              no byte for too long, or too few
│   ├── PartOutOfOrder             audio came before metadata
│   ├── PartMissing                the body ended without metadata or audio
│   ├── PartDuplicate              a part came twice
│   ├── PartUnknown                a part of another name
│   ├── PartTypeWrong              a part's content type can't be what it should be
│   ├── MetadataTooLarge · UploadTooLarge
│   ├── MetadataInvalid            names the fields, never their values
│   ├── ConsentMissing             no recording without the customer's yes
│   ├── QuestionMissing            sensitive, but nothing more to ask than the PIN
│   ├── QuestionKindNotAllowed     the tenant's policy does not ask this
│   ├── TenantClosed · RecordingNotAllowed · ScopeUnknown
│   ├── RetentionClassUnknown · RetentionMissing
│   ├── AccessIdUnknown            a join to nothing, somebody else's, or a full one
│   ├── LetterShopMissing          the PIN is to be sealed, and nobody could open it
│   ├── KeyReused                  the same Idempotency-Key with other content
│   ├── AnswerExpired              the answer was kept for 72 hours; re-issue gives a new PIN
│   ├── RecordingGone              the key belongs to a recording erased since
│   └── UploadNotAccepted          auth said no for a reason ingest has no word for
├── TryLater                       not decided; the same key may be tried again
│   ├── UploadInProgress           the same upload is still coming in
│   ├── UploadOvertaken            a retry took this upload's place
│   ├── VaultBusy                  no place for one more upload now
│   ├── TenantNotYetKnown          auth's fact about the tenant has not arrived
│   ├── SealingKeyRefused          the tenant's sealing key does not carry auth's signature
│   └── AuthUnavailable            auth did not answer; the upload may have been issued
└── RecordingNotFound              missing, foreign, or no recording id at all
"""

from collections.abc import Sequence

from voicefile.chassis.fields import FieldError


class IngestError(Exception):
    """What ingest raises on purpose."""


class IngestRefused(IngestError):
    """The upload is not taken; nothing of it stays."""


class IdempotencyKeyUnfit(IngestRefused):
    """The Idempotency-Key is missing or guessable."""


class NotMultipart(IngestRefused):
    """The request's content type is not multipart/form-data."""


class BoundaryUnfit(IngestRefused):
    """The boundary is missing, too long, or has signs no boundary has."""


class UploadMalformed(IngestRefused):
    """The parts can't be told apart."""


class UploadTruncated(IngestRefused):
    """The body ended before its closing boundary."""


class UploadStalled(IngestRefused):
    """No byte for too long, or too few."""


class PartOutOfOrder(IngestRefused):
    """Audio came before metadata: it could not be judged before it is stored."""


class PartMissing(IngestRefused):
    """The body ended without metadata or audio."""


class PartDuplicate(IngestRefused):
    """A part came twice; which one counts would be a guess."""


class PartUnknown(IngestRefused):
    """A part of another name; dropping it quietly would lose what somebody meant to keep."""


class PartTypeWrong(IngestRefused):
    """A part's content type can't be what it should be."""


class MetadataTooLarge(IngestRefused):
    """The metadata part is longer than it may be."""


class UploadTooLarge(IngestRefused):
    """The audio is longer than it may be."""


class MetadataInvalid(IngestRefused):
    """Metadata that does not fit: where and of which kind, never what stood there."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("metadata invalid")
        self.errors = [{"field": error.field, "code": error.code} for error in errors]


class ConsentMissing(IngestRefused):
    """No recording without the customer's yes."""


class QuestionMissing(IngestRefused):
    """Sensitive content, but nothing more to ask than the PIN."""


class QuestionKindNotAllowed(IngestRefused):
    """The tenant's policy does not ask this kind of question."""


class TenantClosed(IngestRefused):
    """The tenant takes no more recordings."""


class RecordingNotAllowed(IngestRefused):
    """Taking recordings is switched off for the tenant or the scope."""


class ScopeUnknown(IngestRefused):
    """No such department or project, or not the partner's."""


class RetentionClassUnknown(IngestRefused):
    """The tenant has no such retention class."""


class RetentionMissing(IngestRefused):
    """Neither the upload nor the policy says how long to keep the recording."""


class AccessIdUnknown(IngestRefused):
    """A join to nothing, to somebody else's access ID, or to a full one."""


class LetterShopMissing(IngestRefused):
    """The PIN is to be sealed for a letter shop, and the tenant has registered none."""


class KeyReused(IngestRefused):
    """The same Idempotency-Key came with other content."""


class AnswerExpired(IngestRefused):
    """The recording is issued, but its answer is not kept any more; re-issue gives a new PIN."""


class RecordingGone(IngestRefused):
    """The Idempotency-Key belongs to a recording that was erased since."""


class UploadNotAccepted(IngestRefused):
    """Auth said no for a reason ingest has no word for."""


class TryLater(IngestError):
    """Not decided; the same Idempotency-Key may be tried again."""


class UploadInProgress(TryLater):
    """The same upload is still coming in on another connection."""


class UploadOvertaken(TryLater):
    """This upload's lease ended and a retry took its place."""


class VaultBusy(TryLater):
    """No place for one more upload now."""


class TenantNotYetKnown(TryLater):
    """Auth's fact about the tenant has not arrived yet."""


class SealingKeyRefused(TryLater):
    """The tenant's sealing key does not carry auth's signature."""


class AuthUnavailable(TryLater):
    """Auth did not answer; whether it did what it was asked is unknown."""


class AuthUnreachable(AuthUnavailable):
    """No connection to auth: what it was to be asked has surely not reached it."""


class ManifestNotFound(IngestError):
    """The day is not over, or was over before the partner's first recording."""


class RecordingNotFound(IngestError):
    """Missing, foreign, or no recording id at all: one answer for all."""
