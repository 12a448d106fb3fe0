"""Tenants, keys, access documents, sessions and releases."""
