"""Signing in and listening: from an access ID and a PIN to a released key."""
