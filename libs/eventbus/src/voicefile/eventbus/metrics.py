"""What the bus counts. Labels are names from our own code: topics and groups, never data."""

from functools import lru_cache

from prometheus_client import Counter, Gauge

# Each is made at its first use, not at import.


@lru_cache(maxsize=1)
def outbox_age() -> Gauge:
    """How long the oldest event has been waiting to be published: the first sign of trouble."""
    return Gauge("voicefile_outbox_age_seconds", "Age of the oldest unpublished event", ("topic",))


@lru_cache(maxsize=1)
def events_published() -> Counter:
    """Events that a broker has acknowledged."""
    return Counter("voicefile_events_published", "Events acknowledged by the broker", ("topic",))


@lru_cache(maxsize=1)
def events_sent_again() -> Counter:
    """Events published again because a broker had lost its log."""
    return Counter("voicefile_events_sent_again", "Events sent again after a loss", ("topic",))


@lru_cache(maxsize=1)
def events_handled() -> Counter:
    """Events that a group has handled; those that came twice count twice."""
    return Counter("voicefile_events_handled", "Events handled, by group", ("topic", "group"))


@lru_cache(maxsize=1)
def events_dead() -> Counter:
    """Dead letters: each wants somebody to look."""
    return Counter("voicefile_events_dead", "Dead letters, by group", ("topic", "group"))


@lru_cache(maxsize=1)
def events_missed() -> Counter:
    """Events that were gone from a broker's log before a group had seen them."""
    return Counter("voicefile_events_missed", "Events gone before handled", ("topic", "group"))


@lru_cache(maxsize=1)
def consumer_lag() -> Gauge:
    """Events in a broker's log that a group has still to handle, as this instance sees it."""
    return Gauge("voicefile_consumer_lag_events", "Events not handled yet", ("topic", "group"))


@lru_cache(maxsize=1)
def group_waiting() -> Gauge:
    """1 while a group waits: its engines are away, or everything fails."""
    return Gauge("voicefile_group_waiting", "Whether a group can't work now", ("topic", "group"))
