"""Retention and erasure: planned dates, legal holds, what is erased when, and auth's word on it.

Vocabulary: a recording is *due* on its planned date; a *hold* stands against erasing it; an early
*erasure* is asked for by one person and confirmed by another; a *certificate* is what remains.
"""
