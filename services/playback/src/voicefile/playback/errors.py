"""What can go wrong in playback.

PlaybackError
├── NotSignedIn          auth does not know the caller (any more)
├── RecordingNotFound    missing, foreign, or not to be heard by this caller
├── PurposeMissing       care must say why it listens
├── ReleaseRefused       auth can't record the deed now, so nobody listens
├── ReleaseOver          the release ended: signed out, re-issued, erased
├── AuthUnavailable      auth did not answer in time
├── ProofPending         the log has no proof of the recording yet
└── TooManyListenings    this instance holds as many keys as it may
"""


class PlaybackError(Exception):
    """What playback raises on purpose."""


class NotSignedIn(PlaybackError):
    """Auth does not know the caller, or not any more."""


class RecordingNotFound(PlaybackError):
    """Missing, foreign, or not to be heard by this caller: one answer for all."""


class PurposeMissing(PlaybackError):
    """A care agent gave no purpose, or none of the known ones."""


class ReleaseRefused(PlaybackError):
    """The deed can't be recorded now, so no key is released."""


class ReleaseOver(PlaybackError):
    """Auth refuses to renew: signed out, PIN re-issued, recording erased."""


class AuthUnavailable(PlaybackError):
    """Auth did not answer in time."""


class ProofPending(PlaybackError):
    """The log has no proof of the recording yet; minutes at most after it was filed."""


class TooManyListenings(PlaybackError):
    """This instance holds as many keys as it may."""


class RecordingDamaged(PlaybackError):
    """A sealed object is missing or did not open."""
