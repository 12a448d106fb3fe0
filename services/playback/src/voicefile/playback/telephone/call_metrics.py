"""What calls show from outside, in numbers; no label names anybody, and none comes from a post."""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0, 20.0)
"""Three tenths of a second are what is promised from the last digit to the first sound."""


@lru_cache(maxsize=1)
def calls_open() -> Gauge:
    """Against the places there are (`calls_max`). A call whose posts wander counts in each."""
    return Gauge("voicefile_telephone_calls", "Calls this process has to do with")


@lru_cache(maxsize=1)
def calls_answered() -> Counter:
    """Every first post that found a place."""
    return Counter("voicefile_telephone_calls_answered", "Calls taken")


@lru_cache(maxsize=1)
def calls_ended() -> Counter:
    """By how; each call once."""
    return Counter("voicefile_telephone_calls_ended", "Calls that ended, by how", ("how",))


@lru_cache(maxsize=1)
def step_seconds() -> Histogram:
    """By where the call stood when the post came: `pin` waits for hashing, `playing` hardly."""
    return Histogram(
        "voicefile_telephone_step_seconds",
        "How long an edge waited to be told what comes next",
        ("step",),
        buckets=_BUCKETS_S,
    )


@lru_cache(maxsize=1)
def entries() -> Counter:
    """Entries of digits and what came of them: those that are nobody's are told here alone."""
    return Counter(
        "voicefile_telephone_entries", "Entries, by what was asked for", ("entry", "outcome")
    )


@lru_cache(maxsize=1)
def first_sound_seconds() -> Histogram:
    """From the post that lets a caller in to the first sound fetched after it."""
    return Histogram(
        "voicefile_telephone_first_sound_seconds",
        "From the last digit to the first sound",
        buckets=_BUCKETS_S,
    )


@lru_cache(maxsize=1)
def chunks_broken() -> Counter:
    """An edge played less of a chunk than there was; it is played on from there, twice in a row."""
    return Counter("voicefile_telephone_chunks_broken", "Chunks of which an edge played a stump")


@lru_cache(maxsize=1)
def prompts_missing() -> Gauge:
    """Alarm when it is not 0: callers hear a gap, or the apology."""
    return Gauge("voicefile_telephone_prompts_missing", "Sentences that there is no sound of")


SHOWN = (
    calls_open,
    calls_answered,
    calls_ended,
    first_sound_seconds,
    chunks_broken,
    prompts_missing,
)
"""Those that are there from the start, so that an alarm over them has something to read."""
