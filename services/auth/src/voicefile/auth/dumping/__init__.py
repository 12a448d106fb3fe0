"""Dumping: how auth's documents and keys leave it for a backup, apart, and come back."""
