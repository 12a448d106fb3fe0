"""What is counted instead of told singly: sign-ins turned away before anything was checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Counter

from voicefile.auth.listening.access_errors import Busy, Locked
from voicefile.chassis.problems import RateLimited


@lru_cache(maxsize=1)
def turned_away() -> Counter:
    """By reason; no label names anybody. A flood is one number here, not a flood of deeds."""
    return Counter(
        "voicefile_sign_ins_turned_away", "Sign-ins turned away unchecked, by reason", ("reason",)
    )


@contextmanager
def counted() -> Iterator[None]:
    """Around a sign-in: counts why it was turned away."""
    try:
        yield
    except Locked:
        turned_away().labels(reason="locked").inc()
        raise
    except RateLimited:
        turned_away().labels(reason="origin").inc()
        raise
    except Busy:
        turned_away().labels(reason="busy").inc()
        raise
