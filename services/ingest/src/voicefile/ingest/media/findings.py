"""What decoding finds out about a recording that decoded well, and what that leads to."""

from enum import StrEnum


class Finding(StrEnum):
    """A closed list: a compromised decoder can at worst choose wrongly from it."""

    SILENT = "silent"
    MOSTLY_SILENT = "mostly-silent"
    CLIPPED = "clipped"
    TOO_SHORT = "too-short"


QUARANTINE: frozenset[str] = frozenset({Finding.SILENT, Finding.MOSTLY_SILENT, Finding.CLIPPED})
"""Findings with which a recording proves nothing: it is stored, and not playable."""

SILENCE_DBFS = -60.0
"""A frame of 50 ms is silent when its RMS stays below this; line noise of a real call is above."""

MOSTLY_SILENT_SHARE = 0.95
"""More than this share of silent frames makes a recording mostly silent."""

FULL_SCALE = 0.98
"""Of the largest number a sample can be. The largest µ-law value is 0.980, A-law's is 0.984."""

CLIPPED_SHARE = 0.01
"""More than this share of samples in runs at full scale makes a recording clipped."""

CLIPPED_RUN = 3
"""So many samples at full scale in a row are a cut-off peak; fewer are a loud one."""

SHORT_S = 1.0
"""Shorter recordings can hardly hold a contract; the partner is told."""
