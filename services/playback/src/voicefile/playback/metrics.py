"""Playback's metrics: counts only, made at their first use."""

from functools import lru_cache

from prometheus_client import Counter, Gauge


@lru_cache(maxsize=1)
def listenings_open() -> Gauge:
    """Listenings that this process holds a key for."""
    return Gauge("voicefile_playback_listenings", "Listenings under way in this process")


@lru_cache(maxsize=1)
def listenings_ended() -> Counter:
    """By how: over (auth said so), idle, gave-way (to another), stopped (by us), lost."""
    return Counter("voicefile_playback_listenings_ended", "Listenings that ended, by how", ("end",))


@lru_cache(maxsize=1)
def integrity_failures() -> Counter:
    """Sealed objects that did not open. Alarm whenever it grows."""
    return Counter("voicefile_playback_integrity_failures", "Sealed objects that did not open")


SHOWN = (listenings_open, listenings_ended, integrity_failures)
"""Those that are there from the start, so that an alarm over them has something to read."""
