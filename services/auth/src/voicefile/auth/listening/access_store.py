"""What the checking half of auth keeps: sessions, challenges, releases and throttle buckets.

All of it is short-lived and none of it names a person: ids are random or keyed hashes, tokens
stand only as their SHA-256. Whatever lapsed is swept by `expires_at_s`. Sessions, challenges and
releases carry a MAC (`stamped`), so nobody opens a session by writing one into the store.
"""

from msgspec import Struct

from voicefile.docstore.port import Collection, Index

EXPIRES = Index("expires", "expires_at_s")

SESSIONS = Collection("sessions", indexes=(EXPIRES, Index("credential", "credential")))
"""Document id: the hash of the session's token."""
CHALLENGES = Collection("challenges", indexes=(EXPIRES,))
"""Document id: the hash of the challenge."""
THROTTLES = Collection("throttles", indexes=(EXPIRES,))
"""Document id: the keyed hash of what is counted. Body: {state, expires_at_s}."""
RELEASES = Collection("releases", indexes=(EXPIRES, Index("listening", "listening", unique=True)))
"""Document id: the release id."""

OUTSTANDING = Collection("outstanding")
"""Document id: an instance's boot id. How far it has numbered its deeds."""

COLLECTIONS = (SESSIONS, CHALLENGES, THROTTLES, RELEASES, OUTSTANDING)


class Session(Struct, frozen=True):
    """A customer who proved the PIN, and the answer where there is a question."""

    id: str
    """Random; stands for the session wherever the token must not."""
    tenant: str
    credential: str
    generation: int
    """The PIN it was opened with; a re-issue ends it."""
    level: int
    """2 once the question was answered, else 1."""
    opened_at_s: int
    seen_at_s: int
    expires_at_s: int
    """Its absolute end, whatever happens."""
    ended: bool = False
    mac: bytes = b""


class Challenge(Struct, frozen=True):
    """A correct PIN that waits for the answer to the question."""

    tenant: str
    credential: str
    generation: int
    tries: int
    """Answers charged so far."""
    expires_at_s: int
    done: bool = False
    mac: bytes = b""


class Instance(Struct, frozen=True):
    """An instance of playback that was given the data key."""

    key: bytes
    """The hash of the public key that it was sealed to."""
    leased_until_s: int


class Release(Struct, frozen=True):
    """A data key handed out for one listening."""

    tenant: str
    listening: str
    """The hash of who listens to what under which name for it: one living release for each. Once
    it is over, its own id, so that the next listening of the same name is a release of its own."""
    holder: str
    """The session's or the principal's id."""
    role: str
    credential: str
    recording: str
    purpose: int
    opened_at_s: int
    leased_until_s: int
    expires_at_s: int
    instances: tuple[Instance, ...]
    """Those that have it; the last one to give it back ends the release."""
    session: str
    """A customer's session, by the hash of its token; renewals need no token to find it."""
    vouched_until_s: int
    """Care: so long the listening goes on without a token of the agent being seen again."""
    ended: bool = False
    mac: bytes = b""
