"""Ingest's metrics: counts only, made at their first use."""

from functools import lru_cache

from prometheus_client import Counter, Gauge


@lru_cache(maxsize=1)
def sweeping_halted() -> Gauge:
    """1 while auth denies what it issued: nothing is swept, and somebody has to look."""
    return Gauge("voicefile_ingest_sweeping_halted", "Auth denies a blob it has issued")


@lru_cache(maxsize=1)
def places_taken() -> Gauge:
    """Uploads being read. Near `uploads_max` this process takes no more."""
    return Gauge("voicefile_ingest_places_taken", "Uploads that hold a place")


@lru_cache(maxsize=1)
def places_waiting() -> Gauge:
    """Uploads that wait for a place; after some seconds they are told that the vault is busy."""
    return Gauge("voicefile_ingest_places_waiting", "Uploads that wait for a place")


@lru_cache(maxsize=1)
def uploads() -> Counter:
    """Stored; repeated: answered before; refused: the partner's to mend; undecided: try again."""
    return Counter("voicefile_ingest_uploads", "Uploads by outcome", ("outcome",))


SHOWN = (sweeping_halted, places_taken, places_waiting, uploads)
"""Those that are there from the start, so that an alarm over them has something to read."""
