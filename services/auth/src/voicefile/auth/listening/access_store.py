"""What the checking half of auth keeps: sessions, logins, challenges, releases, throttle buckets.

All of it is short-lived and none of it names a person: ids are random or keyed hashes, tokens
stand only as their SHA-256. Whatever lapsed is swept by `expires_at_s`. All but buckets carry a MAC
(`stamped`), so nobody opens a session by writing one into the store.
"""

from msgspec import UNSET, Struct, UnsetType

from voicefile.docstore.port import Collection, Index

EXPIRES = Index("expires", "expires_at_s")

SESSIONS = Collection(
    "sessions", indexes=(EXPIRES, Index("credential", "credential")), passing=True
)
"""Document id: the hash of the session's token; a telephone session has none, and its own id."""
CHALLENGES = Collection("challenges", indexes=(EXPIRES,), passing=True)
"""Document id: the hash of the challenge."""
LOGINS = Collection("telephone_logins", indexes=(EXPIRES,), passing=True)
"""Document id: the login id."""
THROTTLES = Collection("throttles", indexes=(EXPIRES,), silent=True, passing=True)
"""Document id: the keyed hash of what is counted. Body: {state, expires_at_s}."""
RELEASES = Collection(
    "releases",
    indexes=(EXPIRES, Index("listening", "listening", unique=True)),
    passing=True,
)
"""Document id: the release id."""

OUTSTANDING = Collection("outstanding", silent=True, passing=True)
"""Document id: an instance's boot id. How far it has numbered its deeds."""

COLLECTIONS = (SESSIONS, CHALLENGES, LOGINS, THROTTLES, RELEASES, OUTSTANDING)


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
    call: str | UnsetType = UNSET
    """The telephone call that it lives in, by the hash of its id. Left out elsewhere, not empty:
    sessions from before there was this field still carry their MAC."""
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

    @property
    def owner(self) -> str:
        """The credential's tenant."""
        return self.tenant


class TelephoneLogin(Struct, frozen=True):
    """An access ID keyed in one telephone call; the ID itself and who called are not in it."""

    tenant: str
    """The platform: whose ID it is, if anybody's, shows only with its PIN."""
    locator: str
    call: str
    """The hash of the call's id: the login is good in that call alone."""
    dialled: str
    """The tenant whose own number was called; empty for a number that all share."""
    expires_at_s: int
    tries: int = 0
    """PINs charged so far; once the question is put, answers."""
    owner: str = ""
    """The credential's tenant, once the PIN was right and the question is put."""
    credential: str = ""
    generation: int = 0
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
    """A customer's session, by its document's id; renewals need no token to find it."""
    vouched_until_s: int
    """Care: so long the listening goes on without a token of the agent being seen again."""
    ended: bool = False
    mac: bytes = b""
