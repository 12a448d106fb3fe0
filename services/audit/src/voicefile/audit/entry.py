"""Entries and leaves: how the published log commits to a deed; the arithmetic is translog's."""

from voicefile.translog.deed_leaf import LABEL, commitment

__all__ = ["LABEL", "commitment"]
