"""Audit's metrics: counts only, made at their first use."""

from functools import lru_cache

from prometheus_client import Counter, Gauge


@lru_cache(maxsize=1)
def deeds_appended() -> Counter:
    """Deeds sequenced by this process."""
    return Counter("voicefile_audit_deeds_appended", "Deeds appended to logs")


@lru_cache(maxsize=1)
def deeds_missing() -> Gauge:
    """Numbers that have not arrived though later ones of their instance have."""
    return Gauge("voicefile_audit_deeds_missing", "Deeds missing in instances' series")


@lru_cache(maxsize=1)
def events_unreadable() -> Counter:
    """Events put aside because they hold no deed that can be taken in."""
    return Counter("voicefile_audit_events_unreadable", "Events put aside as unreadable")


@lru_cache(maxsize=1)
def publish_lag_seconds() -> Gauge:
    """How long the oldest sequenced deed without a checkpoint has been waiting."""
    return Gauge("voicefile_audit_publish_lag_seconds", "Age of the oldest unpublished deed")
