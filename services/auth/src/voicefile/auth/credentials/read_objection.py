"""Reading an objection: who looks into "this is not my contract" sees when it came, and which way.

Of a recording that nobody objected to it says so: what stands against erasing it is told as well.
"""

from dataclasses import replace

from voicefile.auth.credentials.change_credential import Order
from voicefile.auth.erasing.hold import reachable
from voicefile.auth.errors import NotFound
from voicefile.auth.ports import Ports
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Recording
from voicefile.deeds.deed import Action


async def read_objection(recording_id: str, *, order: Order, ports: Ports) -> Recording:
    """The recording it stands in, recorded before it is answered. Raises NotFound."""
    deed = order.deed(Action.ACTION_RECORDINGS_LISTED, recording_id)
    async with refusal_told(ports.deeds, deed, NotFound):
        issued = await reachable(recording_id, order=order, ports=ports)
        if issued.recording.erased:
            raise NotFound
    await ports.deeds.record(replace(deed, object_id=issued.stored.id))
    return issued.recording
