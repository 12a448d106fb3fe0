"""Metrics: counts and times by route template; no label ever comes from a request's values."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Histogram

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


def shown(*metrics: Callable[[], object]) -> None:
    """Makes them before anything happens: what first appears with trouble, no alarm watches."""
    for metric in metrics:
        metric()


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
def front_refusals() -> Counter:
    """Requests turned away at a door behind a front: others than the front, or a mute one."""
    return Counter("voicefile_front_refusals", "Requests refused behind a front", ("reason",))


@lru_cache(maxsize=1)
def loop_failures() -> Counter:
    """Failures that a loop survived, by the loop's name."""
    return Counter("voicefile_loop_failures", "Failures survived, by loop", ("loop",))


@lru_cache(maxsize=1)
def log_values_dropped() -> Counter:
    """What was to be logged and is not allowed: lines that nobody will see whole."""
    return Counter(
        "voicefile_log_values_dropped", "Values kept out of the log, by field", ("field",)
    )


@lru_cache(maxsize=1)
def log_lines_lost() -> Counter:
    """Lines that could not be written: a full disk, a reader that has gone."""
    return Counter("voicefile_log_lines_lost", "Lines of the log that could not be written")


@lru_cache(maxsize=1)
def spans_sent() -> Counter:
    """Spans that the collector has taken."""
    return Counter("voicefile_spans_sent", "Spans taken by the collector")


@lru_cache(maxsize=1)
def spans_lost() -> Counter:
    """Spans that never reach a collector: no room, not allowed, not sent."""
    return Counter("voicefile_spans_lost", "Spans that reached no collector", ("reason",))
