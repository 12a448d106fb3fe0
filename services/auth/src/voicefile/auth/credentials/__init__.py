"""Credentials after they were issued: found by care, re-issued, frozen, restored."""
