"""Epoch keys in key backups: out of the root for the offline recipients, and back from there.

A key backup must open when the root is lost, and must not outlive its 28 days by a root version
that was kept. So the epoch's own key stands in it, sealed to the recipients and to no root.
"""

from voicefile.crypto.envelope import Context, Kind, object_id, unwrap
from voicefile.crypto.errors import EpochGone
from voicefile.crypto.keyring import Epoch, EpochState, KeyRole, slip_context
from voicefile.crypto.rootkey import RootKey
from voicefile.crypto.secret import Secret, SecretKey


async def key_of_epoch(root: RootKey, epoch: Epoch, *, deployment: bytes, tenant: str) -> SecretKey:
    """The key itself; whoever calls this seals it at once. Raises EpochGone, VersionGone."""
    if epoch.state is EpochState.DESTROYED:
        raise EpochGone("the epoch's keys were destroyed")
    name = object_id(epoch.id, KeyRole.EPOCH)
    context = Context(deployment, tenant, name, Kind.WRAPPED_KEY, b"").encode()
    return await root.unwrap(epoch.root_version, epoch.wrapped_key, context=context)


class BackedUpEpoch(Secret):
    """An epoch as a key backup brought it: opens slips, and wraps nothing new."""

    __slots__ = ("_deployment", "_key", "_tenant", "id")

    def __init__(self, epoch_id: str, key: SecretKey, *, deployment: bytes, tenant: str) -> None:
        self.id = epoch_id
        self._key = key
        self._deployment = deployment
        self._tenant = tenant

    def unwrap(self, slip: bytes, name: bytes) -> SecretKey:
        """The key in the slip. Raises Tampered."""
        context = slip_context(self._deployment, self._tenant, name, self.id)
        return unwrap(slip, under=self._key, context=context)
