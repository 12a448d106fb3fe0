"""Audit's metrics: counts only, made at their first use."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 1_800.0, 7_200.0)


@lru_cache(maxsize=1)
def leading() -> Gauge:
    """1 in the instance that appends. Alarm if the sum over all instances is not 1 for long."""
    return Gauge("voicefile_audit_leading", "Whether this instance appends and publishes")


@lru_cache(maxsize=1)
def sequencing_seconds() -> Histogram:
    """From a deed to its place in the log: outbox, bus, sequencer. Alarm long before half an hour.

    Of the oldest deed of each segment, by the clocks of both ends.
    """
    return Histogram(
        "voicefile_audit_sequencing_seconds",
        "Age of a segment's oldest deed when it was sequenced",
        buckets=_BUCKETS_S,
    )


@lru_cache(maxsize=1)
def checkpoint_seconds() -> Histogram:
    """From the place in the log to a signed checkpoint over it; a second is promised."""
    return Histogram(
        "voicefile_audit_checkpoint_seconds",
        "Age of a log's oldest unpublished segment when its checkpoint was signed",
        buckets=_BUCKETS_S,
    )


@lru_cache(maxsize=1)
def deeds_appended() -> Counter:
    """Deeds sequenced by this process."""
    return Counter("voicefile_audit_deeds_appended", "Deeds appended to logs")


@lru_cache(maxsize=1)
def deeds_missing() -> Gauge:
    """Deeds that were stored, as later ones of their instance say, and have not arrived."""
    return Gauge("voicefile_audit_deeds_missing", "Deeds missing in instances' series")


@lru_cache(maxsize=1)
def deeds_unfinished() -> Gauge:
    """Numbers given and perhaps never stored: what an instance was doing when it died."""
    return Gauge("voicefile_audit_deeds_unfinished", "Numbers that instances died with")


@lru_cache(maxsize=1)
def events_unreadable() -> Counter:
    """Events put aside because they hold no deed that can be taken in."""
    return Counter("voicefile_audit_events_unreadable", "Events put aside as unreadable")


@lru_cache(maxsize=1)
def publish_lag_seconds() -> Gauge:
    """How long the oldest sequenced deed without a checkpoint has been waiting."""
    return Gauge("voicefile_audit_publish_lag_seconds", "Age of the oldest unpublished deed")


@lru_cache(maxsize=1)
def witness_lag_seconds() -> Gauge:
    """How long the oldest checkpoint that a witness has to cosign has been waiting for it."""
    return Gauge(
        "voicefile_audit_witness_lag_seconds",
        "How long a checkpoint waits for a witness, by witness",
        ("witness",),
    )


@lru_cache(maxsize=1)
def offers() -> Counter:
    """What witnesses answered: cosigned, away, refused, contradicted."""
    return Counter(
        "voicefile_audit_offers",
        "Checkpoints offered to witnesses, by witness and outcome",
        ("witness", "outcome"),
    )


@lru_cache(maxsize=1)
def logs_contradicted() -> Gauge:
    """Logs of which a witness has seen another tree: forked, or rolled back. Alarm at once."""
    return Gauge("voicefile_audit_logs_contradicted", "Logs that a witness contradicts")


@lru_cache(maxsize=1)
def stamp_age_seconds() -> Gauge:
    """Since the last time stamp over all heads; 0 where nobody stamps. Alarm beyond a day."""
    return Gauge("voicefile_audit_stamp_age_seconds", "Age of the newest time stamp")


@lru_cache(maxsize=1)
def releases_unmatched() -> Counter:
    """Keys without the end of a listening, ends without a key, bytes that no end speaks of.

    Alarm at once: somebody's deeds are lost or changed, or audio left without a release.
    """
    return Counter(
        "voicefile_audit_releases_unmatched",
        "Releases without an outcome, outcomes without a release, bytes that only auth knows of",
        ("missing",),
    )


SHOWN = (
    leading,
    sequencing_seconds,
    checkpoint_seconds,
    deeds_appended,
    deeds_missing,
    deeds_unfinished,
    events_unreadable,
    publish_lag_seconds,
    logs_contradicted,
    stamp_age_seconds,
    releases_unmatched,
)
"""Those that are there from the start, so that an alarm over them has something to read."""
