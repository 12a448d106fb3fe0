"""What partners are told: each way an upload can fail has a type of its own."""

from collections.abc import Mapping

from voicefile.blobstore.port import BlobStoreFull
from voicefile.chassis.problems import NOT_FOUND, Problem
from voicefile.ingest import errors
from voicefile.ingest.media import errors as media_errors
from voicefile.ingest.settings import IngestSettings


def problem_table(settings: IngestSettings) -> Mapping[type[Exception], Problem]:
    """Errors of both halves of ingest, and their answers."""
    return {
        errors.RecordingNotFound: NOT_FOUND,
        errors.ManifestNotFound: NOT_FOUND,
        **_REQUEST,
        **_METADATA,
        **_POLICY,
        **_MEDIA,
        **{kind: _later(slug, title, settings) for kind, (slug, title) in _LATER.items()},
        BlobStoreFull: Problem(
            "vault-full",
            507,
            "There is no room for the recording; the same key may be tried again",
            retry_after_s=settings.retry_after_s,
        ),
    }


def _later(slug: str, title: str, settings: IngestSettings) -> Problem:
    return Problem(slug, 503, title, retry_after_s=settings.retry_after_s)


_REQUEST: Mapping[type[Exception], Problem] = {
    errors.IdempotencyKeyUnfit: Problem(
        "idempotency-key-invalid",
        400,
        "Send an Idempotency-Key: a random UUID, or 22 or more random base64url characters",
    ),
    errors.NotMultipart: Problem("not-multipart", 415, "Send multipart/form-data"),
    errors.BoundaryUnfit: Problem("boundary-unfit", 400, "The boundary is missing or not allowed"),
    errors.UploadMalformed: Problem("upload-malformed", 400, "The parts cannot be told apart"),
    errors.UploadTruncated: Problem(
        "upload-truncated", 400, "The body ended before its closing boundary"
    ),
    errors.UploadStalled: Problem("upload-stalled", 408, "The upload stalled"),
    errors.PartOutOfOrder: Problem("part-out-of-order", 400, "Send metadata first, then audio"),
    errors.PartMissing: Problem("part-missing", 400, "Send the parts metadata and audio"),
    errors.PartDuplicate: Problem("part-duplicate", 400, "Send each part once"),
    errors.PartUnknown: Problem("part-unknown", 400, "Send the parts metadata and audio only"),
    errors.PartTypeWrong: Problem(
        "part-type-wrong", 415, "Metadata is application/json, audio is audio"
    ),
    errors.MetadataTooLarge: Problem("metadata-too-large", 413, "The metadata is too large"),
    errors.UploadTooLarge: Problem("upload-too-large", 413, "The audio is too large"),
}
_METADATA: Mapping[type[Exception], Problem] = {
    errors.MetadataInvalid: Problem(
        "metadata-invalid", 422, "The metadata does not fit", extensions=("errors",)
    ),
    errors.ConsentMissing: Problem(
        "consent-missing", 422, "No recording is stored without the customer's consent"
    ),
    errors.QuestionMissing: Problem(
        "question-missing", 422, "A sensitive recording needs a question"
    ),
    errors.QuestionKindNotAllowed: Problem(
        "question-kind-not-allowed", 422, "The policy does not allow this kind of question"
    ),
}
_POLICY: Mapping[type[Exception], Problem] = {
    errors.TenantClosed: Problem("tenant-closed", 403, "The tenant takes no more recordings"),
    errors.RecordingNotAllowed: Problem(
        "recording-not-allowed", 403, "Taking recordings is switched off here"
    ),
    errors.ScopeUnknown: Problem("unknown-scope", 422, "No such department or project"),
    errors.RetentionClassUnknown: Problem(
        "unknown-retention-class", 422, "No such retention class"
    ),
    errors.RetentionMissing: Problem(
        "retention-required", 422, "Name a retention class: the policy has no default"
    ),
    errors.AccessIdUnknown: Problem("unknown-access-id", 404, "No such access ID to join"),
    errors.LetterShopMissing: Problem(
        "letter-shop-missing", 409, "No letter shop is registered to seal the PIN for"
    ),
    errors.KeyReused: Problem(
        "key-reused", 409, "This Idempotency-Key came with another upload before"
    ),
    errors.AnswerExpired: Problem(
        "answer-expired",
        409,
        "The recording is stored, its answer is kept no longer: ask for a new PIN (re-issue)",
    ),
    errors.RecordingGone: Problem(
        "recording-gone", 410, "The recording of this Idempotency-Key was erased"
    ),
    errors.UploadNotAccepted: Problem("upload-not-accepted", 422, "The upload is not accepted"),
}
_MEDIA: Mapping[type[Exception], Problem] = {
    kind: Problem(slug, status, title, extensions=("reason",))
    for kind, slug, status, title in (
        (media_errors.UnrecognisedAudio, "unrecognised-audio", 415, "Not a kind of audio we take"),
        (media_errors.BrokenAudio, "broken-audio", 422, "The audio is broken"),
        (media_errors.EmptyAudio, "empty-audio", 422, "There is no sound in it"),
        (media_errors.AudioTooLong, "audio-too-long", 422, "The recording is too long"),
        (media_errors.TooManyChannels, "too-many-channels", 422, "Too many channels"),
        (media_errors.DecodeLimitExceeded, "decode-limit", 422, "Decoding it costs too much"),
    )
}
_LATER: Mapping[type[Exception], tuple[str, str]] = {
    errors.UploadInProgress: ("upload-in-progress", "The same upload is still coming in"),
    errors.UploadOvertaken: ("upload-overtaken", "A retry took this upload's place"),
    errors.VaultBusy: ("busy", "Too many uploads at once"),
    errors.TenantNotYetKnown: ("tenant-not-yet-known", "The tenant is not known here yet"),
    errors.SealingKeyRefused: ("sealing-key-refused", "The tenant's key cannot be used now"),
    errors.AuthUnavailable: ("auth-unavailable", "Access cannot be issued now"),
    media_errors.DecoderUnavailable: ("decoder-unavailable", "Audio cannot be decoded now"),
}
