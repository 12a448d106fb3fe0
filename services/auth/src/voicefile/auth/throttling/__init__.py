"""Throttling: how often a secret may be tried, charged before it is checked."""
