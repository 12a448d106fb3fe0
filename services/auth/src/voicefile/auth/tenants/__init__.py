"""Tenants: opened, ruled, told to ingest, and staffed with principals."""
