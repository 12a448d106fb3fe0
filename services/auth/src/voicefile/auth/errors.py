"""What can go wrong while access is issued and kept, named after what happened.

AuthError
├── NotFound                  missing, or somebody else's: nobody learns which
├── Refused                   the tenant or its policy says no
│   ├── TenantClosed
│   ├── RecordingNotAllowed
│   └── SecondPersonRequired  who asked for an erasure can't confirm it as well
├── Incomplete                the request lacks or misnames something the policy asks for
│   ├── QuestionRequired
│   ├── QuestionKindNotAllowed
│   ├── RetentionRequired
│   ├── UnknownRetentionClass
│   ├── UnknownScope
│   ├── ConfirmationMistyped  what had to be typed was typed otherwise
│   └── UnusableKey           a key that cannot be used: a sealed data key, a public key
├── UnknownAccessId           no access ID to join: missing, foreign, full, or revoked
├── Conflict                  it was decided before, and otherwise
│   ├── EpochRetired          names the epoch to seal to instead
│   ├── KeyReused             the same Idempotency-Key with another upload
│   ├── AnswerExpired         the answer is gone; a new PIN is to be had by re-issue
│   ├── CredentialOver        revoked or expired for good
│   ├── ChangeNotPossible     not from the state it is in
│   ├── RecordingHeld         a legal hold, or the customer's objection, stands against erasing it
│   ├── KeptByLaw             not before the day until which the law wants it kept
│   ├── LetterShopMissing     a PIN is to be sealed, and nobody could open it
│   ├── NameTaken
│   └── ChangedMeanwhile      the document was changed again and again while we tried
├── NotRecognised             who wants to sign in proved nothing; one answer for all reasons
└── SignInThrottled           too many attempts under this name or from there
"""

from typing import ClassVar


class AuthError(Exception):
    """What this half of auth raises on purpose."""


class NotFound(AuthError):
    """Missing, or somebody else's."""


class Refused(AuthError):
    """The tenant or its policy says no."""


class TenantClosed(Refused):
    """The tenant is closed: nothing new, no releases."""


class RecordingNotAllowed(Refused):
    """The scope takes no recordings."""


class SecondPersonRequired(Refused):
    """Who asked for an erasure is not the one to confirm it."""


class Incomplete(AuthError):
    """The request lacks or misnames something the policy asks for."""


class QuestionRequired(Incomplete):
    """A sensitive recording needs a question, and its access ID has none."""


class QuestionKindNotAllowed(Incomplete):
    """The policy does not offer this kind of question."""


class RetentionRequired(Incomplete):
    """No retention class was given, and the policy has no default."""


class UnknownRetentionClass(Incomplete):
    """The policy does not know this retention class."""


class UnknownScope(Incomplete):
    """No such department or project, or not one this principal may act in."""


class UnusableKey(Incomplete):
    """A sealed or public key that cannot be used."""


class ConfirmationMistyped(Incomplete):
    """What had to be typed to confirm was typed otherwise."""


class SearchUnclear(Incomplete):
    """Not exactly one thing to search for."""


class TokenRequestUnclear(Incomplete):
    """No request for a token that RFC 6749 and 7523 know."""

    def __init__(self, error: str = "invalid_request") -> None:
        super().__init__(error)
        self.error = error


class UnknownAccessId(AuthError):
    """There is nothing to join: missing, foreign, full, revoked and mistyped are the same."""


class Conflict(AuthError):
    """It was decided before, and otherwise."""


class EpochRetired(Conflict):
    """The data key was sealed to an epoch whose key is gone: seal it to this one."""

    def __init__(self, *, epoch: str, sealing_key: str, signature: str) -> None:
        super().__init__("epoch retired")
        self.epoch = epoch
        self.sealing_key = sealing_key
        self.signature = signature


class KeyReused(Conflict):
    """The same Idempotency-Key came with another upload before."""


class AnswerExpired(Conflict):
    """It was issued, but the answer is kept no longer: ask for a new PIN (re-issue)."""


class CredentialOver(Conflict):
    """Revoked or expired: there is no way back."""


class ChangeNotPossible(Conflict):
    """The credential or letter is in a state that this change does not start from."""


class RecordingHeld(Conflict):
    """A legal hold, or the customer's objection, stands against erasing it."""


class KeptByLaw(Conflict):
    """The law wants it kept for longer, says its reseller or tenant."""


class LetterShopMissing(Conflict):
    """The PIN is to be sealed for a letter shop, and the tenant has registered none."""


class NameTaken(Conflict):
    """The name belongs to another already."""


class ChangedMeanwhile(Conflict):
    """The document changed again and again while this change was tried."""


class NotRecognised(AuthError):
    """Unknown name, wrong secret, used code, removed principal: nobody learns which."""

    error: ClassVar[str] = "invalid_client"
    """What RFC 6749 calls it, for OAuth clients."""
