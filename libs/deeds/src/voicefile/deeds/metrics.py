"""What is to be seen of deeds from outside: how many wait for a store that is out of reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Gauge


@lru_cache(maxsize=1)
def _waiting() -> Gauge:
    return Gauge(
        "voicefile_deeds_waiting",
        "Numbered deeds that wait for a store out of reach, by topic",
        ("topic",),
    )


@contextmanager
def deeds_waiting(topic: str, count: int) -> Iterator[None]:
    """Around the wait of so many deeds; their requests are not answered before it ends."""
    waiting = _waiting().labels(topic=topic)
    waiting.inc(count)
    try:
        yield
    finally:
        waiting.dec(count)
