"""Moves: what can happen in a call, and what the dialogue can have done about it."""

from dataclasses import dataclass, field

from voicefile.crypto.secret import SecretText

# What happened.


@dataclass(frozen=True)
class Began:
    """The call was answered."""

    announced: tuple[str, ...] = ()
    """What is said to everybody on this number, by the texts' keys."""


@dataclass(frozen=True)
class Full:
    """Too many are calling: this one is not taken."""


@dataclass(frozen=True)
class Entered:
    """Digits, closed by a key or complete by themselves; `closed_by` is empty then."""

    digits: SecretText
    closed_by: str = ""


@dataclass(frozen=True)
class Pressed:
    """One key, and how far the chunk had been played when it came, in samples."""

    key: str
    offset: int = 0


@dataclass(frozen=True)
class PlayedOn:
    """Nobody pressed anything: the chunk, the pause or the prompt came to its end."""

    offset: int = 0


@dataclass(frozen=True)
class HungUp:
    """The caller has gone; whatever came with it counts for nothing."""


@dataclass(frozen=True)
class LoginBegun:
    """Auth waits for the PIN; whether the ID exists it has not said."""

    login: str


@dataclass(frozen=True)
class Mistyped:
    """The check digits of the access ID are wrong, whoever's it may be."""


@dataclass(frozen=True)
class Refused:
    """Not let in, for whatever reason."""


@dataclass(frozen=True)
class QuestionAsked:
    """The PIN was right, and the question comes first."""

    kind: str
    tenant: str


@dataclass(frozen=True)
class LetIn:
    """There is a session."""

    session: str
    tenant: str
    announced: tuple[str, ...] = ()
    """What the tenant has said to its customers, on a number that is not its own."""


@dataclass(frozen=True)
class Listed:
    """What may be heard, by id, the newest first."""

    recordings: tuple[str, ...]


@dataclass(frozen=True)
class Released:
    """The recording's key is there, and the deed of it."""

    samples: int


@dataclass(frozen=True)
class Kept:
    """The objection stands."""


@dataclass(frozen=True)
class SessionOver:
    """The session ended: too long, re-issued, erased."""


@dataclass(frozen=True)
class Away:
    """Auth, the log or the store can't now."""


Happened = (
    Began
    | Full
    | Entered
    | Pressed
    | PlayedOn
    | HungUp
    | LoginBegun
    | Mistyped
    | Refused
    | QuestionAsked
    | LetIn
    | Listed
    | Released
    | Kept
    | SessionOver
    | Away
)


# What to say.


@dataclass(frozen=True)
class Words:
    """A text of the catalogue, by its key."""

    key: str
    language: str = ""
    """Where it is not the call's own."""


@dataclass(frozen=True)
class Several:
    """That there are so many recordings."""

    count: int


@dataclass(frozen=True)
class Choice:
    """Which key is for which recording, by its place in the list."""

    key: int
    place: int


@dataclass(frozen=True)
class NowPlaying:
    """Which recording follows, by its place in the list."""

    place: int


@dataclass(frozen=True)
class Fingerprint:
    """The six digits of a recording's receipt, by its place in the list."""

    place: int


@dataclass(frozen=True)
class Help:
    """What the keys do; nothing of those that would do nothing."""

    next_one: bool
    operator: bool


Said = Words | Several | Choice | NowPlaying | Fingerprint | Help
"""What a recording is about is looked up when it is to be said, and kept nowhere."""


# What to do.


@dataclass(frozen=True)
class BeginLogin:
    """Have auth look up an access ID, and say nothing of what it found."""

    access_id: SecretText = field(repr=False)


@dataclass(frozen=True)
class TryPin:
    """Have a PIN checked."""

    pin: SecretText = field(repr=False)


@dataclass(frozen=True)
class TryAnswer:
    """Have the answer to the question checked."""

    answer: SecretText = field(repr=False)


@dataclass(frozen=True)
class List:
    """Ask what may be heard."""


@dataclass(frozen=True)
class Release:
    """Have the chosen recording's key released, recorded first."""


@dataclass(frozen=True)
class Object:
    """Have it kept against erasing: the customer says it is not theirs."""


@dataclass(frozen=True)
class Ask:
    """Say something and take an entry of digits."""

    said: tuple[Said, ...]
    entry: str
    """What the entry is called; by it the next post says what it brings."""


@dataclass(frozen=True)
class Offer:
    """Say something and take one key."""

    said: tuple[Said, ...]


@dataclass(frozen=True)
class Play:
    """Play the chunk the call stands at; one key stops it."""

    said: tuple[Said, ...] = ()
    """Before it, in the same breath."""
    after_ms: int = 0
    """How long there is nothing to hear first."""


@dataclass(frozen=True)
class Wait:
    """Say something, and then a minute of nothing; one key ends it."""

    said: tuple[Said, ...] = ()


@dataclass(frozen=True)
class End:
    """Say something and hang up."""

    said: tuple[Said, ...] = ()


@dataclass(frozen=True)
class Transfer:
    """Say something and hand the call over to people."""

    said: tuple[Said, ...]


Login = BeginLogin | TryPin | TryAnswer
Told = Login | List | Release | Object
"""What auth is asked; the answer is what happens next."""
Reply = Ask | Offer | Play | Wait | End | Transfer
"""What the edge is answered."""
