"""The same world as where it is tried who reaches what."""

from tests.isolation.conftest import filled, vault

__all__ = ["filled", "vault"]
