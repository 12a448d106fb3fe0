"""The sealed format, the keys and the only door to libsodium."""
