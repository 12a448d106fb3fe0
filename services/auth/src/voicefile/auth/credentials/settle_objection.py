"""Settling: care or an administrator has looked into "this is not my contract", and it is done.

What the objection kept is kept no longer, unless a legal hold keeps it; whoever may hear it may go
on hearing it. Said of a recording that nobody objected to, it changes nothing, and stands in the
log like every deed.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.change_recording import write_recording
from voicefile.auth.credentials.change_credential import Order, within
from voicefile.auth.erasing.hold import as_held
from voicefile.auth.errors import ChangedMeanwhile, NotFound, TenantClosed
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Access, Recording, RecordingState
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.deeds.deed import Action
from voicefile.docstore.port import VersionConflict


@dataclass(frozen=True)
class _Found:
    access: Stored[Access]
    recording: Recording


async def settle_objection(recording_id: str, *, order: Order, ports: Ports) -> Recording:
    """The recording as it stands now. Raises NotFound, TenantClosed, ChangedMeanwhile."""
    deed = order.deed(Action.ACTION_OBJECTION_SETTLED, recording_id)
    for _ in range(ports.settings.write_tries_max):
        async with refusal_told(ports.deeds, deed, NotFound, TenantClosed):
            found = await _found(recording_id, order=order, ports=ports)
        if not found.recording.objected:
            await ports.deeds.record(deed)
            return found.recording
        without = replace(found.recording, objected=False, objected_on="", objected_by="")
        settled = as_held(without)
        try:
            await write_recording(found.access, settled, deed, ports=ports)
        except VersionConflict:
            continue
        return settled
    raise ChangedMeanwhile


async def _found(recording_id: str, *, order: Order, ports: Ports) -> _Found:
    tenant = await tenant_of(order.by.tenant, ports=ports)
    access = await ports.access.of(order.by.tenant).find_one("recording", recording_id)
    if access is None:
        raise NotFound
    recording = next(each for each in access.record.recordings if each.id == recording_id)
    if not within(recording, order.by) or recording.state is RecordingState.ERASED:
        raise NotFound
    if not tenant.record.open:
        raise TenantClosed
    return _Found(access, recording)
