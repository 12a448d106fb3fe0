"""What a log is called: in addresses by its tenant's id, in checkpoints by its origin."""

from typing import Final

PLATFORM_LOG: Final = "platform"
"""The log of deeds that belong to no tenant."""


def log_of(tenant: str) -> str:
    """The name of a tenant's log as it stands in an address."""
    return tenant or PLATFORM_LOG


def origin_of(deployment: str, tenant: str) -> str:
    """The first line of the log's checkpoints, and the name of the key that signs them."""
    return f"voicefile/{deployment}/{log_of(tenant)}"


def heads_origin(deployment: str, day: str) -> str:
    """The name of the tree over all logs' heads of a day (2026-11-28); no log is called so."""
    return f"voicefile/{deployment}/heads/{day}"
