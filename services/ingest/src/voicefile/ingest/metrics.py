"""Ingest's metrics: counts only, made at their first use."""

from functools import lru_cache

from prometheus_client import Gauge


@lru_cache(maxsize=1)
def sweeping_halted() -> Gauge:
    """1 while auth denies what it issued: nothing is swept, and somebody has to look."""
    return Gauge("voicefile_ingest_sweeping_halted", "Auth denies a blob it has issued")
