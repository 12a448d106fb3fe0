"""Backup: sealed copies elsewhere. It moves, chains, signs and counts, and opens nothing.

A *target* is a place for one *repository*: *objects* named by what is in them, *manifests* that
name them, signed and each with the hash of the one before, the list of *tombstones*, and apart
from all that the *key backups*, which live 28 days at most.
"""
