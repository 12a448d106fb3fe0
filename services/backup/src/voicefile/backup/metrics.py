"""Backup's metrics: counts and ages by target, made at their first use."""

from functools import lru_cache

from prometheus_client import Counter, Gauge


@lru_cache(maxsize=1)
def backup_age_seconds() -> Gauge:
    """Since the last whole backup of a target was begun. Alarm beyond 26 hours: one is missed."""
    return Gauge("voicefile_backup_age_seconds", "Age of the newest whole backup", ("target",))


@lru_cache(maxsize=1)
def backup_failures() -> Counter:
    """Backups that did not come about, by why: away, dump, plaintext, damaged. Alarm at any."""
    return Counter("voicefile_backup_failures", "Backups that failed", ("target", "reason"))


@lru_cache(maxsize=1)
def tombstone_lag_seconds() -> Gauge:
    """How long the oldest tombstone has been waiting for its target; a minute is promised."""
    return Gauge("voicefile_backup_tombstone_lag_seconds", "Age of what waits", ("target",))


@lru_cache(maxsize=1)
def blobs_waiting() -> Gauge:
    """Blobs that ingest told of and that have no copy yet."""
    return Gauge("voicefile_backup_blobs_waiting", "Blobs without a copy", ("target",))


@lru_cache(maxsize=1)
def drill_age_seconds() -> Gauge:
    """Since the last drill that succeeded. Alarm beyond 26 hours."""
    return Gauge("voicefile_backup_drill_age_seconds", "Age of the last good drill", ("target",))
