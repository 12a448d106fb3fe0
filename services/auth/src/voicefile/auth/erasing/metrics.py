"""What erasing counts."""

from functools import lru_cache

from prometheus_client import Gauge


@lru_cache(maxsize=1)
def erasures_stuck() -> Gauge:
    """Alarm whenever it is not zero: something is kept longer than promised."""
    return Gauge(
        "voicefile_erasures_stuck", "Documents due for erasing that do not open or were forged"
    )


@lru_cache(maxsize=1)
def tenants_waiting() -> Gauge:
    """Not an alarm: somebody decided so, and may have forgotten it."""
    return Gauge(
        "voicefile_tenants_held",
        "Closed tenants past their date that are kept because something in them is held",
    )


SHOWN = (erasures_stuck, tenants_waiting)
