"""Reading a recording's state: for the partner that brought it, and for nobody else."""

import re
from typing import Final

from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.identity.principal import Principal
from voicefile.ingest.ask_auth import Auth, Who
from voicefile.ingest.errors import RecordingNotFound
from voicefile.ingest.events import RecordingStored
from voicefile.ingest.schemas import RecordingStatus

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


async def read_recording(
    recording_id: str,
    *,
    by: Principal,
    request_id: str,
    auth: Auth,
    deeds: DeedSeries[RecordingStored],
) -> RecordingStatus:
    """How it is doing. Raises RecordingNotFound for what is missing, foreign or no id at all."""
    well_formed = _ID.fullmatch(recording_id) is not None
    status = None
    if well_formed:
        status = await auth.status(recording_id, who=Who(by.tenant, by.id))
    await deeds.record(
        Deed(
            actor=Actor.of(by),
            action=Action.ACTION_RECORDING_READ,
            tenant=by.tenant,
            object_id=recording_id if well_formed else "",
            outcome=Outcome.OUTCOME_DONE if status else Outcome.OUTCOME_REFUSED,
            request_id=request_id,
        )
    )
    if status is None:
        raise RecordingNotFound
    return status
