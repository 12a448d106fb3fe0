"""Legal holds: placed, nothing erases the recording, whatever its date says; lifted, it is due.

Who may hear it may go on hearing it, so a hold is a thing of its own beside the state: what is in
quarantine stays there. Placing one is done at once by whoever looks after customers; lifting one
lets things be erased, so an administrator does that.
"""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from voicefile.auth.change_recording import write_recording
from voicefile.auth.credentials.change_credential import Order, within
from voicefile.auth.erasing.hold_reference import sealed_reference
from voicefile.auth.errors import ChangedMeanwhile, ChangeNotPossible, NotFound
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.issuing.answer_retry import Issued, find_issued
from voicefile.auth.listening.access_deeds import code_of
from voicefile.auth.ports import Ports
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Hold, Recording, RecordingState
from voicefile.deeds.deed import Action
from voicefile.docstore.port import VersionConflict

Change = Callable[[Recording], Awaitable[Recording]]


async def place_hold(recording_id: str, reference: str, *, order: Order, ports: Ports) -> Recording:
    """Raises NotFound; ChangeNotPossible if it has a hold, or is erased; ChangedMeanwhile."""
    tenant = order.by.tenant

    async def held(recording: Recording) -> Recording:
        if recording.erased or recording.hold is not None:
            raise ChangeNotPossible
        sealed = await sealed_reference(recording, reference, tenant=tenant, custody=ports.custody)
        placed_on = day_of(int(ports.now_s() * 1000))
        hold = Hold(code_of(order.purpose), sealed, placed_on, order.by.id)
        return as_held(replace(recording, hold=hold))

    action = Action.ACTION_RECORDING_HELD
    return await _changed(recording_id, held, action, order=order, ports=ports)


async def lift_hold(recording_id: str, *, order: Order, ports: Ports) -> Recording:
    """Raises NotFound; ChangeNotPossible if there is none; ChangedMeanwhile."""

    async def lifted(recording: Recording) -> Recording:
        if recording.hold is None:
            raise ChangeNotPossible
        return as_held(replace(recording, hold=None))

    action = Action.ACTION_HOLD_LIFTED
    return await _changed(recording_id, lifted, action, order=order, ports=ports)


def as_held(recording: Recording) -> Recording:
    """The recording in the state that a hold, or the customer's objection, or neither gives it."""
    against = recording.hold is not None or recording.objected
    if recording.state is RecordingState.PLAYABLE and against:
        return replace(recording, state=RecordingState.HELD)
    if recording.state is RecordingState.HELD and not against:
        return replace(recording, state=RecordingState.PLAYABLE)
    return recording


async def _changed(
    recording_id: str, change: Change, action: Action, *, order: Order, ports: Ports
) -> Recording:
    deed = order.deed(action, recording_id)
    for _ in range(ports.settings.write_tries_max):
        async with refusal_told(ports.deeds, deed, NotFound, ChangeNotPossible):
            issued = await reachable(recording_id, order=order, ports=ports)
            changed = await change(issued.recording)
        try:
            await write_recording(issued.stored, changed, deed, ports=ports)
        except VersionConflict:
            continue
        return changed
    raise ChangedMeanwhile


async def reachable(recording_id: str, *, order: Order, ports: Ports) -> Issued:
    """The recording, in the scope of whoever orders. Raises NotFound."""
    issued = await find_issued(order.by.tenant, recording_id, ports=ports)
    if issued is None or not within(issued.recording, order.by):
        raise NotFound
    return issued
