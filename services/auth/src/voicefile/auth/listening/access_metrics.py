"""What signing in and listening show from outside, in numbers; no label names anybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Counter, Gauge

from voicefile.auth.listening.access_errors import AuditUnavailable, Busy, Locked
from voicefile.chassis.problems import RateLimited


@lru_cache(maxsize=1)
def turned_away() -> Counter:
    """By reason; no label names anybody. A flood is one number here, not a flood of deeds."""
    return Counter(
        "voicefile_sign_ins_turned_away", "Sign-ins turned away unchecked, by reason", ("reason",)
    )


@lru_cache(maxsize=1)
def releases() -> Counter:
    """Data keys asked for: granted, joined, refused because the log can't record it, or refused."""
    return Counter("voicefile_auth_releases", "Releases asked for, by outcome", ("outcome",))


@lru_cache(maxsize=1)
def gate_open() -> Gauge:
    """1 while new releases may be given. Alarm when it is 0 for long: nobody new can listen."""
    return Gauge("voicefile_auth_gate_open", "Whether new releases may be given")


@lru_cache(maxsize=1)
def deeds_on_their_way_s() -> Gauge:
    """Alarm long before half an hour: then the gate shuts."""
    return Gauge(
        "voicefile_auth_deeds_waiting_seconds", "Age of the oldest deed known not to be in the log"
    )


@lru_cache(maxsize=1)
def throttled() -> Counter:
    """Tries at secrets, by what counted them and whether it let them through."""
    return Counter(
        "voicefile_auth_throttle_decisions",
        "Tries charged and tries refused, by kind of bucket",
        ("bucket", "decision"),
    )


@lru_cache(maxsize=1)
def throttle_races() -> Counter:
    """Charges made again because another instance was quicker: many mean one hot bucket."""
    return Counter("voicefile_auth_throttle_races", "Charges that lost a race and were made again")


@lru_cache(maxsize=1)
def pin_places() -> Gauge:
    """Against the places there are (`pin_threads` + `pin_waiting_max`): how near "busy" is."""
    return Gauge("voicefile_auth_pin_places", "Places taken in the queue for hashing PINs")


SHOWN = (
    turned_away,
    releases,
    gate_open,
    deeds_on_their_way_s,
    throttled,
    throttle_races,
    pin_places,
)
"""Those that are there from the start, so that an alarm over them has something to read."""


@contextmanager
def releases_counted() -> Iterator[None]:
    """Around asking for a release: counts why there was none."""
    try:
        yield
    except AuditUnavailable:
        releases().labels(outcome="log-away").inc()
        raise
    except Exception:
        releases().labels(outcome="refused").inc()
        raise


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
