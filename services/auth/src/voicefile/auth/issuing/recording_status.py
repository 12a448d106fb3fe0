"""How a recording is doing, for the partner that brought it; and which blobs have an owner."""

from dataclasses import dataclass, field

from voicefile.auth.errors import NotFound
from voicefile.auth.issuing.answer_retry import find_issued
from voicefile.auth.issuing.details import open_details
from voicefile.auth.ports import Ports
from voicefile.auth.store import ACCESS, CredentialState, LetterState, RecordingState


@dataclass(frozen=True)
class RecordingStatus:
    """What the partner may know."""

    recording: str
    credential: str
    state: RecordingState
    credential_state: CredentialState
    letter: LetterState
    findings: tuple[str, ...]
    delete_on: str
    """The planned day, whatever holds it; of an erased one, the day that was planned."""
    kept_by: tuple[str, ...]
    """What keeps it longer than the policy would: law, hold, objection."""
    erased_on: str
    policy_version: int
    assurance: str
    receipt: str | None = field(repr=False)
    certificate: str | None = field(repr=False)
    """Of an erased one."""


async def recording_status(
    recording_id: str, *, tenant: str, partner: str, ports: Ports
) -> RecordingStatus:
    """Raises NotFound, alike for missing and somebody else's."""
    issued = await find_issued(tenant, recording_id, ports=ports)
    if issued is None or issued.recording.partner != partner:
        raise NotFound
    recording, access = issued.recording, issued.stored.record
    receipt = None
    if recording.state is not RecordingState.ERASED:
        key = await ports.custody.slip_key(tenant, recording.id, recording.slip)
        details = open_details(
            recording.details,
            key,
            deployment=ports.custody.deployment,
            tenant=tenant,
            recording=recording.id,
        )
        receipt = details.receipt
    return RecordingStatus(
        recording=recording.id,
        credential=issued.stored.id,
        state=recording.state,
        credential_state=access.state,
        letter=access.letter,
        findings=recording.findings,
        delete_on=recording.due_on,
        kept_by=recording.kept_by,
        erased_on=recording.erased_on,
        policy_version=recording.policy_version,
        assurance=recording.assurance,
        receipt=receipt,
        certificate=recording.certificate or None,
    )


async def known_blobs(names: tuple[str, ...], *, ports: Ports) -> list[str]:
    """Those of these blobs that some recording names: the sweeper keeps them."""
    # Whose they are is nobody's business here, and no record is opened for it.
    return [name for name in names if await ports.store.find(ACCESS, "blob", name, limit=1)]
