"""Sealed bytes under a random name, behind one port."""
