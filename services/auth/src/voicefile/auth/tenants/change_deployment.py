"""Changing what all tenants share: one write, one deed."""

from collections.abc import Awaitable, Callable

from voicefile.auth.errors import ChangedMeanwhile
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import Deployment
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.deeds.deed import Deed
from voicefile.docstore.port import PendingEvent, VersionConflict
from voicefile.identity.ids import PLATFORM

Change = Callable[[Deployment], Awaitable[Deployment]]


async def change_deployment(change: Change, *, deed: Deed, ports: Ports) -> None:
    """Applies the change to the newest version. Raises ChangedMeanwhile."""
    for _ in range(ports.settings.write_tries_max):
        stored = await the_deployment(ports)
        if await _written(stored, await change(stored.record), deed, ports=ports):
            return
    raise ChangedMeanwhile


async def _written(
    stored: Stored[Deployment], changed: Deployment, deed: Deed, *, ports: Ports
) -> bool:
    records = ports.deployments.of(PLATFORM)

    async def write(event: PendingEvent) -> Stored[Deployment]:
        return await records.replace(stored, changed, pending=(event,))

    try:
        await ports.deeds.write(deed, write)
    except VersionConflict:
        return False
    finally:
        ports.custody.forget(PLATFORM)
    return True
