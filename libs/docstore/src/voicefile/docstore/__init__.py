"""Versioned documents that carry their own unpublished events, behind one port."""
