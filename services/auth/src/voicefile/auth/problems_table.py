"""What a client is told about each of auth's errors: the one place that knows their numbers."""

from collections.abc import Mapping
from typing import Final

from voicefile.auth import errors
from voicefile.auth.listening.access_routes import ACCESS_PROBLEMS
from voicefile.chassis.problems import NOT_FOUND, Problem
from voicefile.dumps.routes import PROBLEMS as DUMP_PROBLEMS

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    **ACCESS_PROBLEMS,
    **DUMP_PROBLEMS,
    errors.NotFound: NOT_FOUND,
    errors.TenantClosed: Problem("tenant-closed", 403, "The tenant is closed"),
    errors.RecordingNotAllowed: Problem(
        "recording-not-allowed", 403, "This scope takes no recordings"
    ),
    errors.QuestionRequired: Problem(
        "question-required", 422, "A sensitive recording needs a question"
    ),
    errors.QuestionKindNotAllowed: Problem(
        "question-kind-not-allowed", 422, "The policy does not offer this kind of question"
    ),
    errors.RetentionRequired: Problem("retention-required", 422, "A retention class is required"),
    errors.UnknownRetentionClass: Problem(
        "unknown-retention-class", 422, "The policy does not know this retention class"
    ),
    errors.UnknownScope: Problem("unknown-scope", 422, "No such department or project"),
    errors.UnusableKey: Problem("unusable-key", 422, "The key cannot be used"),
    errors.SearchUnclear: Problem("search-unclear", 422, "Search for exactly one thing"),
    errors.TokenRequestUnclear: Problem(
        "token-request-unclear", 400, "Not a token request", extensions=("error",)
    ),
    errors.UnknownAccessId: Problem("unknown-access-id", 404, "No such access ID to join"),
    errors.EpochRetired: Problem(
        "epoch-retired",
        409,
        "The epoch was retired; seal to this one",
        extensions=("epoch", "sealing_key", "signature"),
    ),
    errors.KeyReused: Problem("key-reused", 409, "The Idempotency-Key was used for another upload"),
    errors.AnswerExpired: Problem(
        "answer-expired", 409, "The answer is kept no longer; ask for a new PIN by re-issue"
    ),
    errors.CredentialOver: Problem("credential-over", 409, "The credential has ended"),
    errors.ChangeNotPossible: Problem(
        "change-not-possible", 409, "Not possible from the present state"
    ),
    errors.SecondPersonRequired: Problem(
        "second-person-required", 403, "Whoever asked for it can't confirm it as well"
    ),
    errors.ConfirmationMistyped: Problem(
        "confirmation-mistyped", 422, "Type the first eight characters of what is to be erased"
    ),
    errors.RecordingHeld: Problem(
        "recording-held", 409, "A hold or the customer's objection stands against erasing it"
    ),
    errors.KeptByLaw: Problem("kept-by-law", 409, "Its legal minimum is not over yet"),
    errors.LetterShopMissing: Problem(
        "letter-shop-missing", 409, "The tenant has no letter shop to seal PINs for"
    ),
    errors.NameTaken: Problem("name-taken", 409, "The name is taken"),
    errors.ChangedMeanwhile: Problem(
        "changed-meanwhile", 409, "It was changed meanwhile; try again"
    ),
    errors.NotRecognised: Problem("not-recognised", 401, "Not recognised", extensions=("error",)),
}
