"""What a restore is told of erasing since the backup, and what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Left:
    """What came with tombstones, by the id of what was erased. Nothing of it is believed yet."""

    recordings: Mapping[str, bytes] = field(default_factory=dict)
    customers: Mapping[str, bytes] = field(default_factory=dict)
    tenants: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Erased:
    """What tombstones name."""

    recordings: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    days: Mapping[str, str] = field(default_factory=dict)
    """When each tenant was erased."""
    left: Left = field(default_factory=Left)


@dataclass
class BroughtBack:
    """What came back, and what did not."""

    tenants: int = 0
    credentials: int = 0
    recordings: int = 0
    erased: int = 0
    """Recordings that the backup had and that were erased since."""
    certificates: int = 0
    """Certificates of what was erased since, that came with its tombstones."""
    without_certificate: list[str] = field(default_factory=list)
    """Recordings and tenants that were erased since, and whose certificates did not."""
    shredded: list[str] = field(default_factory=list)
    """Tenants that the backup had and that were erased since."""
    without_keys: list[str] = field(default_factory=list)
    """Recordings that stand in the dump and whose keys are in no key backup any more."""
    refused: list[str] = field(default_factory=list)
    """Documents that carried no MAC of ours."""
    roots_left: list[str] = field(default_factory=list)
    """Versions of the root key that nothing here hangs on, and that were not destroyed."""
