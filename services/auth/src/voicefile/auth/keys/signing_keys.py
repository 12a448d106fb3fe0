"""Signing keys as others are told of them: what receipts, tokens and sealing keys are signed with.

What is published was checked against the record's MAC, and is read anew each time: somebody who
could slip a public key in here would sign tokens of everybody.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from voicefile.auth.ports import Ports
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.crypto.keyring import KeyNamespace
from voicefile.identity.ids import PLATFORM
from voicefile.identity.tokens import KEYS_MAX

KEPT_S: Final = 60.0
"""How long auth's own routes believe what they have read."""
RETRY_S: Final = 5.0


async def published_keys(tenant: str, *, ports: Ports) -> list[tuple[str, bytes]]:
    """The public halves of all signing keys there ever were, by id. Raises NotFound, Tampered."""
    versions = (await _keys_of(tenant, ports=ports)).receipt_versions
    if tenant == PLATFORM:
        # Those who check tokens read no more; a token and a sealing key's word live a week at most.
        versions = versions[-KEYS_MAX:]
    return [(version.id, version.public) for version in versions]


class OwnKeys:
    """The keys auth signs tokens with, as its own routes check them."""

    def __init__(self, ports: Ports, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._ports = ports
        self._monotonic_s = monotonic_s
        self._keys: Mapping[str, bytes] = {}
        self._read_s = float("-inf")

    async def find(self, kid: str) -> bytes | None:
        age_s = self._monotonic_s() - self._read_s
        # Invented key ids must not become a flood of reads.
        if age_s >= KEPT_S or (kid not in self._keys and age_s >= RETRY_S):
            self._keys = dict(await published_keys(PLATFORM, ports=self._ports))
            self._read_s = self._monotonic_s()
        return self._keys.get(kid)


async def _keys_of(tenant: str, *, ports: Ports) -> KeyNamespace:
    if tenant == PLATFORM:
        return (await the_deployment(ports)).record.keys
    return (await tenant_of(tenant, ports=ports)).record.keys
