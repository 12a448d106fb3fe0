"""What can go wrong between an access ID and a released key, named after what happened.

AccessError
├── AccessIdMistyped    the check digits do not fit: said before anything is looked up
├── SignInRefused       whatever the reason was; there is one answer for all of them
├── TooManyFromThere    one network or number asked too often, whatever it asked for
├── Busy                no place in the queue
├── SessionOver         logged out, idle, re-issued or never opened
├── NotHearable         missing, foreign or not to be heard: one answer for all of them
├── PurposeMissing      a care agent did not say why
├── AuditUnavailable    what would happen now could not be recorded soon enough
├── ProofPending        the log has no signed head over the receipt yet
└── ReleaseOver         the listening ended, or what allowed it did
"""


class AccessError(Exception):
    """What this half of auth raises on purpose."""


class AccessIdMistyped(AccessError):
    """The check digits do not fit; that says nothing about which IDs exist."""


class SignInRefused(AccessError):
    """Unknown ID, wrong PIN, frozen, locked, expired: nobody learns which."""


class Locked(SignInRefused):
    """Tried too often for now. Counted apart, answered alike."""


class Busy(AccessError):
    """Too many at once; nothing was charged."""


class SessionOver(AccessError):
    """There is no such session any more."""


class NotHearable(AccessError):
    """No such recording for whoever asks."""


class PurposeMissing(AccessError):
    """A care agent names a purpose for every listening."""


class AuditUnavailable(AccessError):
    """The log cannot take what a new release would have to record."""


class ProofPending(AccessError):
    """The log has no signed head over the receipt yet; minutes at most after it was filed."""


class ReleaseOver(AccessError):
    """The release ended or its conditions no longer hold."""
