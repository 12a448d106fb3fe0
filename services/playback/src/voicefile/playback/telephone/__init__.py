"""Recordings by telephone: what a caller keys in, what is said, and how a recording is played."""
