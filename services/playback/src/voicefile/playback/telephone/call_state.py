"""Where a call stands: what is kept of it between two posts, and the limits of the dialogue."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from voicefile.playback.telephone.moves import End, Reply, Said, Told, Words
from voicefile.playback.telephone.prompt_wav import RATE_HZ

SAMPLES_PER_S: Final = RATE_HZ
CHUNK_SAMPLES: Final = 10 * SAMPLES_PER_S
"""What the edge holds of a recording at once."""
SHORT_STEP: Final = 10 * SAMPLES_PER_S
LONG_STEP: Final = 60 * SAMPLES_PER_S
PACKET_SAMPLES: Final = 160
"""20 ms: the edge tells positions no finer."""

REFUSALS_MAX: Final = 6
"""Wrong PINs and answers of one call; more is another call, which the throttles see as well."""
PINS_MAX: Final = 3
"""What auth takes for one access ID that was keyed; then it is keyed again."""
UNHEARD_MAX: Final = 3
"""Entries in a row that were none: nothing keyed, or no access ID at all."""
PAUSES_MAX: Final = 5
"""Minutes that a call may stand still."""
BROKEN_WAITS_MS: Final = (1_000, 4_000)
"""A chunk may break off so often in a row before the call gives up, and nothing is played for so
long each time: what is away for a moment would else be asked for again in that very moment."""
WRITTEN_MAX: Final = 768 * 1024
"""Bytes of documents in one call. An edge adds them up, takes no more than a megabyte, and would
write down what it posted last, with all that was keyed, when that is reached."""
OPERATOR: Final = "0"
"""Keyed alone instead of an access ID: somebody would rather speak with people."""
CHOICES_MAX: Final = 9
"""One key each; a customer with more hears the newest and then the next ones."""


class Step(StrEnum):
    """Where a call stands."""

    ACCESS_ID = "access-id"
    PIN = "pin"
    QUESTION = "question"
    CHOICE = "choice"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"
    """The recording is at its end, and the caller is asked what now."""
    OBJECTION = "objection"
    OVER = "over"


@dataclass(frozen=True)
class Call:
    """What is kept of a call between two posts: ids and numbers, nothing anybody keyed."""

    step: Step
    language: str
    other_language: str = ""
    """What the key for the other language leads to; none: the line has one."""
    line_tenant: str = ""
    """The tenant whose own number was dialled."""
    tenant: str = ""
    """Whose customer it is; known once they are let in."""
    login: str = ""
    session: str = ""
    question: str = ""
    """The kind of question that is asked."""
    refusals: int = 0
    pins: int = 0
    unheard: int = 0
    keyed: bool = False
    """Whether anything was entered: an end without a session is then a refusal."""
    operator: str = ""
    """Whom to hand the call over to; none: nobody."""
    announced: tuple[str, ...] = ()
    """What is still to be said before anything else, by the texts' keys."""
    recordings: tuple[str, ...] = ()
    """What may be heard, the newest first."""
    chosen: int = 0
    samples: int = 0
    """Of the chosen recording, all of it."""
    position: int = 0
    """In samples, of the chosen recording."""
    pauses: int = 0
    broken: int = 0
    written: int = 0
    """Bytes of its documents so far."""

    @property
    def recording(self) -> str:
        return self.recordings[self.chosen]

    @property
    def chunk(self) -> tuple[int, int]:
        """What is played now, in samples."""
        return self.position, min(self.position + CHUNK_SAMPLES, self.samples)


Move = tuple[Call, Told | Reply]
"""Where the call stands now, and the one thing to do."""


def over(call: Call, *keys: str) -> Move:
    return replace(call, step=Step.OVER), End(words(*keys, "goodbye"))


def words(*keys: str) -> tuple[Said, ...]:
    return tuple(Words(key) for key in keys)
