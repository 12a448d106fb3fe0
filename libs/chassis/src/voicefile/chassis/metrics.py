"""Metrics: counts and times by route template; no label ever comes from a request's values."""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Histogram

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@lru_cache(maxsize=1)
def request_seconds() -> Histogram:
    """How long requests took; made at its first use, not at import."""
    return Histogram(
        "voicefile_request_seconds",
        "Requests by app, method, route template and status",
        ("app", "method", "route", "status"),
        buckets=_BUCKETS_S,
    )


@lru_cache(maxsize=1)
def loop_failures() -> Counter:
    """Failures that a loop survived, by the loop's name."""
    return Counter("voicefile_loop_failures", "Failures survived, by loop", ("loop",))
